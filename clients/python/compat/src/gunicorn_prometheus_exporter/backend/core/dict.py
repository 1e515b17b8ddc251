"""Names of values."""

from .values import redis_key

__all__ = ["redis_key"]
