"""Why workers end, and what the master is told."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from conftest import BINARY, WHY_NO_BINARY
from gunicorn.errors import HaltServer
from running import Load, eventually, get, interpreter, start  # noqa: F401

from metrifold import _native
from metrifold.gunicorn import _ends
from metrifold.gunicorn._ends import Exit, OutOfMemoryKills
from metrifold.gunicorn._signals import children_deferred
from metrifold.gunicorn._worker_metrics import queue_seconds

needs_binary = pytest.mark.skipif(not BINARY, reason=WHY_NO_BINARY)
pytestmark = pytest.mark.timeout(120)

APPLICATION = """
    import os, time
    from prometheus_client import Counter
    REQUESTS = Counter("app_requests", "h")
    def app(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/exit":
            os._exit(7)
        if path == "/hang":
            time.sleep(3600)
        if path == "/fail":
            raise LookupError(path)
        start_response("200 OK", [])
        REQUESTS.inc()
        return [str(os.getpid()).encode()]
"""

QUIET = dict(timed_out=False, reloads=False, out_of_memory=False)


@pytest.mark.parametrize(
    ("end", "note", "circumstances", "reason"),
    [
        (Exit(code=0), _ends.MAX_REQUESTS, {}, ("max_requests", "graceful")),
        (Exit(code=0), _ends.TERM, {}, ("term", "graceful")),
        (Exit(code=0), _ends.QUIT, {"reloads": True}, ("quit", "graceful")),
        (Exit(code=0), 0, {"reloads": True}, ("reload", "graceful")),
        (Exit(code=0), 0, {}, ("exit", "graceful")),
        (Exit(code=1), _ends.ABORT, {}, ("abort", "forced")),
        (Exit(code=1), _ends.ABORT, {"timed_out": True}, ("timeout", "forced")),
        (Exit(signal=9), 0, {"timed_out": True}, ("timeout", "forced")),
        (Exit(signal=9), 0, {"out_of_memory": True}, ("oom", "forced")),
        (Exit(signal=9), _ends.TERM, {}, ("sigkill", "forced")),
        (Exit(signal=11), 0, {"out_of_memory": True}, ("sigsegv", "forced")),
        (Exit(signal=15), 0, {}, ("term", "graceful")),
        (Exit(signal=40), 0, {}, ("signal_40", "forced")),
        (Exit(code=3), 0, {}, ("boot_error", "forced")),
        (Exit(code=4), 0, {}, ("app_load_error", "forced")),
        (Exit(code=7), 0, {}, ("exit_7", "forced")),
    ],
)
def test_an_end_is_named_after_its_first_cause(end, note, circumstances, reason):
    assert _ends.reason(end, note, **(QUIET | circumstances)) == reason


def test_a_note_keeps_the_first_cause():
    note = _ends.Note()
    note.write(_ends.TERM)
    note.write(_ends.QUIT)
    assert note.read() == _ends.TERM


KILLED = Exit(signal=signal.SIGKILL)


def test_each_kill_for_memory_explains_one_sigkill_and_nothing_else(tmp_path):
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom 1\noom_kill 3\noom_group_kill 0\n")
    kills = OutOfMemoryKills(events)
    assert not kills.explains(KILLED), "those were before"
    events.write_text("low 0\noom 2\noom_kill 5\noom_group_kill 0\n")
    assert not kills.explains(Exit(code=0))
    assert not kills.explains(Exit(signal=signal.SIGSEGV))
    assert [kills.explains(KILLED) for _ in range(3)] == [True, True, False]


def test_kills_for_memory_that_the_kernel_does_not_tell_of_explain_nothing(tmp_path):
    assert not OutOfMemoryKills(None).explains(KILLED)
    events = tmp_path / "memory.events"
    events.write_text("oom_kill 3\n")
    kills = OutOfMemoryKills(events)
    events.unlink()
    assert not kills.explains(KILLED)
    events.write_text("oom_kill 3\n")
    assert not kills.explains(KILLED), "they are the same three"


@contextmanager
def handling_children(handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """A handler of SIGCHLD, in a process that has another thread: the kernel may give that one the signal."""
    ended = threading.Event()
    other = threading.Thread(target=ended.wait)
    other.start()
    former = signal.signal(signal.SIGCHLD, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, former)
        ended.set()
        other.join()


def test_a_handler_waits_for_the_end_of_a_section_whichever_thread_gets_the_signal():
    handled: list[int] = []
    with handling_children(lambda number, _frame: handled.append(number)):
        with children_deferred():
            until = time.monotonic() + 0.2
            while time.monotonic() < until:
                with children_deferred():
                    os.kill(os.getpid(), signal.SIGCHLD)
                assert handled == []
            signal.raise_signal(signal.SIGCHLD)
        assert handled != []
        handled.clear()
        signal.raise_signal(signal.SIGCHLD)
        assert handled == [signal.SIGCHLD], "none was forgotten, and none is deferred any more"


def test_children_that_end_faster_than_they_are_looked_at_do_not_fill_the_stack(segments):
    segments.run(
        """
        import signal
        import metrifold
        from prometheus_client import Counter
        from metrifold.gunicorn._signals import children_deferred, count_signals

        metrifold.install()
        left, depth, deepest, waited = 5000, 0, 0, 0

        def child_ended():
            global left, depth, deepest
            depth += 1
            deepest = max(deepest, depth)
            with children_deferred():
                if left:
                    left -= 1
                    signal.raise_signal(signal.SIGCHLD)
            depth -= 1

        def wait(number, frame):
            global waited
            assert depth == 0
            waited += 1

        signal.signal(signal.SIGCHLD, wait)
        count_signals(Counter("signals", "h", ["reason"]), child_ended)
        signal.raise_signal(signal.SIGCHLD)
        assert (left, deepest, waited) == (0, 1, 1), (left, deepest, waited)
        """
    )
    assert segments.values("counter", "signals_total", reason="chld") == [5001]


def test_what_a_deferred_handler_raises_is_raised_and_it_stays_in_place():
    def handle(_number: int, _frame: FrameType | None) -> None:
        raise HaltServer("as gunicorn 23 does in its handler")

    with handling_children(handle):
        with pytest.raises(HaltServer), children_deferred():
            signal.raise_signal(signal.SIGCHLD)
        assert signal.getsignal(signal.SIGCHLD) is handle


def test_a_thread_other_than_the_main_one_defers_nothing_and_needs_nothing():
    handled: list[int] = []
    was_there: list[bool] = []

    def defer() -> None:
        with children_deferred():
            was_there.append(True)

    with handling_children(lambda number, _frame: handled.append(number)):
        thread = threading.Thread(target=defer)
        thread.start()
        thread.join()
        signal.raise_signal(signal.SIGCHLD)
    assert (was_there, handled) == ([True], [signal.SIGCHLD])


@pytest.mark.parametrize(
    ("header", "waited"),
    [
        ("t=1700000000.25", 0.75),
        ("1700000000250", 0.75),
        ("t=1700000000250000", 0.75),
        ("1700000000250000000", 0.75),
        ("t=1700000002", 0.0),
        ("t=1600000000", None),
        ("", None),
        ("now", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_a_proxys_time_is_understood_in_every_unit_that_proxies_use(header, waited):
    assert queue_seconds(header, 1700000001.0) == (None if waited is None else pytest.approx(waited, abs=1e-3))


@pytest.fixture
def application(tmp_path: Path) -> Path:
    path = tmp_path / "application.py"
    path.write_text(textwrap.dedent(APPLICATION))
    return path


@needs_binary
@pytest.mark.parametrize("version", ["newest", "20.1"])
def test_every_end_is_counted_once_with_its_reason(start, application, version):
    gunicorn = start("--timeout", "2", "--max-requests", "60", "--max-requests-jitter", "5", python=interpreter(version))
    gunicorn.serves()

    def ended() -> dict[str, float]:
        found: dict[str, float] = {}
        for labels, value in gunicorn.samples("gunicorn_worker_restart_total").items():
            reason = labels.split('reason="')[1].split('"')[0]
            found[reason] = found.get(reason, 0) + value
        return found

    with Load(gunicorn.port) as load:
        eventually(lambda: load.answered >= 150)
    eventually(lambda: ended().get("max_requests", 0) >= 1)
    for path in ("/exit", "/hang"):
        with pytest.raises(OSError):
            get(gunicorn.port, path)
    eventually(lambda: {"exit_7", "timeout"} <= set(ended()))
    gunicorn.serves()
    os.kill(int(get(gunicorn.port)), signal.SIGSEGV)
    eventually(lambda: "sigsegv" in ended())
    os.kill(gunicorn.workers()[0], signal.SIGTERM)
    eventually(lambda: ended().get("term") == 1)
    found = ended()
    assert set(found) == {"max_requests", "exit_7", "timeout", "sigsegv", "term"}, found
    assert all(found[reason] == 1 for reason in found if reason != "max_requests"), found
    assert gunicorn.total("gunicorn_worker_restart_count_total") == sum(found.values())
    assert gunicorn.total("gunicorn_master_worker_restart_count_total") == sum(found.values())


@needs_binary
@pytest.mark.parametrize("version", ["newest", "23", "20.1"])
def test_signals_to_the_master_are_counted_and_do_what_they_do(start, application, version):
    gunicorn = start(python=interpreter(version))
    gunicorn.serves()
    first = set(gunicorn.workers())

    def received() -> dict[str, float]:
        found = gunicorn.samples("gunicorn_master_worker_restart_total")
        return {labels.split('"')[1]: value for labels, value in found.items()}

    def send(name: str, done) -> None:
        before = received().get(name, 0)
        gunicorn.process.send_signal(getattr(signal, f"SIG{name.upper()}"))
        eventually(lambda: received().get(name, 0) == before + 1)
        eventually(done)

    eventually(lambda: len(gunicorn.workers()) == 2)
    send("ttin", lambda: len(gunicorn.workers()) == 3)
    send("ttou", lambda: len(gunicorn.workers()) == 2)
    send("usr1", lambda: len(gunicorn.workers()) == 2)
    send("hup", lambda: len(gunicorn.workers()) == 2 and not first & set(gunicorn.workers()))
    eventually(lambda: received().get("chld", 0) >= 1)
    # One hook around the user's after every reload, and not one around another.
    eventually(lambda: gunicorn.total("gunicorn_worker_restart_total") == 3)
    places = {labels for labels in gunicorn.samples("gunicorn_worker_uptime_seconds")}
    assert places <= {f'{{worker_id="{place}"}}' for place in range(1, 6)}


@needs_binary
@pytest.mark.parametrize("version", ["newest", "23", "20.1"])
def test_an_interrupt_is_counted_and_ends_the_master_at_once(start, application, version):
    # The page outlives the master.
    gunicorn = start(python=interpreter(version), METRIFOLD_AGENT__LINGER="5s")
    eventually(lambda: gunicorn.total("gunicorn_worker_boots_total") == 2)
    gunicorn.process.send_signal(signal.SIGINT)
    assert gunicorn.process.wait(20) == 0
    eventually(lambda: gunicorn.samples("gunicorn_master_worker_restart_total").get('{reason="int"}') == 1)
    ends = {f'{{reason="quit",worker_id="{place}"}}': 1 for place in (1, 2)}
    eventually(lambda: gunicorn.samples("gunicorn_worker_restart_total") == ends)


@needs_binary
def test_a_reload_of_changed_files_keeps_the_totals(start, application):
    gunicorn = start("--reload", "--reload-engine", "poll")
    gunicorn.serves()
    answered = 1 + sum(bool(get(gunicorn.port)) for _ in range(20))
    application.write_text(application.read_text() + "\n# changed\n")
    eventually(lambda: 'reason="reload"' in str(gunicorn.samples("gunicorn_worker_restart_total")))
    gunicorn.serves()
    eventually(lambda: gunicorn.total() >= answered + 1)


@needs_binary
def test_two_masters_of_an_upgrade_share_one_server_and_lose_nothing(start, application, tmp_path):
    gunicorn = start("--pid", str(tmp_path / "pid"))
    gunicorn.serves()
    server = (tmp_path / "segments" / "agent.lock").read_text()
    with Load(gunicorn.port) as load:
        eventually(lambda: load.answered >= 50)
        gunicorn.process.send_signal(signal.SIGUSR2)
        eventually(lambda: gunicorn.total("gunicorn_worker_boots_total") == 4)
        successor = int((tmp_path / "pid.2").read_text())
        gunicorn.process.terminate()
        gunicorn.process.wait(20)
        answered = load.answered
        eventually(lambda: load.answered >= answered + 50)
    try:
        eventually(lambda: gunicorn.total() >= load.answered + 1)
        gunicorn.has_settled()
        assert gunicorn.total() == load.answered + 1
        assert load.failed == 0
        assert (tmp_path / "segments" / "agent.lock").read_text() == server
        assert 'reason="usr2"' in str(gunicorn.samples("gunicorn_master_worker_restart_total"))
    finally:
        os.kill(successor, signal.SIGTERM)


@needs_binary
def test_a_server_that_died_is_started_again_without_a_new_worker(start, application):
    gunicorn = start()
    gunicorn.serves()
    # The second one may be on its way still.
    workers = set(gunicorn.workers())
    lock = gunicorn.directory / "segments" / "agent.lock"
    former = lock.read_text()
    os.kill(int(former), signal.SIGKILL)
    # A sync worker's heart beats with its requests.
    eventually(lambda: bool(get(gunicorn.port)) and lock.read_text() != former and gunicorn.is_served())
    eventually(lambda: gunicorn.total() >= 2)
    assert workers <= set(gunicorn.workers())


@needs_binary
def test_failures_are_counted_where_they_happen_and_where_they_are_answered(start, application):
    gunicorn = start()
    gunicorn.serves()
    with pytest.raises(OSError, match="500"):
        get(gunicorn.port, "/fail")
    with pytest.raises(OSError, match="400"):
        get(gunicorn.port, "/", **{"Bad Header": "x"})
    eventually(lambda: gunicorn.total("gunicorn_worker_error_handling_total") == 2)
    page = gunicorn.page()
    failed = gunicorn.samples("gunicorn_worker_failed_requests_total", page)
    assert [labels.split(",", 1)[0] for labels in failed] == ['{endpoint="UNKNOWN"']
    assert all('error_type="LookupError",method="GET"' in labels for labels in failed)
    handled = str(gunicorn.samples("gunicorn_worker_error_handling_total", page))
    assert 'error_type="LookupError",method="GET"' in handled
    assert 'error_type="InvalidHeaderName",method="UNKNOWN"' in handled
    assert gunicorn.samples("gunicorn_requests_total", page)['{endpoint="UNKNOWN",method="GET",status="500"}'] == 1


@needs_binary
def test_the_wait_in_front_of_the_workers_is_taken_from_the_proxys_header(start, application):
    gunicorn = start()
    gunicorn.serves()
    get(gunicorn.port, "/", **{"X-Request-Start": f"t={time.time() - 7}"})
    eventually(lambda: gunicorn.total("gunicorn_worker_request_queue_seconds_count") == 1)
    assert gunicorn.samples("gunicorn_worker_request_queue_seconds_sum").popitem()[1] == pytest.approx(7, abs=2)


@needs_binary
@pytest.mark.parametrize("version", ["newest", "20.1"])
def test_workers_that_die_at_once_are_all_counted(start, application, version):
    gunicorn = start("--workers", "6", python=interpreter(version))
    for killed in (6, 12):
        # gunicorn 27 itself forgets one that dies before fork() has returned in the master, until its time-out.
        eventually(lambda: gunicorn.total("gunicorn_worker_boots_total") == killed and gunicorn.is_at_rest())
        for pid in gunicorn.workers():
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: gunicorn.total("gunicorn_worker_restart_total") == killed)
    gunicorn.serves()
    assert all('reason="sigkill"' in labels for labels in gunicorn.samples("gunicorn_worker_restart_total"))


# Signals as from a thousand children a second, as another thread of the master may get them.
STORM = """
    import os, signal, threading, time
    def when_ready(server):
        def storm():
            while True:
                os.kill(server.pid, signal.SIGCHLD)
                time.sleep(0.001)
        threading.Thread(target=storm, daemon=True).start()
"""


@needs_binary
@pytest.mark.parametrize("version", ["newest", "20.1"])
def test_a_master_that_is_interrupted_all_the_time_goes_on_and_counts_each_end_once(start, application, version):
    (application.parent / "gunicorn.conf.py").write_text(textwrap.dedent(STORM))
    # Each worker's end is a new series then, and making one takes a lock.
    gunicorn = start("--workers", "6", python=interpreter(version), GUNICORN_METRICS_OLD_LABELS="true")
    for killed in range(6, 36, 6):
        eventually(lambda: gunicorn.total("gunicorn_worker_boots_total") == killed)
        for pid in gunicorn.workers():
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: gunicorn.total("gunicorn_worker_restart_total") >= killed)
    gunicorn.serves()
    gunicorn.has_settled()
    assert gunicorn.total("gunicorn_worker_restart_total") == killed


# What tells the master why the worker ended.
FAILING = """
    class Note:
        def write(self, note):
            pass
        def read(self):
            raise LookupError("nothing is noted")
    def pre_fork(server, worker):
        worker.end_note = Note()
"""


@needs_binary
@pytest.mark.parametrize("version", ["newest", "20.1"])
def test_an_end_that_cannot_be_counted_is_logged_once_and_stops_nothing(start, application, version):
    (application.parent / "gunicorn.conf.py").write_text(textwrap.dedent(FAILING))
    gunicorn = start(python=interpreter(version))
    for _ in range(2):
        gunicorn.serves()
        killed = int(get(gunicorn.port))
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: killed not in gunicorn.workers() and len(gunicorn.workers()) == 2)
    gunicorn.serves()
    assert gunicorn.log().count("ends of workers are not counted: LookupError: nothing is noted") == 1, gunicorn.log()


# The kernel's file, as it would be in a container that has a limit.
LIMITED = """
    from pathlib import Path
    from metrifold.gunicorn import _ends
    _ends.memory_events = lambda: Path("memory.events")
"""


@needs_binary
def test_workers_that_are_killed_for_memory_at_once_are_all_called_so(start, application):
    (application.parent / "gunicorn.conf.py").write_text(textwrap.dedent(LIMITED))
    events = application.parent / "memory.events"
    events.write_text("oom_kill 0\n")
    gunicorn = start("--workers", "4")

    def ended(reason: str) -> float:
        found = gunicorn.samples("gunicorn_worker_restart_total")
        return sum(value for labels, value in found.items() if f'reason="{reason}"' in labels)

    eventually(lambda: gunicorn.total("gunicorn_worker_boots_total") == 4 and gunicorn.is_at_rest())
    events.write_text("oom_kill 2\n")
    first, second, third, fourth = gunicorn.workers()
    os.kill(first, signal.SIGSEGV)
    eventually(lambda: ended("sigsegv") == 1)
    os.kill(second, signal.SIGKILL)
    os.kill(third, signal.SIGKILL)
    eventually(lambda: ended("oom") == 2)
    os.kill(fourth, signal.SIGKILL)
    eventually(lambda: ended("sigkill") == 1)
    assert gunicorn.total("gunicorn_worker_restart_total") == 4


@needs_binary
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give rights up")
def test_workers_that_give_up_roots_rights_are_counted_over_a_kill(start):
    # pytest's directories are root's alone.
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    (directory / "application.py").write_text(textwrap.dedent(APPLICATION))
    try:
        rights = ("--user", "nobody", "--group", "nogroup", "--chdir", str(directory))
        gunicorn = start("--preload", *rights, METRIFOLD_TARGET=None)
        segments = Path(_native.default_directory()) / f"gunicorn-{gunicorn.metrics_port}"
        gunicorn.serves()
        worker = int(get(gunicorn.port))
        assert os.stat(f"/proc/{worker}").st_uid == pwd.getpwnam("nobody").pw_uid
        os.kill(worker, signal.SIGKILL)
        gunicorn.serves()
        eventually(lambda: gunicorn.total() == 3)
        assert "metrics are not shared" not in gunicorn.log()
        gunicorn.end()
        eventually(lambda: not _native.agent_is_running(str(segments)))
    finally:
        shutil.rmtree(directory)
    shutil.rmtree(segments)
