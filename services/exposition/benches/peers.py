"""How long prometheus_client takes for the counters of peers.rs: the median of five, in seconds."""

import statistics
import sys
import time

from prometheus_client import CollectorRegistry, Counter, generate_latest

families, series = map(int, sys.argv[1:])
registry = CollectorRegistry()
for number in range(families):
    counter = Counter(f"requests_{number}", "Requests", ["path", "verb"], registry=registry)
    for index in range(series):
        counter.labels(f"/items/{index}", "GET").inc(index if index % 2 == 0 else index / 7)


def timed() -> float:
    began = time.perf_counter()
    generate_latest(registry)
    return time.perf_counter() - began


print(statistics.median(timed() for _ in range(5)))
