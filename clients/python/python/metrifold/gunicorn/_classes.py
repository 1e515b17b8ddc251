"""The worker classes, by name."""

from __future__ import annotations

import functools
import importlib
import warnings
from dataclasses import dataclass
from typing import Any

import gunicorn

from ._measured import Measured, MeasuredAsgi, MeasuredUvicorn, MeasuredWsgi


class WorkerClassError(ImportError, RuntimeError):
    """A worker class cannot be had here; the text says why and what to use instead.

    An ImportError, because code asks by ``try: from metrifold.gunicorn import PrometheusGeventWorker``.
    """


@dataclass(frozen=True)
class _Recipe:
    """What a class is made of."""

    #: Name of gunicorn's ``--worker-class`` for the same worker without metrics.
    plain: str
    mixin: type[Measured]
    #: Where the worker without metrics may be, the best place first: module and class.
    bases: tuple[tuple[str, str], ...]
    instead: str
    #: The class that takes its place where gunicorn is told to have several threads, as gunicorn replaces its own.
    of_threads: str | None = None


WORKER_CLASSES = {
    "PrometheusWorker": _Recipe("sync", MeasuredWsgi, (("gunicorn.workers.sync", "SyncWorker"),), "", "PrometheusThreadWorker"),
    "PrometheusThreadWorker": _Recipe("gthread", MeasuredWsgi, (("gunicorn.workers.gthread", "ThreadWorker"),), ""),
    "PrometheusGeventWorker": _Recipe(
        "gevent", MeasuredWsgi, (("gunicorn.workers.ggevent", "GeventWorker"),), "pip install gevent"
    ),
    "PrometheusEventletWorker": _Recipe(
        "eventlet",
        MeasuredWsgi,
        (("gunicorn.workers.geventlet", "EventletWorker"),),
        "use PrometheusGeventWorker, or a gunicorn before 26 with pip install eventlet",
    ),
    "PrometheusAsgiWorker": _Recipe(
        "asgi",
        MeasuredAsgi,
        (("gunicorn.workers.gasgi", "ASGIWorker"),),
        "use PrometheusUvicornWorker, or a gunicorn that has an asgi worker (25 and newer)",
    ),
    "PrometheusUvicornWorker": _Recipe(
        "uvicorn",
        MeasuredUvicorn,
        (("uvicorn_worker", "UvicornWorker"), ("uvicorn.workers", "UvicornWorker")),
        "pip install uvicorn-worker",
    ),
}


@functools.cache
def load(name: str) -> type[Any]:
    """Makes a worker class: gunicorn's own, with metrics.

    :raises WorkerClassError: if what it builds on is not there.
    """
    recipe = WORKER_CLASSES[name]
    base = _base(name, recipe)
    text = f"gunicorn's {recipe.plain} worker, with metrics. Its mere use starts everything, see :mod:`metrifold.gunicorn`."
    made = type(name, (recipe.mixin, base), {"__doc__": text, "__module__": "metrifold.gunicorn"})
    if recipe.of_threads is not None:
        made.__new__ = _new(made, recipe.of_threads)  # type: ignore[method-assign]
    return made


def _new(made: type[Any], of_threads: str) -> Any:
    """Makes a worker of several threads if the configuration asks for threads. Classes built on this one stay what they are."""

    def new(cls: type[Any], *arguments: Any) -> Any:
        # As gunicorn makes workers: age, parent, sockets, application, timeout, configuration, log.
        if cls is made and arguments[5].threads > 1:
            return load(of_threads)(*arguments)
        return object.__new__(cls)

    return new


def _base(name: str, recipe: _Recipe) -> type[Any]:
    reasons = []
    for module, attribute in recipe.bases:
        try:
            with warnings.catch_warnings():
                # uvicorn.workers asks for uvicorn-worker, which is looked for first.
                warnings.simplefilter("ignore", DeprecationWarning)
                found: type[Any] = getattr(importlib.import_module(module), attribute)
            return found
        # gunicorn raises RuntimeError where a library is missing or too old.
        except (ImportError, AttributeError, RuntimeError) as error:
            reasons.append(str(error))
    raise WorkerClassError(
        f"{name} needs the worker {recipe.plain}, which gunicorn {gunicorn.__version__} does not have here "
        f"({'; '.join(reasons)}): {recipe.instead}"
    )
