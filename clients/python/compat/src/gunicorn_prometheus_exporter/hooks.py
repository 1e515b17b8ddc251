"""Hooks for a gunicorn configuration, and the classes that custom hooks use.

The worker class starts everything by itself. A hook that is named as well does nothing twice; with a worker class of gunicorn's
own, the hooks alone share the application's metrics.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metrifold.gunicorn import _master

from .config import get_config, load_yaml_config
from .metrics import registry

__all__ = [
    "EnvironmentManager",
    "HookContext",
    "HookManager",
    "MetricsServerManager",
    "ProcessManager",
    "WorkerManager",
    "default_on_exit",
    "default_on_starting",
    "default_post_fork",
    "default_when_ready",
    "default_worker_int",
    "load_yaml_config",
    "redis_sidecar_when_ready",
    "redis_when_ready",
]

_LOG = logging.getLogger(__name__)

# How long an application's own child process may take to end.
_CHILD_SECONDS_MAX = 5.0


@dataclass
class HookContext:
    """What a hook is about."""

    server: Any
    worker: Any = None
    logger: logging.Logger | None = None

    def __post_init__(self) -> None:
        self.logger = self.logger or _LOG


class HookManager:
    """Runs hooks so that none takes gunicorn down."""

    def __init__(self) -> None:
        self.logger = _LOG

    def get_logger(self) -> logging.Logger:
        """Where hooks log."""
        return self.logger

    def safe_execute(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
        """Calls a function. Whether it did not fail."""
        try:
            func(*args, **kwargs)
        except Exception as error:
            self.logger.error("Hook execution failed: %s", error)
            return False
        return True


class EnvironmentManager:
    """Brings what gunicorn was told on its command line into the environment."""

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger

    def update_from_cli(self, cfg: Any) -> None:
        """Sets GUNICORN_WORKERS, GUNICORN_BIND, GUNICORN_WORKER_CLASS, GUNICORN_TIMEOUT and GUNICORN_KEEPALIVE."""
        # The setting and not the attribute, which is the class that the name leads to.
        setting = getattr(cfg, "settings", {}).get("worker_class")
        bind = getattr(cfg, "bind", None)
        found = {
            "GUNICORN_WORKERS": getattr(cfg, "workers", None),
            "GUNICORN_BIND": ",".join(bind) if isinstance(bind, (list, tuple)) else bind,
            "GUNICORN_WORKER_CLASS": setting.get() if setting is not None else getattr(cfg, "worker_class", None),
            "GUNICORN_TIMEOUT": getattr(cfg, "timeout", None),
            "GUNICORN_KEEPALIVE": getattr(cfg, "keepalive", None),
        }
        for variable, value in found.items():
            if value is not None and os.environ.get(variable) != str(value):
                os.environ[variable] = str(value)
                self.logger.info("Updated %s from CLI: %s", variable, value)


class MetricsServerManager:
    """Starts the server of /metrics: a process of its own, once per master."""

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger

    def setup_server(self) -> tuple[int, Any] | None:
        """Where it is to listen, and a registry; None if the configuration is wrong, which the log says."""
        try:
            return get_config().prometheus_metrics_port, registry
        except (RuntimeError, ValueError) as error:
            self.logger.error("%s", error)
            return None

    def start_server(self, port: int, registry: Any) -> bool:
        """Starts it. Whether it runs; if not, workers try again every few seconds.

        :param registry: not needed: all metrics of all registries are shown.
        """
        try:
            host = get_config().prometheus_bind_address
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            server = _master.start(self.logger, listen=address).server
        except (RuntimeError, ValueError) as error:
            self.logger.error("%s", error)
            return False
        return server is not None and server.is_running()

    def stop_server(self) -> None:
        """Nothing: the server ends soon after the last worker, when it has pushed what that had counted."""


class WorkerManager:
    """What can be asked of a worker with metrics."""

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger

    def update_worker_metrics(self, worker: Any) -> None:
        """Reads memory, processor time and age now, and not at the next heartbeat."""
        if hasattr(worker, "update_worker_metrics"):
            worker.update_worker_metrics()

    def shutdown_worker(self, worker: Any) -> None:
        """Lets a worker end after its current requests."""
        self.update_worker_metrics(worker)
        worker.alive = False


class ProcessManager:
    """Ends what the application has left running."""

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger
        self.timeout = _CHILD_SECONDS_MAX

    def cleanup_processes(self) -> None:
        """Ends this process's children: by SIGTERM, and those that take too long by SIGKILL."""
        mine = os.getpid()
        try:
            children = [int(pid) for pid in Path(f"/proc/{mine}/task/{mine}/children").read_text().split()]
        except OSError:
            self.logger.debug("This system does not tell a process's children; none is ended")
            return
        for pid in children:
            self.logger.info("Terminating child process %s", pid)
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + self.timeout
        for pid in children:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                self._end(pid, deadline)

    def _end(self, pid: int, deadline: float) -> None:
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            if time.monotonic() >= deadline:
                self.logger.warning("Force killing child process %s", pid)
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return
            time.sleep(0.01)


def default_on_starting(_server: Any) -> None:
    """For on_starting."""
    _LOG.info("Server starting")


def default_when_ready(server: Any) -> None:
    """For when_ready: begins to record and starts the server of /metrics, as the first worker would."""
    manager = MetricsServerManager(_LOG)
    if (found := manager.setup_server()) is None:
        return
    port, _ = found
    _LOG.info("Starting Prometheus multiprocess metrics server on :%s", port)
    if manager.start_server(port, registry):
        _LOG.info("Metrics server started successfully on port %s", port)
    else:
        server.log.error("metrifold: the metrics server does not run yet; see above")


def redis_when_ready(server: Any) -> None:
    """For when_ready, with Redis: the same, since the server pushes on to Redis if REDIS_ENABLED says so."""
    default_when_ready(server)


def redis_sidecar_when_ready(server: Any) -> None:
    """For when_ready, where another container shows what Redis has: this one's server listens at no known port."""
    try:
        _master.start(server.log, listen="127.0.0.1:0")
    except ValueError as error:
        server.log.error("metrifold: no metrics: %s", error)
    _LOG.info("Sidecar mode: metrics are shown by the sidecar")


def default_worker_int(worker: Any) -> None:
    """For worker_int: a worker was interrupted."""
    _LOG.info("Worker %s received interrupt signal", worker.pid)
    WorkerManager(_LOG).update_worker_metrics(worker)


def default_post_fork(server: Any, worker: Any) -> None:
    """For post_fork: brings the command line into the worker's environment."""
    _LOG.debug("Gunicorn configuration of worker %s: %s", worker.pid, server.cfg)
    EnvironmentManager(_LOG).update_from_cli(server.cfg)


def default_on_exit(_server: Any) -> None:
    """For on_exit. What was counted is with the server, which pushes it and ends."""
    _LOG.info("Server shutting down")
