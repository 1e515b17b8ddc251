"""Values."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from metrifold._native import Value

from .recording import begin_to_record


def redis_key(
    metric_name: str, name: str, labelnames: Iterable[str], labelvalues: Iterable[str], help_text: str
) -> str:
    """A value's name, in one text."""
    return json.dumps([metric_name, name, dict(zip(labelnames, labelvalues, strict=True)), help_text], sort_keys=True)


class RedisValue:
    """A float in this process's memory. Stands where that package has one in Redis."""

    _multiprocess = True

    def __init__(
        self,
        typ: str | None = None,
        metric_name: str | None = None,
        name: str | None = None,
        labelnames: Iterable[str] | None = None,
        labelvalues: Iterable[str] | None = None,
        help_text: str | None = None,
        multiprocess_mode: str = "",
        redis_client: Any = None,
        redis_key_prefix: str | None = None,
        **_kwargs: Any,
    ) -> None:
        """As prometheus_client calls its classes of values. Client and prefix are not needed."""
        begin_to_record()
        self._value = Value(
            typ or "counter",
            metric_name or "",
            name or "",
            labelnames or (),
            labelvalues or (),
            help_text or "",
            multiprocess_mode,
        )
        self._timestamp = 0.0

    def inc(self, amount: float = 1) -> None:
        """Adds."""
        self._value.inc(amount)

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Sets."""
        self._timestamp = time.time() if timestamp is None else float(timestamp)
        self._value.set(value, self._timestamp)

    def get(self) -> float:
        """The value in this process."""
        return self._value.get()

    def get_timestamp(self) -> float:
        """When this process set it; 0: never."""
        return self._timestamp

    def set_exemplar(self, exemplar: Any) -> None:
        """Keeps an exemplar."""
        self._value.set_exemplar(exemplar)

    def get_exemplar(self) -> Any:
        """The exemplar that was kept last."""
        return self._value.get_exemplar()


def get_redis_value_class(redis_client: Any, redis_key_prefix: str | None = None) -> type[RedisValue]:
    """A class for ``prometheus_client.values.ValueClass``."""
    return RedisValue


def cleanup_process_keys_for_pid(pid: int, redis_client: Any, redis_key_prefix: str | None = None) -> None:
    """Nothing: what a dead process had counted is folded into the totals, and its live gauges end, without being told."""


def mark_process_dead_redis(pid: int, redis_client: Any, redis_key_prefix: str | None = None) -> None:
    """Nothing, see :func:`cleanup_process_keys_for_pid`."""


class CleanupUtilsMixin:
    """The two functions above as methods."""

    cleanup_process_keys_for_pid = staticmethod(cleanup_process_keys_for_pid)
    mark_process_as_dead = staticmethod(mark_process_dead_redis)
