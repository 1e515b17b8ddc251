"""What forks, threads and sudden ends do to metrics of a preloaded application."""

from __future__ import annotations

import os
import signal
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import BINARY, WHY_NO_BINARY
from running import Load, eventually, get, interpreter, start  # noqa: F401

pytestmark = [pytest.mark.skipif(not BINARY, reason=WHY_NO_BINARY), pytest.mark.timeout(120)]

# Made, and counted, at import: in the master, before the first worker and so before values are in segments.
PRELOADED = """
    import os, threading, time
    from prometheus_client import Counter, Gauge, Histogram
    REQUESTS = Counter("app_requests", "h")
    IMPORTED = Counter("app_imported", "h", ["how"])
    IMPORTED.labels("preload").inc(40)
    SIZES = Histogram("app_sizes", "h", buckets=[1, 10])
    SIZES.observe(5)
    LEVEL = Gauge("app_level", "h", multiprocess_mode="max")
    LEVEL.set(3)
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/exit":
            REQUESTS.inc()
            os._exit(0)
        REQUESTS.inc()
        SIZES.observe(5)
        start_response("200 OK", [])
        return [str(os.getpid()).encode()]
"""

RECORDING_THREAD = """
    TICKS = Counter("app_ticks", "h")
    TICKING = threading.Event()
    counted = 0
    def tick():
        global counted
        while not TICKING.is_set():
            TICKS.inc()
            counted += 1
            if counted % 100 == 0:
                # The forks are what this is about, and the workers need some time too.
                time.sleep(0.001)
        with open("ticks", "w") as file:
            file.write(str(counted))
    threading.Thread(target=tick, daemon=True).start()
    def stop():
        TICKING.set()
"""


def preload(tmp_path: Path, *more: str) -> None:
    (tmp_path / "application.py").write_text("".join(textwrap.dedent(text) for text in (PRELOADED, *more)))


@pytest.mark.parametrize(
    ("version", "worker", "file_mode"),
    [("newest", "Prometheus", False), ("newest", "PrometheusGevent", True), ("20.1", "PrometheusThread", True)],
)
def test_metrics_made_at_import_with_preload_count_once_and_go_on(start, tmp_path, version, worker, file_mode):
    preload(tmp_path)
    # The directory does not exist: prometheus_client alone would fail.
    variables = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "missing")} if file_mode else {}
    gunicorn = start(
        "--preload", worker_class=f"metrifold.gunicorn.{worker}Worker", python=interpreter(version), **variables
    )
    gunicorn.serves()
    answered = 1 + sum(bool(get(gunicorn.port)) for _ in range(30))
    os.kill(int(get(gunicorn.port)), signal.SIGKILL)
    answered += 1
    gunicorn.serves()
    answered += 1
    eventually(lambda: gunicorn.total() == answered)
    gunicorn.has_settled()
    page = gunicorn.page()
    assert gunicorn.samples("app_imported_total", page) == {'{how="preload"}': 40}
    assert gunicorn.samples("app_requests_total", page) == {"": answered}
    assert gunicorn.samples("app_sizes_count", page) == {"": answered + 1}
    assert gunicorn.samples("app_level", page) == {"": 3}


def test_a_thread_that_records_while_the_master_forks_loses_nothing_and_stops_nothing(start, tmp_path):
    preload(tmp_path, RECORDING_THREAD)
    (tmp_path / "gunicorn.conf.py").write_text(
        "def on_exit(server):\n    import application, time\n    application.stop()\n    time.sleep(0.2)\n"
    )
    gunicorn = start("--preload", "--max-requests", "5", METRIFOLD_AGENT__LINGER="3s")
    gunicorn.serves()
    with Load(gunicorn.port) as load:
        eventually(lambda: load.answered >= 100, 40)
    eventually(lambda: gunicorn.total() >= load.answered + 1)
    gunicorn.process.terminate()
    gunicorn.process.wait(20)
    # The thread is the master's alone: a child's copy of it does not run, and what it counted stays the master's.
    ticks = int((tmp_path / "ticks").read_text())
    eventually(lambda: gunicorn.total("app_ticks_total") == ticks)
    assert load.answered + 1 <= gunicorn.total() <= load.answered + 1 + load.failed


@pytest.mark.parametrize("worker", ["Prometheus", "PrometheusGevent"])
def test_a_worker_that_exits_at_once_has_counted(start, tmp_path, worker):
    preload(tmp_path)
    gunicorn = start(worker_class=f"metrifold.gunicorn.{worker}Worker")
    gunicorn.serves()
    for _ in range(3):
        with pytest.raises(OSError):
            get(gunicorn.port, "/exit")
        gunicorn.serves()
    eventually(lambda: gunicorn.total() == 7)
    eventually(lambda: gunicorn.total("gunicorn_worker_restart_total") == 3)
    assert all('reason="exit"' in labels for labels in gunicorn.samples("gunicorn_worker_restart_total"))


def test_an_interpreter_that_ends_while_everything_counts_leaves_nothing_behind(start, tmp_path):
    preload(tmp_path)
    gunicorn = start("--threads", "8", worker_class="metrifold.gunicorn.PrometheusThreadWorker", METRIFOLD_AGENT__LINGER="3s")
    gunicorn.serves()
    with Load(gunicorn.port, threads=8) as load:
        eventually(lambda: load.answered >= 100)
        gunicorn.process.terminate()
        gunicorn.process.wait(20)
        # What follows is refused: nobody listens any more.
        answered = load.answered
    assert load.answered == answered
    eventually(lambda: gunicorn.total() >= answered + 1)
    assert answered + 1 <= gunicorn.total() <= answered + 1 + 8


def test_a_hook_that_marks_processes_dead_does_no_harm_to_a_master_without_files(start, tmp_path):
    """Without PROMETHEUS_MULTIPROC_DIR prometheus_client's function fails, and gunicorn's master with it."""
    hook = """
        from prometheus_client import multiprocess
        from prometheus_client.multiprocess import mark_process_dead
        def child_exit(server, worker):
            multiprocess.mark_process_dead(worker.pid)
            mark_process_dead(worker.pid)
            server.log.info("marked %s", worker.pid)
    """
    (tmp_path / "gunicorn.conf.py").write_text(textwrap.dedent(hook))
    gunicorn = start("--config", str(tmp_path / "gunicorn.conf.py"))
    gunicorn.serves()
    [first, *_] = gunicorn.workers()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: f"marked {first}" in gunicorn.log())
    eventually(lambda: len(gunicorn.workers()) == 2)
    gunicorn.serves()


def test_threads_make_a_worker_of_several_threads_as_with_gunicorns_own_class(start, tmp_path):
    """Two requests meet in one worker, which a worker of one thread would serve one after the other."""
    application = """
        import threading
        from prometheus_client import Counter
        REQUESTS = Counter("app_requests", "h")
        both = threading.Barrier(2)
        def app(environ, start_response):
            if environ["PATH_INFO"] == "/both":
                both.wait(20)
            REQUESTS.inc()
            start_response("200 OK", [])
            return [b"met"]
    """
    (tmp_path / "application.py").write_text(textwrap.dedent(application))
    gunicorn = start("--threads", "2", "--workers", "1")
    gunicorn.serves()
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda path: get(gunicorn.port, path), ["/both", "/both"])) == ["met", "met"]
