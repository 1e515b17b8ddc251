"""What prometheus_client's multiprocess mode never could, as a real server shows it."""

from __future__ import annotations

import signal
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from conftest import Segments, Server
from prometheus_client.openmetrics.parser import text_string_to_metric_families


@contextmanager
def living(segments: Segments, program: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A program that goes on to its next ``step()`` whenever it is told to, and lives until it is killed."""
    prelude = """
import signal, sys
def step():
    signal.sigwait({signal.SIGUSR1})
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
import metrifold
"""
    process = segments.start(prelude + program + "\nwhile True: signal.pause()\n", **variables)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def go_on(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGUSR1)


class Watch:
    """Scrapes a server again and again, and notes each counter, bucket and sum that is lower than it ever was."""

    def __init__(self, server: Server) -> None:
        self.falls: list[str] = []
        # Of each of these series.
        self.highest: dict[str, float] = {}
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.02):
            for series, value in self._server.lines().items():
                if series.partition("{")[0].endswith(("_total", "_bucket", "_count", "_sum")):
                    # Also of a series that was away meanwhile.
                    highest = self.highest.setdefault(series, value)
                    self.highest[series] = max(value, highest)
                    if value < highest:
                        self.falls.append(f"{series} falls from {highest} to {value}")


FACTS = """
from prometheus_client import Info, Enum
early = Info("early", "h")
early.info({"made": "before"})
metrifold.install()
build = Info("build", "h", ["app"])
build.labels("shop").info({"version": "1"})
task = Enum("task", "h", states=["on", "off"])
task.state("off")
step()
build.labels("shop").info({"version": "2"})
task.state("on")
"""


def test_facts_and_states_are_those_of_the_living(segments, local_server):
    with living(segments, FACTS) as process:
        local_server.eventually(lambda lines: lines.get('build_info{app="shop",version="1"}') == 1)
        local_server.eventually(lambda lines: lines.get('task{task="off"}') == 1)
        lines = local_server.lines()
        assert lines['task{task="on"}'] == 0
        assert lines['early_info{made="before"}'] == 1
        go_on(process)
        local_server.eventually(lambda lines: lines.get('build_info{app="shop",version="2"}') == 1)
        local_server.eventually(lambda lines: lines.get('task{task="on"}') == 1)
        lines = local_server.lines()
        assert 'build_info{app="shop",version="1"}' not in lines
        assert lines['task{task="off"}'] == 0
    local_server.eventually(lambda lines: "early_info" not in str(lines) and "task" not in str(lines))


def test_a_fork_states_what_its_parent_stated(segments, local_server):
    program = """
import os
from prometheus_client import Counter, Info
metrifold.install()
Info("build", "h").info({"version": "1"})
counter = Counter("c", "h")
if os.fork() != 0:
    os._exit(0)
counter.inc()
"""
    command = program + "print('child', os.getpid(), flush=True)\n"
    with living(segments, command) as process:
        child = int(process.stdout.readline().split()[1])
        process.wait()
        try:
            local_server.eventually(lambda lines: lines.get("c_total") == 1)
            # The parent has ended.
            local_server.eventually(lambda lines: lines.get('build_info{version="1"}') == 1)
        finally:
            subprocess.run(["kill", "-9", str(child)], check=True)


REMOVALS = """
from prometheus_client import Counter, Gauge, Histogram
metrifold.install()
counter, gauge = Counter("c", "h", ["l"]), Gauge("g", "h", ["l"], multiprocess_mode="max")
histogram = Histogram("s", "h", ["l"], buckets=[1])
for label in "ab":
    counter.labels(label).inc(3)
    gauge.labels(label).set(7)
    histogram.labels(label).observe(0.5)
step()
counter.remove("a")
histogram.remove("a")
gauge.clear()
step()
counter.labels("a").inc(2)
assert counter.labels("a")._value.get() == 2
gauge.labels("a").set(1)
"""


def test_removed_children_vanish_and_come_back_with_what_they_had_counted(segments, local_server):
    with living(segments, REMOVALS) as process:
        local_server.eventually(lambda lines: lines.get('s_count{l="b"}') == 1)
        assert local_server.sample('c_total{l="a"}') == 3
        assert local_server.sample('g{l="b"}') == 7
        go_on(process)
        local_server.eventually(lambda lines: 'c_total{l="a"}' not in lines and "g{" not in str(lines))
        local_server.eventually(lambda lines: not any('l="a"' in series for series in lines))
        lines = local_server.lines()
        assert lines['c_total{l="b"}'] == 3
        assert lines['s_sum{l="b"}'] == 0.5
        go_on(process)
        local_server.eventually(lambda lines: lines.get('g{l="a"}') == 1)
        local_server.eventually(lambda lines: lines.get('c_total{l="a"}') == 5)
    # What is dead is shown by its last word.
    local_server.eventually(lambda lines: lines.get('c_total{l="a"}') == 5 and 's_count{l="a"}' not in lines)


def test_a_child_that_another_process_shows_is_not_hidden(segments, local_server):
    showing = """
from prometheus_client import Counter
metrifold.install()
counter = Counter("c", "h", ["l"])
counter.labels("a").inc()
step()
counter.clear()
"""
    with living(segments, showing) as other:
        with living(segments, showing) as process:
            local_server.eventually(lambda lines: lines.get('c_total{l="a"}') == 2)
            go_on(process)
        # The one that removed it is dead, and the other shows it.
        local_server.eventually(lambda lines: lines.get('c_total{l="a"}') == 2)
        go_on(other)
        local_server.eventually(lambda lines: 'c_total{l="a"}' not in lines)


TURNS = """
from prometheus_client import Counter, Histogram
counter, histogram = Counter("c", "h", ["l"]), Histogram("s", "h", ["l"], buckets=[1])
metrifold.install()
while True:
    for _ in range(10):
        counter.labels("a").inc()
        counter.labels("kept").inc()
        histogram.labels("a").observe(0.5)
    step()
    counter.remove("a")
    histogram.clear()
    counter.labels("kept").reset()
    step()
"""


def test_no_page_shows_a_counter_fall_while_children_are_removed_and_processes_die(segments, local_server):
    """Two processes count, remove and count again, one is killed; a watch looks at all pages meanwhile."""

    def shows(counter: float | None, total: float | None, kept: float) -> Callable[[dict[str, float]], bool]:
        series = ('c_total{l="a"}', 's_sum{l="a"}', 'c_total{l="kept"}')
        return lambda lines: tuple(map(lines.get, series)) == (counter, total, kept)

    with Watch(local_server) as watch, living(segments, TURNS) as survivor:
        with living(segments, TURNS) as killed:
            local_server.eventually(shows(20, 10, 20))
            # Now one of them shows it, then none, then one, then both.
            go_on(killed)
            go_on(survivor)
            local_server.eventually(shows(None, None, 20))
            go_on(survivor)
            local_server.eventually(shows(30, 15, 30))
            go_on(killed)
            local_server.eventually(shows(40, 20, 40))
            go_on(killed)
        go_on(survivor)
        local_server.eventually(shows(None, None, 40))
        go_on(survivor)
        local_server.eventually(shows(50, 25, 50))
        local_server.eventually(lambda _: watch.highest['c_total{l="a"}'] == 50)
    assert watch.falls == []


def test_a_reset_counter_begins_anew_for_its_process_and_the_total_never_falls(segments, local_server):
    program = """
from prometheus_client import Counter
metrifold.install()
counter = Counter("c", "h")
counter.inc(5)
counter.reset()
assert counter._value.get() == 0
counter.inc(2)
assert counter._value.get() == 2
"""
    with living(segments, program):
        local_server.eventually(lambda lines: lines.get("c_total") == 7)


COLLECTORS = """
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
level, has_job = 4.0, True
early = Gauge("early", "h", multiprocess_mode="livesum")
early.set_function(lambda: level)
class Queue:
    def collect(self):
        jobs = CounterMetricFamily("jobs", "h", labels=["queue"])
        jobs.add_metric(["fast"], level * 10)
        if has_job:
            jobs.add_metric(["slow"], 1)
        yield jobs
        yield HistogramMetricFamily("wait", "h", buckets=[("1.0", level), ("+Inf", level + 1)], sum_value=9)
        yield InfoMetricFamily("queue", "h", value={"kind": "fifo"})
        depth = GaugeMetricFamily("depth", "h", value=level)
        depth.multiprocess_mode = "livemax"
        yield depth
class Broken:
    def describe(self):
        return []
    def collect(self):
        raise OSError("gone")
registry = CollectorRegistry()
registry.register(Queue())
registry.register(Broken())
import logging; logging.disable()
metrifold.install()
metrifold.register(registry)
late = Gauge("late", "h")
late.set_function(lambda: level + 1)
metrifold.sample()
step()
level, has_job = 6.0, False
metrifold.sample()
"""


def test_functions_and_collectors_are_sampled_and_process_metrics_too(segments, local_server):
    with living(segments, COLLECTORS) as process:
        local_server.eventually(lambda lines: lines.get("early") == 4)
        local_server.eventually(lambda lines: lines.get('wait_bucket{le="+Inf"}') == 5)
        # A page may show the first half of a sampling: wait for what comes last of each collector, and of all.
        local_server.eventually(lambda lines: 'queue_info{kind="fifo"}' in lines and lines.get("depth") == 4)
        local_server.eventually(lambda lines: lines.get("process_cpu_seconds_total", 0) > 0)
        local_server.eventually(lambda lines: any(series.startswith("python_info{") for series in lines))
        pid = f'pid="{process.pid}"'
        lines = local_server.lines()
        assert lines["late{%s}" % pid] == 5
        assert lines['jobs_total{queue="fast"}'] == 40
        assert lines['jobs_total{queue="slow"}'] == 1
        assert lines['wait_bucket{le="1.0"}'] == 4
        assert lines["wait_sum"] == 9
        assert lines['queue_info{kind="fifo"}'] == 1
        assert lines["depth"] == 4
        assert lines["process_open_fds{%s}" % pid] > 2
        assert lines["process_cpu_seconds_total"] > 0
        assert any(series.startswith("python_info{") and "pid" not in series for series in lines)
        go_on(process)
        local_server.eventually(lambda lines: lines.get('jobs_total{queue="fast"}') == 60)
        local_server.eventually(lambda lines: lines.get("early") == 6)
        lines = local_server.lines()
        assert 'jobs_total{queue="slow"}' not in lines
        assert lines['wait_bucket{le="1.0"}'] == 6


@pytest.mark.parametrize("removal", ["remove('a')", "clear()", "remove_by_labels({'l': 'a'})"])
def test_a_removed_gauges_function_is_asked_no_more_and_its_successor_keeps_its_value(segments, removal):
    segments.run(
        f"""
        import gc
        import metrifold
        from prometheus_client import Gauge
        # It would find the removed child sooner or later.
        gc.disable()
        asked = []
        gauge = Gauge("g", "h", ["l"], multiprocess_mode="max")
        metrifold.install()
        gauge.labels("a").set_function(lambda: asked.append(1) or 42)
        metrifold.sample()
        gauge.{removal}
        metrifold.sample()
        assert len(asked) == 1
        gauge.labels("a").set(5)
        metrifold.sample()
        """
    )
    assert segments.values("gauge_max", "g", l="a") == [5]


def test_a_gauge_that_is_removed_while_its_function_is_asked_is_not_set(segments):
    segments.run(
        """
        import metrifold
        from prometheus_client import Gauge
        gauge = Gauge("g", "h", ["l"], multiprocess_mode="max")
        metrifold.install()
        gauge.labels("a").set_function(lambda: gauge.remove("a") or 42)
        metrifold.sample()
        gauge.labels("a")
        """
    )
    assert segments.values("gauge_max", "g", l="a") == [0]


def test_functions_that_threads_add_while_a_sample_is_taken_do_not_end_it(segments):
    segments.run(
        """
        import sys, threading
        import metrifold
        from prometheus_client import Gauge
        sys.setswitchinterval(1e-6)
        gauge = Gauge("g", "h", ["l"])
        metrifold.install()
        def add():
            for number in range(2000):
                gauge.labels(number).set_function(lambda: 1)
        thread = threading.Thread(target=add)
        thread.start()
        while thread.is_alive():
            metrifold.sample()
        """
    )


def test_a_fork_reports_only_what_collectors_count_from_then_on(segments):
    segments.run(
        """
        import os
        import metrifold
        from prometheus_client import REGISTRY
        from prometheus_client.core import CounterMetricFamily
        count = 100
        class Collector:
            def collect(self):
                yield CounterMetricFamily("mine", "h", value=count)
        REGISTRY.register(Collector())
        metrifold.install()
        metrifold.sample()
        if os.fork() == 0:
            metrifold.sample()
            count += 5
            metrifold.sample()
            os._exit(0)
        assert os.wait()[1] == 0
        count += 1
        """
    )
    assert segments.values("counter", "mine_total") == [5, 101]
    assert all(value < 60 for value in segments.values("counter", "process_cpu_seconds_total"))


TWO_REGISTRIES = """
import metrifold
from prometheus_client import CollectorRegistry, Counter, Gauge, REGISTRY
from prometheus_client.core import CounterMetricFamily
class Collector:
    def __init__(self, name, value):
        self.name, self.value = name, value
    def collect(self):
        yield CounterMetricFamily(self.name, "h", value=self.value)
one, two = CollectorRegistry(), CollectorRegistry()
"""


def test_only_collectors_of_the_given_registries_are_sampled(segments):
    program = """
one.register(Collector("of_one", 1))
two.register(Collector("of_two", 2))
REGISTRY.register(Collector("of_the_default", 3))
Counter("recorded", "h").inc()
metrifold.install(registries=[one, two])
"""
    segments.run(TWO_REGISTRIES + program)
    assert segments.values("counter", "of_one_total") == [1]
    assert segments.values("counter", "of_two_total") == [2]
    assert segments.values("counter", "of_the_default_total") == []
    assert segments.values("counter", "process_cpu_seconds_total") == []
    assert segments.values("counter", "recorded_total") == [1]


def test_metrics_of_one_name_in_two_registries_are_one_series(segments):
    program = """
early = Counter("c", "h", registry=one)
early.inc(2)
metrifold.install(registries=[one, two])
late = Counter("c", "h", registry=two)
late.inc(3)
early.inc(4)
assert (early._value.get(), late._value.get()) == (6, 3), "each its own of one series"
for registry, value in ((one, 1), (two, 5)):
    Gauge("g", "h", registry=registry).set(value)
"""
    segments.run(TWO_REGISTRIES + program)
    assert segments.values("counter", "c_total") == [9]
    assert segments.values("gauge_all", "g") == [5]


def test_collectors_of_two_registries_that_report_one_series_do_not_count_it_up(segments):
    program = """
import logging
class Named(logging.Handler):
    def emit(self, record):
        print(record.getMessage())
logging.getLogger("metrifold").addHandler(Named())
first, second = Collector("c", 40), Collector("c", 7)
one.register(first)
two.register(second)
two.register(first)
metrifold.install(registries=[one, two])
for _ in range(3):
    metrifold.sample()
second.value += 1
metrifold.sample()
first.value += 2
"""
    output = segments.run(TWO_REGISTRIES + program)
    assert segments.values("counter", "c_total") == [42]
    assert output.count("c_total") == 1


def test_a_collector_that_takes_a_series_over_goes_on_from_what_was_counted(segments):
    program = """
import logging; logging.disable()
first, second = Collector("c", 40), Collector("c", 7)
one.register(first)
two.register(second)
metrifold.install(registries=[one, two])
metrifold.sample()
second.value = 41
one.unregister(first)
metrifold.sample()
second.value += 1
"""
    segments.run(TWO_REGISTRIES + program)
    assert segments.values("counter", "c_total") == [42]


def test_a_thread_samples_where_it_is_asked_for(segments):
    segments.run(
        """
        import time
        import metrifold
        from prometheus_client import Gauge
        asked = []
        Gauge("g", "h").set_function(lambda: asked.append(1) or len(asked))
        metrifold.install(sample_every=0.01)
        deadline = time.monotonic() + 20
        while len(asked) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        """
    )


def test_without_being_asked_no_thread_is_started(segments):
    output = segments.run("import threading, metrifold; metrifold.install(); print(threading.active_count())")
    assert output == "1\n"


def test_exemplars_reach_the_segment_and_bad_ones_are_counted(segments):
    output = segments.run(
        """
        import metrifold
        from prometheus_client import Counter, Histogram
        from prometheus_client.samples import Exemplar
        metrifold.install()
        counter, histogram = Counter("c", "h"), Histogram("s", "h", buckets=[1])
        counter.inc(exemplar={"trace_id": "a"})
        histogram.observe(0.5, exemplar={"trace_id": "b"})
        assert counter._value.get_exemplar().labels == {"trace_id": "a"}
        assert metrifold.status().refused_exemplars == 0
        counter._value.set_exemplar(Exemplar({"trace_id": "x" * 200}, 1.0, 1.0))
        counter._value.set_exemplar("no exemplar")
        print(metrifold.status().refused_exemplars)
        """
    )
    assert output == "2\n"


ANNOTATED = """
import time
from prometheus_client import Counter, Histogram
old = Counter("old", "h")
before = time.time()
metrifold.install()
counter = Counter("c", "h", unit="bytes")
counter.inc(2, exemplar={"trace_id": "one"})
counter.inc(3, exemplar={"trace_id": "two"})
Histogram("s", "h", buckets=[1]).observe(0.5, exemplar={"trace_id": "three"})
assert old._created < before
print(old._created, flush=True)
"""


def test_exemplars_units_and_times_of_creation_are_shown_in_openmetrics(segments, local_server):
    with living(segments, ANNOTATED) as process:
        created = float(process.stdout.readline())
        local_server.eventually(lambda lines: lines.get("s_count") == 1)
        accept = {"Accept": "application/openmetrics-text;version=1.0.0"}
        request = urllib.request.Request(f"{local_server.url}/metrics", headers=accept)
        with urllib.request.urlopen(request, timeout=5) as answer:
            page = answer.read().decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    samples = {sample.name: sample for family in families.values() for sample in family.samples}
    assert families["c_bytes"].unit == "bytes"
    exemplar = samples["c_bytes_total"].exemplar
    assert (exemplar.labels, exemplar.value) == ({"trace_id": "two"}, 3)
    bucket = next(sample for sample in families["s"].samples if sample.labels.get("le") == "1.0")
    assert bucket.exemplar.labels == {"trace_id": "three"}
    assert abs(samples["old_created"].value - created) < 0.002, "milliseconds are kept"
    assert samples["s_created"].value > created
