"""Values by their names, as a dictionary."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

from metrifold import _native

from .recording import begin_to_record
from .values import RedisValue, redis_key


class RedisStorageDict:
    """This process's values by their keys, see :func:`~.values.redis_key`."""

    def __init__(self, redis_client: Any = None, key_prefix: str | None = None) -> None:
        begin_to_record()
        self._values: dict[tuple[str, str, str], RedisValue] = {}
        self._lock = threading.Lock()

    def read_value(
        self, key: str, metric_type: str = "counter", multiprocess_mode: str = ""
    ) -> tuple[float, float]:
        """Value and time stamp; a value that is not there yet is 0."""
        value = self._value(key, metric_type, multiprocess_mode)
        return value.get(), value.get_timestamp()

    def write_value(
        self, key: str, value: float, timestamp: float, metric_type: str = "counter", multiprocess_mode: str = ""
    ) -> None:
        """Sets a value."""
        self._value(key, metric_type, multiprocess_mode).set(value, timestamp)

    def ensure_metadata(self, key: str, typ: str = "counter", multiprocess_mode: str = "all") -> None:
        """Makes a value, at 0, unless it is there."""
        self._value(key, typ, multiprocess_mode)

    def read_all_values(self) -> Iterator[tuple[str, float, float]]:
        """Key, value and time stamp of all values of this process, whoever made them."""
        return self.read_all_values_from_redis()

    @staticmethod
    def read_all_values_from_redis(
        redis_client: Any = None, key_prefix: str | None = None
    ) -> Iterator[tuple[str, float, float]]:
        """As :meth:`read_all_values`. Neither help texts nor time stamps are told."""
        status = _native.status()
        if status is None or status.segment is None:
            return
        for _, sample, labels, value in _native.read_segment(status.segment):
            yield redis_key(sample, sample, list(labels), list(labels.values()), ""), value, 0.0

    def close(self) -> None:
        """Nothing is open."""

    def _value(self, key: str, metric_type: str, multiprocess_mode: str) -> RedisValue:
        # A mode is a gauge's only.
        mode = multiprocess_mode if metric_type == "gauge" else ""
        with self._lock:
            if (known := self._values.get((key, metric_type, mode))) is not None:
                return known
            metric_name, name, labels, help_text = json.loads(key)
            value = RedisValue(metric_type, metric_name, name, list(labels), list(labels.values()), help_text, mode)
            self._values[(key, metric_type, mode)] = value
            return value


#: Another name of it.
RedisDict = RedisStorageDict


class RedisValueClass:
    """Makes values."""

    def __init__(self, redis_client: Any = None, key_prefix: str | None = None) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> RedisValue:
        """As prometheus_client calls its classes of values."""
        return RedisValue(*args, **kwargs)


class RedisStorageClient:
    """What code holds on to."""

    def __init__(self, redis_client: Any = None, key_prefix: str | None = None) -> None:
        self._client = redis_client
        self._value_class = RedisValueClass(redis_client, key_prefix)

    def get_value_class(self) -> RedisValueClass:
        """Makes values."""
        return self._value_class

    def get_client(self) -> Any:
        """The client that it was given."""
        return self._client

    def cleanup_process_keys(self, pid: int) -> None:
        """Nothing: what a dead process had counted is folded into the totals."""
