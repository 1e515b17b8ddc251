"""Redis, as the place to push on to, goes away while gunicorn serves."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import BINARY, WHY_NO_BINARY
from redis_server import Redis
from running import Gunicorn, Load, eventually, get, start  # noqa: F401
from test_guide import exporter  # noqa: F401

pytestmark = [pytest.mark.skipif(not BINARY, reason=WHY_NO_BINARY), pytest.mark.timeout(120)]


class FailingRedis(Redis):
    """One to which signals are sent."""

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def stop(self) -> None:
        self.send(signal.SIGSTOP)

    def go_on(self) -> None:
        self.send(signal.SIGCONT)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[FailingRedis]:
    redis = FailingRedis(tmp_path)
    redis.start()
    yield redis
    # One that a failed test has left stopped would not end.
    redis.go_on()
    redis.end()


def redis_is_up(gunicorn: Gunicorn) -> bool:
    """Whether the local server says so."""
    return 'metrifold_store_up{store="upstream"} 1\n' in get(gunicorn.metrics_port, "/-/metrics")


@pytest.mark.parametrize(
    ("fail", "recover"),
    [
        # It comes back empty.
        pytest.param(FailingRedis.kill, FailingRedis.start, id="killed"),
        # Connections stay open, and nobody answers.
        pytest.param(FailingRedis.stop, FailingRedis.go_on, id="stopped"),
    ],
)
def test_a_redis_that_goes_away_under_load_fails_no_request_and_has_exact_totals_afterwards(
    redis, exporter, start, tmp_path, fail: Callable[[FailingRedis], None], recover: Callable[[FailingRedis], None]
):
    gunicorn = start(
        METRIFOLD_TARGET=None,
        METRIFOLD_AGENT__SEGMENT_DIR=str(tmp_path / "segments"),
        REDIS_ENABLED="true",
        REDIS_PORT=str(redis.port),
    )
    gunicorn.serves()
    with Load(gunicorn.port) as load:
        eventually(lambda: redis_is_up(gunicorn) and exporter.sample("app_requests_total") >= 60)
        fail(redis)
        eventually(lambda: not redis_is_up(gunicorn))
        answered = load.answered
        eventually(lambda: load.answered >= answered + 60)
        recover(redis)
        eventually(lambda: redis_is_up(gunicorn))
        answered = load.answered
        eventually(lambda: load.answered >= answered + 60)
    assert load.failed == 0
    total = load.answered + 1
    eventually(lambda: exporter.sample("app_requests_total") == total == gunicorn.total())
    gunicorn.has_settled()
    assert exporter.sample("app_requests_total") == total == gunicorn.total()
