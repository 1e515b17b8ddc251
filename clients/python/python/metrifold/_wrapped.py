"""Lets prometheus_client tell us what its values do not: units, facts, removals, functions."""

from __future__ import annotations

import functools
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import metrics, multiprocess

from ._native import Value, set_unit

# Metrics that count or measure, and where they keep their values.
WITH_VALUES = (metrics.Counter, metrics.Gauge, metrics.Histogram, metrics.Summary)
ATTRIBUTES = ("_value", "_count", "_sum", "_buckets")
# Metrics that state facts, and where we keep the values of theirs.
WITH_FACTS = (metrics.Info, metrics.Enum)
_FACTS = "_metrifold_facts"

_LOG = logging.getLogger("metrifold")
_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"

_is_hooked = False
# Metrics whose lock a fork may copy while it is held.
_locking: weakref.WeakSet[Any] = weakref.WeakSet()


def hook(has_function: Callable[[Any], None], forget: Callable[[Any], None]) -> None:
    """Wraps the methods of prometheus_client's classes, once.

    Calls ``has_function`` with each gauge that gets one, and ``forget`` with each child that is removed.
    """
    global _is_hooked
    if _is_hooked:
        return
    _is_hooked = True
    for with_values in WITH_VALUES:
        _wrap(with_values, "_metric_init", _with_unit)
    _wrap(metrics.Info, "info", _then(state_facts))
    _wrap(metrics.Enum, "state", _then(state_facts))
    # Not _metric_init: the states are not known yet there.
    _wrap(metrics.Enum, "__init__", _then(state_facts))
    _wrap(metrics.Gauge, "set_function", _then(has_function))
    _wrap(metrics.MetricWrapperBase, "__init__", _then(keep_lock))
    _wrap(multiprocess.MultiProcessCollector, "__init__", _then(_say_where_the_page_is))
    # Also for who has imported the function by its name: hooks of gunicorn's call it without a directory.
    multiprocess.mark_process_dead.__defaults__ = (_FilesDirectory(),)
    for name in ("remove", "remove_by_labels", "clear"):
        if hasattr(metrics.MetricWrapperBase, name):
            _wrap(metrics.MetricWrapperBase, name, _hiding(forget))


def keep_lock(metric: Any) -> None:
    """Gives a metric a lock that a handler of a signal may take while ``labels()`` has it, and that :func:`reset_locks` resets."""
    # Not by its __dict__: who asks for that makes CPython look up the object's attributes more slowly ever after.
    if hasattr(metric, "_lock") and metric not in _locking:
        metric._lock = threading.RLock()
        _locking.add(metric)


def reset_locks() -> None:
    """In a fork's child: a thread that the child does not have may have held them. What they guard is whole at any time."""
    for metric in list(_locking):
        metric._lock = threading.RLock()


class _FilesDirectory:
    """Where prometheus_client would keep files; without such a directory, a place without any."""

    def __fspath__(self) -> str:
        return os.environ.get(_DIRECTORY, os.environ.get(_DIRECTORY.lower(), os.devnull))


def _say_where_the_page_is(collector: Any) -> None:
    global _has_said_where
    if not _has_said_where and collector._path == os.environ.get(_DIRECTORY):
        _has_said_where = True
        _LOG.warning(
            "metrifold records in the place of prometheus_client's multiprocess mode, so there are no files in %s=%s, and a "
            "MultiProcessCollector shows nothing: the merged page is /metrics of the local Metrifold (under gunicorn at "
            "PROMETHEUS_METRICS_PORT, else where `metrifold serve` listens)",
            _DIRECTORY,
            collector._path,
        )


_has_said_where = False


def state_facts(metric: Any) -> None:
    """Brings the facts of an Info, or the states of an Enum, to the segment."""
    # Without its lock another thread is still making it, and will state its facts then.
    if not metric._is_observable() or "_lock" not in metric.__dict__:
        return
    with metric._lock:
        former: dict[tuple[str, ...], Value] = metric.__dict__.get(_FACTS, {})
        current = {}
        for sample, labels, holds in _facts(metric):
            names, values = (*metric._labelnames, *labels), (*metric._labelvalues, *labels.values())
            place = (*names, *values)
            fact = former.get(place)
            if fact is None:
                fact = Value(metric._type, metric._name, sample, names, values, metric._documentation)
            fact.set(1.0 if holds else 0.0)
            current[place] = fact
        metric.__dict__[_FACTS] = current
        for place in former.keys() - current.keys():
            former[place].remove()


def values_of(metric: Any) -> list[Value]:
    """Our values of one metric or child."""
    kept = [metric.__dict__[name] for name in ATTRIBUTES if name in metric.__dict__]
    flat = [value for attribute in kept for value in (attribute if isinstance(attribute, list) else [attribute])]
    return [value for value in [*flat, *metric.__dict__.get(_FACTS, {}).values()] if type(value) is Value]


def _facts(metric: Any) -> Iterable[tuple[str, dict[str, str], bool]]:
    if isinstance(metric, metrics.Info):
        # Before info() is called nothing is stated.
        return [(f"{metric._name}_info", metric._value, True)] if metric._value else []
    states = enumerate(getattr(metric, "_states", ()))
    return [(metric._name, {metric._name: state}, place == metric._value) for place, state in states]


def _wrap(owner: Any, name: str, wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    original = getattr(owner, name)
    setattr(owner, name, functools.wraps(original)(wrapper(original)))


def _with_unit(original: Callable[..., Any]) -> Callable[..., Any]:
    def metric_init(self: Any, *args: Any, **kwargs: Any) -> Any:
        former = set_unit(self._unit)
        try:
            return original(self, *args, **kwargs)
        finally:
            set_unit(former)

    return metric_init


def _then(act: Callable[[Any], None]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            act(self)
            return result

        return method

    return wrapper


def _hiding(forget: Callable[[Any], None]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            # Only remove() takes label values, and it removes one child of perhaps very many.
            only = tuple(str(value) for value in args) if original.__name__ == "remove" else None
            before = _children(self, only)
            result = original(self, *args, **kwargs)
            after = _children(self, only)
            gone = [labels for labels, child in before.items() if after.get(labels) is not child]
            for labels in gone:
                # First: what its function says would be shown again with its successor.
                forget(before[labels])
                for value in values_of(before[labels]):
                    value.remove()
            # A child that another thread has made again meanwhile has the same series.
            again = _children(self, only) if gone else {}
            for labels in gone:
                if labels in again:
                    for value in values_of(again[labels]):
                        value.restore()
            return result

        return method

    return wrapper


def _children(metric: Any, only: tuple[str, ...] | None) -> dict[Any, Any]:
    if not hasattr(metric, "_metrics"):
        return {}
    with metric._lock:
        if only is None:
            return dict(metric._metrics)
        return {only: metric._metrics[only]} if only in metric._metrics else {}
