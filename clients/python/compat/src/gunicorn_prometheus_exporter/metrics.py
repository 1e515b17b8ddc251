"""A registry for metrics of the application's own, and the metrics of the workers under the names that code has for them."""

from __future__ import annotations

from typing import Any

from metrifold.gunicorn import _master
from prometheus_client import CollectorRegistry

#: Metrics in any registry are shared between workers and shown; this one is here because code names it.
registry = CollectorRegistry()


def get_shared_registry() -> CollectorRegistry:
    """:data:`registry`."""
    return registry


class WorkerFamily:
    """One family of the running gunicorn's: what is counted by it and what workers count are the same series."""

    def __init__(self, attribute: str) -> None:
        """
        :param attribute: the family's name among metrifold's.
        """
        self._attribute = attribute

    @property
    def _metric(self) -> Any:
        master = _master._master
        if master is None:
            raise RuntimeError("there are no metrics of workers before gunicorn makes its first one")
        return getattr(master._metrics, self._attribute)

    def labels(self, **labels: str) -> Any:
        """The series with these labels."""
        return self._metric.labels(**labels)

    def inc(self, **labels: str) -> None:
        """Adds one."""
        self.labels(**labels).inc()

    def dec(self, **labels: str) -> None:
        """Takes one away."""
        self.labels(**labels).dec()

    def set(self, value: float, **labels: str) -> None:
        """Sets."""
        self.labels(**labels).set(value)

    def observe(self, value: float, **labels: str) -> None:
        """Counts what was measured."""
        self.labels(**labels).observe(value)

    def collect(self) -> Any:
        """What this process has counted."""
        return self._metric.collect()

    def describe(self) -> dict[str, Any]:
        """Name, help text, kind and names of labels."""
        metric = self._metric
        return {
            "name": metric._name,
            "documentation": metric._documentation,
            "type": type(metric).__name__,
            "labels": list(metric._labelnames),
        }

    def clear(self) -> None:
        """Hides its series until they are counted in again."""
        self._metric.clear()


WORKER_REQUESTS = WorkerRequests = WorkerFamily("requests")
WORKER_REQUEST_DURATION = WorkerRequestDuration = WorkerFamily("duration")
WORKER_REQUEST_SIZE = WorkerRequestSize = WorkerFamily("request_size")
WORKER_RESPONSE_SIZE = WorkerResponseSize = WorkerFamily("response_size")
WORKER_MEMORY = WorkerMemory = WorkerFamily("memory")
WORKER_CPU = WorkerCPU = WorkerFamily("cpu")
WORKER_UPTIME = WorkerUptime = WorkerFamily("uptime")
WORKER_STATE = WorkerState = WorkerFamily("state")
WORKER_FAILED_REQUESTS = WorkerFailedRequests = WorkerFamily("failed")
WORKER_ERROR_HANDLING = WorkerErrorHandling = WorkerFamily("error_handling")
WORKER_RESTART_REASON = WorkerRestartReason = WorkerFamily("restarts")
WORKER_RESTART_COUNT = WorkerRestartCount = WorkerFamily("restart_count")
MASTER_WORKER_RESTARTS = MasterWorkerRestarts = WorkerFamily("signals")
MASTER_WORKER_RESTART_COUNT = MasterWorkerRestartCount = WorkerFamily("master_restart_count")

MASTER_METRICS = {
    "worker_restart_total": MASTER_WORKER_RESTARTS,
    "worker_restart_count_total": MASTER_WORKER_RESTART_COUNT,
}
WORKER_METRICS = {
    "worker_restart_total": WORKER_RESTART_REASON,
    "worker_restart_count_total": WORKER_RESTART_COUNT,
}
