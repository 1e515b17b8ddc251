"""Gives prometheus_client values that live in a segment."""

from __future__ import annotations

import atexit
import logging
import os
import warnings
from collections.abc import Mapping

from . import _native

_LOG = logging.getLogger("metrifold")


class NotInstalledError(RuntimeError):
    """What was asked for exists only after ``metrifold.install()``."""


def install(
    *,
    namespace: str | None = None,
    instance: str | None = None,
    directory: str | None = None,
    labels: Mapping[str, str] | None = None,
    from_now: bool = False,
) -> _native.Status:
    """Lets all metrics of prometheus_client, existing and future ones, keep their values in a segment.

    Call it as early as you like, before or after a fork. What was counted before the call is taken over.

    :param namespace: keeps applications apart. Default: METRIFOLD_NAMESPACE, else ``metrifold``.
    :param instance: host, pod or container. Default: METRIFOLD_INSTANCE, else the host's name.
    :param directory: the segment directory. Default: METRIFOLD_TARGET (``local:DIR``, or the address of a collector), else
        ``/dev/shm/metrifold-<uid>``.
    :param labels: constant labels of this worker. Default: METRIFOLD_LABELS (``zone=a,tier=web``), else none.
    :param from_now: leaves out what was counted before the call. For a fork's child whose parent reports that itself.
    :raises ValueError: for a setting that can never work. Never because something is down or full: then
        :func:`metrifold.status` tells what is wrong, and the metrics count on for this process.

    Calling it again does nothing, and warns if it asks for other settings than those in force.
    """
    is_first = _native.status() is None
    differing = _native.open(
        namespace=namespace,
        instance=instance,
        directory=None if directory is None else os.path.abspath(directory),
        labels=None if labels is None else dict(labels),
    )
    if differing:
        warnings.warn(
            f"metrifold is already installed with other settings; these are ignored: {', '.join(differing)}",
            RuntimeWarning,
            stacklevel=2,
        )
    if is_first:
        os.register_at_fork(after_in_child=_follow_fork)
        atexit.register(_end)
    # Here and not at import: importing prometheus_client decides by the environment and registers collectors.
    from ._migrate import migrate

    migrate(from_now)
    return status()


def status() -> _native.Status:
    """How recording goes on: where values are, and what was refused.

    :raises NotInstalledError: before :func:`install`.
    """
    current = _native.status()
    if current is None:
        raise NotInstalledError("metrifold.install() has not been called in this process")
    return current


def _follow_fork() -> None:
    if problem := _native.follow_fork():
        _LOG.warning("metrifold cannot push from this process: %s", problem)


def _end() -> None:
    if problem := _native.end():
        _LOG.warning("metrifold could not make its last push: %s", problem)
