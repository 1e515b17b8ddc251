"""What gunicorn_prometheus_exporter.backend shows and gives: the merged page, and a client of Redis."""

from __future__ import annotations

import os
import shutil
import signal
import textwrap
from pathlib import Path

import pytest
from conftest import BINARY, WHY_NO_BINARY
from redis_server import redis  # noqa: F401
from running import Gunicorn, eventually, get, start  # noqa: F401
from test_gunicorn_tls import needs_tools, ours  # noqa: F401

needs_binary = pytest.mark.skipif(not BINARY, reason=WHY_NO_BINARY)

# An application with a page of its own, which is to show all workers.
APPLICATION = """
    from prometheus_client import CollectorRegistry, Counter, generate_latest
    from gunicorn_prometheus_exporter.backend.core import RedisMultiProcessCollector
    REQUESTS = Counter("app_requests", "h")
    PAGE = CollectorRegistry()
    RedisMultiProcessCollector(PAGE)
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["PATH_INFO"] == "/page":
            return [generate_latest(PAGE)]
        REQUESTS.inc()
        return [b"counted"]
"""
SIDECAR = "from gunicorn_prometheus_exporter.hooks import redis_sidecar_when_ready as when_ready\n"


@pytest.fixture
def application(start, tmp_path):
    """Starts gunicorn with that application, which has then counted 11 requests."""

    def run(*, sidecar: bool = False, **variables: str) -> Gunicorn:
        (tmp_path / "application.py").write_text(textwrap.dedent(APPLICATION))
        (tmp_path / "sidecar.py").write_text(SIDECAR)
        arguments = ("--config", str(tmp_path / "sidecar.py")) if sidecar else ()
        # A proxy, which is for other hosts, must not be asked for the page of this one.
        variables |= {"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"}
        gunicorn = start(*arguments, worker_class="gunicorn_prometheus_exporter.PrometheusWorker", **variables)
        gunicorn.serves()
        for _ in range(10):
            get(gunicorn.port)
        return gunicorn

    return run


def shown(gunicorn: Gunicorn) -> dict[str, float]:
    """What the application's own page says of its requests."""
    return gunicorn.samples("app_requests_total", get(gunicorn.port, "/page"))


@needs_binary
@needs_tools
@pytest.mark.parametrize("sidecar", [False, True])
@pytest.mark.parametrize("tls", [False, True])
def test_the_collector_shows_all_workers_wherever_and_however_the_server_listens(application, ours, tls, sidecar):
    certificate, key = ours.sign("server")
    variables = {"PROMETHEUS_SSL_CERTFILE": certificate, "PROMETHEUS_SSL_KEYFILE": key} if tls else {}
    gunicorn = application(sidecar=sidecar, **variables)
    eventually(lambda: shown(gunicorn) == {"": 11})


@needs_binary
def test_the_collector_follows_a_server_that_was_started_again_at_another_port(application, tmp_path):
    gunicorn = application(sidecar=True)
    eventually(lambda: shown(gunicorn) == {"": 11})
    lock = tmp_path / "segments" / "agent.lock"
    former = lock.read_text()
    os.kill(int(former), signal.SIGKILL)
    # Workers look after the server every few seconds.
    eventually(lambda: lock.read_text() not in ("", former))
    eventually(lambda: shown(gunicorn) == {"": 11})


@needs_binary
@needs_tools
def test_the_collector_says_that_the_server_wants_a_certificate_of_its_clients(application, ours):
    certificate, key = ours.sign("server")
    gunicorn = application(
        PROMETHEUS_SSL_CERTFILE=certificate,
        PROMETHEUS_SSL_KEYFILE=key,
        PROMETHEUS_SSL_CLIENT_CAFILE=ours.certificate,
        PROMETHEUS_SSL_CLIENT_AUTH_REQUIRED="true",
    )
    assert shown(gunicorn) == {}
    assert "the merged metrics cannot be shown: PROMETHEUS_SSL_CLIENT_AUTH_REQUIRED" in gunicorn.log()


@needs_binary
@needs_tools
def test_the_collector_trusts_the_servers_own_certificate_and_not_who_signed_it(application, ours, tmp_path):
    certificate, key = ours.sign("server")
    other, _ = ours.sign("other")
    used = tmp_path / "used.pem"
    shutil.copy(certificate, used)
    gunicorn = application(PROMETHEUS_SSL_CERTFILE=str(used), PROMETHEUS_SSL_KEYFILE=key)
    eventually(lambda: shown(gunicorn) == {"": 11})
    # Of the same authority, and not the one that the server goes on with: its key does not fit.
    used.write_text(Path(other).read_text() + Path(ours.certificate).read_text())
    assert shown(gunicorn) == {}
    assert "CERTIFICATE_VERIFY_FAILED" in gunicorn.log()


@needs_binary
def test_the_collector_finds_the_server_of_a_segment_directory_outside_gunicorn_too(segments, local_server):
    segments.run(
        """
        import time
        import metrifold
        from prometheus_client import Counter
        from gunicorn_prometheus_exporter.backend import RedisMultiProcessCollector

        metrifold.install()
        Counter("jobs", "h").inc(3)
        collector, deadline = RedisMultiProcessCollector(None), time.monotonic() + 20
        while [s.value for f in collector.collect() for s in f.samples if s.name == "jobs_total"] != [3]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        """,
        # Of no use: nobody listens there.
        PROMETHEUS_METRICS_PORT="1",
    )


@needs_binary
def test_a_client_and_one_collector_are_given_from_setup_to_teardown(redis, segments, local_server):
    redis.start()
    segments.run(
        """
        import time
        from prometheus_client import Counter
        from redis import ConnectionError, Redis
        from gunicorn_prometheus_exporter.backend import (
            get_redis_client, get_redis_collector, setup_redis_metrics, teardown_redis_metrics
        )
        from gunicorn_prometheus_exporter.config import get_config
        from gunicorn_prometheus_exporter.metrics import get_shared_registry

        def eventually(holds):
            deadline = time.monotonic() + 20
            while not holds():
                assert time.monotonic() < deadline
                time.sleep(0.1)

        def answers():
            try:
                return client.ping()
            except ConnectionError:
                return False

        def shown():
            families = get_shared_registry().collect()
            return [sample.value for family in families for sample in family.samples if sample.name == "jobs_total"]

        assert get_redis_client() is None and get_redis_collector() is None
        assert setup_redis_metrics()
        client = get_redis_client()
        eventually(answers)
        assert client is get_redis_client()
        assert client.connection_pool.connection_kwargs["db"] == 2
        Counter("jobs", "h").inc(3)
        assert get_redis_collector() is get_redis_collector() is not None
        # By one collector: two would show it twice.
        eventually(lambda: shown() == [3])
        teardown_redis_metrics()
        assert get_redis_client() is None and get_redis_collector() is None and shown() == []
        # Its connection was closed, and not only forgotten.
        with Redis(port=get_config().redis_port) as other:
            assert len(other.client_list()) == 1
        assert setup_redis_metrics() and get_redis_client().ping() and get_redis_collector() is not None
        """,
        REDIS_ENABLED="true",
        REDIS_PORT=str(redis.port),
        REDIS_DB="2",
        REDIS_KEY_PREFIX="metrifold",
    )


def test_a_client_of_the_programs_own_making_is_given_and_closed(segments):
    segments.run(
        """
        from gunicorn_prometheus_exporter.backend import RedisStorageManager

        class Client:
            closed = False
            def close(self):
                self.closed = True

        made = []
        manager = RedisStorageManager(redis_client_factory=lambda: made.append(Client()) or made[-1])
        assert manager.get_client() is None and not made
        assert manager.setup() and manager.is_connected()
        client = manager.get_client()
        assert client is manager.get_client() and made == [client] and not client.closed
        manager.teardown()
        assert client.closed and not manager.is_enabled()
        # Nothing is left to close.
        manager.teardown()
        """,
        REDIS_ENABLED="true",
    )


@needs_tools
def test_redis_ssl_lets_the_client_speak_tls(redis, segments, ours):
    certificate, key = ours.sign("redis")
    files = ("--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", ours.certificate)
    # Nothing there understands plain text.
    redis.start("--port", "0", "--tls-port", str(redis.port), "--tls-auth-clients", "no", *files)
    segments.run(
        """
        import time
        from redis import ConnectionError
        from gunicorn_prometheus_exporter.backend import get_redis_client, setup_redis_metrics

        def answers():
            try:
                return get_redis_client().ping()
            except ConnectionError:
                return False

        assert setup_redis_metrics()
        deadline = time.monotonic() + 20
        while not answers():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        """,
        REDIS_ENABLED="true",
        REDIS_SSL="true",
        REDIS_PORT=str(redis.port),
        SSL_CERT_FILE=ours.certificate,
    )
