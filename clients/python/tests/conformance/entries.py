"""What stands in the files, entry by entry, as prometheus_client reads and writes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict

# Metrifold's order of kinds: of several that claim one name, the first is shown. Kinds that end with their worker come last.
KINDS = [
    "counter", "histogram", "summary",
    "gauge_min", "gauge_max", "gauge_sum", "gauge_mostrecent",
    "gauge_all", "gauge_liveall", "gauge_livemin", "gauge_livemax", "gauge_livesum", "gauge_livemostrecent",
]  # fmt: skip


@dataclass(frozen=True)
class Entry:
    file: str
    family: str
    sample: str
    labels: tuple[tuple[str, str], ...]
    help: str
    value: float
    timestamp: float

    @property
    def kind(self) -> str:
        """The file's name without the process: ``counter``, ``gauge_livesum``."""
        return Path(self.file).name.rpartition("_")[0]

    @property
    def mode(self) -> str:
        """How values combine: ``sum``, ``min``, ``max``, ``mostrecent`` or ``all``."""
        kind = self.kind
        return kind.removeprefix("gauge_").removeprefix("live") if kind.startswith("gauge_") else "sum"

    @property
    def is_set(self) -> bool:
        return self.mode != "mostrecent" or self.timestamp > 0

    @property
    def series(self) -> tuple[str, str, tuple[tuple[str, str], ...]]:
        """What merges into one value."""
        own = (("pid", Path(self.file).stem.rpartition("_")[2]),) if self.mode == "all" else ()
        return self.kind, self.sample, self.labels + own


def read(files: list[str]) -> list[Entry]:
    entries = []
    for file in files:
        for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(file):
            family, sample, labels, help_text = json.loads(key)
            entries.append(Entry(file, family, sample, tuple(sorted(labels.items())), help_text, value, timestamp))
    return entries


def write(entries: list[Entry], directory: Path) -> list[str]:
    """Writes entries into files of the same names, which are returned in the same order."""
    files: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        key = json.dumps([entry.family, entry.sample, dict(entry.labels), entry.help], sort_keys=True)
        file = directory / Path(entry.file).name
        # A second value under one key counts too, which is what another process is for; but not one of a gauge of its own.
        while entry.mode != "all" and key in files.get(str(file), {}):
            file = file.with_name(f"{file.stem}x.db")
        files.setdefault(str(file), {})[key] = entry
    for file, own in files.items():
        written = MmapedDict(file)
        for key, entry in own.items():
            written.write_value(key, entry.value, entry.timestamp)
        written.close()
    return list(files)
