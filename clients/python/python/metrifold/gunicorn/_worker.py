"""Worker classes."""

from __future__ import annotations

import time
from typing import Any

from gunicorn.workers.sync import SyncWorker

from . import _master


class PrometheusWorker(SyncWorker):  # type: ignore[misc]
    """gunicorn's sync worker, with metrics. Its mere use starts everything, see :mod:`metrifold.gunicorn`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The master makes the object and then forks.
        self._metrics = _master.prepare(self, self.log)

    def handle_request(self, *args: Any, **kwargs: Any) -> Any:
        """Handles one request, and counts it."""
        if self._metrics is None:
            return super().handle_request(*args, **kwargs)
        start = time.perf_counter()
        try:
            return super().handle_request(*args, **kwargs)
        finally:
            self._metrics.handled(time.perf_counter() - start)
