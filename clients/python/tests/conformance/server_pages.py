"""Random sets of workers, as `metrifold serve` shows them and as the collector does: no difference but the listed ones.

    python -m conformance.server_pages BINARY --sets 500 --seed 1

Prints the seed, and how many sets and samples were compared. A difference ends it with the smallest set that shows it.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import random
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from prometheus_client.parser import text_string_to_metric_families

import metrifold

from . import deviations, entries
from .worker_sets import Worker, worker_sets, write

# For one answer of a server on a busy machine.
_SECONDS = 30.0

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def page(binary: str, directory: Path, segments: Path) -> str:
    """What a server of its own shows of the directory."""
    command = [binary, "serve", "--listen", "127.0.0.1:0", "--segment-dir", str(segments), "--multiproc-dir", str(directory)]
    ours = ("METRIFOLD_", "PROMETHEUS_", "REDIS_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    # The processes never were.
    environment["METRIFOLD_AGENT__LIVENESS"] = "off"
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split("listening on ")[1].split()[0]
            with urllib.request.urlopen(f"{url}/metrics", timeout=_SECONDS) as answer:
                return str(answer.read().decode())
        finally:
            process.kill()


def samples(text: str) -> Samples:
    """Samples by name and labels. Help is another one where processes differ, and a family without samples is not shown."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"two samples {key}"
            found[key] = sample.value
    return found


def counts_up(entry: entries.Entry) -> bool:
    """Whether the value is a count, and no sum of observations or gauges."""
    is_bucket = entry.kind == "histogram" and "le" in dict(entry.labels)
    return entry.kind == "counter" or is_bucket or (entry.kind == "summary" and entry.sample == f"{entry.family}_count")


def spoilt(files: list[str]) -> set[str]:
    """Families of which a value is added up that is not finite, or counts and is below 0, or a sum goes beyond the largest float:
    the server leaves such a value out, and the collector shows what comes of it."""
    sums: dict[tuple[str, tuple[tuple[str, str], ...]], list[float]] = {}
    names = set()
    for entry in entries.read(files):
        if entry.mode == "sum":
            sums.setdefault((entry.sample, entry.labels), []).append(entry.value)
            is_below = entry.value < 0 and counts_up(entry)
            names |= {entry.family} if is_below or not math.isfinite(entry.value) else set()
    too_large = {sample for (sample, _), addends in sums.items() if deviations.overflows(addends)}
    return names | {entry.family for entry in entries.read(files) if entry.sample in too_large}


def check(binary: str, workers: list[Worker], counts: dict[str, int]) -> None:
    """Fails on any unlisted difference."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        directory, segments = Path(folder, "files"), Path(folder, "segments")
        directory.mkdir()
        files = write(workers, directory)
        left_out = spoilt(files)
        shown: dict[str, int] = {}
        deviations.apply(entries.read(files), shown)
        if left_out and shown.keys() & {"two-kinds", "two-families"}:
            # Which of several families of one name is shown may depend on it.
            counts["not compared"] += 1
            return
        expected = samples(metrifold.generate_latest(str(directory)).decode())
        found = samples(page(binary, directory, segments))
    names = {family + suffix for family in left_out for suffix in ("", "_total", "_bucket", "_sum", "_count")}
    expected, found = ({key: value for key, value in of.items() if key[0] not in names} for of in (expected, found))
    for key in expected.keys() | found.keys():
        assert key in found, f"{key} = {expected[key]} is missing"
        assert key in expected, f"{key} = {found[key]} only here"
        assert deviations.same(expected[key], found[key]), f"{key} = {expected[key]!r} is {found[key]!r} here"
    counts["sets"] += 1
    counts["samples"] += len(found)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("binary")
    arguments.add_argument("--sets", type=int, default=50)
    arguments.add_argument("--seed", type=int, default=random.randrange(2**32))
    chosen = arguments.parse_args()
    print(f"--sets {chosen.sets} --seed {chosen.seed}", flush=True)
    logging.getLogger("metrifold").setLevel(logging.ERROR)
    counts = {"sets": 0, "samples": 0, "not compared": 0}

    @seed(chosen.seed)
    @settings(max_examples=chosen.sets, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(worker_sets(with_utf8_names=False))
    def no_unlisted_difference(workers: list[Worker]) -> None:
        check(chosen.binary, workers, counts)

    no_unlisted_difference()
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
