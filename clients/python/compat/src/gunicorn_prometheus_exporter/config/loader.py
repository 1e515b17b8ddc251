"""The YAML file."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_LOG = logging.getLogger(__name__)

_SSL_VARIABLES = {
    "certfile": "PROMETHEUS_SSL_CERTFILE",
    "keyfile": "PROMETHEUS_SSL_KEYFILE",
    "client_cafile": "PROMETHEUS_SSL_CLIENT_CAFILE",
    "client_capath": "PROMETHEUS_SSL_CLIENT_CAPATH",
    "client_auth_required": "PROMETHEUS_SSL_CLIENT_AUTH_REQUIRED",
}
# Path below ``exporter`` to variable; of two paths to one variable, the later wins.
_VARIABLES: dict[tuple[str, ...], str] = {
    # That package's README has the section here, and its loader there.
    **{("ssl", key): variable for key, variable in _SSL_VARIABLES.items()},
    **{("prometheus", "ssl", key): variable for key, variable in _SSL_VARIABLES.items()},
    ("prometheus", "metrics_port"): "PROMETHEUS_METRICS_PORT",
    ("prometheus", "bind_address"): "PROMETHEUS_BIND_ADDRESS",
    ("prometheus", "multiproc_dir"): "PROMETHEUS_MULTIPROC_DIR",
    ("gunicorn", "workers"): "GUNICORN_WORKERS",
    ("gunicorn", "timeout"): "GUNICORN_TIMEOUT",
    ("gunicorn", "keepalive"): "GUNICORN_KEEPALIVE",
    ("redis", "enabled"): "REDIS_ENABLED",
    ("redis", "host"): "REDIS_HOST",
    ("redis", "port"): "REDIS_PORT",
    ("redis", "db"): "REDIS_DB",
    ("redis", "password"): "REDIS_PASSWORD",
    ("redis", "ssl"): "REDIS_SSL",
    ("redis", "key_prefix"): "REDIS_KEY_PREFIX",
    ("redis", "ttl_seconds"): "REDIS_TTL_SECONDS",
    ("redis", "ttl_disabled"): "REDIS_TTL_DISABLED",
    ("cleanup", "db_files"): "CLEANUP_DB_FILES",
}
# Sections that say themselves whether they count.
_SWITCHED = (("redis",), ("ssl",), ("prometheus", "ssl"))
_REQUIRED = (("prometheus", "metrics_port"), ("prometheus", "bind_address"))
_SECTIONS = {keys[:length] for keys in _VARIABLES for length in range(1, len(keys))}
_KNOWN = {*_VARIABLES, *_SECTIONS, *((*section, "enabled") for section in _SWITCHED)}


def load_yaml_config(config_file_path: str) -> None:
    """Sets the variables that a file gives and the environment does not. Keys that are not known are warned of.

    :raises FileNotFoundError: if there is no such file.
    :raises ValueError: with all that is wrong in it.
    """
    for variable, value in read(config_file_path).items():
        if variable in os.environ:
            _LOG.debug("%s is set in the environment, which stands", variable)
        else:
            os.environ[variable] = value


def read(config_file_path: str) -> dict[str, str]:
    """The variables that a file gives."""
    import yaml

    path = Path(config_file_path)
    if not path.exists():
        raise FileNotFoundError(f"Configuration file not found: {path}")
    if not path.is_file():
        raise ValueError(f"{path} is no file")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {error}") from error
    exporter = content.get("exporter") if isinstance(content, dict) else None
    if not isinstance(exporter, dict):
        raise ValueError(f"{path} must have a section 'exporter' at its root")
    if problems := list(_problems(exporter)):
        raise ValueError(f"{path}: {'; '.join(problems)}")
    for keys in _unknown(exporter):
        _LOG.warning("%s: %s is not known and counts for nothing%s", path, _name(keys), _suggestion(keys))
    off = [section for section in _SWITCHED if not _at(exporter, (*section, "enabled"))]
    return {
        variable: str(value).lower() if isinstance(value, bool) else str(value)
        for keys, variable in _VARIABLES.items()
        if (value := _at(exporter, keys)) is not None and not any(keys[: len(section)] == section for section in off)
    }


def _problems(exporter: dict[str, Any]) -> Iterator[str]:
    for keys in sorted(_SECTIONS):
        inside = _at(exporter, keys[:-1])
        if isinstance(inside, dict) and keys[-1] in inside and not isinstance(inside[keys[-1]], dict):
            yield f"{_name(keys)} must be a section"
    for keys in _REQUIRED:
        if _at(exporter, keys) is None:
            yield f"{_name(keys)} is missing"


def _unknown(section: dict[Any, Any], keys: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in section.items():
        path = (*keys, str(key))
        if path not in _KNOWN:
            yield path
        elif path in _SECTIONS:
            yield from _unknown(value, path)


def _suggestion(keys: tuple[str, ...]) -> str:
    """A key that is written alike, and of several the one in the nearest place: the place is more often wrong than the key."""
    alike = difflib.get_close_matches(keys[-1], sorted({known[-1] for known in _KNOWN}), n=1)
    places = sorted(_name(known) for known in _KNOWN if known[-1] in alike)
    nearest = difflib.get_close_matches(_name(keys), places, n=1, cutoff=0)
    return f"; did you mean {nearest[0]}?" if nearest else ""


def _name(keys: tuple[str, ...]) -> str:
    return ".".join(("exporter", *keys))


def _at(section: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        section = section.get(key) if isinstance(section, dict) else None
    return section
