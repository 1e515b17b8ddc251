"""gunicorn_prometheus_exporter's names, on top of Metrifold.

    worker_class = "gunicorn_prometheus_exporter.PrometheusWorker"

See :mod:`metrifold.gunicorn` for what that does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from metrifold.gunicorn import WorkerClassError as WorkerClassError

from . import plugin
from .config import (
    ConfigManager as ConfigManager,
    ConfigState as ConfigState,
    ExporterConfig as ExporterConfig,
    cleanup_config as cleanup_config,
    get_config as get_config,
    get_config_manager as get_config_manager,
    initialize_config as initialize_config,
    load_yaml_config as load_yaml_config,
)

if TYPE_CHECKING:
    from .backend import (
        RedisStorageManager as RedisStorageManager,
        get_redis_storage_manager as get_redis_storage_manager,
        is_redis_enabled as is_redis_enabled,
        setup_redis_metrics as setup_redis_metrics,
        teardown_redis_metrics as teardown_redis_metrics,
    )
    from .metrics import registry as registry
    from .plugin import (
        EVENTLET_AVAILABLE as EVENTLET_AVAILABLE,
        GEVENT_AVAILABLE as GEVENT_AVAILABLE,
        PrometheusEventletWorker as PrometheusEventletWorker,
        PrometheusGeventWorker as PrometheusGeventWorker,
        PrometheusThreadWorker as PrometheusThreadWorker,
        PrometheusWorker as PrometheusWorker,
    )

# Where names are that are looked up only when they are asked for.
_ELSEWHERE = {
    "registry": "metrics",
    "PrometheusMaster": "master",
    **dict.fromkeys(
        (*plugin.NAMES, *plugin.AVAILABLE, "get_prometheus_eventlet_worker", "get_prometheus_gevent_worker"), "plugin"
    ),
    **dict.fromkeys(
        (
            *("RedisStorageManager", "get_redis_storage_manager", "setup_redis_metrics"),
            *("teardown_redis_metrics", "is_redis_enabled"),
        ),
        "backend",
    ),
}

_HERE = (
    *("ConfigManager", "ConfigState", "ExporterConfig", "WorkerClassError", "cleanup_config", "get_config", "get_config_manager"),
    *("initialize_config", "load_yaml_config"),
)


def __getattr__(name: str) -> Any:
    if name == "__all__":
        # When it is asked for: which workers there are is found out by loading what they need.
        missing = {worker for available, worker in plugin.AVAILABLE.items() if not getattr(plugin, available)}
        return [known for known in (*_HERE, *_ELSEWHERE) if known not in missing]
    if name in _ELSEWHERE:
        return getattr(importlib.import_module(f".{_ELSEWHERE[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
