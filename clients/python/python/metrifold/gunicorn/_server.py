"""Starts the local Metrifold from gunicorn's master."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .. import _native
from .._binary import binary
from ._settings import Settings

# The server says that it is ready within some 100 ms. One that does not is not waited for by the workers.
_START_SECONDS_MAX = 10.0
# After a failure: gunicorn makes workers again and again, and each waits for an attempt.
_RETRY_SECONDS = 30.0


class ServerStartError(RuntimeError):
    """The local Metrifold did not start; the text says why."""


class Server:
    """The local Metrifold of one segment directory."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._not_before = 0.0

    @property
    def listen(self) -> str:
        """Where the server listens if this gunicorn has started it, ``host:port``."""
        return self._settings.listen

    @property
    def directory(self) -> str:
        """The segment directory that it serves."""
        return self._settings.directory

    def ensure(self) -> bool:
        """Starts the server if none serves the directory. Returns whether it did.

        :raises ServerStartError: if it could not be started. For a while after that, calls do nothing.
        """
        if time.monotonic() < self._not_before or _native.agent_is_running(self.directory):
            return False
        try:
            self._start()
        except Exception:
            self._not_before = time.monotonic() + _RETRY_SECONDS
            raise
        return True

    def _start(self) -> None:
        command = [binary(), *self._settings.command()]
        environment = self._settings.environment()
        with _deaf_to_children():
            try:
                # Returns when the server, which is no child of this process, is ready or has failed.
                started = subprocess.run(
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=_START_SECONDS_MAX,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise ServerStartError(f"not ready within {_START_SECONDS_MAX:g} s") from None
            except OSError as error:
                raise ServerStartError(f"{command[0]}: {error}") from error
        # Not by the exit status alone: somebody else's wait may have taken it.
        if started.returncode != 0 or not _native.agent_is_running(self.directory):
            reason = started.stderr.decode(errors="replace").strip() or started.stdout.decode(errors="replace").strip()
            raise ServerStartError(reason or f"exit status {started.returncode}")


@contextmanager
def _deaf_to_children() -> Iterator[None]:
    """Defers SIGCHLD: gunicorn's handler would take the exit status of the process that starts the server for a worker's."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
