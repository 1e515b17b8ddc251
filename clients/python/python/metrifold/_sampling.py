"""Values that nobody sets: gauges with a function, and what custom collectors report, process metrics among them."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, metrics
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from ._native import Value, set_unit

_LOG = logging.getLogger("metrifold")

# Two samples of one process are at least this far apart, unless the program asks.
INTERVAL_SECONDS = 1.0
_GROWING = ("counter", "histogram", "summary")
# What these report is in segments or in another process's already.
_NOT_OURS = (metrics.MetricWrapperBase, MultiProcessCollector, CollectorRegistry)


@dataclass
class _Sampled:
    """One series of a collector."""

    value: Value
    # Only the first that reports the series, while it is there: two in turns would look like one that starts anew each time.
    collector: int
    # The last round that had it.
    round: int = 0
    is_removed: bool = False


class Sampler:
    """Asks functions and collectors, and keeps what they say in the segment."""

    def __init__(self) -> None:
        self._registries: list[CollectorRegistry] = []
        self._functions: weakref.WeakSet[Any] = weakref.WeakSet()
        # Re-entrant: the finalizer of anything may remove a gauge, and runs whenever it likes.
        self._functions_lock = threading.RLock()
        self._sampled: dict[tuple[Any, ...], _Sampled] = {}
        # The collectors of this round.
        self._asked: set[int] = set()
        self._lock = threading.Lock()
        self._round = 0
        self._last = float("-inf")
        # Collectors that a fork's parent had: what they counted until now is the parent's.
        self._inherited: set[int] = set()
        # Collectors and gauges that failed, and collectors that report what another one does.
        self._complained: set[int] = set()
        self._outdone: set[int] = set()
        self._interval: float | None = None
        self._is_over = threading.Event()

    def register(self, registry: CollectorRegistry) -> None:
        """Also asks the collectors of this registry, present and future ones."""
        if registry not in self._registries:
            self._registries.append(registry)

    def has_function(self, gauge: Any) -> None:
        """Also asks this gauge, which has got a function."""
        with self._functions_lock:
            self._functions.add(gauge)

    def forget(self, child: Any) -> None:
        """Never again sets this child, which was removed: its successor has the same series.

        Its function holds it in a cycle, so it lives on until the garbage collector finds it.
        """
        with self._functions_lock:
            self._functions.discard(child)

    def sample(self) -> None:
        """Asks everybody, unless another thread is doing so. Never raises."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._last = time.monotonic()
            self._sample()
        finally:
            self._lock.release()

    def sample_if_due(self) -> None:
        """The same, at most once per second."""
        if time.monotonic() - self._last >= INTERVAL_SECONDS:
            self.sample()

    def start(self, interval: float) -> None:
        """Samples in a thread, in this process and in its forks."""
        if self._interval is None:
            self._interval = interval
            self._start_thread()

    def end(self) -> None:
        """Samples a last time."""
        self._is_over.set()
        self.sample()

    def follow_fork(self) -> None:
        """In a fork's child: begins anew."""
        # The parent's threads may have held them.
        self._lock = threading.Lock()
        self._functions_lock = threading.RLock()
        self._last = float("-inf")
        self._inherited = {id(collector) for collector in self._collectors()}
        self._is_over = threading.Event()
        if self._interval is not None:
            self._start_thread()

    def _start_thread(self) -> None:
        threading.Thread(target=self._run, args=(self._is_over,), name="metrifold-sampler", daemon=True).start()

    def _run(self, is_over: threading.Event) -> None:
        while not is_over.wait(self._interval):
            self.sample()

    def _collectors(self) -> list[Any]:
        # Once each, whatever they are registered with.
        known: dict[Any, None] = {}
        for registry in self._registries:
            known |= dict.fromkeys(registry._collector_to_names.copy())
        return [collector for collector in known if not isinstance(collector, _NOT_OURS)]

    def _sample(self) -> None:
        self._round += 1
        for gauge in self._gauges_with_a_function():
            try:
                for sample in gauge._child_samples():
                    self._set_unless_forgotten(gauge, sample.value)
            except Exception as error:
                self._complain(gauge, error)
        failed = set()
        collectors = self._collectors()
        self._asked = {id(collector) for collector in collectors}
        for collector in collectors:
            try:
                for metric in collector.collect():
                    self._take(metric, collector)
            except Exception as error:
                failed.add(id(collector))
                self._complain(collector, error)
        self._inherited -= self._asked - failed
        for sampled in self._sampled.values():
            is_gone = sampled.round != self._round and sampled.collector not in failed
            if is_gone and not sampled.is_removed:
                sampled.value.remove()
                sampled.is_removed = True

    def _gauges_with_a_function(self) -> list[Any]:
        # Other threads add to the set, which must not change under whoever goes through it.
        with self._functions_lock:
            return list(self._functions)

    def _set_unless_forgotten(self, gauge: Any, value: float) -> None:
        # It may have been removed while its function was asked.
        with self._functions_lock:
            if gauge in self._functions:
                gauge._value.set(value, time.time())

    def _complain(self, who: Any, error: Exception) -> None:
        if id(who) not in self._complained:
            self._complained.add(id(who))
            _LOG.warning("metrifold cannot sample %r: %s: %s", who, type(error).__name__, error)

    def _take(self, metric: Metric, collector: Any) -> None:
        mode = _gauge_mode(metric, collector) if metric.type == "gauge" else ""
        former = set_unit(metric.unit)
        try:
            for name, labels, value, exemplar in _slots(metric):
                place = (metric.type, mode, metric.name, name, *sorted(labels.items()))
                sampled = self._sampled.get(place)
                if sampled is None or sampled.is_removed:
                    fresh = Value(
                        metric.type, metric.name, name, labels, labels.values(), metric.documentation, mode
                    )
                    sampled = self._sampled[place] = _Sampled(fresh, id(collector))
                elif sampled.round == self._round or self._is_anothers(sampled, collector):
                    self._leave_out(collector, name)
                    continue
                sampled.round, sampled.collector = self._round, id(collector)
                self._set(sampled.value, metric.type, value, collector)
                if exemplar is not None:
                    sampled.value.set_exemplar(exemplar)
        finally:
            set_unit(former)

    def _is_anothers(self, sampled: _Sampled, collector: Any) -> bool:
        return sampled.collector != id(collector) and sampled.collector in self._asked

    def _leave_out(self, collector: Any, name: str) -> None:
        if id(collector) not in self._outdone:
            self._outdone.add(id(collector))
            _LOG.warning("metrifold leaves out what %r says of %s: that series was reported already", collector, name)

    def _set(self, target: Value, kind: str, value: float, collector: Any) -> None:
        # The kernel counts for each process by itself.
        is_parents = id(collector) in self._inherited and not isinstance(collector, ProcessCollector)
        if kind in _GROWING and is_parents:
            target.start_at(value)
        elif kind == "gauge":
            target.set(value, time.time())
        else:
            target.set(value)


def _gauge_mode(metric: Any, collector: Any) -> str:
    """As the collector asks; else one series per living process, but facts in the guise of gauges once."""
    given = getattr(metric, "multiprocess_mode", None) or getattr(collector, "multiprocess_mode", None)
    return str(given or ("livemax" if metric.name.endswith("_info") else "liveall"))


def _slots(metric: Any) -> Iterator[tuple[str, dict[str, str], float, Any]]:
    """Name, labels, value and exemplar of each of our values. What has no rule to be merged by is left out."""
    suffixes = {"counter": ("_total",), "gauge": ("",), "summary": ("_count", "_sum"), "info": ("_info",)}
    if metric.type == "histogram":
        yield from _buckets(metric)
        return
    names = [metric.name + suffix for suffix in suffixes.get(metric.type, ("",) if metric.type == "stateset" else ())]
    for sample in metric.samples:
        if sample.name in names and "quantile" not in sample.labels:
            yield sample.name, sample.labels, float(sample.value), sample.exemplar


def _buckets(metric: Any) -> Iterator[tuple[str, dict[str, str], float, Any]]:
    """Collectors report cumulative buckets, segments have plain ones."""
    below: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in metric.samples:
        if sample.name == f"{metric.name}_bucket":
            series = tuple(sorted(item for item in sample.labels.items() if item[0] != "le"))
            plain = float(sample.value) - below.get(series, 0.0)
            below[series] = float(sample.value)
            yield sample.name, sample.labels, plain, sample.exemplar
        elif sample.name == f"{metric.name}_sum":
            yield sample.name, sample.labels, float(sample.value), None
