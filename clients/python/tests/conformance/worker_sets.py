"""Random sets of workers, and the files that prometheus_client's own value class writes for them."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st
from prometheus_client import values
from prometheus_client.utils import floatToGoString

MODES = ["all", "liveall", "min", "livemin", "max", "livemax", "sum", "livesum", "mostrecent", "livemostrecent"]
# Names that are others' samples, so that families get into each other's way.
FAMILIES = ["a", "b", "a_total", "b_sum", "b_bucket"]
# prometheus_client takes such names since 0.22.
UTF8_FAMILIES = ["requests.é"]
LABEL_NAMES = ["a", "B", "_c", "pid"]
UTF8_LABEL_NAMES = ["é"]


@dataclass(frozen=True)
class Counter:
    value: float


@dataclass(frozen=True)
class Gauge:
    mode: str
    value: float
    # None: made and never set.
    timestamp: float | None


@dataclass(frozen=True)
class Summary:
    count: float
    sum: float


@dataclass(frozen=True)
class Histogram:
    # Of each bound, without those below; `inf` is among them.
    buckets: tuple[tuple[float, int], ...]
    sum: float


@dataclass(frozen=True)
class Child:
    """One label set of a metric in one worker."""

    family: str
    labels: tuple[tuple[str, str], ...]
    help: str
    what: Counter | Gauge | Summary | Histogram


@dataclass(frozen=True)
class Worker:
    process: str
    children: tuple[Child, ...]


def write(workers: list[Worker], directory: Path) -> list[str]:
    """Writes the workers' files. Returns them in the order of their names."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    for worker in workers:
        value_class = values.MultiProcessValue(process_identifier=lambda process=worker.process: process)
        for child in worker.children:
            _write_child(value_class, child)
        _close_files()
    return sorted(str(path) for path in directory.glob("*.db"))


def _close_files() -> None:
    """Older versions close a file when nobody holds its values any more."""
    if close := getattr(values, "close_all_multiprocess_files", None):
        close()


def _write_child(value_class, child: Child) -> None:
    def value(typ: str, sample: str, mode: str = "", **more: str):
        labels = dict(child.labels) | more
        return value_class(typ, child.family, sample, [*labels], [*labels.values()], child.help, multiprocess_mode=mode)

    match child.what:
        case Counter(counted):
            value("counter", f"{child.family}_total").set(counted)
        case Gauge(mode, set_to, timestamp):
            gauge = value("gauge", child.family, mode)
            if timestamp is not None:
                gauge.set(set_to, timestamp=timestamp)
        case Summary(count, total):
            value("summary", f"{child.family}_count").set(count)
            value("summary", f"{child.family}_sum").set(total)
        case Histogram(buckets, total):
            value("histogram", f"{child.family}_sum").set(total)
            for bound, count in buckets:
                value("histogram", f"{child.family}_bucket", le=floatToGoString(bound)).set(count)


def worker_sets(with_utf8_names: bool) -> st.SearchStrategy[list[Worker]]:
    """Sets of up to five workers that share names, label sets and help texts, or do not."""
    edges = st.sampled_from([0.1, -0.0, 5e-324, 1.7e308, -1.7e308, math.inf, -math.inf, math.nan])
    numbers = st.one_of(st.integers(0, 100).map(float), st.floats(), edges)
    counts = st.integers(0, 2**45)
    bounds = st.lists(st.sampled_from([-1.0, -0.0, 0.005, 0.1, 1.0, 2.5, 1e6, 1e10]), unique=True, max_size=4)
    timestamps = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 2.0, 1.7e9]))
    texts = st.one_of(
        st.sampled_from(["", "x", "y", 'q"\\\n', "\udcff"]),
        st.text(max_size=6),
    )
    whats = st.one_of(
        st.builds(Counter, numbers),
        st.builds(Gauge, st.sampled_from(MODES), numbers, timestamps),
        st.builds(Summary, counts.map(float), numbers),
        bounds.flatmap(
            lambda chosen: st.builds(
                Histogram, st.tuples(*(st.tuples(st.just(bound), counts) for bound in [*sorted(chosen), math.inf])), numbers
            )
        ),
    )
    families, label_names = FAMILIES, LABEL_NAMES
    if with_utf8_names:
        families, label_names = 3 * families + UTF8_FAMILIES, 3 * label_names + UTF8_LABEL_NAMES
    labels = st.dictionaries(st.sampled_from(label_names), texts, max_size=2).map(lambda chosen: tuple(chosen.items()))

    def child(family: str, what, chosen_labels, text: str) -> Child:
        if isinstance(what, Counter):
            # Its metric class would have taken it off.
            family = family.removesuffix("_total")
        return Child(family, chosen_labels, text, what)

    # Few families and few kinds of each, so that workers agree more often than not.
    pool = st.lists(
        st.builds(child, st.sampled_from(families), whats, labels, st.one_of(st.just("Help"), texts)),
        min_size=1,
        max_size=6,
    )

    def workers_of(children: list[Child]) -> st.SearchStrategy[list[Worker]]:
        again = st.sampled_from(children).flatmap(
            lambda known: st.one_of(
                st.just(known),
                st.builds(lambda what: Child(known.family, known.labels, known.help, what), _like(known.what, numbers, timestamps)),
            )
        )
        processes = st.lists(st.sampled_from(["1", "2", "33", "web-1", "é"]), unique=True, min_size=1, max_size=5)
        return processes.flatmap(
            lambda names: st.tuples(
                *(st.builds(Worker, st.just(name), st.lists(again, max_size=5).map(tuple)) for name in names)
            )
        ).map(list)

    return pool.flatmap(workers_of)


def _like(what, numbers, timestamps) -> st.SearchStrategy:
    """The same metric with other values."""
    match what:
        case Counter():
            return st.builds(Counter, numbers)
        case Gauge(mode):
            return st.builds(Gauge, st.just(mode), numbers, timestamps)
        case Summary(count):
            return st.builds(Summary, st.just(count + 1), numbers)
        case Histogram(buckets):
            return st.builds(Histogram, st.just(tuple((bound, count // 2 + 1) for bound, count in buckets)), numbers)
