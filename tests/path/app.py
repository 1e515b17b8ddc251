"""An ordinary prometheus_client application that also keeps the truth.

After each recorded event it appends one byte to a file named for the event in $LEDGER: a worker killed in between has
recorded one event more than it wrote, never fewer.
"""

import os

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("app_requests", "Requests that were answered")
BY_PATH = Counter("app_requests_by_path", "Requests by path", ["path", "method"])
# Fractions that are not dyadic: their sums show every error of rounding and order.
SIZES = [0.1, 0.0023, 1.7, 3.33]
LATENCY = Histogram("app_latency_seconds", "Made-up latencies", buckets=[0.01, 0.5, 2.0])
MODES = ["all", "liveall", "min", "livemin", "max", "livemax", "sum", "livesum", "mostrecent", "livemostrecent"]
GAUGES = {mode: Gauge(f"app_{mode}_level", f"A gauge of mode {mode}", multiprocess_mode=mode) for mode in MODES}


def ledger(name: str) -> int:
    return os.open(os.path.join(os.environ["LEDGER"], name), os.O_WRONLY | os.O_APPEND | os.O_CREAT)


LEDGERS = {name: ledger(name) for name in ["requests", "by_path", "latency"]}
turn = 0


def app(environ, start_response):
    global turn
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/idle":
        return [b"idle\n"]
    REQUESTS.inc()
    os.write(LEDGERS["requests"], b".")
    BY_PATH.labels(environ["PATH_INFO"], environ["REQUEST_METHOD"]).inc()
    os.write(LEDGERS["by_path"], b".")
    turn += 1
    LATENCY.observe(SIZES[turn % 4])
    os.write(LEDGERS["latency"], bytes([turn % 4]))
    for gauge in GAUGES.values():
        gauge.set(os.getpid())
    return [b"counted\n"]
