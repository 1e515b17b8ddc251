"""metrifold.gunicorn with a real gunicorn and the real binary."""

from __future__ import annotations

import os
import re
import signal
import socket
import textwrap
from pathlib import Path

import pytest

from conftest import BINARY, WHY_NO_BINARY
from running import APPLICATION, eventually, get, start  # noqa: F401

from metrifold import _native
from metrifold.gunicorn._port import holder
from metrifold.gunicorn._settings import Settings

needs_binary = pytest.mark.skipif(not BINARY, reason=WHY_NO_BINARY)


# As the log names this process.
ME = f"pid {os.getpid()} ({Path('/proc/self/comm').read_text().strip()})"


@needs_binary
def test_process_metrics_are_those_of_the_living_workers_and_their_cpu_time_that_of_all(start):
    gunicorn = start("--preload")
    pattern = r'^process_resident_memory_bytes\{pid="(\d+)"\} \S+$'

    def sampled() -> set[int]:
        return {int(pid) for pid in re.findall(pattern, get(gunicorn.metrics_port, "/metrics"), re.MULTILINE)}

    def cpu_seconds() -> float:
        page = get(gunicorn.metrics_port, "/metrics")
        found = re.search(r"^process_cpu_seconds_total (\S+)$", page, re.MULTILINE)
        return float(found[1]) if found else 0.0

    eventually(lambda: bool(get(gunicorn.port)) and len(sampled()) == 2)
    assert gunicorn.process.pid not in sampled(), "the master has no heartbeat"
    # A page may show the first half of a sampling.
    eventually(lambda: cpu_seconds() > 0)
    before, spent = sampled(), cpu_seconds()
    os.kill(min(before), signal.SIGKILL)
    eventually(lambda: bool(get(gunicorn.port)) and len(sampled()) == 2 and sampled() != before)
    assert cpu_seconds() >= spent


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
    gunicorn.has_settled()
    assert gunicorn.total() == len(answered)
    assert len(set(answered)) > 4
    page = get(gunicorn.metrics_port, "/metrics")
    handled = re.findall(r'^gunicorn_worker_requests_total\{worker_id="(\d+)"\} (\d+)', page, re.MULTILINE)
    assert sum(int(count) for _, count in handled) == len(answered)
    assert {int(place) for place, _ in handled} <= {1, 2, 3, 4}
    assert "Worker (pid:" not in "".join(line for line in gunicorn.log().splitlines() if "code" in line)


@needs_binary
def test_the_server_is_no_child_of_the_master_and_outlives_it(start):
    # Idle workers look for their master at every heartbeat.
    gunicorn = start("--timeout", "4", METRIFOLD_AGENT__LINGER="3s")
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
def test_a_port_in_use_never_stops_gunicorn_and_is_served_once_it_is_free(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gunicorn = start(PROMETHEUS_METRICS_PORT=str(port))
        eventually(lambda: bool(get(gunicorn.port)))
        assert "the local server did not start" in gunicorn.log()
        assert f"(port {port} is held by {ME})" in gunicorn.log()
        counted = 1 + sum(bool(get(gunicorn.port)) for _ in range(20))

    def ask() -> bool:
        """A sync worker's heart beats with its requests."""
        nonlocal counted
        counted += bool(get(gunicorn.port))
        return gunicorn.is_served()

    eventually(ask)
    eventually(lambda: gunicorn.total() == counted)


def test_the_holder_of_a_port_is_the_process_that_listens_there():
    for address in ("127.0.0.1", "::1"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.create_server((address, 0), family=family) as taken:
            port = taken.getsockname()[1]
            assert holder(port) == ME
            # A connection has the port too, and does not hold it.
            with socket.create_connection((address, port)), taken.accept()[0]:
                taken.close()
                assert holder(port) is None


@pytest.fixture
def bare(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("METRIFOLD_", "PROMETHEUS_", "REDIS_")):
            monkeypatch.delenv(name)
    return monkeypatch


def test_defaults_are_those_of_the_guide_with_a_directory_per_port(bare):
    settings = Settings.from_environment()
    assert settings.listen == "0.0.0.0:9090"
    assert settings.namespace == "metrifold"
    assert settings.directory == os.path.join(_native.default_directory(), "gunicorn-9090")
    assert settings.command()[0] == "serve"
    bare.setenv("PROMETHEUS_METRICS_PORT", "9200")
    bare.setenv("PROMETHEUS_BIND_ADDRESS", "::1")
    bare.setenv("REDIS_ENABLED", "true")
    assert Settings.from_environment().namespace == "gunicorn"
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
