"""Why workers end."""

from __future__ import annotations

import mmap
import os
import signal
from dataclasses import dataclass
from pathlib import Path

# What a worker notes.
MAX_REQUESTS, TERM, QUIT, ABORT = 1, 2, 3, 4

_NOTED = {MAX_REQUESTS: "max_requests", TERM: "term", QUIT: "quit", ABORT: "abort"}
# What gunicorn's workers exit with.
_CODES = {3: "boot_error", 4: "app_load_error"}
# Signals that ask for an orderly end. uvicorn's worker dies by them after it has ended in order.
_ORDERLY = {signal.SIGTERM: "term", signal.SIGINT: "quit", signal.SIGQUIT: "quit"}


class Note:
    """A byte that master and worker share, in which the worker notes why it ends: the exit status does not tell."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)

    def write(self, note: int) -> None:
        """In the worker. The first note stands: it is the cause."""
        if not self._memory[0]:
            self._memory[0] = note

    def read(self) -> int:
        """In the master."""
        return self._memory[0]


@dataclass(frozen=True)
class Exit:
    """How a process ended."""

    code: int | None = None
    signal: int | None = None


def look_at(pid: int) -> Exit | None:
    """How a child ended, without taking that from gunicorn, which waits for it; None: it lives, or cannot be looked at."""
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    # No such child any more; no such function on some systems.
    except (ChildProcessError, AttributeError):
        return None
    if found is None:
        return None
    return Exit(code=found.si_status) if found.si_code == os.CLD_EXITED else Exit(signal=found.si_status)


def reason(end: Exit, note: int, *, timed_out: bool, reloads: bool, out_of_memory: bool) -> tuple[str, str]:
    """Names an end: the reason, and whether it was ``graceful`` or ``forced``.

    :param note: what the worker noted, 0: nothing.
    :param timed_out: whether the master has given it up for its silence.
    :param reloads: whether gunicorn watches the application's files.
    :param out_of_memory: whether a SIGKILL was the kernel's, for lack of memory.
    """
    if timed_out:
        return "timeout", "forced"
    if end.signal is not None:
        return _reason_of_signal(end.signal, note, out_of_memory)
    if end.code:
        return _NOTED.get(note, _CODES.get(end.code, f"exit_{end.code}")), "forced"
    if note:
        return _NOTED[note], "graceful"
    # The thread that watches the files ends the worker without a signal.
    return ("reload" if reloads else "exit"), "graceful"


def _reason_of_signal(number: int, note: int, out_of_memory: bool) -> tuple[str, str]:
    if number in _ORDERLY:
        return _NOTED.get(note, _ORDERLY[signal.Signals(number)]), "graceful"
    if number == signal.SIGKILL and out_of_memory:
        return "oom", "forced"
    try:
        return signal.Signals(number).name.lower(), "forced"
    except ValueError:
        return f"signal_{number}", "forced"


class OutOfMemoryKills:
    """The kernel's count of processes that it killed because the control group was out of memory.

    It does not say which. One that was no worker is taken for the next worker that ends by SIGKILL.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._explained = self._read()

    def explains(self, end: Exit) -> bool:
        """Whether an end is one of these kills. Each explains one end."""
        if end.signal != signal.SIGKILL or self._read() <= self._explained:
            return False
        self._explained += 1
        return True

    def _read(self) -> int:
        try:
            lines = self._file.read_text().splitlines() if self._file is not None else []
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def memory_events() -> Path | None:
    """Where the kernel counts for this process's control group; None: it does not."""
    try:
        groups = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    group = next((line[len("0::/") :] for line in groups if line.startswith("0::/")), None)
    return None if group is None else Path("/sys/fs/cgroup") / group / "memory.events"
