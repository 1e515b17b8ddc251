"""What prometheus_client's metrics do with values in a segment."""

import pytest

MODES = ["all", "liveall", "min", "livemin", "max", "livemax", "sum", "livesum", "mostrecent", "livemostrecent"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_each_gauge_mode_has_its_kind(segments, when):
    segments.run(
        f"""
        import metrifold
        from prometheus_client import Gauge
        if "{when}" == "after":
            metrifold.install()
        for place, mode in enumerate({MODES!r}):
            Gauge(f"g_{{mode}}", "h", multiprocess_mode=mode).set(place + 1)
        metrifold.install()
        """
    )
    for place, mode in enumerate(MODES):
        assert segments.values(f"gauge_{mode}", f"g_{mode}") == [place + 1]


def test_gauges_go_up_and_down_and_take_any_float(segments):
    segments.run("""
        import math
        import metrifold
        from prometheus_client import Gauge
        metrifold.install()
        gauge = Gauge("g", "h")
        gauge.inc(5); gauge.dec(7.5)
        assert gauge._value.get() == -2.5
        nan = Gauge("nan", "h", multiprocess_mode="max"); nan.set(float("nan"))
        assert math.isnan(nan._value.get())
        with gauge.track_inprogress():
            assert gauge._value.get() == -1.5
    """)
    assert segments.values("gauge_all", "g") == [-2.5]


def test_reset_remove_and_clear_start_anew_here_but_the_segment_never_falls(segments):
    segments.run("""
        import metrifold
        from prometheus_client import Counter, Histogram
        metrifold.install()
        counter = Counter("c", "h"); counter.inc(3); counter.reset()
        assert counter._value.get() == 0
        counter.inc(2)
        assert counter._value.get() == 2
        labelled = Counter("l", "h", ["who"]); labelled.labels("a").inc(3); labelled.remove("a")
        assert labelled.labels("a")._value.get() == 0
        labelled.labels("a").inc()
        labelled.clear()
        labelled.labels("a").inc()
        histogram = Histogram("s", "h", ["who"], buckets=[1]); histogram.labels("a").observe(0.5); histogram.clear()
        histogram.labels("a").observe(0.25)
        assert [bucket.get() for bucket in histogram.labels("a")._buckets] == [1, 0]
    """)
    assert segments.values("counter", "c_total") == [5]
    assert segments.values("counter", "l_total", who="a") == [5]
    assert segments.values("histogram", "s_sum", who="a") == [0.75]
    assert segments.values("histogram", "s_bucket", who="a", le="1.0") == [2]


def test_a_counter_that_mirrors_another_count_by_set_counts_the_rises(segments):
    segments.run("""
        import metrifold
        from prometheus_client import Counter
        metrifold.install()
        counter = Counter("c", "h")
        for seen in (5, 8, 2, 3):
            counter._value.set(seen)
            assert counter._value.get() == seen
    """)
    assert segments.values("counter", "c_total") == [9]


def test_what_is_not_finite_is_refused_without_raising(segments):
    output = segments.run("""
        import metrifold
        from prometheus_client import Counter, Histogram
        metrifold.install()
        counter = Counter("c", "h"); counter.inc(); counter.inc(float("inf")); counter.inc(float("nan"))
        histogram = Histogram("s", "h", buckets=[1]); histogram.observe(0.5); histogram.observe(float("nan"))
        try:
            counter.inc(-1)
        except ValueError:
            print("as ever", metrifold.status().refused_values)
    """)
    assert output == "as ever 3\n"
    assert segments.values("counter", "c_total") == [1]
    assert segments.values("histogram", "s_sum") == [0.5]


def test_exemplars_and_both_expositions_of_this_process_work(segments):
    output = segments.run("""
        import metrifold
        from prometheus_client import Counter, Histogram, generate_latest
        from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
        from prometheus_client import REGISTRY
        early = Counter("early", "h"); early.inc(1, {"trace": "old"})
        metrifold.install()
        Counter("c", "h").inc(1, {"trace": "new"})
        Histogram("s", "h", buckets=[1]).observe(0.5, {"trace": "seen"})
        print(generate_latest().decode(), openmetrics(REGISTRY).decode())
    """)
    assert "c_total 1.0\n" in output
    for trace in ("old", "new", "seen"):
        assert f'{{trace="{trace}"}}' in output


def test_text_of_any_kind_is_a_label(segments):
    segments.run(r"""
        import metrifold
        from prometheus_client import Counter
        metrifold.install()
        counter = Counter("c", 'help "quoted" \\ é', ["who"])
        for who in ("é", "\U0001f600", 'q"\\\n', "", "\udcff", 7, True, 1):
            counter.labels(who).inc()
    """)
    for who in ("é", "\U0001f600", 'q"\\\n', "\ufffd", "7", "True", "1"):
        assert segments.values("counter", "c_total", who=who) == [1], who
    assert segments.values("counter", "c_total") == [1], "an empty label is none"


def test_numbers_that_are_no_floats_count(segments):
    segments.run("""
        import metrifold
        from decimal import Decimal
        from fractions import Fraction
        from prometheus_client import Counter, Gauge
        metrifold.install()
        counter, gauge = Counter("c", "h"), Gauge("g", "h")
        for amount in (1, True, Decimal("0.5"), Fraction(1, 4)):
            counter.inc(amount)
        gauge.set("2.5")
    """)
    assert segments.values("counter", "c_total") == [2.75]
    assert segments.values("gauge_all", "g") == [2.5]


def test_threads_lose_nothing(segments):
    segments.run("""
        import sys, threading
        import metrifold
        from prometheus_client import Counter, Histogram
        metrifold.install()
        sys.setswitchinterval(1e-6)
        counter, histogram = Counter("c", "h", ["who"]), Histogram("s", "h", buckets=[1])
        def count(who):
            for _ in range(5_000):
                counter.labels(who).inc()
                histogram.observe(0.5)
        threads = [threading.Thread(target=count, args=("ab"[i % 2],)) for i in range(8)]
        [thread.start() for thread in threads]; [thread.join() for thread in threads]
    """)
    assert segments.values("counter", "c_total", who="a") == [20_000]
    assert segments.values("counter", "c_total", who="b") == [20_000]
    assert segments.values("histogram", "s_bucket", le="1.0") == [40_000]


def test_a_metric_of_a_type_without_rules_counts_for_its_process(segments):
    segments.run("""
        import metrifold
        from prometheus_client import values
        metrifold.install()
        value = values.ValueClass("weird", "w", "w", (), (), "h", some_new_argument=1)
        value.inc(2)
        assert value.get() == 2
    """)
    assert not any(sample == "w" for segment in segments.read() for _, sample, _ in segment)
