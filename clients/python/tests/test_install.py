"""metrifold.install()"""

import pytest


def test_importing_starts_nothing(segments):
    segments.run("""
        import sys, threading
        import metrifold
        assert "prometheus_client" not in sys.modules
        assert "gunicorn" not in sys.modules
        assert threading.active_count() == 1
    """)
    assert not segments.directory.exists()


def test_metrics_made_before_and_after_are_in_the_segment(segments):
    segments.run("""
        import metrifold
        from prometheus_client import Counter, Gauge, Histogram, Summary
        before = Counter("before", "h")
        labelled = Counter("labelled", "h", ["who"])
        gauge = Gauge("gauge", "h", multiprocess_mode="max")
        histogram = Histogram("latency", "h", ["who"], buckets=[1, 2])
        summary = Summary("size", "h")
        before.inc(2)
        labelled.labels("a").inc(3)
        gauge.set(7)
        histogram.labels("a").observe(1.5)
        summary.observe(0.25)
        metrifold.install()
        after = Counter("after", "h")
        for metric in (before, labelled.labels("a"), labelled.labels("b"), after):
            metric.inc()
        gauge.inc()
        histogram.labels("a").observe(0.5)
        summary.observe(0.5)
    """)
    assert segments.values("counter", "before_total") == [3]
    assert segments.values("counter", "labelled_total", who="a") == [4]
    assert segments.values("counter", "labelled_total", who="b") == [1]
    assert segments.values("counter", "after_total") == [1]
    assert segments.values("gauge_max", "gauge") == [8]
    assert segments.values("histogram", "latency_sum", who="a") == [2]
    for bound, count in {"1.0": 1, "2.0": 1, "+Inf": 0}.items():
        assert segments.values("histogram", "latency_bucket", who="a", le=bound) == [count]
    assert segments.values("summary", "size_count") == [2]
    assert segments.values("summary", "size_sum") == [0.75]


def test_metrics_that_only_the_application_holds_are_found_too(segments):
    segments.run("""
        import gc
        import metrifold
        from prometheus_client import CollectorRegistry, Counter
        unregistered = Counter("unregistered", "h", registry=None)
        own_registry = Counter("own", "h", registry=CollectorRegistry())
        registered = Counter("frozen", "h")
        for metric in (unregistered, own_registry, registered):
            metric.inc()
        metrifold.install()
        gc.freeze()
        metrifold.install()
    """)
    for name in ("unregistered", "own", "frozen"):
        assert segments.values("counter", f"{name}_total") == [1]


def test_metrics_frozen_by_the_collector_are_found_in_the_registry(segments):
    segments.run("""
        import gc
        import metrifold
        from prometheus_client import Counter
        counter = Counter("frozen", "h", ["who"])
        counter.labels("a").inc()
        gc.freeze()
        metrifold.install()
        counter.labels("a").inc()
    """)
    assert segments.values("counter", "frozen_total", who="a") == [2]


def test_from_now_leaves_out_what_was_counted_before(segments):
    segments.run("""
        import metrifold
        from prometheus_client import Counter, Gauge
        counter, gauge = Counter("c", "h"), Gauge("g", "h")
        counter.inc(5)
        gauge.set(5)
        metrifold.install(from_now=True)
        counter.inc()
    """)
    assert segments.values("counter", "c_total") == [1]
    assert segments.values("gauge_all", "g") == [5]


def test_lazy_objects_are_not_woken_up(segments):
    segments.run("""
        import metrifold
        class Lazy:
            @property
            def __class__(self):
                raise AssertionError("woken")
        lazy = [Lazy()]
        metrifold.install()
    """)


def test_values_of_metrics_without_merge_rules_stay_as_they_are(segments):
    output = segments.run("""
        import metrifold
        from prometheus_client import Enum, Info, generate_latest
        info = Info("build", "h")
        info.info({"version": "1"})
        state = Enum("state", "h", states=["up", "down"])
        state.state("down")
        metrifold.install()
        print(generate_latest().decode())
    """)
    assert 'build_info{version="1"} 1.0' in output
    assert 'state{state="down"} 1.0' in output


def test_no_increment_of_another_thread_is_lost_while_installing(segments):
    output = segments.run("""
        import sys, threading
        import metrifold
        from prometheus_client import Counter
        sys.setswitchinterval(1e-6)
        counters = [Counter(f"c{i}", "h") for i in range(200)]
        done, turns = threading.Event(), 0
        def count():
            global turns
            while not done.is_set():
                for counter in counters:
                    counter.inc()
                turns += 1
        thread = threading.Thread(target=count)
        thread.start()
        while turns < 5:
            pass
        metrifold.install()
        seen = turns
        while turns < seen + 5:
            pass
        done.set()
        thread.join()
        print(turns)
    """)
    turns = int(output)
    assert [segments.values("counter", f"c{i}_total") for i in range(200)] == [[turns]] * 200


def test_settings_come_from_arguments_over_the_environment(segments):
    output = segments.run(
        """
        import metrifold
        status = metrifold.install(namespace="shop", labels={"zone": "a,b=c"})
        print(status.namespace, status.instance, status.target, status.segment.startswith(status.target[6:]))
        print(status)
        """,
        METRIFOLD_NAMESPACE="other",
        METRIFOLD_INSTANCE="pod-1",
    )
    assert output.splitlines()[0] == f"shop pod-1 local:{segments.directory} True"
    assert output.splitlines()[1].startswith("Status(namespace=\"shop\", instance=\"pod-1\"")


def test_a_second_call_does_nothing_and_warns_of_other_settings(segments):
    segments.run("""
        import warnings
        import metrifold
        from prometheus_client import Counter
        counter = Counter("c", "h")
        first = metrifold.install(namespace="shop")
        counter.inc()
        second = metrifold.install()
        third = metrifold.install(namespace="shop")
        assert first.segment == second.segment == third.segment
        assert counter._value.get() == 1
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            metrifold.install(namespace="other", directory="/elsewhere")
        assert "namespace, directory" in str(caught[0].message), caught
    """)
    assert segments.values("counter", "c_total") == [1]


@pytest.mark.parametrize(
    ("variables", "part"),
    [
        ({"METRIFOLD_NAMESPACE": "a/b"}, 'namespace \\"a/b\\"'),
        ({"METRIFOLD_TARGET": "nonsense"}, "METRIFOLD_TARGET"),
        ({"METRIFOLD_LABELS": "zone"}, "METRIFOLD_LABELS"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_and_changes_nothing(segments, variables, part):
    output = segments.run(
        """
        import metrifold
        from prometheus_client import Counter, values
        former = values.ValueClass
        try:
            metrifold.install()
        except ValueError as error:
            print(error)
        assert values.ValueClass is former
        Counter("c", "h").inc()
        try:
            metrifold.status()
        except metrifold.NotInstalledError:
            print("not installed")
        """,
        **variables,
    )
    assert part.replace("\\", "") in output
    assert "not installed" in output


def test_a_directory_that_cannot_be_used_costs_the_application_nothing(segments, tmp_path):
    (tmp_path / "segments").write_text("a file is in the way")
    output = segments.run("""
        import metrifold
        from prometheus_client import Counter, generate_latest
        status = metrifold.install()
        assert status.segment is None
        print(status.problem)
        counter = Counter("c", "h")
        counter.inc()
        assert "c_total 1.0" in generate_latest().decode()
    """)
    assert str(segments.directory) in output
