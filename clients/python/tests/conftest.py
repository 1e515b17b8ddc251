"""Each test of recording runs its program in a fresh interpreter: installing is once per process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import metrifold
from metrifold import _native

#: Longest wait of a test for what is bound to happen.
AMPLE_SECONDS = 30.0
Series = tuple[str, str, tuple[tuple[str, str], ...]]


#: Where the output of failed tries is kept, beside that of the Rust tests.
FAILED_TRIES = Path(__file__).parents[3] / "target" / "pytest"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keeps what a failed try printed: the summary only lists the tests that needed another one."""
    # Under xdist every report passes here twice: in the process that ran the test, and in the one that sums up.
    if report.outcome == "rerun" and "PYTEST_XDIST_WORKER" not in os.environ:
        FAILED_TRIES.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^\w.-]+", "_", report.nodeid)
        with open(FAILED_TRIES / f"{name}.log", "a") as log:
            log.write(f"{report.longreprtext}\n" + "".join(f"--- {title}\n{text}\n" for title, text in report.sections))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what passing tests chose at random, and how much of it they compared."""
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            terminalreporter.write_line(f"{name} of {report.nodeid}: {' '.join(str(text).split())}")


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


def eventually(holds: Callable[[], bool], seconds: float = AMPLE_SECONDS) -> None:
    """Waits until something holds, and does not ask more often than ten times a second."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.1)


try:
    BINARY, WHY_NO_BINARY = metrifold.binary(), ""
except metrifold.BinaryNotFoundError as error:
    BINARY, WHY_NO_BINARY = "", str(error)


@dataclass
class Server:
    """A running ``metrifold serve``."""

    url: str

    def lines(self) -> dict[str, float]:
        """The samples of its page."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:
            lines = [line.rpartition(" ") for line in answer.read().decode().splitlines()]
        return {series: float(value) for series, _, value in lines if not series.startswith("#")}

    def is_ready(self) -> bool:
        """Whether it has a page now."""
        try:
            urllib.request.urlopen(f"{self.url}/metrics", timeout=5).close()
        except urllib.error.HTTPError as error:
            error.close()
            return False
        return True

    def sample(self, series: str) -> float:
        """A sample of its page; 0 if it is not there."""
        return self.lines().get(series, 0.0)

    def eventually(self, holds: Callable[[dict[str, float]], bool]) -> None:
        """Waits until its page is as it should be."""
        eventually(lambda: holds(self.lines()))


@contextmanager
def serving(segments: Segments, directory: Path, log: Path, *arguments: str) -> Iterator[Server]:
    """The real binary, over a segment directory."""
    if not BINARY:
        pytest.skip(WHY_NO_BINARY)
    command = [BINARY, "serve", "--listen", "127.0.0.1:0", "--segment-dir", str(directory), *arguments]
    environment = segments.environment()
    del environment["METRIFOLD_TARGET"]
    with log.open("w") as file:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=file, text=True)
    line = process.stdout.readline()
    assert "listening on " in line, log.read_text()
    yield Server(line.split("listening on ")[1].split()[0])
    process.terminate()
    process.communicate()


@pytest.fixture
def server(segments: Segments, tmp_path: Path) -> Iterator[Server]:
    """The real binary as a collector, which knows nothing of the test's segments.

    A test names it before what pushes to it: an agent that ends waits for the acknowledgement of its last values.
    """
    with serving(segments, tmp_path / "of-the-server", tmp_path / "server.log") as server:
        yield server


@pytest.fixture
def local_server(segments: Segments, tmp_path: Path) -> Iterator[Server]:
    """The real binary beside the application: it serves the test's segments."""
    with serving(segments, segments.directory, tmp_path / "server.log") as server:
        yield server


@pytest.fixture
def segments(tmp_path: Path) -> Iterator[Segments]:
    yield Segments(tmp_path / "segments")
