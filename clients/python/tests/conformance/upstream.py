"""A pytest plugin: prometheus_client's own tests over our collector, over our values, or over our values of several processes.

    METRIFOLD_UPSTREAM=collector python -m pytest -p conformance.upstream .../tests/test_multiprocess.py
"""

from __future__ import annotations

import os
from typing import Any

import pytest

# Which of its tests run over what.
TESTS = {
    "collector": ["test_multiprocess.py"],
    "values": ["test_core.py", "test_exposition.py::TestGenerateText"],
    "processes": ["test_multiprocess.py"],
}

# Those that cannot pass, each with its reason, by the end of the test's id.
CANNOT_PASS: dict[str, dict[str, str]] = {
    "collector": {},
    "values": {
        "TestHistogram::test_histogram": "observes infinity, which recording refuses: it would spoil the sum of all workers",
    },
    "processes": {},
}


def pytest_configure() -> None:
    """Before its tests import anything by name."""
    put = {"collector": _put_our_collector, "values": _put_our_values, "processes": _put_our_values_of_processes}
    put[os.environ["METRIFOLD_UPSTREAM"]]()


def _put_our_collector() -> None:
    from prometheus_client import multiprocess

    import metrifold

    multiprocess.MultiProcessCollector = metrifold.MultiProcessCollector
    multiprocess.mark_process_dead = metrifold.mark_process_dead


def _put_our_values() -> None:
    from prometheus_client import values

    import metrifold
    from metrifold._native import Value

    metrifold.install()

    def value_of_this_test(
        typ: str, metric: str, sample: str, labelnames: Any, labelvalues: Any, help_text: str, **kwargs: Any
    ) -> Value:
        # Its tests make one metric again and again, each from zero: as if each test were a process of its own.
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
        return Value(typ, metric, sample, [*labelnames, "test"], [*labelvalues, test], help_text, **kwargs)

    value_of_this_test._multiprocess = Value._multiprocess  # type: ignore[attr-defined]
    values.ValueClass = value_of_this_test


def _put_our_values_of_processes() -> None:
    """Merged by prometheus_client's own collector."""
    from prometheus_client import values

    import metrifold

    from .values_in_files import multi_process_value

    metrifold.install()
    values.MultiProcessValue = multi_process_value


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that cannot pass must fail."""
    table = CANNOT_PASS[os.environ["METRIFOLD_UPSTREAM"]]
    for item in items:
        for name, reason in table.items():
            if item.nodeid.endswith(name):
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
