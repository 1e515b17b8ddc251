"""The worker classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import metrifold.gunicorn
from metrifold.gunicorn import WorkerClassError

if TYPE_CHECKING:
    from metrifold.gunicorn import (
        PrometheusEventletWorker as PrometheusEventletWorker,
        PrometheusGeventWorker as PrometheusGeventWorker,
        PrometheusThreadWorker as PrometheusThreadWorker,
        PrometheusWorker as PrometheusWorker,
    )

    EVENTLET_AVAILABLE: bool
    GEVENT_AVAILABLE: bool

#: Classes that cannot be had everywhere, by the name under which code asks whether they can.
AVAILABLE = {"EVENTLET_AVAILABLE": "PrometheusEventletWorker", "GEVENT_AVAILABLE": "PrometheusGeventWorker"}
#: Those that gunicorn_prometheus_exporter has.
NAMES = ("PrometheusWorker", "PrometheusThreadWorker", *AVAILABLE.values())


def __getattr__(name: str) -> Any:
    if name in AVAILABLE:
        return _or_none(AVAILABLE[name]) is not None
    if name in NAMES:
        # Not an AttributeError where it cannot be had: gunicorn's configuration would swallow that, and the reason with it.
        return getattr(metrifold.gunicorn, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def get_prometheus_eventlet_worker() -> Any:
    """The eventlet worker's class; None where gunicorn has no such worker."""
    return _or_none("PrometheusEventletWorker")


def get_prometheus_gevent_worker() -> Any:
    """The gevent worker's class; None where gevent is not installed."""
    return _or_none("PrometheusGeventWorker")


def _or_none(name: str) -> Any:
    try:
        return getattr(metrifold.gunicorn, name)
    except WorkerClassError:
        return None
