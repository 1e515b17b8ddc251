"""What the environment says about a gunicorn's metrics. Names and defaults are those of gunicorn-prometheus-exporter."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from .. import _native

# The agent's own store is in its memory; these would make Redis its store as well as its upstream.
_REDIS_STORE_VARIABLES = ("REDIS_ENABLED", "METRIFOLD_REDIS__URL")


@dataclass(frozen=True)
class Settings:
    """One gunicorn's settings."""

    #: Keeps applications apart: METRIFOLD_NAMESPACE, else REDIS_KEY_PREFIX, else ``gunicorn``.
    namespace: str
    #: Where the local Metrifold listens, ``host:port``.
    listen: str
    #: The segment directory: METRIFOLD_TARGET=local:DIR, else METRIFOLD_AGENT__SEGMENT_DIR, else one per port, so that each
    #: gunicorn of a user has its own.
    directory: str
    #: Where the local Metrifold pushes on to; None: nowhere. May hold a password.
    upstream: str | None = field(repr=False)

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] = os.environ) -> Settings:
        """:raises ValueError: for a setting that can never work."""
        host = variables.get("PROMETHEUS_BIND_ADDRESS") or "0.0.0.0"
        port = variables.get("PROMETHEUS_METRICS_PORT") or "9090"
        if not (port.isascii() and port.isdigit() and int(port) < 2**16):
            raise ValueError(f"PROMETHEUS_METRICS_PORT={port} is no port; give a number from 0 to 65535")
        place, address = _native.target()
        directory = address if place == "local" else ""
        directory = directory or variables.get("METRIFOLD_AGENT__SEGMENT_DIR") or ""
        return cls(
            namespace=variables.get("METRIFOLD_NAMESPACE") or variables.get("REDIS_KEY_PREFIX") or "gunicorn",
            listen=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            directory=directory or os.path.join(_native.default_directory(), f"gunicorn-{port}"),
            upstream=address if place == "remote" else None,
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
        environment = dict(variables)
        if self.upstream is not None:
            for name in _REDIS_STORE_VARIABLES:
                environment.pop(name, None)
            environment["METRIFOLD_UPSTREAM__TARGET"] = self.upstream
        return environment
