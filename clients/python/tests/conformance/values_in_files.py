"""Our values where prometheus_client's tests expect files of several processes, which they tell apart by an identifier alone.

The identifier is a label of our values. After each recording, what the segment holds of that process and kind is brought to the
file that prometheus_client's own class would have written: by its own parser, since a segment has its layout.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import mmap_dict

import metrifold
from metrifold._native import Value

# As proto/segment has it: after the header page a region per kind.
_HEADER_BYTES, _REGION_BYTES = 4096, 64 << 20
_REGIONS = [
    "counter", "histogram", "summary",
    "gauge_all", "gauge_liveall", "gauge_min", "gauge_livemin", "gauge_max", "gauge_livemax",
    "gauge_sum", "gauge_livesum", "gauge_mostrecent", "gauge_livemostrecent",
]  # fmt: skip
# Labels of our own, which the files do not have.
_TEST, _PROCESS = "metrifold_test", "metrifold_process"


def multi_process_value(process_identifier: Callable[[], object] = os.getpid) -> type:
    """In place of ``prometheus_client.values.MultiProcessValue``."""

    class ValueInFiles:
        _multiprocess = True

        def __init__(
            self, typ: str, metric: str, sample: str, names: Any, values: Any, text: str, multiprocess_mode: str = "", **_: Any
        ) -> None:
            self._kind = f"{typ}_{multiprocess_mode}" if typ == "gauge" else typ
            self._test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
            self._of_processes: dict[str, Value] = {}

            def of_process(process: str) -> Value:
                own = ([*names, _TEST, _PROCESS], [*values, self._test, process])
                return Value(typ, metric, sample, *own, text, multiprocess_mode=multiprocess_mode)

            self._make = of_process
            self._own()
            self._write()

        def inc(self, amount: float) -> None:
            self._own().inc(amount)
            self._write()

        def set(self, value: float, timestamp: float | None = None) -> None:
            self._own().set(value, timestamp)
            self._write()

        def set_exemplar(self, exemplar: Any) -> None:
            self._own().set_exemplar(exemplar)

        def get(self) -> float:
            return self._own().get()

        def get_exemplar(self) -> Any:
            return self._own().get_exemplar()

        def _own(self) -> Value:
            """The value of the process that this one is said to be."""
            process = str(process_identifier())
            if process not in self._of_processes:
                # As a fork's child, which begins anew.
                self._of_processes[process] = self._make(process)
            return self._of_processes[process]

        def _write(self) -> None:
            _write(self._kind, self._test, str(process_identifier()))

    return ValueInFiles


def _write(kind: str, test: str, process: str) -> None:
    """Brings a file up to date with the segment."""
    file = mmap_dict.MmapedDict(os.path.join(os.environ["PROMETHEUS_MULTIPROC_DIR"], f"{kind}_{process}.db"))
    for key, value, timestamp in _region(kind):
        # Without the unit, which only segments have.
        family, sample, labels, text = json.loads(key)[:4]
        if (labels.pop(_TEST, None), labels.pop(_PROCESS, None)) == (test, process):
            file.write_value(mmap_dict.mmap_key(family, sample, [*labels], [*labels.values()], text), value, timestamp)
    file.close()


def _region(kind: str) -> Iterator[tuple[str, float, float]]:
    """The entries of a kind in this process's segment."""
    path = metrifold.status().segment
    assert path is not None, metrifold.status()
    with open(path, "rb") as segment:
        segment.seek(_HEADER_BYTES + _REGIONS.index(kind) * _REGION_BYTES)
        head = segment.read(8)
        used = int.from_bytes(head[:4], "little")
        data = head + segment.read(used - len(head))
    for key, value, timestamp, _ in mmap_dict._read_all_values(data, used):
        yield key, value, timestamp
