"""Each worker class, on each version of gunicorn."""

from __future__ import annotations

import errno
import http.client
import os
import re
import signal
import socket
import ssl
import struct
import textwrap
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import BINARY, WHY_NO_BINARY
from running import ASGI_APPLICATION, Gunicorn, Load, eventually, get, interpreter, start  # noqa: F401

from metrifold.gunicorn._wsgi import has_hung_up

pytestmark = [pytest.mark.skipif(not BINARY, reason=WHY_NO_BINARY), pytest.mark.timeout(120)]

# Every class; every version of gunicorn; and what differs most between them. eventlet's newer versions, which alone run on
# newer Pythons, do not work with gunicorn 20.1.
CASES = [
    *(("newest", f"Prometheus{kind}Worker") for kind in ("", "Thread", "Gevent", "Asgi", "Uvicorn")),
    *(("23", f"Prometheus{kind}Worker") for kind in ("", "Thread", "Eventlet")),
    *(("20.1", f"Prometheus{kind}Worker") for kind in ("", "Thread", "Gevent")),
]


@pytest.mark.parametrize(("version", "worker"), CASES)
def test_a_worker_class_alone_counts_every_request_over_a_kill(start, tmp_path: Path, version, worker):
    if worker in ("PrometheusAsgiWorker", "PrometheusUvicornWorker"):
        (tmp_path / "application.py").write_text(textwrap.dedent(ASGI_APPLICATION))
    gunicorn = start(worker_class=f"metrifold.gunicorn.{worker}", python=interpreter(version))
    gunicorn.serves()
    eventually(lambda: gunicorn.total("gunicorn_worker_boots_total") == 2)
    with Load(gunicorn.port) as load:
        eventually(lambda: load.answered >= 100)
        os.kill(gunicorn.workers()[0], signal.SIGKILL)
        answered = load.answered
        eventually(lambda: load.answered >= answered + 100)
    eventually(lambda: gunicorn.total() >= load.answered)
    eventually(lambda: gunicorn.total("gunicorn_worker_boots_total") == 3)
    gunicorn.has_settled()
    page = gunicorn.page()
    # What the killed worker had counted and not yet answered is counted, as it should be: one request per connection.
    counted = sum(gunicorn.samples("app_requests_total", page).values())
    assert load.answered < counted <= load.answered + load.failed + 1 + 4
    handled = gunicorn.samples("gunicorn_worker_requests_total", page)
    requests = sum(handled.values())
    # Counted when they come, before the application counts.
    assert 0 <= requests - counted <= 4
    assert set(handled) <= {f'{{worker_id="{place}"}}' for place in (1, 2)}
    # By status they are counted after the answer: the killed worker may not have come to that.
    answers = gunicorn.samples("gunicorn_requests_total", page)
    assert list(answers) == ['{endpoint="UNKNOWN",method="GET",status="200"}']
    assert 0 <= requests - sum(answers.values()) <= 4
    assert sum(gunicorn.samples("gunicorn_worker_response_size_bytes_count", page).values()) == sum(answers.values())
    assert sum(gunicorn.samples("gunicorn_worker_response_size_bytes_sum", page).values()) > sum(answers.values())
    eventually(lambda: sum(gunicorn.samples("gunicorn_worker_state").values()) == 2)
    restarts = {text: value for text, value in gunicorn.samples("gunicorn_worker_restart_total", page).items()}
    assert [text for text in restarts if 'reason="sigkill"' in text] == list(restarts), restarts
    assert sum(restarts.values()) == 1
    assert sum(gunicorn.samples("gunicorn_worker_requests_in_progress", page).values()) == 0
    memory = gunicorn.samples("gunicorn_worker_memory_bytes")
    assert len(memory) == 2 and all(value > 5_000_000 for value in memory.values()), memory


def test_a_worker_class_that_cannot_be_had_says_what_to_use_instead(start):
    gunicorn = start(worker_class="metrifold.gunicorn.PrometheusEventletWorker")
    assert gunicorn.process.wait(20) != 0
    assert "use PrometheusGeventWorker" in gunicorn.log()


WSGI_PAGES = """
    import os, time
    from pathlib import Path
    from prometheus_client import Counter

    REQUESTS = Counter("app_requests", "h")
    Path("file").write_bytes(bytes(300_000))

    def app(environ, start_response):
        REQUESTS.inc()
        path, headers = environ["PATH_INFO"], []
        if path == "/fail":
            raise LookupError(path)
        if path == "/wait":
            while not Path("go").exists():
                time.sleep(0.01)
        if path == "/work":
            until = time.process_time() + 0.5
            while time.process_time() < until:
                pass
        if path == "/read":
            return answer(start_response, str(len(environ["wsgi.input"].read())).encode())
        if path == "/stream":
            start_response("200 OK", [])
            return (bytes(65536) for _ in range(10_000))
        if path.startswith("/file"):
            file = open("file", "rb")
            if path == "/file/part":
                file.seek(100_000)
            if path != "/file":
                headers = [("Content-Length", "50000" if path == "/file/part" else "300000")]
            start_response("200 OK", headers)
            return environ["wsgi.file_wrapper"](file)
        return answer(start_response, str(os.getpid()).encode())

    def answer(start_response, body):
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
"""

# The same for ASGI. What waits there leaves the others their turn.
ASGI_PAGES = """
    import asyncio, os
    from pathlib import Path
    from prometheus_client import Counter

    REQUESTS = Counter("app_requests", "h")

    async def app(scope, receive, send):
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        REQUESTS.inc()
        path, body = scope["path"], str(os.getpid()).encode()
        if path == "/fail":
            raise LookupError(path)
        if path == "/wait":
            while not Path("go").exists():
                await asyncio.sleep(0.01)
        if path == "/read":
            length, more = 0, True
            while more:
                message = await receive()
                length += len(message.get("body", b""))
                more = message.get("more_body", False)
            body = str(length).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if path == "/fail/late":
            raise LookupError(path)
        await send({"type": "http.response.body", "body": body})
"""

ASGI_WORKERS = ("PrometheusAsgiWorker", "PrometheusUvicornWorker")


def serving_pages(start, tmp_path: Path, worker: str, *arguments: str, version: str = "newest", **variables: str) -> Gunicorn:
    """A gunicorn with one worker, which has answered once."""
    pages = ASGI_PAGES if worker in ASGI_WORKERS else WSGI_PAGES
    (tmp_path / "application.py").write_text(textwrap.dedent(pages))
    python, worker = interpreter(version), f"metrifold.gunicorn.{worker}"
    gunicorn = start("--workers", "1", *arguments, worker_class=worker, python=python, **variables)
    gunicorn.serves()
    return gunicorn


def ask(port: int, method: str, path: str, body: bytes | Iterable[bytes] | None = None) -> bytes:
    """The answer's body. An iterable is sent in chunks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body)
        return connection.getresponse().read()
    finally:
        connection.close()


@contextmanager
def waiting(gunicorn: Gunicorn) -> Iterator[Future[str]]:
    """A request that is not answered before the end."""
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(get, gunicorn.port, "/wait")
        finally:
            (gunicorn.directory / "go").touch()


@pytest.mark.parametrize("worker", [f"Prometheus{kind}Worker" for kind in ("", "Thread", "Gevent", "Asgi", "Uvicorn")])
def test_a_request_is_in_progress_and_its_worker_quitting_until_the_answer(start, tmp_path, worker):
    gunicorn = serving_pages(start, tmp_path, worker, "--graceful-timeout", "30")

    def states() -> dict[str, float]:
        found = gunicorn.samples("gunicorn_worker_state").items()
        return {re.search('state="(.*?)"', labels)[1]: value for labels, value in found}

    eventually(lambda: states() == {"running": 1})
    # What the last request left behind is pushed a moment later.
    eventually(lambda: gunicorn.total("gunicorn_worker_requests_in_progress") == 0)
    (pid,) = gunicorn.workers()
    with waiting(gunicorn) as answer:
        eventually(lambda: gunicorn.total("gunicorn_worker_requests_in_progress") == 1)
        began = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: states() == {"running": 0, "quitting": 1})
        assert gunicorn.total("gunicorn_worker_requests_in_progress") == 1
        waited = time.monotonic() - began
    assert answer.result() == str(pid)
    eventually(lambda: list(gunicorn.samples("gunicorn_worker_restart_total")) == ['{reason="term",worker_id="1"}'])
    eventually(lambda: states() == {"running": 1})
    assert gunicorn.total("gunicorn_worker_requests_in_progress") == 0
    page, duration = gunicorn.page(), "gunicorn_worker_request_duration_seconds"
    assert gunicorn.samples(f"{duration}_count", page)['{worker_id="1"}'] == 2
    assert gunicorn.samples(f"{duration}_sum", page)['{worker_id="1"}'] >= waited
    buckets = gunicorn.samples(f"{duration}_bucket", page)
    assert [buckets[f'{{le="{bound}",worker_id="1"}}'] for bound in ("60.0", "+Inf")] == [2, 2]
    assert buckets['{le="0.005",worker_id="1"}'] <= 1, "one of them has waited"


def test_a_workers_processor_time_and_age_are_those_of_its_process(start, tmp_path):
    before = time.monotonic()
    gunicorn = serving_pages(start, tmp_path, "PrometheusWorker")

    percent, age = "gunicorn_worker_cpu_percent", "gunicorn_worker_uptime_seconds"
    # Of one processor, as one thread can use; with room for the clocks.
    eventually(lambda: bool(get(gunicorn.port, "/work")) and 20 < gunicorn.total(percent) < 150)
    eventually(lambda: bool(get(gunicorn.port)) and gunicorn.total(age) >= 2)
    assert gunicorn.total(age) < time.monotonic() - before


def test_a_uvicorn_workers_heart_beats_each_second_and_not_each_half_timeout(start, tmp_path):
    gunicorn = serving_pages(start, tmp_path, "PrometheusUvicornWorker", "--timeout", "600")
    eventually(lambda: gunicorn.total("gunicorn_worker_uptime_seconds") >= 2)


def test_sigquit_to_a_uvicorn_worker_is_told_from_sigterm(start, tmp_path):
    gunicorn = serving_pages(start, tmp_path, "PrometheusUvicornWorker")
    (pid,) = gunicorn.workers()
    os.kill(pid, signal.SIGQUIT)
    eventually(lambda: 'state="quitting"' in str(gunicorn.samples("gunicorn_worker_state")))
    # uvicorn's worker does not end by it.
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: list(gunicorn.samples("gunicorn_worker_restart_total")) == ['{reason="quit",worker_id="1"}'])


@pytest.mark.parametrize(
    ("version", "worker"),
    [
        *(("newest", f"Prometheus{kind}Worker") for kind in ("", "Thread", "Gevent", "Asgi", "Uvicorn")),
        *(("23", "PrometheusWorker"), ("20.1", "PrometheusWorker")),
    ],
)
def test_bodies_in_chunks_and_files_that_the_system_sends_have_their_size(start, tmp_path, version, worker):
    gunicorn = serving_pages(start, tmp_path, worker, version=version)
    eventually(lambda: gunicorn.total("gunicorn_requests_total") == 1)
    requests, received, sent = 1, 0, gunicorn.total("gunicorn_worker_response_size_bytes_sum")

    def adds(method: str, path: str, to_received: int, to_sent: int, body: bytes | Iterable[bytes] | None = None) -> bytes:
        nonlocal requests, received, sent
        requests, received, sent = requests + 1, received + to_received, sent + to_sent
        answer = ask(gunicorn.port, method, path, body)
        eventually(lambda: gunicorn.total("gunicorn_requests_total") == requests)
        page = gunicorn.page()
        for name, total in (("request", received), ("response", sent)):
            size = f"gunicorn_worker_{name}_size_bytes"
            assert gunicorn.samples(f"{size}_sum", page) == {'{worker_id="1"}': total}, (method, path, name)
            assert gunicorn.samples(f"{size}_count", page) == {'{worker_id="1"}': requests}
        return answer

    assert adds("POST", "/read", 5_000, 4, bytes(5_000)) == b"5000"
    assert adds("POST", "/read", 200_000, 6, (bytes(50_000) for _ in range(4))) == b"200000"
    if worker in ASGI_WORKERS:
        # The application gives a body, which the server does not send.
        adds("HEAD", "/", 0, 0)
        return
    assert len(adds("GET", "/file", 0, 300_000)) == 300_000
    assert len(adds("GET", "/file/whole", 0, 300_000)) == 300_000
    assert len(adds("GET", "/file/part", 0, 50_000)) == 50_000
    adds("HEAD", "/file/whole", 0, 0)


@pytest.mark.parametrize("worker", ASGI_WORKERS)
def test_failures_and_the_wait_are_counted_under_asgi_too(start, tmp_path, worker):
    gunicorn = serving_pages(start, tmp_path, worker)
    with pytest.raises(OSError, match="500"):
        get(gunicorn.port, "/fail")
    # The answer has begun: there is no other one, and the connection breaks off.
    with pytest.raises(http.client.HTTPException):
        ask(gunicorn.port, "GET", "/fail/late")
    get(gunicorn.port, "/", **{"X-Request-Start": f"t={time.time() - 7}"})
    labels = '{endpoint="UNKNOWN",error_type="LookupError",method="GET",worker_id="1"}'
    eventually(lambda: gunicorn.samples("gunicorn_worker_failed_requests_total") == {labels: 2})
    eventually(lambda: gunicorn.total("gunicorn_worker_request_queue_seconds_count") == 1)
    page = gunicorn.page()
    assert gunicorn.samples("gunicorn_worker_error_handling_total", page) == {labels: 1}
    assert gunicorn.samples("gunicorn_worker_request_queue_seconds_sum", page).popitem()[1] == pytest.approx(7, abs=2)
    answers = gunicorn.samples("gunicorn_requests_total", page)
    assert answers['{endpoint="UNKNOWN",method="GET",status="500"}'] == 1


@pytest.mark.parametrize(
    ("version", "worker"),
    [*(("newest", f"Prometheus{kind}Worker") for kind in ("", "Thread", "Gevent")), ("20.1", "PrometheusWorker")],
)
def test_a_client_that_hangs_up_is_no_failure_of_the_application(start, tmp_path, version, worker):
    gunicorn = serving_pages(start, tmp_path, worker, version=version)
    with socket.create_connection(("127.0.0.1", gunicorn.port)) as client:
        client.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(1)
        # Closes without a farewell.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    eventually(lambda: gunicorn.total("gunicorn_requests_total") == 2)
    # A true failure that comes later is shown; so would the other be.
    with pytest.raises(OSError, match="500"):
        get(gunicorn.port, "/fail")
    eventually(lambda: gunicorn.total("gunicorn_worker_failed_requests_total") > 0)
    failed = gunicorn.samples("gunicorn_worker_failed_requests_total")
    assert failed == {'{endpoint="UNKNOWN",error_type="LookupError",method="GET",worker_id="1"}': 1}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BrokenPipeError(errno.EPIPE, ""), True),
        (ConnectionResetError(errno.ECONNRESET, ""), True),
        (OSError(errno.ENOTCONN, ""), True),
        (ssl.SSLEOFError(ssl.SSL_ERROR_EOF, ""), True),
        (FileNotFoundError(errno.ENOENT, ""), False),
        (ConnectionRefusedError(errno.ECONNREFUSED, ""), False),
        (ssl.SSLError(ssl.SSL_ERROR_SSL, ""), False),
        (LookupError(errno.EPIPE), False),
    ],
)
def test_a_client_hangs_up_by_the_errors_that_gunicorn_takes_for_it(error, expected):
    assert has_hung_up(error) is expected


def test_old_labels_are_those_of_gunicorn_prometheus_exporter(start, tmp_path):
    before = int(time.time())
    gunicorn = serving_pages(start, tmp_path, "PrometheusWorker", GUNICORN_METRICS_OLD_LABELS="true")
    with pytest.raises(OSError, match="500"):
        get(gunicorn.port, "/fail")
    eventually(lambda: gunicorn.total("gunicorn_worker_failed_requests_total") == 1)
    page = gunicorn.page()
    ((worker, requests),) = gunicorn.samples("gunicorn_worker_requests_total", page).items()
    assert requests == 2
    age, made = re.fullmatch(r'\{worker_id="worker_(\d+)_(\d+)"\}', worker).groups()
    assert age == "1"
    assert before <= int(made) <= time.time()
    ((state, entered),) = gunicorn.samples("gunicorn_worker_state", page).items()
    assert entered == 1
    since = re.fullmatch(rf'\{{state="running",timestamp="(\d+)",{worker[1:-1]}\}}', state)[1]
    assert int(made) <= int(since) <= time.time()
    failed = f'{{endpoint="/fail",error_type="LookupError",method="GET",{worker[1:]}'
    for name in ("failed_requests", "error_handling"):
        assert gunicorn.samples(f"gunicorn_worker_{name}_total", page) == {failed: 1}


def test_the_hook_alone_measures_an_application_under_gunicorns_own_worker(start, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text(
        "from gunicorn_prometheus_exporter.hooks import default_when_ready as when_ready\nworkers = 2\n"
    )
    gunicorn = start("--config", "gunicorn.conf.py", worker_class=None)
    gunicorn.serves()
    os.kill(int(get(gunicorn.port)), signal.SIGKILL)
    gunicorn.serves()
    eventually(lambda: gunicorn.total() == 3)
    page = gunicorn.page()
    # As the manual says: nothing of the workers, and collectors only when one of them ends in order.
    assert "gunicorn_worker" not in page
    assert "process_cpu_seconds_total" not in page
    os.kill(int(get(gunicorn.port)), signal.SIGTERM)
    eventually(lambda: "process_cpu_seconds_total" in gunicorn.page())
