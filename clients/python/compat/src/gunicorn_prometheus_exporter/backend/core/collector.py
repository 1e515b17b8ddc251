"""The merged metrics, for a page of the application's own."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from prometheus_client import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from ...config import get_config
from . import page

_LOG = logging.getLogger(__name__)


class RedisMultiProcessCollector(MultiProcessCollector):
    """Collects what this host's server shows: the sum over all its workers.

    In kind it is prometheus_client's, so that nobody takes what it shows for this process's own and counts it again.
    """

    def __init__(self, registry: Any, redis_client: Any = None, redis_key_prefix: str | None = None) -> None:
        """
        :param registry: the collector registers itself there, unless it is None.
        """
        if registry is not None:
            registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry that it is registered with must not ask the server for names."""
        return []

    def collect(self) -> Iterable[Metric]:
        """The families; none, and a line in the log, while the server cannot be asked."""
        try:
            return list(text_string_to_metric_families(page.read(get_config())))
        except (page.PageError, ValueError) as error:
            _LOG.warning("the merged metrics cannot be shown: %s", error)
            return []
