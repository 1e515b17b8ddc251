"""Puts our values into metrics that exist already."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from typing import Any

import prometheus_client
from prometheus_client import metrics, values

from ._wrapped import ATTRIBUTES, WITH_FACTS, WITH_VALUES, hook, keep_lock, state_facts
from ._native import Value
from ._sampling import Sampler


def migrate(from_now: bool, sampler: Sampler) -> None:
    """Makes our class the one of new metrics, and gives existing ones such values, with what was counted so far.

    Other threads may count meanwhile: an increment that reaches the old value after it was read is found in a second look.
    """
    values.ValueClass = Value
    hook(sampler.has_function, sampler.forget)
    replaced = []
    for metric in _live_metrics():
        keep_lock(metric)
        if isinstance(metric, WITH_FACTS):
            state_facts(metric)
            continue
        replaced += _replace(metric, from_now)
        # set_function() was called before it was ours.
        if "_child_samples" in metric.__dict__:
            sampler.has_function(metric)
    for old, new, seen in replaced:
        if (late := old.get() - seen) != 0:
            new.inc(late)


def _live_metrics() -> Iterator[metrics.MetricWrapperBase]:
    """All metrics and children. Those in a frozen generation (``gc.freeze``) are found through the default registry."""
    registry: dict[Any, Any] = prometheus_client.REGISTRY._collector_to_names
    seen: set[int] = set()
    waiting = [*gc.get_objects(), *registry]
    while waiting:
        candidate = waiting.pop()
        # type() and not isinstance(): that would ask proxies for their __class__, and wake lazy ones up.
        if not issubclass(type(candidate), metrics.MetricWrapperBase) or id(candidate) in seen:
            continue
        seen.add(id(candidate))
        waiting.extend(getattr(candidate, "_metrics", {}).copy().values())
        if issubclass(type(candidate), (*WITH_VALUES, *WITH_FACTS)):
            yield candidate


def _replace(metric: Any, from_now: bool) -> list[tuple[Any, Value, float]]:
    """Replaces the values of one metric. Returns each old one with the new one and what was taken over."""
    existing = {name: metric.__dict__[name] for name in ATTRIBUTES if name in metric.__dict__}
    old_values = [value for attribute in existing.values() for value in _as_list(attribute)]
    if not old_values or all(type(value) is Value for value in old_values):
        return []
    # prometheus_client itself makes the new values, on a copy, so that they are what this version of it would make.
    copy = object.__new__(type(metric))
    copy.__dict__.update(metric.__dict__)
    copy._metric_init()
    pairs = []
    for name, attribute in existing.items():
        fresh = copy.__dict__[name]
        for old, new in zip(_as_list(attribute), _as_list(fresh), strict=True):
            pairs.append((old, new, _take_over(metric, old, new, from_now)))
            # What is left out of the count did not begin then.
            if not from_now and (created := metric.__dict__.get("_created")):
                new.set_created(created)
        setattr(metric, name, fresh)
    return pairs


def _take_over(metric: Any, old: Any, new: Value, from_now: bool) -> float:
    counted = float(old.get())
    if from_now and not isinstance(metric, metrics.Gauge):
        return counted
    if not isinstance(metric, metrics.Gauge):
        new.inc(counted)
    elif counted != 0:
        # Values of one process do not keep when they were set; a time before every later set is as good.
        new.set(counted, getattr(old, "_timestamp", None) or time.time())
    if (exemplar := old.get_exemplar()) is not None:
        new.set_exemplar(exemplar)
    return counted


def _as_list(attribute: Any) -> list[Any]:
    return attribute if isinstance(attribute, list) else [attribute]
