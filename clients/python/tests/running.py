"""A real gunicorn with the real binary."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import conftest
import pytest
from conftest import AMPLE_SECONDS, BINARY

from metrifold import _native

APPLICATION = """
    import os
    from prometheus_client import Counter
    REQUESTS = Counter("app_requests", "h")
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        REQUESTS.inc()
        return [str(os.getpid()).encode()]
"""

# The same for ASGI.
ASGI_APPLICATION = """
    import os
    from prometheus_client import Counter
    REQUESTS = Counter("app_requests", "h")
    async def app(scope, receive, send):
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        REQUESTS.inc()
        body = str(os.getpid()).encode()
        headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
"""

_ENVIRONMENTS = Path(__file__).parents[3] / "target"


def interpreter(gunicorn: str) -> str:
    """A Python that has a version of gunicorn; ``newest`` is the one of the tests."""
    if gunicorn == "newest":
        return sys.executable
    found = _ENVIRONMENTS / f"gunicorn-{gunicorn}" / "bin" / "python"
    if not found.exists():
        pytest.skip(f"there is no {found}; make wheel makes it")
    return str(found)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def get(port: int, path: str = "/", **headers: str) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    # As long as a test waits at all: a request that is given up and asked again would be counted twice.
    with urllib.request.urlopen(request, timeout=AMPLE_SECONDS) as answer:
        return answer.read().decode()


def eventually(holds: Callable[[], bool], seconds: float = AMPLE_SECONDS) -> None:
    """Waits until something holds. A server that does not answer yet is no answer."""

    def answers() -> bool:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            return holds()
        return False

    conftest.eventually(answers, seconds)


class Gunicorn:
    """A gunicorn in a directory of its own."""

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        worker_class: str | None = "metrifold.gunicorn.PrometheusWorker",
        python: str = sys.executable,
        module: str = "application",
        **variables: str | None,
    ) -> None:
        application = directory / f"{module}.py"
        if not application.exists():
            application.write_text(textwrap.dedent(APPLICATION))
        self.directory = directory
        self.port, self.metrics_port = free_port(), free_port()
        ours = ("METRIFOLD_", "PROMETHEUS_", "REDIS_", "GUNICORN_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        environment |= {
            "METRIFOLD_BINARY": BINARY,
            "METRIFOLD_TARGET": f"local:{directory / 'segments'}",
            "METRIFOLD_AGENT__LINGER": "500ms",
            "PROMETHEUS_BIND_ADDRESS": "127.0.0.1",
            "PROMETHEUS_METRICS_PORT": str(self.metrics_port),
        }
        environment = {name: value for name, value in (environment | variables).items() if value is not None}
        self.metrics_port = int(port) if (port := environment["PROMETHEUS_METRICS_PORT"]).isdigit() else 0
        if worker_class is not None:
            # Some workers wait as long as they may for connections that nobody uses any more.
            arguments = ("--worker-class", worker_class, "--workers", "2", "--graceful-timeout", "3", *arguments)
        command = [
            # By its script and not by -m: an upgrade by USR2 would not find its modules.
            *(str(Path(python).with_name("gunicorn")), "--bind", f"127.0.0.1:{self.port}"),
            *(*arguments, f"{module}:app"),
        ]
        self._log = (directory / "log").open("w+")
        self.process = subprocess.Popen(
            command, cwd=directory, env=environment, stdout=self._log, stderr=self._log
        )

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def page(self) -> str:
        return get(self.metrics_port, "/metrics")

    def samples(self, name: str, page: str | None = None) -> dict[str, float]:
        """Samples of a name: the labels' text to the value."""
        lines = re.findall(rf"^{name}(\{{.*\}})? (\S+)$", page if page is not None else self.page(), re.MULTILINE)
        return {labels: float(value) for labels, value in lines}

    def total(self, name: str = "app_requests_total") -> int:
        return int(sum(self.samples(name).values()))

    def passes(self) -> int:
        found = re.search(r"^metrifold_reaper_passes_total (\d+)", get(self.metrics_port, "/-/metrics"), re.MULTILINE)
        assert found
        return int(found[1])

    def has_settled(self) -> None:
        """Waits until whatever could be counted twice has been pushed once more, and folded if it is dead: two passes."""
        passes = self.passes()
        eventually(lambda: self.passes() >= passes + 2)

    def serves(self, seconds: float = 20) -> None:
        """Waits until the application answers."""
        eventually(lambda: bool(get(self.port)) or self.process.poll() is not None, seconds)
        assert self.process.poll() is None, self.log()

    def workers(self) -> list[int]:
        """Their pids."""
        mine = self.process.pid
        return [int(pid) for pid in Path(f"/proc/{mine}/task/{mine}/children").read_text().split()]

    def is_at_rest(self) -> bool:
        """Whether the master waits for something to do."""
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"

    def is_served(self) -> bool:
        return _native.agent_is_running(str(self.directory / "segments"))

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self._log.close()
        if self.is_served():
            eventually(lambda: not self.is_served())


Start = Callable[..., Gunicorn]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Gunicorn] = []

    def start(*arguments: str, **variables: Any) -> Gunicorn:
        started.append(Gunicorn(tmp_path, *arguments, **variables))
        return started[-1]

    yield start
    for gunicorn in started:
        gunicorn.end()


class Load:
    """Threads that ask for a page again and again."""

    def __init__(self, port: int, threads: int = 4, paths: Sequence[str] = ("/",)) -> None:
        self.answered = 0
        self.failed = 0
        self._port, self._paths = port, paths
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        turn = 0
        while not self._ended.is_set():
            turn += 1
            try:
                get(self._port, self._paths[turn % len(self._paths)])
                answered = True
            # A killed worker's answer may break off.
            except (OSError, http.client.HTTPException, ValueError):
                answered = False
            with self._lock:
                self.answered += answered
                self.failed += not answered
