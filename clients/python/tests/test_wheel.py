"""The wheels, as a user gets them: in an environment that has nothing else but what they ask for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from running import Start, eventually, get, start  # noqa: F401

WHEELS = Path(__file__).parents[3] / "target" / "wheels"


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """The interpreter of a new environment with the compat distribution and its dependencies."""
    if not list(WHEELS.glob("metrifold_gunicorn_compat-*.whl")):
        pytest.skip(f"there are no wheels in {WHEELS}; make wheel builds them")
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--find-links", WHEELS, "metrifold-gunicorn-compat"]
    done = subprocess.run(install, stderr=subprocess.PIPE, text=True, check=False)
    if "No matching distribution" in done.stderr or "connection" in done.stderr.lower():
        pytest.skip(f"its dependencies are not to be had from a package registry: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stderr
    return python


@pytest.mark.timeout(240)
def test_the_wheels_bring_everything_that_a_gunicorn_needs(empty: Path, start: Start) -> None:
    subprocess.run([empty, "-m", "pip", "check"], check=True)
    configuration = "exporter:\n  prometheus:\n    metrics_port: 9091\n    bind_address: 127.0.0.1\n"
    (empty.parents[2] / "exporter.yml").write_text(configuration)
    read = "from gunicorn_prometheus_exporter import load_yaml_config as load; load('exporter.yml')"
    subprocess.run([empty, "-c", read], cwd=empty.parents[2], check=True)

    # No binary but the one in the wheel.
    variables = {"PYTHONPATH": None, "METRIFOLD_BINARY": None, "PATH": os.defpath}
    gunicorn = start(worker_class="gunicorn_prometheus_exporter.PrometheusWorker", python=str(empty), **variables)
    gunicorn.serves()
    victim = int(get(gunicorn.port))
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: int(get(gunicorn.port)) != victim)
    # Those that this test has answers to, the victim's among them.
    for name in ("app_requests_total", "gunicorn_worker_requests_total"):
        eventually(lambda name=name: gunicorn.total(name) >= 3)
    program = (gunicorn.directory / "segments" / "agent.lock").read_text().strip()
    assert Path(f"/proc/{program}/exe").readlink().is_relative_to(empty.parents[1])
