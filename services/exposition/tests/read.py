"""Reads a page from standard input with prometheus_client's own parser; prints what it read as JSON, a list per sample.

The only argument is `text` or `openmetrics`.
"""

import json
import sys

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client import parser as text

page = sys.stdin.buffer.read().decode()
parse = {
    "text": text.text_string_to_metric_families,
    "openmetrics": openmetrics.text_string_to_metric_families,
}[sys.argv[1]]
rows = [
    [
        family.name,
        family.type,
        family.documentation,
        family.unit,
        sample.name,
        sorted(sample.labels.items()),
        str(float(sample.value)),
        sample.exemplar and [sorted(sample.exemplar.labels.items()), str(sample.exemplar.value), str(sample.exemplar.timestamp)],
    ]
    for family in parse(page)
    for sample in family.samples
]
json.dump(rows, sys.stdout)
