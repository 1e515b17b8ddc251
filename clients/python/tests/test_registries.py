"""Several registries in one process: each shows its own, and the merged page what they come to."""

import json

# Runs the same program with and without our values, and prints what each registry shows after each step.
PROGRAM = """
import json, sys
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
if sys.argv[1:] == ["installed"]:
    import metrifold
    metrifold.install(registries=[])
one, other = CollectorRegistry(), CollectorRegistry()
shown = []
def show():
    lines = [line for registry in (one, other) for line in generate_latest(registry).decode().splitlines()]
    shown.append([line for line in lines if "_created" not in line])
modes = ["all", "min", "max", "sum", "mostrecent"]
metrics = [
    [
        Counter("jobs", "h", ["who"], registry=registry), Histogram("h", "h", buckets=[1], registry=registry),
        Summary("s", "h", registry=registry),
        *(Gauge(f"g_{mode}", "h", registry=registry, multiprocess_mode=mode) for mode in modes),
    ]
    for registry in (one, other)
]
for amount, (jobs, histogram, summary, *gauges) in zip((1, 10), metrics):
    jobs.labels("a").inc(amount); histogram.observe(amount); summary.observe(amount)
    for gauge in gauges:
        gauge.set(amount)
        if gauge is not gauges[-1]:
            gauge.inc(2); gauge.dec()
    show()
metrics[0][0].labels("a").inc(100); metrics[0][3].inc(5); metrics[0][6].set(50)
show()
metrics[0][0].remove("a"); metrics[0][0].labels("a").inc()
show()
# Removed, and made again: from zero.
one.unregister(metrics[0][6]); metrics[0][6] = Gauge("g_sum", "h", registry=one, multiprocess_mode="sum")
show()
other.unregister(metrics[1][0]); metrics[1][0] = Counter("jobs", "h", ["who"], registry=other)
metrics[1][0].labels("a").inc(3)
show()
print(json.dumps(shown))
"""


def test_each_registry_shows_what_prometheus_client_alone_would(segments):
    alone = segments.run(PROGRAM)
    installed = segments.run("import sys; sys.argv.append('installed')\n" + PROGRAM)
    assert json.loads(installed) == json.loads(alone)


def test_the_segment_has_what_the_registries_come_to(segments):
    segments.run("import sys; sys.argv.append('installed')\n" + PROGRAM)
    assert segments.values("counter", "jobs_total", who="a") == [1 + 10 + 100 + 1 + 3]
    assert segments.values("histogram", "h_sum") == [11]
    assert segments.values("summary", "s_count") == [2]
    # Set last; the least and the most of both; and the sum, of which the first share was given up.
    assert segments.values("gauge_all", "g_all") == [7]
    assert segments.values("gauge_min", "g_min") == [2]
    assert segments.values("gauge_max", "g_max") == [11]
    assert segments.values("gauge_mostrecent", "g_mostrecent") == [10]


def test_a_gauge_that_was_unregistered_and_made_again_begins_at_zero(segments):
    output = segments.run("""
        import metrifold
        from prometheus_client import REGISTRY, Gauge
        metrifold.install()
        gauge = Gauge("g", "h"); gauge.set(7)
        REGISTRY.unregister(gauge)
        again = Gauge("g", "h")
        print(again._value.get(), gauge._value.get())
        del gauge
        REGISTRY.unregister(again); again = Gauge("g", "h")
        print(again._value.get())
    """)
    assert output.split() == ["0.0", "7.0", "0.0"]


def test_a_forks_child_of_several_registries_starts_from_zero_in_each(segments):
    segments.run("""
        import os
        import metrifold
        from prometheus_client import CollectorRegistry, Counter
        metrifold.install()
        one, other = (Counter("c", "h", registry=CollectorRegistry()) for _ in range(2))
        one.inc(1); other.inc(10)
        if os.fork() == 0:
            assert (one._value.get(), other._value.get()) == (0, 0)
            one.inc(100); other.inc(1000); one.inc(100)
            assert (one._value.get(), other._value.get()) == (200, 1000)
            os._exit(0)
        assert os.wait()[1] == 0
        assert (one._value.get(), other._value.get()) == (1, 10)
    """)
    assert segments.values("counter", "c_total") == [11, 1200]


def test_a_label_without_a_value_and_no_label_are_one_series(segments):
    segments.run("""
        import metrifold
        from prometheus_client import CollectorRegistry, Counter, generate_latest
        metrifold.install()
        one, other = CollectorRegistry(), CollectorRegistry()
        labelled = Counter("c", "h", ["a", "b"], registry=one)
        labelled.labels("", "x").inc(1)
        Counter("c", "h", ["b"], registry=other).labels("x").inc(2)
        assert b'c_total{a="",b="x"} 1.0' in generate_latest(one)
    """)
    assert segments.values("counter", "c_total", b="x") == [3]
