"""gunicorn's master. Signals and ends of workers are counted without replacing it."""

from gunicorn.arbiter import Arbiter as PrometheusMaster

__all__ = ["PrometheusMaster"]
