"""Metrics about the workers themselves, under the names of gunicorn-prometheus-exporter.

A worker's label ``worker_id`` is its *place*: the smallest number that no living worker has. So series do not grow in number, and
the counters of a place go on over its workers. Gauges are of a live mode: they end with their worker.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ._process import Process

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_BYTES = (1024, 4096, 16384, 65536, 262144, 1048576, 4194304)

# Kinds of answers (method, route, status) that get series of their own. Routes are a closed set, but a program may name them
# after what it is asked for.
_ANSWERS_MAX = 1000
# Methods are the client's to choose.
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"))
_UNKNOWN = "UNKNOWN"
# A longer wait is a clock that is wrong, not a queue.
_QUEUE_SECONDS_MAX = 3600.0

Add = Callable[[float], Any]


class WorkerMetrics:
    """The families."""

    def __init__(self, *, old_labels: bool) -> None:
        self.old_labels = old_labels
        # Not in the default registry: an application that shows its own page would show only this process's part.
        registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"gunicorn_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str, mode: Any = "livesum") -> Gauge:
            return Gauge(f"gunicorn_{name}", text, labels, registry=registry, multiprocess_mode=mode)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"gunicorn_{name}", text, ["worker_id"], registry=registry, buckets=buckets)

        self.requests = counter("worker_requests", "Requests that the worker took on.", "worker_id")
        self.duration = histogram("worker_request_duration_seconds", "Time to handle a request.", _SECONDS)
        self.queued = histogram(
            "worker_request_queue_seconds", "Time from X-Request-Start, which a proxy sets, to the worker.", _SECONDS
        )
        self.request_size = histogram("worker_request_size_bytes", "Length of the request's body.", _BYTES)
        self.response_size = histogram("worker_response_size_bytes", "Length of the response's body.", _BYTES)
        self.in_progress = gauge("worker_requests_in_progress", "Requests that are being handled.", "worker_id")
        self.answers = counter(
            "requests", "Requests answered, by route template and status.", "method", "endpoint", "status"
        )
        errors = ("worker_id", "method", "endpoint", "error_type")
        self.failed = counter("worker_failed_requests", "Requests during which the application failed.", *errors)
        self.error_handling = counter(
            "worker_error_handling", "Requests that gunicorn had to answer itself: not understood, or failed.", *errors
        )
        self.memory = gauge("worker_memory_bytes", "Resident memory of the worker.", "worker_id")
        self.cpu = gauge("worker_cpu_percent", "Processor time of the worker, percent of one processor.", "worker_id")
        self.uptime = gauge("worker_uptime_seconds", "Age of the worker.", "worker_id", mode="livemax")
        state = ("worker_id", "state", "timestamp") if old_labels else ("worker_id", "state")
        self.state = gauge("worker_state", "1 for the state that the worker is in.", *state)
        self.boots = counter("worker_boots", "Workers that loaded the application and began to serve.", "worker_id")
        self.restarts = counter("worker_restart", "Ends of workers by reason.", "worker_id", "reason")
        self.restart_count = counter(
            "worker_restart_count", "Ends of workers by kind and reason.", "worker_id", "restart_type", "reason"
        )
        self.signals = counter("master_worker_restart", "Signals that the master received.", "reason")
        self.master_restart_count = counter(
            "master_worker_restart_count",
            "Ends of workers as the master saw them.",
            *("worker_id", "reason", "restart_type"),
        )

    def ended(self, worker_id: str, reason: str, restart_type: str) -> None:
        """In the master: a worker has ended."""
        self.restarts.labels(worker_id, reason).inc()
        self.restart_count.labels(worker_id, restart_type, reason).inc()
        self.master_restart_count.labels(worker_id, reason, restart_type).inc()


class OneWorkerMetrics:
    """The series of one worker.

    Made in the master. What is done per request works on the values below prometheus_client's classes: that is the same
    addition in the segment, without their cost, which would be a per cent of a small request.
    """

    def __init__(self, families: WorkerMetrics, worker_id: str) -> None:
        self.worker_id = worker_id
        self._families = families
        self._process: Process | None = None
        self._answers: dict[tuple[str, str | None, str], Add] = {}
        self._count = _add(families.requests.labels(worker_id))
        self._in_progress = _add(families.in_progress.labels(worker_id))
        self._observe_duration = _observe(families.duration.labels(worker_id), _SECONDS)
        self._observe_request_size = _observe(families.request_size.labels(worker_id), _BYTES)
        self._observe_response_size = _observe(families.response_size.labels(worker_id), _BYTES)
        self._state = ""
        self._entered: Gauge | None = None

    def begun(self) -> None:
        """A request has come. It is counted now: whatever a client has an answer to is counted, even if the worker is killed."""
        self._in_progress(1.0)
        self._count(1.0)

    def finished(
        self,
        seconds: float,
        method: str,
        route: str | None,
        status: str,
        received: int,
        sent: int,
        request_start: str | None,
    ) -> None:
        """A request was handled, well or not.

        :param status: begins with the number.
        :param received: length of the request's body.
        :param sent: length of the response's.
        :param request_start: the header X-Request-Start.
        """
        self._in_progress(-1.0)
        self._observe_duration(seconds)
        self._observe_request_size(received)
        self._observe_response_size(sent)
        answer = self._answers.get((method, route, status))
        if answer is None:
            answer = self._answer(method, route, status)
        answer(1.0)
        if request_start is not None and (waited := queue_seconds(request_start, time.time() - seconds)) is not None:
            self._families.queued.labels(self.worker_id).observe(waited)

    def _answer(self, method: str, route: str | None, status: str) -> Add:
        labels = (known_method(method), route or _UNKNOWN, status[:3])
        if len(self._answers) >= _ANSWERS_MAX:
            return _add(self._families.answers.labels(known_method(method), _UNKNOWN, status[:3]))
        add = self._answers[(method, route, status)] = _add(self._families.answers.labels(*labels))
        return add

    def failed(self, method: str | None, route: str | None, path: str | None, error: BaseException) -> None:
        """The application raised while it handled a request."""
        self._families.failed.labels(*self._error_labels(method, route, path, error)).inc()

    def error_handled(self, method: str | None, route: str | None, path: str | None, error: BaseException) -> None:
        """gunicorn answers a request itself."""
        self._families.error_handling.labels(*self._error_labels(method, route, path, error)).inc()

    def _error_labels(
        self, method: str | None, route: str | None, path: str | None, error: BaseException
    ) -> tuple[str, str, str, str]:
        endpoint = route or (path if self._families.old_labels else None) or _UNKNOWN
        return self.worker_id, known_method(method), endpoint, type(error).__name__

    def booted(self) -> None:
        """In the worker: it is about to serve."""
        self._families.boots.labels(self.worker_id).inc()
        self._enter("running")

    def ending(self) -> None:
        """In the worker: it was told to end. Called from signal handlers."""
        if self._state == "running":
            self._enter("quitting")

    def _enter(self, state: str) -> None:
        # The time when the state began and not the time now: a series for each second was that package's slow death.
        since = (str(int(time.time())),) if self._families.old_labels else ()
        if self._entered is not None:
            self._entered.set(0)
        self._state, self._entered = state, self._families.state.labels(self.worker_id, state, *since)
        self._entered.set(1)

    def sample(self) -> None:
        """In the worker: reads what the system knows of the process."""
        if self._process is None:
            self._process = Process()
        self._families.memory.labels(self.worker_id).set(self._process.memory_bytes())
        self._families.cpu.labels(self.worker_id).set(self._process.cpu_percent())
        self._families.uptime.labels(self.worker_id).set(self._process.uptime_seconds())


def _add(child: Any) -> Add:
    add: Add = child._value.inc
    return add


def _observe(child: Any, bounds: tuple[float, ...]) -> Add:
    add_sum: Add = child._sum.inc
    add_to_buckets: list[Add] = [bucket.inc for bucket in child._buckets]

    def observe(amount: float) -> None:
        add_sum(amount)
        add_to_buckets[bisect_left(bounds, amount)](1.0)

    return observe


def known_method(method: str | None) -> str:
    """A label of the method."""
    if method is None:
        return _UNKNOWN
    return method if method in _METHODS else "other"


def length(content_length: str | None) -> int:
    """What the header says, whatever the client wrote there."""
    if content_length and content_length.isascii() and content_length.isdigit() and len(content_length) < 16:
        return int(content_length)
    return 0


def queue_seconds(request_start: str, now: float) -> float | None:
    """How long a request waited since a proxy took it: ``t=`` or not, seconds, milli-, micro- or nanoseconds since 1970.

    None: it is not a time, or not one that can be a wait. A clock of the proxy's that is a little ahead makes 0.
    """
    try:
        since = float(request_start.strip().removeprefix("t="))
    except ValueError:
        return None
    # All times of this century in seconds are below 1e10, in milliseconds below 1e13, and so on.
    for limit, unit in ((1e10, 1.0), (1e13, 1e3), (1e16, 1e6), (1e19, 1e9)):
        if 0 < since < limit:
            waited = now - since / unit
            return max(waited, 0.0) if -_QUEUE_SECONDS_MAX < waited < _QUEUE_SECONDS_MAX else None
    return None


class MeasuredWorker(Protocol):
    """A worker of gunicorn that has these metrics, or has to do without."""

    metrics: OneWorkerMetrics | None
    nr: int
    cfg: Any
