"""Values and where they are."""

from .client import RedisDict, RedisStorageClient, RedisStorageDict, RedisValueClass
from .collector import RedisMultiProcessCollector
from .recording import begin_to_record
from .values import (
    CleanupUtilsMixin,
    RedisValue,
    cleanup_process_keys_for_pid,
    get_redis_value_class,
    mark_process_dead_redis,
    redis_key,
)

#: It needs no package that may be missing.
REDIS_COLLECTOR_AVAILABLE = True

__all__ = [
    "REDIS_COLLECTOR_AVAILABLE",
    "CleanupUtilsMixin",
    "RedisDict",
    "RedisMultiProcessCollector",
    "RedisStorageClient",
    "RedisStorageDict",
    "RedisValue",
    "RedisValueClass",
    "begin_to_record",
    "cleanup_process_keys_for_pid",
    "get_redis_value_class",
    "mark_process_dead_redis",
    "redis_key",
]
