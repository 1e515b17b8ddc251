"""Each test of recording runs its program in a fresh interpreter: installing is once per process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from metrifold import _native

Series = tuple[str, str, tuple[tuple[str, str], ...]]


class Segments:
    """A segment directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def read(self) -> list[dict[Series, float]]:
        """What each segment holds: (kind, sample, labels) to value."""
        return [
            {(kind, sample, tuple(sorted(labels.items()))): value for kind, sample, labels, value in entries}
            for entries in (_native.read_segment(str(path)) for path in sorted(self.directory.glob("*.seg")))
        ]

    def values(self, kind: str, sample: str, **labels: str) -> list[float]:
        """A series' value in each segment that has it, ascending."""
        key = (kind, sample, tuple(sorted(labels.items())))
        return sorted(segment[key] for segment in self.read() if key in segment)

    def environment(self, **variables: str) -> dict[str, str]:
        """This process's environment with the directory as target."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("METRIFOLD_", "PROMETHEUS_", "REDIS_"))}
        return kept | {"METRIFOLD_TARGET": f"local:{self.directory}"} | variables

    def start(self, program: str, **variables: str) -> subprocess.Popen[str]:
        """Starts a Python program; warnings are errors."""
        command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
        return subprocess.Popen(command, env=self.environment(**variables), stdout=subprocess.PIPE, text=True)

    def run(self, program: str, **variables: str) -> str:
        """Runs a Python program that must succeed, and returns what it printed."""
        process = self.start(program, **variables)
        output, _ = process.communicate()
        assert process.returncode == 0, output
        return output


@pytest.fixture
def segments(tmp_path: Path) -> Iterator[Segments]:
    yield Segments(tmp_path / "segments")
