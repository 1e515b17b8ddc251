"""What a scrape of a multiprocess directory costs, in milliseconds, beside prometheus_client's own collector.

    python benches/scraping.py

Both take turns over the same files in the same process, so that a busy machine slows both alike: read the ratios before the
numbers. A scrape is what a ``/metrics`` view does: the bytes of the text format. Beside it stands a scrape by way of a registry
and prometheus_client's ``generate_latest``, for those who replace the collector alone, and the first scrape of a process.

``metrifold serve`` is the sidecar: the binary of the wheel over the same directory, with its own store, as
docs/multiprocess-directory.md has it. Its scrape is a GET of ``/metrics`` over a connection that is kept alive, from the request to
the last byte, once it has taken up everything: its totals are those of the files, and the dead are folded. Each is merged anew, from
memory. Reading the files, again each second as long as their processes live, is not in the number, but goes on beside all of them.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

ROUNDS = 7
# Processes, series of each, and whether the sidecar is to find them dead.
SIZES = {
    "64 processes x 1,000 series": (64, 1_000, False),
    "256 processes x 1,000 series": (256, 1_000, False),
    "5,000 dead pids x 100 series": (5_000, 100, True),
}
# Buckets, sum: what a histogram with prometheus_client's default bounds has.
HISTOGRAM_SERIES = 16
# Whoever has these pids holds no file here.
FIRST_PID = 100_000
# Longest time for the sidecar to take up everything.
PATIENCE_SECONDS = 300.0


def write(directory: Path, processes: int, series: int) -> None:
    """Files as prometheus_client writes them: half counters, half histograms, each process in an order of its own."""
    import random

    from prometheus_client import Counter, Histogram, values

    order = random.Random(1)
    for process in range(processes):
        values.ValueClass = values.MultiProcessValue(lambda process=process: FIRST_PID + process)
        counter = Counter("requests", "Requests.", ["method", "path"], registry=None)
        histogram = Histogram("latency_seconds", "Latency.", ["path"], registry=None)
        counters = order.sample(range(series // 2), series // 2)
        histograms = order.sample(range(series // 2 // HISTOGRAM_SERIES), series // 2 // HISTOGRAM_SERIES)
        for path in counters:
            counter.labels("GET", f"/path/{path}").inc(path)
        for path in histograms:
            histogram.labels(f"/path/{path}").observe(path / 10)
        values.close_all_multiprocess_files()


def theirs() -> bytes:
    """As prometheus_client's manual has it."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return generate_latest(registry)


def ours_in_their_place() -> bytes:
    """The same with our collector."""
    from prometheus_client import CollectorRegistry, generate_latest

    import metrifold

    registry = CollectorRegistry()
    metrifold.MultiProcessCollector(registry)
    return generate_latest(registry)


def ours() -> bytes:
    """All of it."""
    import metrifold

    return metrifold.generate_latest()


def live() -> None:
    """This process holds a file open from here on: without one the sidecar cannot know that it would see who lives."""
    from prometheus_client import Counter, values

    values.ValueClass = values.MultiProcessValue(os.getpid)
    Counter("requests", "Requests.", ["method", "path"], registry=None).labels("GET", "/path/0")


@contextmanager
def sidecar(directory: Path, are_dead: bool) -> Iterator[Callable[[], bytes]]:
    """A scrape of ``metrifold serve``, once it shows what the files hold and has folded the processes that are dead."""
    import metrifold

    ours = ("METRIFOLD_", "REDIS_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    with tempfile.TemporaryDirectory() as segments:
        command = [metrifold.binary(), "serve", "--listen", "127.0.0.1:0", "--segment-dir", segments]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            address = process.stdout.readline().partition("listening on http://")[2].split()[0]
            connection = HTTPConnection(address, timeout=PATIENCE_SECONDS)

            def get(path: str = "/metrics") -> bytes:
                connection.request("GET", path)
                return connection.getresponse().read()

            expected = totals(metrifold.generate_latest())
            files = [file for file in directory.glob("*.db") if not file.stem.endswith(f"_{os.getpid()}")] if are_dead else []
            deadline = time.monotonic() + PATIENCE_SECONDS
            while totals(get()) != expected or finished(get("/-/metrics")) < len(files):
                assert time.monotonic() < deadline, f"the sidecar has not caught up within {PATIENCE_SECONDS:g} s"
                time.sleep(0.2)
            yield get
        finally:
            process.terminate()
            process.communicate()


def totals(page: bytes) -> dict[bytes, float]:
    """What all requests and all observations of a page add up to."""
    return {name: sum_of(page, name) for name in (b"requests_total", b"latency_seconds_count")}


def finished(page: bytes) -> float:
    """How many files of dead processes are folded, by the sidecar's own metrics."""
    return sum_of(page, b"metrifold_multiproc_files_finished_total")


def sum_of(page: bytes, name: bytes) -> float:
    """The sum of a metric's series."""
    return sum(float(line.rpartition(b" ")[2]) for line in page.splitlines() if line.startswith((name + b"{", name + b" ")))


def milliseconds(scrape: Callable[[], bytes]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    scrape()
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    """Prints the table."""
    print(f"ms per scrape, median of {ROUNDS} rounds; in brackets how often it fits into one of prometheus_client")
    columns = ["prometheus_client", "its registry, our collector", "metrifold.generate_latest", "metrifold serve", "the first one"]
    print(f"{'':32}" + "".join(f"{column:>30}" for column in columns))
    for name, (processes, series, are_dead) in SIZES.items():
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as directory:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
            write(Path(directory), processes, series)
            if are_dead:
                live()
            first = milliseconds(ours)
            with sidecar(Path(directory), are_dead) as served:
                scrapes = (theirs, ours_in_their_place, ours, served)
                rounds = [[milliseconds(scrape) for scrape in scrapes] for _ in range(ROUNDS)]
        rounds = [[*costs, first] for costs in rounds]
        cells = []
        for place in range(len(columns)):
            cost = statistics.median(costs[place] for costs in rounds)
            ratio = statistics.median(costs[0] / costs[place] for costs in rounds)
            cells.append(f"{cost:.1f} ({ratio:.0f})")
        print(f"{name:32}" + "".join(f"{cell:>30}" for cell in cells))


if __name__ == "__main__":
    main()
