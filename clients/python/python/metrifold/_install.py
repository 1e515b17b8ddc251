"""Gives prometheus_client values that live in a segment."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from . import _native

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_LOG = logging.getLogger("metrifold")

# Made by the first install().
_sampler: Any = None
# The process that samples and pushes: the one that installed, or its fork that began anew.
_pid: int | None = None


class NotInstalledError(RuntimeError):
    """What was asked for exists only after ``metrifold.install()``."""


def install(
    *,
    namespace: str | None = None,
    instance: str | None = None,
    directory: str | None = None,
    labels: Mapping[str, str] | None = None,
    from_now: bool = False,
    registries: Iterable[CollectorRegistry] | None = None,
    sample_every: float | None = None,
) -> _native.Status:
    """Lets all metrics of prometheus_client, existing and future ones, keep their values in a segment.

    Call it as early as you like, before or after a fork. What was counted before the call is taken over.

    :param namespace: keeps applications apart. Default: METRIFOLD_NAMESPACE, else ``metrifold``.
    :param instance: host, pod or container. Default: METRIFOLD_INSTANCE, else the host's name.
    :param directory: the segment directory. Default: METRIFOLD_TARGET (``local:DIR``, or the address of a collector), else
        ``/dev/shm/metrifold-<uid>``.
    :param labels: constant labels of this worker. Default: METRIFOLD_LABELS (``zone=a,tier=web``), else none.
    :param from_now: leaves out what was counted before the call. For a fork's child whose parent reports that itself.
    :param registries: whose custom collectors (process metrics among them) are sampled. Default: prometheus_client's own
        registry. Metrics of any registry are recorded, this is about collectors only.
    :param sample_every: seconds between samples of collectors and of gauges with a function, taken by a thread of this
        process and of its forks. Default: 1 if the target is a remote one, where there is a thread already; else no thread:
        :func:`metrifold.sample` takes a sample, the gunicorn worker calls it about once per second, and the end of the
        process takes a last one.
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
    # Here and not at import: importing prometheus_client decides by the environment and registers collectors.
    from prometheus_client import REGISTRY

    from ._migrate import migrate
    from ._sampling import INTERVAL_SECONDS, Sampler

    global _sampler, _pid
    if is_first:
        _sampler, _pid = Sampler(), os.getpid()
        os.register_at_fork(after_in_child=_follow_fork)
        _watch_uwsgi()
        atexit.register(_end)
    migrate(from_now, _sampler)
    for registry in [REGISTRY] if registries is None and is_first else registries or ():
        _sampler.register(registry)
    current = status()
    pushes = not current.target.startswith("local:")
    if pushes:
        # Not for others: what is in a segment needs no end.
        from ._ends import watch

        watch(_sampler, _end, _end_at_once, _flush)
    if sample_every is None and pushes:
        sample_every = INTERVAL_SECONDS
    if sample_every is not None:
        _sampler.start(sample_every)
    return current


def register(registry: CollectorRegistry) -> None:
    """Samples the custom collectors of this registry too, present and future ones.

    :raises NotInstalledError: before :func:`install`.
    """
    status()
    _sampler.register(registry)


def sample() -> None:
    """Asks custom collectors and the functions of gauges, and keeps what they say. What fails is logged, and left as it was.

    :raises NotInstalledError: before :func:`install`.
    """
    status()
    _sampler.sample()


def sample_if_due() -> None:
    """The same, at most once per second. Does nothing before :func:`install`."""
    if _sampler is not None:
        _sampler.sample_if_due()


def status() -> _native.Status:
    """How recording goes on: where values are, and what was refused.

    :raises NotInstalledError: before :func:`install`.
    """
    current = _native.status()
    if current is None:
        raise NotInstalledError("metrifold.install() has not been called in this process")
    return current


def _watch_uwsgi() -> None:
    """uWSGI makes its workers without a word to the interpreter, unless its option ``py-call-uwsgi-fork-hooks`` is set."""
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is None:
        return
    former = getattr(uwsgi, "post_fork_hook", None)

    def post_fork_hook() -> None:
        # Not if the interpreter was told; and without a master the first worker is no fork.
        if _pid != os.getpid():
            _follow_fork()
        if former is not None:
            former()

    uwsgi.post_fork_hook = post_fork_hook


def _follow_fork() -> None:
    global _pid
    _pid = os.getpid()
    from ._wrapped import reset_locks

    reset_locks()
    _sampler.follow_fork()
    if problem := _native.follow_fork():
        _LOG.warning("metrifold cannot push from this process: %s", problem)


def _end() -> None:
    try:
        _sampler.end()
    finally:
        # Also if a collector raises what is no Exception, or cannot be asked: uWSGI ends the interpreter after the thread.
        _end_at_once()


def _end_at_once() -> None:
    if problem := _native.end():
        _LOG.warning("metrifold could not make its last push: %s", problem)


def _flush() -> None:
    if problem := _native.flush():
        _LOG.warning("metrifold could not push before another program takes this process over: %s", problem)
