"""Starts the local Metrifold from gunicorn's master, and again from its workers."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from typing import IO

from .. import _native
from .._binary import binary
from ._port import holder
from ._settings import Settings
from ._signals import children_deferred

# The server says that it is ready within some 100 ms. One that does not is not waited for by the workers.
_START_SECONDS_MAX = 10.0
# After a failure: gunicorn makes workers again and again, and each waits for an attempt.
_RETRY_SECONDS = 30.0
# How often each worker looks whether the server still runs; and, less a little, how long a port may stay in use at a restart
# without its page staying away for longer.
_TEND_SECONDS = 5.0


class ServerStartError(RuntimeError):
    """The local Metrifold did not start; the text says why."""


class Server:
    """The local Metrifold of one segment directory."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._not_before = 0.0
        self._tend_at = time.monotonic() + _TEND_SECONDS
        self._starting: _Starting | None = None
        self._problem = ""
        self._user = os.geteuid()

    @property
    def listen(self) -> str:
        """Where the server listens if this gunicorn has started it, ``host:port``."""
        return self._settings.listen

    @property
    def directory(self) -> str:
        """The segment directory that it serves."""
        return self._settings.directory

    def is_running(self) -> bool:
        """Whether a server, whoever started it, serves the directory."""
        return _native.agent_is_running(self.directory)

    def ensure(self) -> bool:
        """Starts the server if none serves the directory. Returns whether it did.

        :raises ServerStartError: if it could not be started. For a while after that, calls do nothing.
        """
        if time.monotonic() < self._not_before or self.is_running():
            return False
        # gunicorn's handler would take the exit status of the process that starts the server for a worker's.
        with children_deferred():
            try:
                starting = _Starting(self._settings)
                ended = starting.wait(_START_SECONDS_MAX)
                # Not by the exit status: somebody else's wait may have taken it.
                if not self.is_running():
                    raise ServerStartError(starting.problem() if ended else f"not ready within {_START_SECONDS_MAX:g} s")
            except Exception:
                self._not_before = time.monotonic() + _RETRY_SECONDS
                raise
        return True

    def tend(self) -> str | None:
        """Starts the server, without waiting for it, if none serves the directory. Says why an earlier start failed, once."""
        now = time.monotonic()
        # A worker that has given up root's rights could neither see root's server nor replace it.
        if now < self._tend_at or os.geteuid() != self._user:
            return None
        self._tend_at = now + _TEND_SECONDS
        problem = None
        if self._starting is not None and self._starting.has_ended():
            problem, self._starting = self._starting.problem(), None
        if self._starting is None and not self.is_running():
            self._starting = _Starting(self._settings)
        # The page of a server that was started again is not worth a line; the same failure is not worth a second one.
        if not problem or problem == self._problem or self.is_running():
            return None
        self._problem = problem
        return problem


class _Starting:
    """A process that starts a server, and ends when the server, which is no child of this process, is ready or has failed."""

    def __init__(self, settings: Settings) -> None:
        command = [binary(), *settings.command()]
        self._port = settings.port
        # A file and no pipe, which the server would go on holding.
        self._output: IO[bytes] = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                command,
                env=settings.environment(),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            raise ServerStartError(f"{command[0]}: {error}") from error

    def wait(self, seconds: float) -> bool:
        """Whether it has ended in time. It is ended if not."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        return True

    def has_ended(self) -> bool:
        """Whether it has ended by now."""
        return self._process.poll() is not None

    def problem(self) -> str:
        """What it said, and who has the port if that is the reason."""
        self._output.seek(0)
        text = self._output.read().decode(errors="replace").strip() or f"exit status {self._process.returncode}"
        if "in use" in text and (process := holder(self._port)) is not None:
            text += f" (port {self._port} is held by {process})"
        return text
