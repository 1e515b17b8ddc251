"""What happens once in gunicorn's master, and again whenever it makes a worker."""

from __future__ import annotations

import os
import weakref
from dataclasses import replace
from typing import Any

from .. import Status, _native, install
from ._server import Server
from ._settings import Settings
from ._worker_metrics import OneWorkerMetrics, WorkerMetrics


class Master:
    """State of one master process. A worker inherits a copy and does not use it."""

    def __init__(self, settings: Settings) -> None:
        self.pid = os.getpid()
        status = _install(settings)
        self.problem = status.problem
        self.server = Server(_as_installed(settings, status)) if status.target.startswith("local:") else None
        self._metrics = WorkerMetrics()
        self._workers: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()

    def metrics_of(self, worker: object) -> OneWorkerMetrics:
        """Metrics of a worker under the smallest number that no living worker has, so that labels do not grow in number."""
        place = next(number for number in range(1, len(self._workers) + 2) if number not in self._workers)
        self._workers[place] = worker
        return self._metrics.of(place)


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


def prepare(worker: object, log: Any) -> OneWorkerMetrics | None:
    """Called in the master for each worker object that it makes. Never fails: without metrics gunicorn goes on as ever."""
    global _master
    try:
        if _master is None or _master.pid != os.getpid():
            _master = Master(Settings.from_environment())
            if _master.problem:
                log.error("metrifold: metrics are not shared between workers: %s", _master.problem)
            if _master.server is None:
                log.warning(
                    "metrifold: the application has called install() before the first worker, so each worker pushes for "
                    "itself; leave the call out to have /metrics here, and to lose nothing when a worker is killed"
                )
        metrics = _master.metrics_of(worker)
    except Exception as error:
        log.error("metrifold: no metrics: %s: %s", type(error).__name__, error)
        return None
    _ensure_server(_master, log)
    return metrics


def _ensure_server(master: Master, log: Any) -> None:
    if master.server is None:
        return
    try:
        if master.server.ensure():
            log.info("metrifold: metrics of %s at %s", master.server.directory, master.server.listen)
    except Exception as error:
        log.error("metrifold: the local server did not start; metrics are kept until one does: %s", error)
