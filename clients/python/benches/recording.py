"""What recording costs, in nanoseconds per call, beside prometheus_client's own value classes.

    python benches/recording.py

The three kinds of value take turns in the same run, each turn in a fresh process, so that a busy machine slows all of them alike:
read the ratios before the numbers. The cost of an empty loop is subtracted.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import timeit
from collections.abc import Callable

ROUNDS = 7
CALLS = 100_000
KINDS = {"single": "one process", "file": "multiprocess files", "segment": "metrifold"}


def measure(kind: str) -> dict[str, float]:
    """Nanoseconds per call in this process."""
    if kind == "segment":
        import metrifold

        metrifold.install()
    from prometheus_client import Counter, Gauge, Histogram

    counter, gauge, histogram = Counter("c", "h"), Gauge("g", "h"), Histogram("s", "h")
    labelled = Counter("l", "h", ["method", "path"])
    calls: dict[str, Callable[[], object]] = {
        "Counter.inc()": lambda: counter.inc(),
        "Counter.labels(2).inc()": lambda: labelled.labels("GET", "/").inc(),
        "Gauge.set()": lambda: gauge.set(2.5),
        "Histogram.observe()": lambda: histogram.observe(0.3),
    }
    empty = min(timeit.repeat(lambda: None, number=CALLS, repeat=3))
    return {
        name: (min(timeit.repeat(call, number=CALLS, repeat=3)) - empty) / CALLS * 1e9 for name, call in calls.items()
    }


def measure_apart(kind: str) -> dict[str, float]:
    """The same in a fresh process with a directory of its own."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as directory:
        environment = os.environ | {"METRIFOLD_TARGET": f"local:{directory}"}
        environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
        if kind == "file":
            environment["PROMETHEUS_MULTIPROC_DIR"] = directory
        done = subprocess.run([sys.executable, __file__, kind], env=environment, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def main() -> None:
    """Prints the table."""
    rounds = [{kind: measure_apart(kind) for kind in KINDS} for _ in range(ROUNDS)]
    print(f"ns per call, median of {ROUNDS} rounds; in brackets how often metrifold's cost fits in")
    print(f"{'':26}" + "".join(f"{title:>24}" for title in KINDS.values()))
    for name in rounds[0]["segment"]:
        cells = []
        for kind in KINDS:
            cost = statistics.median(measured[kind][name] for measured in rounds)
            ratio = statistics.median(measured[kind][name] / measured["segment"][name] for measured in rounds)
            cells.append(f"{cost:.0f} ({ratio:.1f})")
        print(f"{name:26}" + "".join(f"{cell:>24}" for cell in cells))


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(measure(sys.argv[1])))
    else:
        main()
