"""Random sets of workers, merged by prometheus_client and by Metrifold: no difference but the listed ones.

    python -m conformance.random_sets --sets 10000 --seed 1

Prints what it did as JSON. A difference ends it with the smallest set of workers that shows it.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import random
import re
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import prometheus_client
from hypothesis import HealthCheck, example, given, seed, settings
from prometheus_client.multiprocess import MultiProcessCollector

import metrifold

from . import deviations, entries
from .worker_sets import Child, Counter, Gauge, Summary, Worker, worker_sets, write

# Family to help, type and samples; a sample to its value.
Labels = tuple[tuple[str, str], ...]
Families = dict[str, tuple[str, str, dict[tuple[str, Labels], float]]]

_VERSION = tuple(int(part) for part in version("prometheus_client").split(".")[:2])


def families(metrics: Iterable) -> Families:
    found: Families = {}
    for metric in metrics:
        assert metric.name not in found, f"two families {metric.name}"
        samples = {}
        for sample in metric.samples:
            labels = {name: _bound(value) if name == "le" else value for name, value in sample.labels.items()}
            key = (sample.name, tuple(sorted(labels.items())))
            assert key not in samples, f"two samples {key}"
            samples[key] = sample.value
        found[metric.name] = (metric.documentation, metric.type, samples)
    return found


def _bound(text: str) -> str:
    """Printed with three digits before 0.26."""
    return re.sub(r"e\+0(\d\d)$", r"e+\1", text)


def check(workers: list[Worker], hits: dict[str, int]) -> None:
    """Fails on any unlisted difference."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as directory:
        as_written, rewritten = Path(directory, "written"), Path(directory, "rewritten")
        as_written.mkdir()
        rewritten.mkdir()
        files = write(workers, as_written)
        before = entries.read(files)
        shown: dict[str, int] = {}
        after = deviations.apply(before, shown)
        backwards = families(metrifold.MultiProcessCollector.merge(files[::-1]))
        order_does_not_show(families(metrifold.MultiProcessCollector.merge(files)), backwards)
        text_is_that_of_the_registry(str(as_written))
        if overflowing(before) and shown.keys() & {"two-kinds", "two-families"}:
            # Which of them is shown depends on whether the sum of the first can be.
            hits[deviations.NOT_COMPARED] = hits.get(deviations.NOT_COMPARED, 0) + 1
            return
        for name, count in shown.items():
            hits[name] = hits.get(name, 0) + count
        rewritten_files = entries.write(after, rewritten)
        helps = {}
        for entry in before:
            helps.setdefault(entry.family, re.sub("[\ud800-\udfff]", "\ufffd", entry.help))
        for accumulate in (True, False):
            theirs = families(MultiProcessCollector.merge(rewritten_files, accumulate))
            ours = families(metrifold.MultiProcessCollector.merge(files, accumulate))
            compare(theirs, ours, after, helps, accumulate, hits)
        hits[deviations.COMPARED] = hits.get(deviations.COMPARED, 0) + 1


def one(*children: tuple[str, Counter | Gauge | Summary]) -> list[Worker]:
    """A worker with these families."""
    return [Worker("1", tuple(Child(family, (), "Help", what) for family, what in children))]


def sums(family: str, *values: float) -> list[Worker]:
    """Workers with a gauge each, which are added up."""
    return [Worker(str(process), (Child(family, (), "Help", Gauge("sum", value, 0.0)),)) for process, value in enumerate(values)]


def addends_of(merged: list[entries.Entry]) -> dict[tuple[str, Labels], list[float]]:
    sums: dict[tuple[str, Labels], list[float]] = {}
    for entry in merged:
        if entry.mode == "sum" and not (entry.kind == "histogram" and entry.sample.endswith("_bucket")):
            sums.setdefault((entry.sample, entry.labels), []).append(entry.value)
    return sums


def overflowing(merged: list[entries.Entry]) -> set[tuple[str, Labels]]:
    return {key for key, addends in addends_of(merged).items() if deviations.overflows(addends)}


def compare(
    theirs: Families,
    ours: Families,
    merged: list[entries.Entry],
    helps: dict[str, str],
    accumulate: bool,
    hits: dict[str, int],
) -> None:
    sums, too_large = addends_of(merged), overflowing(merged)
    for name, (_, typ, samples) in theirs.items():
        expected = {
            (sample, tuple(sorted(("pid" if label == deviations.USERS_PID else label, value) for label, value in labels))): (
                value,
                sums.get((sample, labels)),
                (sample, labels) in too_large,
            )
            for (sample, labels), value in samples.items()
        }
        own_help, own_type, own = ours.pop(name, ("", "", {}))
        for key, (value, addends, may_lack) in expected.items():
            if may_lack:
                hits[deviations.OVERFLOW] = hits.get(deviations.OVERFLOW, 0) + 1
                found = own.pop(key, None)
                assert deviations.overflowing_sum_agrees(found, addends), f"{name}: {key} is {found!r} here, of {addends}"
                continue
            assert key in own, f"{name}: {key} = {value} is missing"
            found = own.pop(key)
            agree = deviations.same(value, found) if addends is None else deviations.sums_agree(value, found, addends, hits)
            assert agree, f"{name}: {key} = {value!r} is {found!r} here, of {addends}"
        assert not own, f"{name}: only here: {own}"
        if all(may_lack for *_, may_lack in expected.values()) and expected:
            continue
        assert (own_type, own_help) == (typ, helps[name]), f"{name}: {typ} {helps[name]!r} is {own_type} {own_help!r} here"
    assert not ours, f"only here: {ours}"


def order_does_not_show(forwards: Families, backwards: Families) -> None:
    """Whatever the order of files but for the help, which is the first file's."""
    assert forwards.keys() == backwards.keys()
    for name, (_, typ, samples) in forwards.items():
        assert typ == backwards[name][1] or not samples
        assert samples.keys() == backwards[name][2].keys(), name
        for key, value in samples.items():
            assert deviations.same(value, backwards[name][2][key]), f"{name}: {key} depends on the order of files"


def _with_metadata_once(text: str) -> list[str]:
    """The lines without the second HELP and TYPE of one name: of a family without samples, whose name another one shows."""
    seen: set[tuple[str, ...]] = set()
    lines = []
    for line in text.splitlines():
        about = tuple(line.split(" ")[:3])
        if line.startswith("# ") and about in seen:
            continue
        seen.add(about)
        lines.append(line)
    return lines


def text_is_that_of_the_registry(directory: str) -> None:
    registry = prometheus_client.CollectorRegistry()
    metrifold.MultiProcessCollector(registry, directory)
    theirs = prometheus_client.generate_latest(registry).decode()
    if _VERSION == (0, 22) and deviations.has_quoted_names(theirs):
        return
    ours = metrifold.generate_latest(directory).decode()
    # Printed with three digits before 0.26.
    theirs = re.sub(r"(?m)e\+0(\d\d)(?=[\"}]|$)", r"e+\1", theirs) if _VERSION < (0, 26) else theirs
    # Of a histogram, collect() has the sum first and the text has it behind the buckets.
    assert sorted(_with_metadata_once(theirs)) == sorted(_with_metadata_once(ours))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sets", type=int, default=500)
    arguments.add_argument("--seed", type=int, default=random.randrange(2**32))
    chosen = arguments.parse_args()
    print(f"--sets {chosen.sets} --seed {chosen.seed}, prometheus_client {version('prometheus_client')}", flush=True)
    # It names what is left out, set after set.
    logging.getLogger("metrifold").setLevel(logging.ERROR)
    hits: dict[str, int] = {}

    @seed(chosen.seed)
    @settings(max_examples=chosen.sets, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    # A gauge by the name of a bucket was once taken for one, whose sums are compared to the bit.
    @example(sums("b_bucket", 9e307, 9e307))
    # Left out or not, depending on the order: only its parts are beyond the largest float.
    @example(sums("a", -1.5e292, 2.0**1023, 2.0**1023))
    # Of two shortest decimal numbers that are equally near, the even one.
    @example(one(("a", Counter(-70368744177664.12))))
    # Left out whatever else is added.
    @example(sums("a", 2.0**1023, math.inf, 2.0**1023))
    # A name without a sample, which another family's sample has: once shown or not, depending on other names.
    @example(one(("b", Summary(0.0, 0.0)), ("b_sum", Gauge("mostrecent", 0.0, None))))
    @given(worker_sets(with_utf8_names=_VERSION >= (0, 22)))
    def no_unlisted_difference(workers: list[Worker]) -> None:
        check(workers, hits)

    no_unlisted_difference()
    print(json.dumps(hits))


if __name__ == "__main__":
    main()
