"""The life of a configuration."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from enum import Enum
from typing import Any

from .loader import load_yaml_config
from .settings import ExporterConfig

_LOG = logging.getLogger(__name__)


class ConfigState(Enum):
    """Where in its life a configuration is."""

    UNINITIALIZED = "uninitialized"
    INITIALIZING = "initializing"
    VALIDATING = "validating"
    INITIALIZED = "initialized"
    UPDATING = "updating"
    ERROR = "error"
    CLEANUP = "cleanup"


class ConfigManager:
    """Holds one configuration. Any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._state = ConfigState.UNINITIALIZED
        self._config: ExporterConfig | None = None
        self._problems: list[str] = []
        self._initialized_at: float | None = None

    @property
    def state(self) -> ConfigState:
        """Where in its life it is."""
        return self._state

    @property
    def is_initialized(self) -> bool:
        """Whether :meth:`get_config` answers."""
        return self._state is ConfigState.INITIALIZED

    @property
    def validation_errors(self) -> list[str]:
        """All that was wrong when it was validated last."""
        with self._lock:
            return list(self._problems)

    def initialize(self, config_file: str | None = None, **variables: Any) -> None:
        """Reads the environment, over it ``variables``, under it a YAML file.

        :raises RuntimeError: if it is initialized already.
        :raises ValueError: with all that is wrong; then the state is ERROR, and another attempt may be made.
        """
        with self._lock:
            if self._state is ConfigState.INITIALIZED:
                raise RuntimeError("Configuration already initialized")
            with self._to_initialized(ConfigState.INITIALIZING):
                # First: they win over the file, which yields to what is set.
                _set(variables)
                if config_file is not None:
                    load_yaml_config(config_file)
                self._read()
                self._initialized_at = time.time()

    def get_config(self) -> ExporterConfig:
        """The configuration.

        :raises RuntimeError: unless it is initialized.
        """
        with self._lock:
            if self._config is None or self._state is not ConfigState.INITIALIZED:
                raise RuntimeError(f"Configuration not initialized (state: {self._state.value})")
            return self._config

    def update_config(self, **variables: Any) -> None:
        """Sets variables and validates again."""
        with self._lock:
            self.get_config()
            with self._to_initialized(ConfigState.UPDATING):
                _set(variables)

    def reload_config(self) -> None:
        """Reads the environment again."""
        with self._lock:
            if self._config is None:
                raise RuntimeError("Configuration not initialized")
            with self._to_initialized(ConfigState.UPDATING):
                self._read()

    def cleanup(self) -> None:
        """Lets go of the configuration. It may be initialized again."""
        with self._lock:
            if self._state is not ConfigState.UNINITIALIZED:
                self._forget(ConfigState.CLEANUP)

    def reset(self) -> None:
        """As if it were new."""
        with self._lock:
            self._forget(ConfigState.UNINITIALIZED)

    def get_config_summary(self) -> dict[str, Any]:
        """What to look at first when something is wrong."""
        with self._lock:
            if self._config is None or not self.is_initialized:
                return {"state": self._state.value, "initialized": False}
            return {
                "state": self._state.value,
                "initialized": True,
                "initialization_time": self._initialized_at,
                "validation_errors": self.validation_errors,
                "prometheus_port": self._config.prometheus_metrics_port,
                "redis_enabled": self._config.redis_enabled,
                "gunicorn_workers": self._config.gunicorn_workers,
            }

    def health_check(self) -> dict[str, Any]:
        """Whether the configuration can be used. Redis being down is not its illness: nothing waits for Redis."""
        with self._lock:
            if self._config is None or not self.is_initialized:
                errors = [f"Configuration not initialized (state: {self._state.value})"]
            else:
                errors = self._config.problems()
            return {"healthy": not errors, "state": self._state.value, "errors": errors}

    def _read(self) -> None:
        self._config = ExporterConfig(is_sidecar=os.environ.get("SIDECAR_MODE", "").lower() in ("true", "1", "yes", "on"))

    @contextlib.contextmanager
    def _to_initialized(self, way: ConfigState) -> Iterator[None]:
        self._state = way
        try:
            yield
            self._validate()
        except Exception as error:
            self._state = ConfigState.ERROR
            _LOG.error("%s", error)
            raise
        self._state = ConfigState.INITIALIZED

    def _validate(self) -> None:
        assert self._config is not None
        self._state = ConfigState.VALIDATING
        self._problems = self._config.problems()
        if self._problems:
            raise ValueError(f"Configuration validation failed: {'; '.join(self._problems)}")

    def _forget(self, state: ConfigState) -> None:
        self._config, self._problems, self._initialized_at, self._state = None, [], None, state


def _set(variables: dict[str, Any]) -> None:
    os.environ.update({name: str(value) for name, value in variables.items() if value is not None})


_manager: ConfigManager | None = None
_manager_lock = threading.RLock()


def get_config_manager() -> ConfigManager:
    """The process's own manager."""
    global _manager
    with _manager_lock:
        if _manager is None:
            _manager = ConfigManager()
        return _manager


def initialize_config(config_file: str | None = None, **variables: Any) -> None:
    """:meth:`ConfigManager.initialize` of the process's own manager."""
    # A get_config() that came between would initialize as well, and one of the two would fail.
    with _manager_lock:
        get_config_manager().initialize(config_file=config_file, **variables)


def get_config() -> ExporterConfig:
    """The process's configuration. It is initialized if it was not."""
    with _manager_lock:
        manager = get_config_manager()
        if manager.state is ConfigState.UNINITIALIZED:
            manager.initialize()
        return manager.get_config()


def cleanup_config() -> None:
    """Lets go of the process's configuration."""
    global _manager
    with _manager_lock:
        if _manager is not None:
            _manager.cleanup()
            _manager = None
