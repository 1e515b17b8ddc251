"""Metrics of a whole gunicorn, exact over the death of workers.

    gunicorn --worker-class metrifold.gunicorn.PrometheusWorker app:app

That is all: before its first fork the master starts to record and starts the local Metrifold, whose ``/metrics`` listens at
PROMETHEUS_BIND_ADDRESS (default 0.0.0.0) and PROMETHEUS_METRICS_PORT (default 9090).
"""

from ._worker import PrometheusWorker

__all__ = ["PrometheusWorker"]
