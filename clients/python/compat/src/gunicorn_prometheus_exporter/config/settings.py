"""Every variable, with its default, as a property that reads the environment when it is asked."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

_LOG = logging.getLogger(__name__)

T = TypeVar("T")

_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off", "")
_PORTS = range(1, 2**16)


class _Variable(Generic[T]):
    """A variable of the environment as a property. Setting it sets the variable."""

    def __init__(self, variable: str, default: T | Callable[[], T], read: Callable[[str], T], meaning: str) -> None:
        """
        :param default: what an unset variable means; a function, if it depends on the process, is asked each time.
        """
        self.variable = variable
        self._default = default
        self._read = read
        self.__doc__ = f"{meaning} ({variable}; default: {default.__doc__ if callable(default) else repr(default)})"

    @overload
    def __get__(self, instance: None, owner: Any) -> _Variable[T]: ...
    @overload
    def __get__(self, instance: ExporterConfig, owner: Any) -> T: ...
    def __get__(self, instance: ExporterConfig | None, owner: Any) -> _Variable[T] | T:
        return self if instance is None else self.get()

    def get(self) -> T:
        """What the environment says now.

        :raises ValueError: if that cannot be meant.
        """
        # An empty variable is one that is not set, as in a compose file's ${NAME:-}.
        text = os.environ.get(self.variable, "").strip()
        if not text:
            return self._default() if callable(self._default) else self._default
        try:
            return self._read(text)
        except ValueError as error:
            raise ValueError(f"{self.variable}={text}: {error}") from None

    def __set__(self, instance: ExporterConfig, value: T) -> None:
        os.environ[self.variable] = str(value).lower() if isinstance(value, bool) else str(value)

    def __delete__(self, instance: ExporterConfig) -> None:
        os.environ.pop(self.variable, None)


def _truth(text: str) -> bool:
    if text.lower() not in (*_TRUE, *_FALSE):
        raise ValueError("neither true nor false")
    return text.lower() in _TRUE


def _number(least: int, most: int | None = None) -> Callable[[str], int]:
    def read(text: str) -> int:
        bounds = f"at least {least}" if most is None else f"{least} to {most}"
        if not text.isascii() or not text.isdigit() or int(text) < least or (most is not None and int(text) > most):
            raise ValueError(f"use a whole number, {bounds}")
        return int(text)

    return read


_port = _number(_PORTS[0], _PORTS[-1])


def _in_home() -> str:
    """~/.gunicorn_prometheus"""
    return os.path.join(os.path.expanduser("~"), ".gunicorn_prometheus")


class _Constant(Generic[T]):
    """A variable under its own name, of the class and of its instances."""

    def __init__(self, variable: _Variable[T]) -> None:
        self._variable = variable

    def __get__(self, instance: object, owner: Any) -> T:
        return self._variable.get()


class ExporterConfig:
    """The settings. Each property reads the environment at the time when it is asked."""

    prometheus_multiproc_dir = _Variable(
        "PROMETHEUS_MULTIPROC_DIR",
        _in_home,
        str,
        "Directory of prometheus_client's files. Nothing is written there.",
    )
    prometheus_metrics_port = _Variable("PROMETHEUS_METRICS_PORT", 9090, _port, "Port of /metrics.")
    prometheus_bind_address = _Variable("PROMETHEUS_BIND_ADDRESS", "0.0.0.0", str, "Address of /metrics.")
    gunicorn_workers = _Variable("GUNICORN_WORKERS", 1, _number(1), "Number of workers.")
    gunicorn_timeout = _Variable("GUNICORN_TIMEOUT", 30, _number(0), "Seconds after which a silent worker is killed.")
    gunicorn_keepalive = _Variable("GUNICORN_KEEPALIVE", 2, _number(0), "Seconds that a connection is kept.")
    cleanup_db_files = _Variable("CLEANUP_DB_FILES", False, _truth, "Has nothing to clean up.")

    redis_enabled = _Variable("REDIS_ENABLED", False, _truth, "Whether metrics are pushed on to Redis.")
    redis_host = _Variable("REDIS_HOST", "127.0.0.1", str, "Redis' host.")
    redis_port = _Variable("REDIS_PORT", 6379, _port, "Redis' port.")
    redis_db = _Variable("REDIS_DB", 0, _number(0), "Redis' database.")
    redis_password: _Variable[str | None] = _Variable("REDIS_PASSWORD", None, str, "Redis' password.")
    redis_ssl = _Variable("REDIS_SSL", False, _truth, "Whether Redis is spoken to over TLS, and never without.")
    redis_key_prefix = _Variable("REDIS_KEY_PREFIX", "gunicorn", str, "Keeps applications apart in one Redis.")
    redis_ttl_seconds = _Variable(
        "REDIS_TTL_SECONDS", 300, _number(1), "Seconds after the last push at which a worker counts as dead."
    )
    redis_ttl_disabled = _Variable("REDIS_TTL_DISABLED", False, _truth, "Whether silence is no death.")

    prometheus_ssl_certfile: _Variable[str | None] = _Variable(
        "PROMETHEUS_SSL_CERTFILE", None, str, "Certificate of /metrics."
    )
    prometheus_ssl_keyfile: _Variable[str | None] = _Variable("PROMETHEUS_SSL_KEYFILE", None, str, "Its key.")
    prometheus_ssl_client_cafile: _Variable[str | None] = _Variable(
        "PROMETHEUS_SSL_CLIENT_CAFILE", None, str, "Who signs the certificates of clients: a file."
    )
    prometheus_ssl_client_capath: _Variable[str | None] = _Variable(
        "PROMETHEUS_SSL_CLIENT_CAPATH", None, str, "Who signs the certificates of clients: a directory."
    )
    prometheus_ssl_client_auth_required = _Variable(
        "PROMETHEUS_SSL_CLIENT_AUTH_REQUIRED", False, _truth, "Whether a client must have a certificate."
    )

    def __init__(self, is_sidecar: bool = False) -> None:
        self._is_sidecar = is_sidecar
        self._set_multiproc_dir()

    def _set_multiproc_dir(self) -> None:
        # Code that goes by the variable, such as prometheus_client's MultiProcessCollector, wants a directory that exists.
        directory = self.prometheus_multiproc_dir
        # Whatever is wrong with REDIS_ENABLED is told with all the rest.
        with contextlib.suppress(OSError, ValueError):
            if self.redis_enabled:
                return
            os.makedirs(directory, exist_ok=True)
            os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", directory)

    @property
    def is_sidecar(self) -> bool:
        """Whether there is no gunicorn here."""
        return self._is_sidecar

    @property
    def prometheus_ssl_enabled(self) -> bool:
        """Whether /metrics is served over TLS."""
        return bool(self.prometheus_ssl_certfile and self.prometheus_ssl_keyfile)

    def get_gunicorn_config(self) -> dict[str, Any]:
        """Settings for gunicorn; none in a sidecar."""
        if self.is_sidecar:
            return {}
        return {
            "bind": os.environ.get("GUNICORN_BIND", "127.0.0.1:8084"),
            "workers": self.gunicorn_workers,
            "threads": 1,
            "timeout": self.gunicorn_timeout,
            "keepalive": self.gunicorn_keepalive,
            "worker_class": "gunicorn_prometheus_exporter.PrometheusWorker",
            "accesslog": "-",
            "errorlog": "-",
            "loglevel": "info",
            "proc_name": "gunicorn-prometheus-exporter",
        }

    def get_prometheus_config(self) -> dict[str, Any]:
        """Where metrics are."""
        return {
            "bind_address": self.prometheus_bind_address,
            "port": self.prometheus_metrics_port,
            "multiproc_dir": self.prometheus_multiproc_dir,
        }

    def problems(self) -> list[str]:
        """All that is wrong, each with the variable's name."""
        return list(self._problems())

    def _problems(self) -> Iterator[str]:
        readable: dict[str, Any] = {}
        for name, variable in _variables():
            if self.is_sidecar and name.startswith("gunicorn_"):
                continue
            try:
                readable[name] = getattr(self, name)
            except ValueError as error:
                yield str(error)
        certificate, key = readable.get("prometheus_ssl_certfile"), readable.get("prometheus_ssl_keyfile")
        if certificate and not key:
            yield "PROMETHEUS_SSL_KEYFILE must be set, because PROMETHEUS_SSL_CERTFILE is"
        if key and not certificate:
            yield "PROMETHEUS_SSL_CERTFILE must be set, because PROMETHEUS_SSL_KEYFILE is"
        for name, variable in _variables():
            path = readable.get(name) if name.startswith("prometheus_ssl_") else None
            if isinstance(path, str) and not Path(path).exists():
                yield f"{variable.variable}={path}: there is no such file"

    def validate(self) -> bool:
        """Whether nothing is wrong. What is goes to the log."""
        problems = self.problems()
        for problem in problems:
            _LOG.error("%s", problem)
        return not problems

    def print_config(self) -> None:
        """Logs the settings, without secrets."""
        for name, variable in _variables():
            secret = name == "redis_password" and getattr(self, name)
            _LOG.info("%s: %s", variable.variable, "********" if secret else getattr(self, name))


def _variables() -> Iterator[tuple[str, _Variable[Any]]]:
    for name, variable in vars(ExporterConfig).items():
        if isinstance(variable, _Variable):
            yield name, variable


# ENV_REDIS_HOST = "REDIS_HOST" and so on: code names variables by these.
for _name, _variable in list(_variables()):
    setattr(ExporterConfig, f"ENV_{_variable.variable}", _variable.variable)
# The names of that package's defaults. Here, too, the environment is read when they are asked for and not at import.
for _variable in (
    *(ExporterConfig.prometheus_multiproc_dir, ExporterConfig.prometheus_metrics_port, ExporterConfig.prometheus_bind_address),
    *(ExporterConfig.gunicorn_workers, ExporterConfig.gunicorn_timeout, ExporterConfig.gunicorn_keepalive),
):
    setattr(ExporterConfig, _variable.variable, _Constant(_variable))
ExporterConfig.ENV_SIDECAR_MODE = "SIDECAR_MODE"  # type: ignore[attr-defined]
