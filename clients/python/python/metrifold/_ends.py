"""Ends of a process that skip ``atexit``, for a process that pushes: its last push is made there too.

``os._exit`` ends what multiprocessing, billiard (celery), concurrent.futures and RQ fork, and many a hand-written fork.
multiprocessing's children end by SIGTERM where their parent terminates them, as a Pool does as a matter of course. Another
program takes the process over by ``os.execv``.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from multiprocessing import util
from typing import Any

from . import _native

_is_watching = False


def watch(owner: Any, end: Callable[[], None], end_at_once: Callable[[], None], flush: Callable[[], None]) -> None:
    """Calls back at such ends, for as long as ``owner`` lives. What is called back does not raise.

    :param end: where the program's own code may still run.
    :param end_at_once: where it may not, because the program wants to be gone.
    :param flush: before the process becomes another program, which may fail.
    """
    global _is_watching
    if _is_watching:
        return
    _is_watching = True
    _wrap(os, "_exit", lambda _status: end_at_once())
    # The other functions of this kind call these two, once for each place where the program may be.
    for name in ("execv", "execve"):
        _wrap(os, name, lambda path, *_: flush() if _can_be_executed(path) else None)

    def in_child(_owner: Any) -> None:
        # A low priority: after whatever of the program may still count.
        util.Finalize(None, end, exitpriority=-1000)
        _native.end_by_sigterm()
        # A worker of billiard's pool tells its parent that it ends, which may then kill it before it does.
        worker = getattr(sys.modules.get("billiard.pool"), "Worker", None)
        if hasattr(worker, "_do_exit"):
            _wrap(worker, "_do_exit", lambda *_: end_at_once())

    util.register_after_fork(owner, in_child)


def _wrap(owner: Any, name: str, first: Callable[..., None]) -> None:
    function = getattr(owner, name)

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        first(*args, *kwargs.values())
        return function(*args, **kwargs)

    setattr(owner, name, called)


def _can_be_executed(path: Any) -> bool:
    # A descriptor names a file that is there.
    return isinstance(path, int) or os.access(path, os.X_OK)
