"""Every configuration of the guide, as it is written there, under gunicorn."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
from conftest import BINARY, WHY_NO_BINARY, Server
from redis_server import Redis, redis  # noqa: F401
from running import Gunicorn, Load, eventually, free_port, get, interpreter, start  # noqa: F401

pytestmark = [pytest.mark.skipif(not BINARY, reason=WHY_NO_BINARY), pytest.mark.timeout(120)]

GUIDE = Path(__file__).parent / "guide"
EVENTLET = ("gunicorn_async.conf.py", "gunicorn_eventlet.conf.py")
GEVENT = "gunicorn_gevent.conf.py"
REDIS = ("gunicorn_redis_backend.conf.py", "gunicorn_redis_storage.conf.py")
# Logging alone, and then "... rest of configuration".
UNFINISHED = "gunicorn_debug.conf.py"
ALL = sorted(path.name for path in GUIDE.glob("*.conf.py"))

VERSIONS = ("20.1", "23", "newest")
NO_EVENTLET = {
    "20.1": "its eventlet worker needs an eventlet before 0.30.3, which Python 3.10 and newer cannot load",
    "newest": "it has no eventlet worker",
}


def under_each_gunicorn(*names: str) -> list[Any]:
    """Each configuration under each gunicorn. Those that cannot be are skipped, and say why."""

    def case(version: str, name: str) -> Any:
        cannot_be = name in EVENTLET and version in NO_EVENTLET
        reason = f"gunicorn {version}: {NO_EVENTLET[version]}" if cannot_be else ""
        return pytest.param(version, name, marks=pytest.mark.skipif(cannot_be, reason=reason))

    return [case(version, name) for name in names for version in VERSIONS]


def needs(module: str, version: str) -> None:
    """Skips a test where the environment of a gunicorn lacks a package that it could have."""
    command = [interpreter(version), "-c", f"import importlib.util; assert importlib.util.find_spec({module!r})"]
    if subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode != 0:
        pytest.skip(f"{module} is not installed beside gunicorn {version}")


@pytest.fixture
def of_the_guide(start, tmp_path: Path):
    """Starts gunicorn with a configuration of the guide. What a test overrides is where things are."""

    def run(name: str, *arguments: str, version: str = "newest", **variables: str) -> Gunicorn:
        configuration = tmp_path / name
        text = (GUIDE / name).read_text()
        if name == UNFINISHED:
            text += (GUIDE / "gunicorn_basic.conf.py").read_text()
        configuration.write_text(text)
        shutil.copy(GUIDE / "gunicorn-prometheus-exporter.yml", tmp_path)
        (tmp_path / "config.py").touch()
        elsewhere = {
            "METRIFOLD_TARGET": None,
            "METRIFOLD_AGENT__SEGMENT_DIR": str(tmp_path / "segments"),
            "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "multiproc"),
        }
        logs = ("--access-logfile", str(tmp_path / "access.log"), "--error-logfile", "-")
        return start(
            *("--config", str(configuration), "--graceful-timeout", "3", *logs, *arguments),
            worker_class=None,
            module="app",
            python=interpreter(version),
            **(elsewhere | variables),
        )

    return run


def count_exactly(gunicorn: Gunicorn) -> int:
    """Asks many times, kills a worker meanwhile, and compares the page with what was answered. Returns the page's total."""
    gunicorn.serves()
    with Load(gunicorn.port) as load:
        eventually(lambda: load.answered >= 60)
        os.kill(gunicorn.workers()[0], signal.SIGKILL)
        answered = load.answered
        eventually(lambda: load.answered >= answered + 60)
    eventually(lambda: gunicorn.total() >= load.answered + 1)
    gunicorn.has_settled()
    total = gunicorn.total()
    # A request that the killed worker had counted and not answered is counted.
    assert load.answered + 1 <= total <= load.answered + load.failed + 1
    assert load.answered + 1 <= gunicorn.total("gunicorn_worker_requests_total") <= load.answered + load.failed + 1
    return total


@pytest.mark.parametrize(("version", "name"), under_each_gunicorn(*(name for name in ALL if name not in REDIS)))
def test_a_configuration_of_the_guide_runs_as_it_is_and_counts_exactly(of_the_guide, tmp_path, version, name):
    if name == GEVENT:
        needs("gevent", version)
    gunicorn = of_the_guide(name, version=version)
    count_exactly(gunicorn)
    assert "Error" not in gunicorn.log()
    assert "ERROR" not in "".join(line for line in gunicorn.log().splitlines() if "SIGKILL" not in line)
    assert not list(tmp_path.glob("multiproc/*.db"))


@pytest.mark.parametrize("name", EVENTLET)
def test_an_eventlet_configuration_says_what_to_use_where_gunicorn_has_no_eventlet(of_the_guide, name):
    gunicorn = of_the_guide(name)
    assert gunicorn.process.wait(20) != 0
    assert "PrometheusEventletWorker needs the worker eventlet" in gunicorn.log()
    assert "use PrometheusGeventWorker" in gunicorn.log()


@contextlib.contextmanager
def exporting(redis: Redis, tmp_path: Path, **variables: str) -> Iterator[Server]:
    """The central exporter of a Redis."""
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "REDIS_ENABLED": "true", "REDIS_PORT": str(redis.port)} | variables
    command = [BINARY, "exporter", "--listen", f"127.0.0.1:{port}", "--namespace", "gunicorn"]
    with (tmp_path / "exporter.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield Server(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def exporter(redis: Redis, tmp_path: Path) -> Iterator[Server]:
    """The central exporter of that Redis."""
    with exporting(redis, tmp_path) as exporter:
        yield exporter


@pytest.mark.parametrize(("version", "name"), under_each_gunicorn(*REDIS))
def test_a_redis_configuration_counts_exactly_here_and_in_redis(redis, exporter, of_the_guide, version, name):
    redis.start()
    gunicorn = of_the_guide(name, version=version, REDIS_PORT=str(redis.port))
    total = count_exactly(gunicorn)
    eventually(lambda: exporter.sample("app_requests_total") == total)
    assert "redis://" not in gunicorn.log()


def test_a_redis_that_is_down_at_the_start_stops_nothing_and_gets_all_later(redis, exporter, of_the_guide):
    gunicorn = of_the_guide("gunicorn_redis_backend.conf.py", REDIS_PORT=str(redis.port))
    total = count_exactly(gunicorn)
    redis.start()
    eventually(lambda: exporter.sample("app_requests_total") == total, 30)


def command_lines() -> Iterator[bytes]:
    """Those of all processes, each argument ended by a zero."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        # Of a process that has just ended.
        with contextlib.suppress(OSError):
            yield file.read_bytes()


def test_a_redis_with_a_password_counts_exactly_and_nobody_sees_the_password(redis, of_the_guide, tmp_path):
    # What an address would have to escape, too.
    password = "p@ss/w:rd#%"
    redis.start("--requirepass", password)
    gunicorn = of_the_guide("gunicorn_redis_backend.conf.py", REDIS_PORT=str(redis.port), REDIS_PASSWORD=password)
    total = count_exactly(gunicorn)
    with exporting(redis, tmp_path, REDIS_PASSWORD=password) as exporter:
        eventually(lambda: exporter.sample("app_requests_total") == total)
    with redis_py.Redis(port=redis.port) as stranger, pytest.raises(redis_py.AuthenticationError):
        stranger.ping()
    assert password not in gunicorn.log()
    assert all(b"redis-server" in line for line in command_lines() if password.encode() in line)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--timeout", "600"),
        ("--workers", "8"),
        ("--worker-class", "gunicorn_prometheus_exporter.PrometheusWorker"),
    ],
)
def test_the_command_line_reaches_the_workers_environment(of_the_guide, tmp_path, arguments):
    (tmp_path / "app.py").write_text(
        "import os\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return ['\\n'.join(f'{n}={v}' for n, v in os.environ.items() if n.startswith('GUNICORN_')).encode()]\n"
    )
    gunicorn = of_the_guide("gunicorn_with_cli.conf.py", *arguments)
    gunicorn.serves()
    seen = dict(line.split("=", 1) for line in get(gunicorn.port).splitlines())
    assert seen["GUNICORN_BIND"] == f"127.0.0.1:{gunicorn.port}"
    assert seen["GUNICORN_WORKER_CLASS"] == "gunicorn_prometheus_exporter.PrometheusWorker"
    assert seen["GUNICORN_WORKERS"] == ("8" if "--workers" in arguments else "4")
    assert seen["GUNICORN_TIMEOUT"] == ("600" if "--timeout" in arguments else "300")


def test_custom_hooks_run_once_each_and_see_the_server_start(of_the_guide, tmp_path):
    # The hooks' own lines are of the level INFO.
    text = (GUIDE / UNFINISHED).read_text() + (GUIDE / "gunicorn_custom_hooks.conf.py").read_text()
    (tmp_path / "logging_hooks.py").write_text(text)
    gunicorn = of_the_guide("gunicorn_basic.conf.py", "--config", str(tmp_path / "logging_hooks.py"), PYTHONUNBUFFERED="1")
    gunicorn.serves()
    eventually(lambda: len(gunicorn.workers()) == 4)
    former = set(gunicorn.workers())
    os.kill(min(former), signal.SIGINT)
    eventually(lambda: "initialized" in gunicorn.log())
    # The successor finds the server there, too.
    eventually(lambda: len(set(gunicorn.workers()) - former) == 1)
    servers = [line for line in command_lines() if f"\0--segment-dir\0{tmp_path / 'segments'}\0".encode() in line]
    assert len(servers) == 1
    gunicorn.process.terminate()
    gunicorn.process.wait(20)
    log = gunicorn.log()
    for line in ("Starting Gunicorn with Prometheus exporter", "Gunicorn is ready", "Gunicorn shutting down"):
        assert log.count(line) == 1, log
    for line in ("Starting Prometheus multiprocess", "metrifold: metrics of", "Metrics server started successfully"):
        assert log.count(line) == 1, log


def test_debug_logging_shows_what_the_hooks_do(of_the_guide, tmp_path):
    text = (GUIDE / UNFINISHED).read_text() + (GUIDE / "gunicorn_with_cli.conf.py").read_text()
    (tmp_path / "debug.py").write_text(text)
    gunicorn = of_the_guide("gunicorn_basic.conf.py", "--config", str(tmp_path / "debug.py"))
    gunicorn.serves()
    port = gunicorn.metrics_port
    for line in (
        "gunicorn_prometheus_exporter.hooks - INFO - Server starting",
        f"hooks - INFO - Starting Prometheus multiprocess metrics server on :{port}",
        f"hooks - INFO - Metrics server started successfully on port {port}",
        "hooks - INFO - Updated GUNICORN_WORKERS from CLI: 4",
    ):
        assert line in gunicorn.log(), gunicorn.log()


def test_the_sidecars_application_shows_its_metrics_in_redis_only(redis, exporter, of_the_guide, tmp_path):
    redis.start()
    (tmp_path / "sidecar.py").write_text(
        "from gunicorn_prometheus_exporter.hooks import redis_sidecar_when_ready as when_ready\n"
        "worker_class = 'gunicorn_prometheus_exporter.PrometheusWorker'\n"
    )
    gunicorn = of_the_guide(
        "gunicorn_basic.conf.py", "--config", str(tmp_path / "sidecar.py"), REDIS_ENABLED="true", REDIS_PORT=str(redis.port)
    )
    gunicorn.serves()
    eventually(lambda: exporter.sample("app_requests_total") >= 1)
    with contextlib.suppress(OSError):
        get(gunicorn.metrics_port, "/metrics")
        pytest.fail("the port is served")
