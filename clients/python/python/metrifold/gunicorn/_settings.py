"""What the environment says about a gunicorn's metrics. Names and defaults are those of gunicorn-prometheus-exporter."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from .. import _native

# The agent's own store is in its memory; these would make Redis its store as well as its upstream.
_REDIS_STORE_VARIABLES = ("REDIS_ENABLED", "METRIFOLD_REDIS__URL")
# About files that prometheus_client would write; with our workers, values are in segments, and nothing reads such files.
_FILE_VARIABLES = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir", "CLEANUP_DB_FILES", "SIDECAR_MODE")
# As gunicorn-prometheus-exporter reads them.
_TRUE = ("true", "1", "yes", "on")


@dataclass(frozen=True)
class Settings:
    """One gunicorn's settings."""

    #: Keeps applications apart: METRIFOLD_NAMESPACE, else REDIS_KEY_PREFIX, else what servers show that are told the same:
    #: ``gunicorn`` with REDIS_ENABLED, else ``metrifold``.
    namespace: str
    #: Where the local Metrifold listens, ``host:port``.
    listen: str
    #: The segment directory: METRIFOLD_TARGET=local:DIR, else METRIFOLD_AGENT__SEGMENT_DIR, else one per port, so that each
    #: gunicorn of a user has its own.
    directory: str
    #: Where the local Metrifold pushes on to; None: nowhere. May hold a password.
    upstream: str | None = field(repr=False)
    #: GUNICORN_METRICS_OLD_LABELS: labels as gunicorn-prometheus-exporter has them. Series grow in number with each worker.
    old_labels: bool = False

    @property
    def port(self) -> int:
        """The port of ``listen``."""
        return int(self.listen.rpartition(":")[2])

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] = os.environ) -> Settings:
        """:raises ValueError: for a setting that can never work."""
        host = variables.get("PROMETHEUS_BIND_ADDRESS") or "0.0.0.0"
        port = variables.get("PROMETHEUS_METRICS_PORT") or "9090"
        if not (port.isascii() and port.isdigit() and int(port) < 2**16):
            raise ValueError(f"PROMETHEUS_METRICS_PORT={port} is no port; give a number from 0 to 65535")
        default_namespace = "gunicorn" if is_true(variables.get("REDIS_ENABLED")) else "metrifold"
        place, address = _native.target()
        directory = address if place == "local" else ""
        directory = directory or variables.get("METRIFOLD_AGENT__SEGMENT_DIR") or ""
        return cls(
            namespace=variables.get("METRIFOLD_NAMESPACE") or variables.get("REDIS_KEY_PREFIX") or default_namespace,
            listen=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            directory=directory or os.path.join(_native.default_directory(), f"gunicorn-{port}"),
            upstream=address if place == "remote" else None,
            old_labels=is_true(variables.get("GUNICORN_METRICS_OLD_LABELS")),
        )

    def command(self) -> list[str]:
        """Arguments of the local Metrifold."""
        role = "serve" if self.upstream is None else "agent"
        return [
            *(role, "--listen", self.listen, "--segment-dir", self.directory, "--namespace", self.namespace),
            *("--exit-when-idle", "--detach"),
        ]

    def environment(self, variables: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Its environment. The upstream is here and not among the arguments, which every user of the host can read."""
        environment = {name: value for name, value in variables.items() if name not in _FILE_VARIABLES}
        if self.upstream is not None:
            for name in _REDIS_STORE_VARIABLES:
                environment.pop(name, None)
            environment["METRIFOLD_UPSTREAM__TARGET"] = self.upstream
        return environment


def is_true(text: str | None) -> bool:
    """Whether a variable says yes."""
    return (text or "").lower() in _TRUE
