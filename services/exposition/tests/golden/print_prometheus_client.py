"""Prints prometheus_client.txt: the text that prometheus_client itself (0.26) makes of the families in tests/text.rs."""

import sys

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

NUMBERS = [
    0.0, 1.0, -1.0, 0.1, 0.0001, 0.00001, 1.5e-7, 5e-324, 999999.0, 1e6, 1234567.0, 1234567.25, -1234567.25,
    123456789012.0, 1e15, 9007199254740993.0, 1e16, 1.7976931348623157e308, -1e10, -1e16, 0.30000000000000004,
    float("inf"), float("-inf"), float("nan"),
]
HOSTILE = ['C:\\dir\n', '"quoted"', "\\n", "ünï→", "", "{},= #", "\r\t"]


def families():
    counter = Metric("app_requests", 'back\\slash, "quote" and\nline', "counter")
    for index, text in enumerate(HOSTILE):
        counter.add_sample("app_requests_total", {"verb": "GET", "path": text, "index": str(index)}, index)
    yield counter
    gauge = Metric("level", "", "gauge")
    for index, number in enumerate(NUMBERS):
        gauge.add_sample("level", {"pid": f"{index:02}"}, number)
    yield gauge
    histogram = Metric("seconds", "Time", "histogram")
    for verb in ["GET", "PUT"]:
        for bound, count in [("0.005", 1), ("1.0", 2), ("2.5", 2), ("1e+06", 3), ("+Inf", 4)]:
            histogram.add_sample("seconds_bucket", {"verb": verb, "le": bound}, count)
        histogram.add_sample("seconds_sum", {"verb": verb}, 1234567.891)
        histogram.add_sample("seconds_count", {"verb": verb}, 4)
    yield histogram
    summary = Metric("size_bytes", "Size", "summary")
    summary.add_sample("size_bytes_count", {}, 2)
    summary.add_sample("size_bytes_sum", {}, 3e9)
    yield summary


class Collector:
    def collect(self):
        return families()


registry = CollectorRegistry()
registry.register(Collector())
sys.stdout.buffer.write(generate_latest(registry))
