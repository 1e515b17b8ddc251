"""Counts the signals that the master receives, without changing what it does about them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_NAMES = ("HUP", "INT", "QUIT", "TERM", "TTIN", "TTOU", "USR1", "USR2", "WINCH", "CHLD")


@contextmanager
def children_deferred() -> Iterator[None]:
    """Defers the handler of SIGCHLD, whoever has set it, to the end, where it runs for all that came meanwhile.

    Blocking the signal would not do. A mask is one thread's: the kernel gives the signal to another thread, and the interpreter
    runs the handler in the main thread all the same.
    """
    former = signal.getsignal(signal.SIGCHLD)
    if not callable(former) or threading.current_thread() is not threading.main_thread():
        # No handler can interrupt this.
        yield
        return
    came = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal came
        came = True

    signal.signal(signal.SIGCHLD, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, former)
        # Not before the line above: while an older gunicorn's handler waits for one child, the end of the next must be seen.
        if came:
            former(signal.SIGCHLD, None)


def count_signals(counter: Any, child_ended: Callable[[], None]) -> None:
    """Puts a handler that counts in front of each of gunicorn's, in the master, once these are set.

    :param counter: with the label ``reason``.
    :param child_ended: called before gunicorn's handler of SIGCHLD waits for the child. It must not fail.
    """
    for name in _NAMES:
        number = getattr(signal, f"SIG{name}")
        former = signal.getsignal(number)
        if not callable(former):
            # Not gunicorn's: it was left out by a program that runs gunicorn in its own way.
            continue
        # Looked up here, since looking up takes a lock that the interrupted code may hold.
        add = counter.labels(name.lower())._value.inc
        signal.signal(number, _counting(former, add, _OneAtATime(child_ended) if name == "CHLD" else None))


class _OneAtATime:
    """A function that is called again, and not in itself, for signals that come while it runs.

    If children ended faster than it looks at them, handlers would else run in handlers until the stack is full.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function
        self._runs = False
        self._came = False

    def __call__(self) -> bool:
        """Whether it has run: not if that is left to the handler that this one has interrupted."""
        self._came = True
        if self._runs:
            return False
        while self._came:
            self._came, self._runs = False, True
            try:
                self._function()
            finally:
                self._runs = False
        return True


def _counting(
    former: Callable[[int, FrameType | None], Any], add: Callable[[float], Any], first: _OneAtATime | None
) -> Callable[[int, FrameType | None], Any]:
    master = os.getpid()

    def handle(number: int, frame: FrameType | None) -> Any:
        # A worker has this handler until it sets its own.
        if os.getpid() == master:
            add(1.0)
            if first is not None and not first():
                # The interrupted handler goes on to gunicorn's, which waits for all children that have ended.
                return None
        return former(number, frame)

    return handle
