"""However a process that pushes ends: what it counted arrives. Pushes are minutes apart, so that none but the last is in time."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from conftest import Segments, Server, eventually, serving
from redis_server import Redis
from test_servers import Application


@dataclass
class Target:
    """A place to push to, and the page of what has arrived there."""

    address: str
    server: Server
    #: Where a broker can be had too; 0: nowhere.
    redis_port: int = 0

    def variables(self) -> dict[str, str]:
        return {
            "METRIFOLD_TARGET": self.address,
            "METRIFOLD_PUSH_INTERVAL": "5m",
            "METRIFOLD_EXIT_TIMEOUT": "10s",
            "PYTHONWARNINGS": "ignore",
        }

    def has(self, series: str, value: float) -> None:
        """Waits until the page shows it, and nothing comes after it."""
        eventually(lambda: self.server.sample(series) >= value)
        assert self.server.sample(series) == value

    def demand_after(self, segments: Segments, text: str, counted: float) -> None:
        """Runs a program that counts 1, and then what ``text`` says, and demands what has arrived."""
        # The server is all tests': each program has a counter of its own.
        name = f"counted_{len(_NAMES)}"
        _NAMES.append(name)
        segments.run(program(text, name), **self.variables())
        self.has(f"{name}_total", counted)


_NAMES: list[str] = []


@pytest.fixture(scope="module", params=["http", "redis"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    directory = tmp_path_factory.mktemp("target")
    segments, log = Segments(directory / "segments"), directory / "server.log"
    if request.param == "http":
        with serving(segments, segments.directory, log) as server:
            yield Target(server.url, server)
        return
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    redis = Redis(directory)
    redis.start()
    address = f"redis://127.0.0.1:{redis.port}"
    with serving(segments, segments.directory, log, "--redis-url", address) as server:
        # An empty Redis takes nothing before that, and a push that it did not take is tried again after an interval.
        eventually(lambda: "opened a sealed shard" in log.read_text() and server.is_ready())
        yield Target(address, server, redis.port)
    redis.end()


def program(text: str, name: str = "c") -> str:
    return textwrap.dedent(f"""
        import os, sys, time
        import metrifold
        from prometheus_client import Counter
        counter = Counter("{name}", "h")
        metrifold.install()
        counter.inc()
        def count(amount):
            counter.inc(amount)
        """) + textwrap.dedent(text)


#: How ten children are made that count 5 each and end in a way that skips atexit.
CHILDREN = {
    "multiprocessing.Process": """
        import multiprocessing
        processes = [multiprocessing.get_context("fork").Process(target=counter.inc, args=(5,)) for _ in range(10)]
        [process.start() for process in processes]; [process.join() for process in processes]
        assert [process.exitcode for process in processes] == [0] * 10
        """,
    "Pool, terminated": """
        import multiprocessing
        with multiprocessing.get_context("fork").Pool(2) as pool:
            pool.map(count, [5] * 10, chunksize=1)
            workers = list(pool._pool)
        assert {worker.exitcode for worker in workers} <= {0, -15}
        """,
    "Pool, closed": """
        import multiprocessing
        with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=3) as pool:
            pool.map(count, [5] * 10, chunksize=1)
            pool.close(); pool.join()
        """,
    "ProcessPoolExecutor": """
        import concurrent.futures, multiprocessing
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
            list(pool.map(count, [5] * 10))
        """,
    "os._exit": """
        for _ in range(10):
            if os.fork() == 0:
                counter.inc(5)
                os._exit(0)
        assert [os.wait()[1] for _ in range(10)] == [0] * 10
        """,
}


@pytest.mark.parametrize("children", CHILDREN)
def test_children_that_skip_atexit_push_what_they_counted(segments, target, children):
    target.demand_after(segments, CHILDREN[children], 51)


def test_a_process_that_ends_itself_at_once_pushes_what_it_counted(segments, target):
    target.demand_after(segments, "os._exit(0)", 1)


def test_a_process_that_becomes_another_program_pushes_what_it_counted(segments, target):
    becomes_another = """
        try:
            os.execv("/there/is/no/such/program", ["x"])
        except FileNotFoundError:
            counter.inc()
        os.execvp("true", ["true"])
    """
    target.demand_after(segments, becomes_another, 2)


def test_the_end_of_a_child_that_counted_nothing_does_not_wait_for_a_target_that_is_away(segments):
    output = segments.run(
        program("""
        import logging
        start = time.monotonic()
        for _ in range(3):
            if os.fork() == 0:
                os._exit(0)
            assert os.wait()[1] == 0
        print(time.monotonic() - start, flush=True)
        logging.disable()
        """),
        METRIFOLD_TARGET="http://127.0.0.1:9",
        METRIFOLD_EXIT_TIMEOUT="1s",
        PYTHONWARNINGS="ignore",
    )
    assert float(output) < 1


def test_a_target_that_is_away_costs_an_end_no_more_than_the_exit_timeout(segments):
    output = segments.run(
        program("""
        import logging, multiprocessing
        logging.disable()
        start = time.monotonic()
        process = multiprocessing.get_context("fork").Process(target=counter.inc)
        process.start(); process.join()
        print(process.exitcode, time.monotonic() - start, flush=True)
        """),
        METRIFOLD_TARGET="http://127.0.0.1:9",
        METRIFOLD_EXIT_TIMEOUT="300ms",
        PYTHONWARNINGS="ignore",
    )
    exit_code, seconds = output.split()
    assert (exit_code, float(seconds) < 2) == ("0", True)


def test_a_child_of_multiprocessing_that_is_stuck_outside_the_interpreter_still_ends_by_sigterm(segments, target):
    """Method: the child holds the interpreter's lock in a library for good, where no handler in Python would be called."""
    is_stuck = """
        import ctypes, multiprocessing
        def stuck(told):
            counter.inc(5)
            os.write(told, b".")
            # Twice the same lock, which no signal ends.
            library, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(64)
            library.pthread_mutex_lock(mutex), library.pthread_mutex_lock(mutex)
        from_child, told = os.pipe()
        process = multiprocessing.get_context("fork").Process(target=stuck, args=(told,))
        process.start()
        os.read(from_child, 1)
        process.terminate(); process.join()
        assert process.exitcode == -15
    """
    target.demand_after(segments, is_stuck, 6)


def test_celery_workers_of_one_task_each_push_what_they_counted(segments, target, tmp_path):
    if not target.redis_port:
        pytest.skip("the broker is the target's Redis")
    from celery import Celery

    broker = f"redis://127.0.0.1:{target.redis_port}/1"
    text = f"""
        from celery import Celery
        app = Celery("program", broker="{broker}", backend="{broker}")

        @app.task(name="work")
        def work():
            requests.inc(4)
            count()
    """
    application = Application(tmp_path, segments, text)
    sender = Celery("sender", broker=broker, backend=broker)
    arguments = ("--app", "program", "worker", "--concurrency", "2", "--pool", "prefork", "--max-tasks-per-child", "1")
    with application.running("celery", *arguments, "--loglevel", "warning", **target.variables()):
        for result in [sender.send_task("work") for _ in range(6)]:
            result.get(timeout=30)
        target.has("app_requests_total", 30)
