"""The one object that code asks about Redis."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ...config import get_config
from ...metrics import get_shared_registry
from ..core import RedisMultiProcessCollector, RedisValue, begin_to_record, get_redis_value_class

_LOG = logging.getLogger(__name__)


class RedisStorageManager:
    """Begins and ends recording for Redis."""

    def __init__(
        self,
        redis_client_factory: Callable[[], Any] | None = None,
        value_class_factory: Callable[..., Any] | None = None,
    ) -> None:
        """
        :param redis_client_factory: makes what :meth:`get_client` returns.
        :param value_class_factory: not needed: values are not in Redis.
        """
        self._make_client = redis_client_factory or _client
        self._client: Any = None
        self._collector: RedisMultiProcessCollector | None = None
        self._is_set_up = False

    def setup(self) -> bool:
        """Begins to record. Whether REDIS_ENABLED says so and the settings can work; not whether Redis is there."""
        try:
            if not get_config().redis_enabled:
                return False
            begin_to_record()
        except (RuntimeError, ValueError) as error:
            _LOG.error("Failed to setup Redis metrics: %s", error)
            return False
        self._is_set_up = True
        return True

    def teardown(self) -> None:
        """Ends what :meth:`setup` began, as far as code can see. What was recorded is pushed, and metrics count on."""
        if self._client is not None and hasattr(self._client, "close"):
            self._client.close()
        if self._collector is not None:
            get_shared_registry().unregister(self._collector)
        self._client, self._collector, self._is_set_up = None, None, False

    def is_enabled(self) -> bool:
        """Whether it was set up."""
        return self._is_set_up

    def is_connected(self) -> bool:
        """As :meth:`is_enabled`: nothing here depends on a connection."""
        return self._is_set_up

    def get_client(self) -> Any:
        """A client of redis-py, for code that wants to look into Redis; None if it is not installed. Not connected yet."""
        if self._client is None and self._is_set_up:
            self._client = self._make_client()
        return self._client

    def cleanup_keys(self) -> None:
        """Nothing: what a dead process had counted is folded into the totals."""

    def get_collector(self) -> RedisMultiProcessCollector | None:
        """The merged metrics, in the shared registry until :meth:`teardown`; None before :meth:`setup`."""
        # One, however often it is asked for: the registry would show each family once per collector.
        if self._collector is None and self._is_set_up:
            self._collector = RedisMultiProcessCollector(get_shared_registry())
        return self._collector


class FactoryUtilsMixin:
    """Makes what code that derives from it uses."""

    def create_redis_value_class(self, redis_client: Any, redis_key_prefix: str | None = None) -> type[RedisValue]:
        """A class for ``prometheus_client.values.ValueClass``."""
        return get_redis_value_class(redis_client, redis_key_prefix)

    def create_storage_manager(
        self,
        redis_client_factory: Callable[[], Any] | None = None,
        value_class_factory: Callable[..., Any] | None = None,
    ) -> RedisStorageManager:
        """A manager beside the process's own."""
        return RedisStorageManager(redis_client_factory, value_class_factory)


def _client() -> Any:
    try:
        import redis
    except ImportError:
        return None
    config = get_config()
    return redis.Redis(
        host=config.redis_host,
        port=config.redis_port,
        db=config.redis_db,
        password=config.redis_password,
        ssl=config.redis_ssl,
        socket_timeout=5.0,
        socket_connect_timeout=5.0,
    )


_manager: RedisStorageManager | None = None


def get_redis_storage_manager() -> RedisStorageManager:
    """The process's own manager."""
    global _manager
    if _manager is None:
        _manager = RedisStorageManager()
    return _manager


def setup_redis_metrics() -> bool:
    """:meth:`RedisStorageManager.setup` of the process's own manager."""
    return get_redis_storage_manager().setup()


def teardown_redis_metrics() -> None:
    """:meth:`RedisStorageManager.teardown` of the process's own manager."""
    get_redis_storage_manager().teardown()


def is_redis_enabled() -> bool:
    """Whether the process's own manager was set up."""
    return get_redis_storage_manager().is_enabled()


def get_redis_client() -> Any:
    """:meth:`RedisStorageManager.get_client` of the process's own manager."""
    return get_redis_storage_manager().get_client()


def cleanup_redis_keys() -> None:
    """Nothing, see :meth:`RedisStorageManager.cleanup_keys`."""


def get_redis_collector() -> RedisMultiProcessCollector | None:
    """:meth:`RedisStorageManager.get_collector` of the process's own manager."""
    return get_redis_storage_manager().get_collector()
