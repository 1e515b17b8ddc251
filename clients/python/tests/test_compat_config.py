"""The life of a configuration of gunicorn_prometheus_exporter, as its states and other threads see it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from gunicorn_prometheus_exporter.config import ConfigManager, get_config, initialize_config, manager

PREFIXES = ("METRIFOLD_", "PROMETHEUS_", "REDIS_", "GUNICORN_", "CLEANUP_", "SIDECAR_")


@pytest.fixture(autouse=True)
def bare(tmp_path) -> Iterator[None]:
    """An environment without settings, and no configuration. What a test sets, by whatever way, ends with the test."""
    kept = dict(os.environ)
    for name in kept:
        if name.startswith(PREFIXES):
            del os.environ[name]
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(tmp_path)
    manager.cleanup_config()
    yield
    manager.cleanup_config()
    os.environ.clear()
    os.environ.update(kept)


class Watched(ConfigManager):
    """Remembers its states."""

    def __init__(self) -> None:
        self.states: list[str] = []
        super().__init__()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "_state":
            self.states.append(self.state.value)


def test_a_configuration_goes_through_the_states_that_the_guide_draws():
    watched = Watched()
    watched.initialize(PROMETHEUS_METRICS_PORT="9091")
    assert watched.states == ["uninitialized", "initializing", "validating", "initialized"]
    watched.states.clear()
    watched.update_config(GUNICORN_WORKERS=2)
    assert watched.states == ["updating", "validating", "initialized"]
    watched.states.clear()
    watched.reload_config()
    assert watched.states == ["updating", "validating", "initialized"]
    watched.states.clear()
    with pytest.raises(ValueError, match="GUNICORN_WORKERS=0"):
        watched.update_config(GUNICORN_WORKERS=0)
    assert watched.states == ["updating", "validating", "error"]
    watched.states.clear()
    watched.cleanup()
    assert watched.states == ["cleanup"]


def test_a_configuration_that_is_asked_for_while_it_is_initialized_is_the_one_that_was_given(monkeypatch):
    beginning, both = threading.Event(), threading.Barrier(2)
    problems: list[BaseException] = []
    found: list[int] = []

    class Slow(ConfigManager):
        """Begins only when a second thread has begun as well, if that can be."""

        def initialize(self, *args: Any, **variables: Any) -> None:
            beginning.set()
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(1)
            super().initialize(*args, **variables)

    def run(act: Any) -> None:
        try:
            act()
        except RuntimeError as error:
            problems.append(error)

    monkeypatch.setattr(manager, "_manager", Slow())
    initializing = threading.Thread(target=run, args=(lambda: initialize_config(PROMETHEUS_METRICS_PORT="9091"),))
    asking = threading.Thread(target=run, args=(lambda: found.append(get_config().prometheus_metrics_port),))
    initializing.start()
    assert beginning.wait(10)
    asking.start()
    for thread in (initializing, asking):
        thread.join()
    assert (problems, found) == ([], [9091])
