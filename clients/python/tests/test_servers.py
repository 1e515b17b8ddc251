"""Application servers other than gunicorn: the same recording, whoever makes the processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import textwrap
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Segments, Server, eventually

REQUESTS = 20

#: Counts requests, and keeps its own count of them: a byte in a file each.
COUNTING = """
    import os
    import metrifold
    from prometheus_client import Counter
    metrifold.install()
    requests = Counter("app_requests", "Requests.")
    ledger = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def count():
        os.write(ledger, b".")
        requests.inc()
        return str(os.getpid())
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Application:
    """A program in a directory of its own, and what it wrote down."""

    def __init__(self, directory: Path, segments: Segments, text: str) -> None:
        self.directory = directory
        self._segments = segments
        (directory / "program.py").write_text(textwrap.dedent(COUNTING) + textwrap.dedent(text))

    @property
    def counted(self) -> int:
        """What it has counted, by its own ledger."""
        return (self.directory / "ledger").stat().st_size

    @contextmanager
    def running(self, program: str, *arguments: str, **variables: str) -> Iterator[int]:
        """Runs a server in a process group of its own, which all of its workers end with. Gives its pid."""
        with (self.directory / "application.log").open("w") as log:
            process = subprocess.Popen(
                [Path(sysconfig.get_path("scripts"), program), *arguments],
                cwd=self.directory,
                env=self._segments.environment(**variables),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process.pid
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=20)


def count_through_a_sigkill(application: Application, server: Server, ask: Callable[[], set[str]]) -> None:
    """SIGKILLs a worker between two requests, and demands every request of it and of its successor.

    :param ask: lets workers count, and returns the pids of those that did; none if nobody answers.
    """
    eventually(lambda: bool(ask()))
    answers = [ask() for _ in range(REQUESTS)]
    assert all(answers)
    pids = set().union(*answers)
    os.kill(int(min(pids)), signal.SIGKILL)
    eventually(lambda: bool(ask() - pids))
    assert application.counted > REQUESTS
    eventually(lambda: server.sample("app_requests_total") == application.counted)


def asking(port: int) -> Callable[[], set[str]]:
    def ask() -> set[str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                return {answer.read().decode()}
        except OSError:
            return set()

    return ask


def test_uvicorn_workers_are_counted_together_through_a_sigkill(segments, local_server, tmp_path):
    text = """
        async def app(scope, receive, send):
            body = count().encode()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
            await send({"type": "http.response.body", "body": body})
    """
    application, port = Application(tmp_path, segments, text), free_port()
    with application.running("uvicorn", "--workers", "2", "--lifespan", "off", "--port", str(port), "program:app"):
        count_through_a_sigkill(application, local_server, asking(port))


#: The application, and what uWSGI needs to run it: a master makes new workers, and ends at SIGTERM only if told to.
UWSGI = """
    import time

    def application(environ, start_response):
        # Long enough for the other worker to take the next one.
        time.sleep(0.02)
        body = count().encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
"""
UWSGI_OPTIONS = ("--master", "--die-on-term", "--need-app", "--processes", "2", "--module", "program", "--http-socket")
#: The application is loaded by the master, which forks; by each worker; by the master, which tells the interpreter of forks.
UWSGI_MODES = pytest.mark.parametrize(
    "mode", [(), ("--lazy-apps",), ("--py-call-uwsgi-fork-hooks",)], ids=["forked", "lazy", "hooked"]
)


def asking_four(port: int) -> Callable[[], set[str]]:
    def ask() -> set[str]:
        with ThreadPoolExecutor(4) as threads:
            return set().union(*threads.map(lambda ask: ask(), [asking(port)] * 4))

    return ask


@UWSGI_MODES
def test_uwsgi_workers_are_counted_together_through_a_sigkill(segments, local_server, tmp_path, mode):
    application, port = Application(tmp_path, segments, UWSGI), free_port()
    with application.running("uwsgi", *UWSGI_OPTIONS, f"127.0.0.1:{port}", *mode):
        count_through_a_sigkill(application, local_server, asking_four(port))
    log = (tmp_path / "application.log").read_text()
    assert "Respawned uWSGI worker" in log
    assert "panicked" not in log, log


@UWSGI_MODES
def test_uwsgi_workers_push_and_leave_nothing_behind_at_their_end(segments, server, tmp_path, mode):
    """uWSGI forks without telling the interpreter: workers of an application that the master had loaded did not push."""
    application, port = Application(tmp_path, segments, UWSGI), free_port()
    # None but the last push can be in time. Brutally ended, which is the default, a busy worker does not make it.
    target = {"METRIFOLD_TARGET": server.url, "METRIFOLD_PUSH_INTERVAL": "5m", "METRIFOLD_EXIT_TIMEOUT": "10s"}
    gracefully = ("--hook-master-start", "unix_signal:15 gracefully_kill_them_all")
    with application.running("uwsgi", *UWSGI_OPTIONS, f"127.0.0.1:{port}", *mode, *gracefully, **target) as master:
        ask = asking_four(port)
        eventually(lambda: len(ask()) == 2)
        # To the master alone: a worker that gets a second signal, the master's, leaves its interpreter where it stands.
        os.kill(master, signal.SIGTERM)
        eventually(lambda: server.sample("app_requests_total") == application.counted)
    # It ends an interpreter later than its thread.
    assert "panicked" not in (tmp_path / "application.log").read_text()


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_celery_prefork_workers_are_counted_together_through_a_sigkill(segments, local_server, tmp_path):
    port = free_port()
    text = f"""
        import time
        from celery import Celery
        app = Celery("program", broker="redis://127.0.0.1:{port}", backend="redis://127.0.0.1:{port}")

        @app.task(name="work")
        def work():
            # Long enough for the other worker to take the next one.
            time.sleep(0.02)
            return count()
    """
    application = Application(tmp_path, segments, text)
    redis = subprocess.Popen(["redis-server", "--port", str(port), "--save", ""], cwd=tmp_path, stdout=subprocess.DEVNULL)
    from celery import Celery, exceptions
    from kombu.exceptions import OperationalError

    address = f"redis://127.0.0.1:{port}"
    sender = Celery("sender", broker=address, backend=address)

    def ask() -> set[str]:
        try:
            results = [sender.send_task("work") for _ in range(4)]
            return {result.get(timeout=5) for result in results}
        except (exceptions.TimeoutError, OperationalError):
            return set()

    try:
        with application.running("celery", "--app", "program", "worker", "--concurrency", "2", "--pool", "prefork"):
            count_through_a_sigkill(application, local_server, ask)
    finally:
        redis.terminate()
        redis.wait()
