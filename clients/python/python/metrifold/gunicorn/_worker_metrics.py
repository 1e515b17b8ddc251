"""Metrics about the workers themselves, under the names of gunicorn-prometheus-exporter."""

from __future__ import annotations

from prometheus_client import Counter, Histogram


class WorkerMetrics:
    """The families."""

    def __init__(self) -> None:
        self._requests = Counter("gunicorn_worker_requests", "Requests that the worker handled.", ["worker_id"])
        self._duration = Histogram(
            "gunicorn_worker_request_duration_seconds", "Time to handle a request.", ["worker_id"]
        )

    def of(self, place: int) -> OneWorkerMetrics:
        """Those of the worker at a place."""
        worker_id = str(place)
        return OneWorkerMetrics(self._requests.labels(worker_id), self._duration.labels(worker_id))


class OneWorkerMetrics:
    """The series of one worker."""

    def __init__(self, requests: Counter, duration: Histogram) -> None:
        self._requests = requests
        self._duration = duration

    def handled(self, seconds: float) -> None:
        """One request was handled, well or not."""
        self._requests.inc()
        self._duration.observe(seconds)
