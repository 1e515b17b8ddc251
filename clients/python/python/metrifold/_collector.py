"""prometheus_client's multiprocess mode, read faster: what stands in for its ``multiprocess`` module."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from . import _native

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

_LOG = logging.getLogger("metrifold")
_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
_DEPRECATED = "prometheus_multiproc_dir"

# What was logged already: a problem is worth a line, but not one at every scrape.
_logged: set[str] = set()
_LOGGED_MAX = 1_000


class MultiProcessCollector:
    """Merges the files of all processes, as ``prometheus_client.multiprocess.MultiProcessCollector`` does.

    The numbers are the same, whatever order the directory has; docs/conformance.md lists where and why they differ. A damaged
    file costs itself and not the scrape: it is left out, and the logger ``metrifold`` names it.
    """

    def __init__(self, registry: CollectorRegistry | None, path: str | None = None) -> None:
        self._path = _directory(path)
        if registry:
            registry.register(self)

    @staticmethod
    def merge(files: Iterable[str], accumulate: bool = True) -> list[Metric]:
        """Merges files.

        :param accumulate: whether buckets count what lies below them too, as in a scrape. For writing the merged values back
            into a file, ``False``.
        :raises FileNotFoundError: if a file is missing, unless it is one of a live gauge.
        """
        return _metrics(*_native.merge_files([os.fspath(file) for file in files], accumulate))

    def collect(self) -> list[Metric]:
        """Merges all files of the directory."""
        return _metrics(*_native.collect_directory(self._path))


def generate_latest(path: str | None = None) -> bytes:
    """All files of a directory as a scrape in the text format 0.0.4.

    What ``prometheus_client.generate_latest`` makes of a registry with nothing but a :class:`MultiProcessCollector`, without
    an object per sample.

    :param path: the directory. Default: PROMETHEUS_MULTIPROC_DIR.
    """
    text, problems = _native.directory_text(_directory(path))
    _log(problems)
    return text


def mark_process_dead(pid: int | str, path: str | None = None) -> None:
    """Removes the live gauges of a process that has ended.

    :param path: the directory. Default: PROMETHEUS_MULTIPROC_DIR.
    """
    if path is None:
        path = os.environ.get(_DIRECTORY, os.environ.get(_DEPRECATED))
    if path is None and _native.status() is not None:
        # After install() there are no files: what is left over of a hook for them does no harm.
        return
    if path is None:
        raise ValueError(f"env {_DIRECTORY} is not set")
    _native.remove_live_files(path, str(pid))


def _directory(path: str | None) -> str:
    if path is None:
        if _DEPRECATED in os.environ and _DIRECTORY not in os.environ:
            os.environ[_DIRECTORY] = os.environ[_DEPRECATED]
            warnings.warn(
                f"{_DEPRECATED} variable has been deprecated in favor of the upper case naming {_DIRECTORY}",
                DeprecationWarning,
                stacklevel=3,
            )
        path = os.environ.get(_DIRECTORY)
    if not path or not os.path.isdir(path):
        raise ValueError(f"env {_DIRECTORY} is not set or not a directory")
    return path


def _metrics(families: list[tuple[str, str, str, list[Any]]], problems: list[str]) -> list[Metric]:
    # Here and not at import: importing prometheus_client decides by the environment.
    from prometheus_client.metrics_core import Metric
    from prometheus_client.samples import Sample

    _log(problems)
    metrics = []
    for name, help_text, typ, samples in families:
        metric = Metric(name, help_text, typ)
        metric.samples = [Sample(*sample) for sample in samples]
        metrics.append(metric)
    return metrics


def _log(problems: list[str]) -> None:
    for problem in problems:
        if problem not in _logged and len(_logged) < _LOGGED_MAX:
            _logged.add(problem)
            _LOG.warning("%s", problem)
