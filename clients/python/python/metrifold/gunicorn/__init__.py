"""Metrics of a whole gunicorn, exact over the death of workers.

    gunicorn --worker-class metrifold.gunicorn.PrometheusWorker app:app

That is all: before its first fork the master starts to record and starts the local Metrifold, whose ``/metrics`` listens at
PROMETHEUS_BIND_ADDRESS (default 0.0.0.0) and PROMETHEUS_METRICS_PORT (default 9090). In a configuration file, one of

    from metrifold.gunicorn import *
    worker_class = metrifold.gunicorn.configure("gevent", metrics_port=9100)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _without_files  # noqa: F401  # Before anything that imports prometheus_client.
from ._classes import WORKER_CLASSES, WorkerClassError, load
from ._configure import configure

if TYPE_CHECKING:
    from gunicorn.workers.base import Worker

    PrometheusWorker: type[Worker]
    PrometheusThreadWorker: type[Worker]
    PrometheusGeventWorker: type[Worker]
    PrometheusEventletWorker: type[Worker]
    PrometheusAsgiWorker: type[Worker]
    PrometheusUvicornWorker: type[Worker]

#: For ``from metrifold.gunicorn import *`` in a configuration file: gunicorn reads the setting of this name.
worker_class = "metrifold.gunicorn.PrometheusWorker"

__all__ = ["WorkerClassError", "configure", "worker_class"]


def __getattr__(name: str) -> Any:
    """The worker classes. Each is made when it is asked for: most need a package that need not be there."""
    if name in WORKER_CLASSES:
        return load(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *WORKER_CLASSES})
