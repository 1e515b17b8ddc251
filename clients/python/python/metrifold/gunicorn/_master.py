"""What happens once in gunicorn's master, and again whenever it makes a worker."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from .. import Status, _native, install
from . import _ends
from ._directory import admit
from ._server import Server
from ._settings import Settings
from ._signals import children_deferred, count_signals
from ._worker_metrics import OneWorkerMetrics, WorkerMetrics


class Master:
    """State of one master process. A worker inherits a copy, of which it uses the server."""

    def __init__(self, settings: Settings) -> None:
        self.pid = os.getpid()
        status = _install(settings)
        self.problem = status.problem
        self.server = Server(_as_installed(settings, status)) if status.target.startswith("local:") else None
        self._metrics = WorkerMetrics(old_labels=settings.old_labels)
        self._workers: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        #: Pids of workers whose end was counted, until gunicorn has forgotten them too.
        self._ended: set[int] = set()
        self._out_of_memory = _ends.OutOfMemoryKills(_ends.memory_events())
        #: Why ends could not be counted, and whether the log says so.
        self._failure = ""
        self._failure_is_logged = False
        self._counts_signals = False
        self._configuration: Any = None

    def metrics_of(self, worker: Any) -> OneWorkerMetrics:
        """Metrics of a worker under the smallest number that no living worker has, so that labels do not grow in number."""
        if not self._counts_signals:
            # Not earlier: gunicorn sets its handlers just before it makes workers.
            count_signals(self._metrics.signals, self._look_for_ends)
            self._counts_signals = True
        self._follow(worker.cfg)
        # Of one that died before gunicorn knew its pid, the signal told too early.
        self._look_for_ends()
        if self.server is not None:
            admit(self.server.directory, worker.cfg.uid, worker.cfg.gid)
        place = next(number for number in range(1, len(self._workers) + 2) if number not in self._workers)
        self._workers[place] = worker
        return OneWorkerMetrics(self._metrics, self._worker_id(place, worker))

    def _worker_id(self, place: int, worker: Any) -> str:
        if not self._metrics.old_labels:
            return str(place)
        return f"worker_{worker.age}_{int(time.time())}"

    def _look_for_ends(self) -> None:
        """Above all in the handler of SIGCHLD: before gunicorn waits for the child, and its status is gone."""
        # Counting takes locks, which a handler in a handler would wait for in vain.
        with children_deferred():
            for worker in list(self._workers.values()):
                with self._failures_kept():
                    self._look_at(worker)

    @contextmanager
    def _failures_kept(self) -> Iterator[None]:
        """Keeps what goes wrong from gunicorn, whose main loop it would end."""
        try:
            yield
        # Not logged here: a handler may have interrupted the log itself.
        except Exception as error:
            self._failure = f"{type(error).__name__}: {error}"

    def _log_failure(self, log: Any) -> None:
        """The first one: whatever is wrong is so at the next end too."""
        if self._failure and not self._failure_is_logged:
            self._failure_is_logged = True
            log.error("metrifold: ends of workers are not counted: %s", self._failure)

    def _look_at(self, worker: Any) -> None:
        if isinstance(worker.pid, int) and worker.pid not in self._ended:
            end = _ends.look_at(worker.pid)
            if end is not None:
                self._count_end(worker, end)

    def _count_end(self, worker: Any, end: _ends.Exit) -> None:
        self._ended.add(worker.pid)
        reason, kind = _ends.reason(
            end,
            worker.end_note.read(),
            timed_out=worker.aborted,
            reloads=bool(worker.cfg.reload),
            # The SIGKILL of one that has timed out is gunicorn's.
            out_of_memory=not worker.aborted and self._out_of_memory.explains(end),
        )
        self._metrics.ended(worker.metrics.worker_id, reason, kind)

    def _follow(self, configuration: Any) -> None:
        """Counts ends of which no signal told in time, by gunicorn's hook. Each reload makes a new configuration."""
        if configuration is self._configuration:
            return
        self._configuration = configuration
        users_child_exit = configuration.settings["child_exit"].get()

        def child_exit(server: Any, worker: Any) -> None:
            self._look_for_ends()
            with children_deferred(), self._failures_kept():
                self._forget(worker)
            self._log_failure(server.log)
            users_child_exit(server, worker)

        configuration.set("child_exit", child_exit)

    def _forget(self, worker: Any) -> None:
        # Its successor takes the place, also where the worker is in a cycle of references, as uvicorn's are.
        for place in [place for place, of in self._workers.items() if of is worker]:
            del self._workers[place]
        if worker.pid in self._ended:
            self._ended.discard(worker.pid)
        elif getattr(worker, "metrics", None) is not None:
            self._metrics.ended(worker.metrics.worker_id, "unknown", "unknown")


def _install(settings: Settings) -> Status:
    if _native.status() is not None:
        # A preloaded application has called install(): its settings stand.
        return install()
    # A directory makes the target local, whatever the environment says: the local server pushes on.
    return install(namespace=settings.namespace, directory=settings.directory)


def _as_installed(settings: Settings, status: Status) -> Settings:
    directory = os.path.dirname(status.segment) if status.segment else settings.directory
    return replace(settings, namespace=status.namespace, directory=directory)


_master: Master | None = None


def start(log: Any, *, listen: str | None = None) -> Master:
    """Begins to record, and starts the local server if there is none. Does nothing twice.

    :param listen: where the server listens, instead of where the environment says; the first call's stands.
    :raises ValueError: for a setting that can never work. A server that does not start is only logged.
    """
    global _master
    if _master is None or _master.pid != os.getpid():
        settings = Settings.from_environment()
        _master = Master(settings if listen is None else replace(settings, listen=listen))
        if _master.problem:
            log.error("metrifold: metrics are not shared between workers: %s", _master.problem)
        if _master.server is None:
            log.warning(
                "metrifold: the application has called install() before the first worker, so each worker pushes for "
                "itself; leave the call out to have /metrics here, and to lose nothing when a worker is killed"
            )
    _ensure_server(_master, log)
    return _master


def prepare(worker: object, log: Any) -> OneWorkerMetrics | None:
    """Called in the master for each worker object that it makes. Never fails: without metrics gunicorn goes on as ever."""
    try:
        return start(log).metrics_of(worker)
    except Exception as error:
        log.error("metrifold: no metrics: %s: %s", type(error).__name__, error)
        return None


def tend(log: Any) -> None:
    """Called in a worker, once a second: starts the server again if it has gone. Never waits."""
    if _master is None or _master.server is None:
        return
    try:
        if problem := _master.server.tend():
            log.error("metrifold: the local server did not start; metrics are kept until one does: %s", problem)
    except Exception as error:
        log.error("metrifold: the local server did not start: %s: %s", type(error).__name__, error)


def _ensure_server(master: Master, log: Any) -> None:
    if master.server is None:
        return
    try:
        if master.server.ensure():
            log.info("metrifold: metrics of %s at %s", master.server.directory, master.server.listen)
    except Exception as error:
        log.error("metrifold: the local server did not start; metrics are kept until one does: %s", error)
