"""Each test of recording runs its program in a fresh interpreter: installing is once per process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import metrifold
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
        ours = ("METRIFOLD_", "PROMETHEUS_", "REDIS_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return kept | {"METRIFOLD_TARGET": f"local:{self.directory}"} | variables

    def start(self, program: str, **variables: str) -> subprocess.Popen[str]:
        """Starts a Python program; warnings are errors unless PYTHONWARNINGS says otherwise."""
        warnings = [] if "PYTHONWARNINGS" in variables else ["-W", "error"]
        command = [sys.executable, *warnings, "-c", textwrap.dedent(program)]
        return subprocess.Popen(command, env=self.environment(**variables), stdout=subprocess.PIPE, text=True)

    def run(self, program: str, **variables: str) -> str:
        """Runs a Python program that must succeed, and returns what it printed."""
        process = self.start(program, **variables)
        output, _ = process.communicate()
        assert process.returncode == 0, output
        return output


try:
    BINARY, WHY_NO_BINARY = metrifold.binary(), ""
except metrifold.BinaryNotFoundError as error:
    BINARY, WHY_NO_BINARY = "", str(error)


@dataclass
class Server:
    """A running ``metrifold serve``."""

    url: str

    def sample(self, series: str) -> float:
        """A sample of its page; 0 if it is not there."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{series} ")), 0.0)


@pytest.fixture
def server(segments: Segments, tmp_path: Path) -> Iterator[Server]:
    """The real binary as a collector, which knows nothing of the test's segments.

    A test names it before what pushes to it: an agent that ends waits for the acknowledgement of its last values.
    """
    if not BINARY:
        pytest.skip(WHY_NO_BINARY)
    command = [BINARY, "serve", "--listen", "127.0.0.1:0", "--segment-dir", str(tmp_path / "of-the-server")]
    environment = segments.environment()
    del environment["METRIFOLD_TARGET"]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    line = process.stdout.readline()
    assert "listening on " in line, (tmp_path / "server.log").read_text()
    yield Server(line.split("listening on ")[1].split()[0])
    process.terminate()
    process.communicate()


@pytest.fixture
def segments(tmp_path: Path) -> Iterator[Segments]:
    yield Segments(tmp_path / "segments")
