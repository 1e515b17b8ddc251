"""What stands where gunicorn_prometheus_exporter keeps metrics in Redis.

Here values are in the worker's memory, and the local server pushes them on to Redis: what writes records, and waits for nothing.
"""

from .core import RedisMultiProcessCollector, RedisStorageClient, RedisStorageDict, RedisValueClass
from .service import (
    RedisStorageManager,
    cleanup_redis_keys,
    get_redis_client,
    get_redis_collector,
    get_redis_storage_manager,
    is_redis_enabled,
    setup_redis_metrics,
    teardown_redis_metrics,
)

__all__ = [
    "RedisMultiProcessCollector",
    "RedisStorageClient",
    "RedisStorageDict",
    "RedisStorageManager",
    "RedisValueClass",
    "cleanup_redis_keys",
    "get_redis_client",
    "get_redis_collector",
    "get_redis_storage_manager",
    "is_redis_enabled",
    "setup_redis_metrics",
    "teardown_redis_metrics",
]
