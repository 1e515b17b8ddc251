"""What happens once in gunicorn's master, and again whenever it makes a worker."""

from __future__ import annotations

import os
import weakref
from typing import Any

from .. import install
from ._server import Server
from ._settings import Settings
from ._worker_metrics import OneWorkerMetrics, WorkerMetrics


class Master:
    """State of one master process. A worker inherits a copy and does not use it."""

    def __init__(self, settings: Settings) -> None:
        self.pid = os.getpid()
        # A directory that is given is a local target, also if the environment's target is remote: the server pushes on.
        status = install(namespace=settings.namespace, directory=settings.directory)
        # Not those of the settings if a preloaded application called install() before.
        self.directory = os.path.dirname(status.segment) if status.segment else settings.directory
        self.problem = status.problem
        self.server = Server(settings, self.directory)
        self._metrics = WorkerMetrics()
        self._workers: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()

    def metrics_of(self, worker: object) -> OneWorkerMetrics:
        """Metrics of a worker under the smallest number that no living worker has, so that labels do not grow in number."""
        place = next(number for number in range(1, len(self._workers) + 2) if number not in self._workers)
        self._workers[place] = worker
        return self._metrics.of(place)


_master: Master | None = None


def prepare(worker: object, log: Any) -> OneWorkerMetrics | None:
    """Called in the master for each worker object that it makes. Never fails: without metrics gunicorn goes on as ever."""
    global _master
    try:
        if _master is None or _master.pid != os.getpid():
            _master = Master(Settings.from_environment())
            if _master.problem:
                log.error("metrifold: metrics are not shared between workers: %s", _master.problem)
        metrics = _master.metrics_of(worker)
    except Exception as error:
        log.error("metrifold: no metrics: %s: %s", type(error).__name__, error)
        return None
    _ensure_server(_master, log)
    return metrics


def _ensure_server(master: Master, log: Any) -> None:
    try:
        if master.server.ensure():
            log.info("metrifold: metrics of %s at %s", master.directory, master.server.listen)
    except Exception as error:
        log.error("metrifold: the local server did not start; metrics are kept until one does: %s", error)
