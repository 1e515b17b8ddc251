"""What metrics cost a gunicorn: requests per second and 99th percentile of a trivial application, in turns in one run.

    python benches/gunicorn.py [--seconds 8] [--rounds 3] [--rival PYTHON] [--ends 200]

Needs ``wrk``. The rival is an interpreter with gunicorn-prometheus-exporter 0.2.4 and gunicorn 23, for instance

    python -m venv rival && rival/bin/pip install gunicorn-prometheus-exporter==0.2.4 gunicorn==23.0.0 redis

With one, everything runs on that gunicorn, and Redis is started for its Redis mode.

``aged`` has a day behind it: as many ends of workers as a busy day has (``--ends``), each after requests to some of a thousand
paths with some of ten statuses. What grows with workers that ever lived, or with what was ever asked for, shows there.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

APPLICATION = """
def app(environ, start_response):
    status = environ["QUERY_STRING"] or "200"
    start_response(status + " OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""
# Requests before each end of a worker in a day.
REQUESTS_PER_END = 50


@dataclass
class Variant:
    """A way to run the application."""

    name: str
    worker: str
    variables: dict[str, str] = field(default_factory=dict)
    import_path: str = ""
    #: In the configuration file.
    configuration: str = ""
    #: Ends of workers before it is measured.
    ends: int = 0


@dataclass
class Result:
    """One run."""

    requests_per_second: float
    p99_ms: float


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running(python: str, variant: Variant, directory: Path) -> Iterator[int]:
    """gunicorn, with two workers; its port."""
    port = free_port()
    (directory / "application.py").write_text(APPLICATION)
    (directory / "gunicorn.conf.py").write_text(variant.configuration)
    environment = dict(os.environ) | {
        "PROMETHEUS_BIND_ADDRESS": "127.0.0.1",
        "PROMETHEUS_METRICS_PORT": str(free_port()),
        "GUNICORN_WORKERS": "2",
        "METRIFOLD_AGENT__SEGMENT_DIR": str(directory / "segments"),
        "METRIFOLD_AGENT__LINGER": "500ms",
        **variant.variables,
    }
    if variant.import_path:
        environment["PYTHONPATH"] = variant.import_path
    command = [python, str(Path(python).with_name("gunicorn")), "--worker-class", variant.worker, "--workers", "2"]
    command += ["--config", "gunicorn.conf.py", "--bind", f"127.0.0.1:{port}", "application:app"]
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=directory, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    sys.exit(f"{variant.name} does not answer:\n{(directory / 'log').read_text()}")
                time.sleep(0.05)
        for number in range(variant.ends):
            live_on(port, process.pid, number)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            # 0.2.4 does not always end in Redis mode.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def live_on(port: int, master: int, number: int) -> None:
    """Some requests, and the end of a worker."""
    for request in range(number * REQUESTS_PER_END, (number + 1) * REQUESTS_PER_END):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/path/{request % 1_000}?{200 + request % 10}", timeout=10).read()
        except OSError:
            # A connection that the ended worker had accepted.
            continue
    workers = [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]
    # SIGKILL too: those are cleaned up by nobody. 0.2.4's do not always end otherwise.
    os.kill(workers[0], signal.SIGKILL if number % 2 else signal.SIGTERM)
    deadline = time.monotonic() + 2
    while workers[0] in map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split()):
        if time.monotonic() > deadline:
            os.kill(workers[0], signal.SIGKILL)
        time.sleep(0.01)


def measure(port: int, seconds: float) -> Result:
    command = ["wrk", "--latency", "-t1", "-c8", f"-d{seconds:g}s", f"http://127.0.0.1:{port}/"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    assert rate and p99, text
    return Result(float(rate[1]), float(p99[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[p99[2]])


@contextmanager
def redis_server(directory: Path) -> Iterator[int]:
    port = free_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


def variants(rival: bool, redis: int | None, directory: Path, ends: int) -> list[Variant]:
    # This interpreter's package for the rival's interpreter, and nothing else of it: both run on the rival's gunicorn.
    import metrifold

    imports = directory / "imports"
    imports.mkdir()
    (imports / "metrifold").symlink_to(Path(metrifold.__file__).parent)
    ours = str(imports)
    found = [
        Variant("plain", "sync"),
        Variant("metrifold", "metrifold.gunicorn.PrometheusWorker", import_path=ours),
        Variant("metrifold, aged", "metrifold.gunicorn.PrometheusWorker", import_path=ours, ends=ends),
        Variant("plain gthread", "gthread"),
        Variant("metrifold gthread", "metrifold.gunicorn.PrometheusThreadWorker", import_path=ours),
    ]
    if redis is not None:
        address = {"REDIS_ENABLED": "true", "REDIS_PORT": str(redis)}
        found.append(Variant("metrifold, Redis", "metrifold.gunicorn.PrometheusWorker", address, import_path=ours))
    if rival:
        worker = "gunicorn_prometheus_exporter.PrometheusWorker"
        hooks = "from gunicorn_prometheus_exporter.hooks import {0} as when_ready\n"
        files = {"PROMETHEUS_MULTIPROC_DIR": str(directory / "multiproc")}
        (directory / "multiproc").mkdir()
        found.append(Variant("0.2.4, files", worker, files, configuration=hooks.format("default_when_ready")))
        aged = {"PROMETHEUS_MULTIPROC_DIR": str(directory / "multiproc-aged")}
        (directory / "multiproc-aged").mkdir()
        found.append(Variant("0.2.4, files, aged", worker, aged, configuration=hooks.format("default_when_ready"), ends=ends))
        if redis is not None:
            found.append(Variant("0.2.4, Redis", worker, address, configuration=hooks.format("redis_when_ready")))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rival", help="an interpreter with gunicorn-prometheus-exporter 0.2.4 and gunicorn 23")
    parser.add_argument("--ends", type=int, default=200, help="ends of workers before the aged ones are measured")
    parser.add_argument("--only", help="names that contain this, and plain")
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: apt-get install wrk")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        has_redis = shutil.which("redis-server") is not None
        redis = stack.enter_context(redis_server(directory)) if has_redis else None
        chosen = [
            variant
            for variant in variants(given.rival is not None, redis, directory, given.ends)
            if not given.only or given.only in variant.name or variant.name.startswith("plain")
        ]
        results: dict[str, list[Result]] = {variant.name: [] for variant in chosen}
        for _ in range(given.rounds):
            # In turns, so that a machine that slows down slows all of them.
            for variant in chosen:
                place = directory / variant.name.replace(" ", "-").replace(",", "")
                place.mkdir(exist_ok=True)
                with running(given.rival or sys.executable, variant, place) as port:
                    measure(port, 1)
                    results[variant.name].append(measure(port, given.seconds))
    report(results)


def report(results: dict[str, list[Result]]) -> None:
    print(f"{'':20} {'req/s':>8} {'of plain':>9} {'pairs':>17} {'p99 ms':>8} {'of plain':>9}")
    for name, found in results.items():
        plain = results["plain gthread" if "gthread" in name else "plain"]
        ratios = sorted(ours.requests_per_second / base.requests_per_second for ours, base in zip(found, plain, strict=True))
        rate = statistics.median(result.requests_per_second for result in found)
        p99 = statistics.median(result.p99_ms for result in found)
        base_p99 = statistics.median(result.p99_ms for result in plain)
        spread = f"{ratios[0]:.3f} .. {ratios[-1]:.3f}"
        print(f"{name:20} {rate:8.0f} {statistics.median(ratios):9.3f} {spread:>17} {p99:8.2f} {p99 / base_p99:9.2f}")


if __name__ == "__main__":
    main()
