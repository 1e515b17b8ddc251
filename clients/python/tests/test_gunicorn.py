"""metrifold.gunicorn with a real gunicorn and the real binary."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import BINARY, WHY_NO_BINARY

from metrifold import _native
from metrifold.gunicorn._settings import Settings

needs_binary = pytest.mark.skipif(not BINARY, reason=WHY_NO_BINARY)

APPLICATION = """
    import os
    from prometheus_client import Counter
    REQUESTS = Counter("app_requests", "h")
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        REQUESTS.inc()
        return [str(os.getpid()).encode()]
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def get(port: int, path: str = "/") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.read().decode()


def eventually(what: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            if what():
                return
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


class Gunicorn:
    """A gunicorn in a directory of its own."""

    def __init__(self, directory: Path, *arguments: str, **variables: str) -> None:
        application = directory / "application.py"
        if not application.exists():
            application.write_text(textwrap.dedent(APPLICATION))
        self.directory = directory
        self.port, self.metrics_port = free_port(), free_port()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("METRIFOLD_")}
        environment |= {
            "METRIFOLD_BINARY": BINARY,
            "METRIFOLD_TARGET": f"local:{directory / 'segments'}",
            "METRIFOLD_AGENT__LINGER": "500ms",
            "PROMETHEUS_BIND_ADDRESS": "127.0.0.1",
            "PROMETHEUS_METRICS_PORT": str(self.metrics_port),
        }
        command = [
            *(sys.executable, "-m", "gunicorn", "--worker-class", "metrifold.gunicorn.PrometheusWorker"),
            *("--workers", "2", "--bind", f"127.0.0.1:{self.port}", "--chdir", str(directory)),
            *(*arguments, "application:app"),
        ]
        self._log = (directory / "log").open("w+")
        self.process = subprocess.Popen(command, env=environment | variables, stderr=self._log)

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def total(self) -> int:
        found = re.search(r"^app_requests_total (\d+)", get(self.metrics_port, "/metrics"), re.MULTILINE)
        return int(found[1]) if found else 0

    def passes(self) -> int:
        found = re.search(r"^metrifold_reaper_passes_total (\d+)", get(self.metrics_port, "/-/metrics"), re.MULTILINE)
        assert found
        return int(found[1])

    def is_served(self) -> bool:
        return _native.agent_is_running(str(self.directory / "segments"))

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self._log.close()
        if self.is_served():
            eventually(lambda: not self.is_served())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gunicorn]]:
    started: list[Gunicorn] = []

    def start(*arguments: str, **variables: str) -> Gunicorn:
        started.append(Gunicorn(tmp_path, *arguments, **variables))
        return started[-1]

    yield start
    for gunicorn in started:
        gunicorn.end()


@needs_binary
@pytest.mark.parametrize("arguments", [[], ["--preload"]])
def test_requests_are_counted_over_killed_and_recycled_workers(start, arguments):
    gunicorn = start(*arguments, "--max-requests", "25")
    answered: list[int] = []

    def ask() -> bool:
        answered.append(int(get(gunicorn.port)))
        return True

    eventually(ask)
    for _ in range(3):
        for _ in range(30):
            eventually(ask)
        # Between two requests, so that the killed worker has counted what it answered and nothing else.
        os.kill(answered[-1], signal.SIGKILL)
    eventually(lambda: gunicorn.total() >= len(answered))
    # Whatever could be counted twice has been pushed once more, and folded if it is dead, after two passes of a second.
    passes = gunicorn.passes()
    eventually(lambda: gunicorn.passes() >= passes + 2)
    assert gunicorn.total() == len(answered)
    assert len(set(answered)) > 4
    page = get(gunicorn.metrics_port, "/metrics")
    handled = re.findall(r'^gunicorn_worker_requests_total\{worker_id="(\d+)"\} (\d+)', page, re.MULTILINE)
    # A killed worker may have died between its answer and its own count.
    assert len(answered) - 3 <= sum(int(count) for _, count in handled) <= len(answered)
    assert {int(place) for place, _ in handled} <= {1, 2, 3, 4}
    assert "Worker (pid:" not in "".join(line for line in gunicorn.log().splitlines() if "code" in line)


@needs_binary
def test_the_server_is_no_child_of_the_master_and_outlives_it(start):
    gunicorn = start(METRIFOLD_AGENT__LINGER="3s")
    eventually(lambda: bool(get(gunicorn.port)))
    children = Path(f"/proc/{gunicorn.process.pid}/task/{gunicorn.process.pid}/children").read_text().split()
    names = [Path(f"/proc/{pid}/comm").read_text().strip() for pid in children]
    assert "metrifold" not in names
    eventually(lambda: gunicorn.total() >= 1)
    counted = gunicorn.total()
    gunicorn.process.kill()
    gunicorn.process.wait()
    assert gunicorn.total() == counted
    # Idle once the workers have seen that their master is gone.
    eventually(lambda: not gunicorn.is_served())


@needs_binary
def test_a_server_that_died_is_started_again_with_the_next_worker(start):
    gunicorn = start()
    eventually(lambda: bool(get(gunicorn.port)))
    eventually(lambda: gunicorn.total() >= 1)
    counted = gunicorn.total()
    os.kill(int((gunicorn.directory / "segments" / "agent.lock").read_text()), signal.SIGKILL)
    eventually(lambda: not gunicorn.is_served())
    os.kill(int(get(gunicorn.port)), signal.SIGKILL)
    eventually(lambda: gunicorn.total() >= counted + 1)


def test_a_remote_target_gets_what_the_local_server_gets(server, start, tmp_path):
    gunicorn = start(
        METRIFOLD_TARGET=server.url,
        METRIFOLD_NAMESPACE="metrifold",
        METRIFOLD_AGENT__SEGMENT_DIR=str(tmp_path / "segments"),
    )
    eventually(lambda: bool(get(gunicorn.port)))
    os.kill(int(get(gunicorn.port)), signal.SIGKILL)
    eventually(lambda: bool(get(gunicorn.port)))
    eventually(lambda: gunicorn.total() >= 3)
    eventually(lambda: server.sample("app_requests_total") == gunicorn.total())


INSTALLING = "    import metrifold\n    metrifold.install()\n" + APPLICATION


@needs_binary
@pytest.mark.parametrize("arguments", [[], ["--preload"]])
def test_an_application_that_installs_itself_is_shown_as_well(start, tmp_path, arguments):
    (tmp_path / "application.py").write_text(textwrap.dedent(INSTALLING))
    gunicorn = start(*arguments)
    eventually(lambda: bool(get(gunicorn.port)))
    eventually(lambda: gunicorn.total() >= 1)
    assert "Warning" not in gunicorn.log()


def test_a_preloaded_application_that_installs_for_a_remote_target_pushes_for_itself(server, start, tmp_path):
    (tmp_path / "application.py").write_text(textwrap.dedent(INSTALLING))
    gunicorn = start("--preload", METRIFOLD_TARGET=server.url)
    eventually(lambda: bool(get(gunicorn.port)))
    eventually(lambda: server.sample("app_requests_total") >= 1)
    assert "each worker pushes for itself" in gunicorn.log()


@needs_binary
@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"METRIFOLD_BINARY": "/nonexistent"}, "METRIFOLD_BINARY=/nonexistent is no executable"),
        ({"METRIFOLD_NAMSPACE": "x"}, "METRIFOLD_NAMSPACE"),
        ({"PROMETHEUS_METRICS_PORT": "many"}, "PROMETHEUS_METRICS_PORT=many"),
        ({"METRIFOLD_TARGET": "nonsense"}, "METRIFOLD_TARGET"),
    ],
)
def test_what_cannot_start_never_stops_gunicorn_and_says_why(start, variables, reason):
    gunicorn = start(**variables)
    eventually(lambda: bool(get(gunicorn.port)))
    assert reason in gunicorn.log()
    assert gunicorn.process.poll() is None


@needs_binary
def test_a_port_in_use_never_stops_gunicorn_and_says_why(start, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gunicorn = start(PROMETHEUS_METRICS_PORT=str(taken.getsockname()[1]))
        eventually(lambda: bool(get(gunicorn.port)))
        assert "the local server did not start" in gunicorn.log()
        assert str(taken.getsockname()[1]) in gunicorn.log()


@pytest.fixture
def bare(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("METRIFOLD_", "PROMETHEUS_", "REDIS_")):
            monkeypatch.delenv(name)
    return monkeypatch


def test_defaults_are_those_of_the_guide_with_a_directory_per_port(bare):
    settings = Settings.from_environment()
    assert settings.listen == "0.0.0.0:9090"
    assert settings.namespace == "gunicorn"
    assert settings.directory == os.path.join(_native.default_directory(), "gunicorn-9090")
    assert settings.command()[0] == "serve"
    bare.setenv("PROMETHEUS_METRICS_PORT", "9200")
    bare.setenv("PROMETHEUS_BIND_ADDRESS", "::1")
    bare.setenv("REDIS_KEY_PREFIX", "shop")
    settings = Settings.from_environment()
    assert (settings.listen, settings.namespace) == ("[::1]:9200", "shop")
    assert settings.directory.endswith("gunicorn-9200")


def test_a_remote_target_becomes_the_upstream_and_no_password_is_shown(bare):
    for name, value in {"ENABLED": "true", "HOST": "cache", "PASSWORD": "hunter2"}.items():
        bare.setenv(f"REDIS_{name}", value)
    settings = Settings.from_environment()
    command, environment = settings.command(), settings.environment()
    assert command[0] == "agent"
    assert environment["METRIFOLD_UPSTREAM__TARGET"] == "redis://:hunter2@cache:6379/0"
    assert "REDIS_ENABLED" not in environment
    assert "hunter2" not in " ".join(command) + repr(settings)
    bare.setenv("METRIFOLD_TARGET", "http://collector:9091")
    assert Settings.from_environment().upstream == "http://collector:9091"
