"""A real Redis."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import free_port


class Redis:
    """A Redis of the test's own. A test names it before what pushes to it: a server that ends waits until it has pushed."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        """Starts it, with more options if need be."""
        command = ["redis-server", "--port", str(self.port), "--save", "", "--dir", str(self._directory), *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def end(self) -> None:
        """Ends it if it was started."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    redis = Redis(tmp_path)
    yield redis
    redis.end()
