"""One line for a configuration file."""

from __future__ import annotations

import os

from ._classes import WORKER_CLASSES


def configure(
    worker: str = "sync",
    *,
    metrics_port: int | None = None,
    bind_address: str | None = None,
    namespace: str | None = None,
    target: str | None = None,
    old_labels: bool | None = None,
) -> str:
    """Says in gunicorn.conf.py how metrics are wanted::

        worker_class = metrifold.gunicorn.configure("gthread", metrics_port=9100)

    What the environment says already stands, so that a deployment can differ from its configuration file.

    :param worker: ``sync``, ``gthread``, ``gevent``, ``eventlet``, ``asgi`` or ``uvicorn``.
    :param metrics_port: PROMETHEUS_METRICS_PORT.
    :param bind_address: PROMETHEUS_BIND_ADDRESS.
    :param namespace: METRIFOLD_NAMESPACE.
    :param target: METRIFOLD_TARGET, for instance ``redis://cache:6379``.
    :param old_labels: GUNICORN_METRICS_OLD_LABELS: labels as gunicorn-prometheus-exporter has them, whose number grows.
    :returns: the worker class's name.
    :raises ValueError: for a worker that there is not.
    """
    names = {recipe.plain: name for name, recipe in WORKER_CLASSES.items()}
    if worker not in names:
        raise ValueError(f"there is no worker {worker!r}; use one of {', '.join(names)}")
    given = {
        "PROMETHEUS_METRICS_PORT": metrics_port,
        "PROMETHEUS_BIND_ADDRESS": bind_address,
        "METRIFOLD_NAMESPACE": namespace,
        "METRIFOLD_TARGET": target,
        "GUNICORN_METRICS_OLD_LABELS": None if old_labels is None else str(old_labels).lower(),
    }
    for variable, value in given.items():
        if value is not None:
            os.environ.setdefault(variable, str(value))
    return f"metrifold.gunicorn.{names[worker]}"
