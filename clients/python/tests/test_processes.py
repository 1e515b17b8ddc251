"""Forks, deaths, exits, system calls."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest


def test_a_forks_child_starts_from_zero_in_a_segment_of_its_own(segments):
    output = segments.run("""
        import os, time
        import metrifold
        from prometheus_client import Counter, Gauge, Histogram
        counter, gauge, histogram = Counter("c", "h"), Gauge("g", "h"), Histogram("s", "h", buckets=[1])
        metrifold.install()
        counter.inc(10); counter.reset(); counter.inc(3)
        histogram.observe(0.5)
        from_child, to_parent = os.pipe()
        if os.fork() == 0:
            seen = (counter._value.get(), gauge._value.get(), histogram._sum.get())
            counter.inc(2); gauge.set(1); histogram.observe(0.25)
            os.write(to_parent, repr((seen, counter._value.get())).encode())
            os._exit(0)
        os.wait()
        counter.inc()
        print(os.read(from_child, 100).decode(), counter._value.get())
    """)
    assert output == "((0.0, 0.0, 0.0), 2.0) 4.0\n"
    assert segments.values("counter", "c_total") == [2, 14]
    assert segments.values("histogram", "s_sum") == [0.25, 0.5]
    assert segments.values("gauge_all", "g") == [0, 1]


def test_forks_while_threads_count_lose_nothing(segments):
    output = segments.run("""
        import os, sys, threading
        import metrifold
        from prometheus_client import Counter
        metrifold.install()
        sys.setswitchinterval(1e-6)
        counter = Counter("c", "h", ["who"])
        done, counted = threading.Event(), 0
        def count():
            global counted
            while not done.is_set():
                counter.labels(str(counted % 500)).inc()
                counted += 1
        thread = threading.Thread(target=count)
        thread.start()
        import warnings; warnings.simplefilter("ignore")
        for _ in range(50):
            if os.fork() == 0:
                # Not labels(): the thread may have held prometheus_client's own lock at the fork.
                Counter("child", "h").inc()
                os._exit(0)
            assert os.wait()[1] == 0
        done.set(); thread.join()
        print(counted)
    """)
    counted = sum(value for segment in segments.read() for key, value in segment.items() if key[1] == "c_total")
    assert counted == int(output)
    assert segments.values("counter", "child_total") == [1] * 50


def test_the_last_increment_before_a_sigkill_is_in_the_segment(segments):
    process = segments.start("""
        import os, signal
        import metrifold
        from prometheus_client import Counter, Histogram
        metrifold.install()
        counter, histogram = Counter("c", "h"), Histogram("s", "h", buckets=[1])
        for _ in range(1000):
            counter.inc()
        histogram.observe(0.3)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert segments.values("counter", "c_total") == [1000]
    assert segments.values("histogram", "s_sum") == [0.3]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_workers_are_sources_of_their_own(segments, tmp_path, method):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(f"""
        import multiprocessing
        import metrifold
        from prometheus_client import Counter
        counter = Counter("c", "h")
        metrifold.install()
        def work(amount):
            counter.inc(amount)
        if __name__ == "__main__":
            context = multiprocessing.get_context("{method}")
            workers = [context.Process(target=work, args=(amount,)) for amount in (1, 2)]
            [worker.start() for worker in workers]; [worker.join() for worker in workers]
            assert [worker.exitcode for worker in workers] == [0, 0]
            counter.inc(4)
        """)
    )
    subprocess.run([sys.executable, program], env=segments.environment(), check=True)
    assert [value for value in segments.values("counter", "c_total") if value] == [1, 2, 4]


@pytest.mark.parametrize("end", ["pass", "sys.exit(0)", "os._exit(0)", "raise KeyboardInterrupt"])
def test_an_exit_of_any_kind_is_quick_and_loses_nothing(segments, end):
    process = segments.start(f"""
        import atexit, os, sys
        import metrifold
        from prometheus_client import Counter
        sys.excepthook = lambda *_: None
        counter = Counter("c", "h")
        atexit.register(counter.inc)
        metrifold.install()
        counter.inc()
        {end}
    """)
    process.communicate(timeout=10)
    expected = 1 if "_exit" in end else 2
    assert segments.values("counter", "c_total") == [expected]


def test_an_unreachable_remote_target_costs_the_exit_no_more_than_its_timeout(segments):
    output = segments.run(
        """
        import os, time
        import metrifold
        from prometheus_client import Counter
        counter = Counter("c", "h")
        status = metrifold.install()
        assert status.segment is None
        counter.inc()
        if os.fork() == 0:
            counter.inc()
            os._exit(0)
        assert os.wait()[1] == 0
        import atexit, logging
        logging.disable()
        start = time.monotonic()
        metrifold._install._end()
        print(time.monotonic() - start)
        """,
        METRIFOLD_TARGET="http://127.0.0.1:9",
        METRIFOLD_EXIT_TIMEOUT="300ms",
    )
    assert float(output) < 2


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace shows system calls and is not installed")
def test_recording_makes_no_system_call(segments, tmp_path):
    """Goal: nothing between two marks. Method: the program writes marks, strace writes down what stands between them."""
    program = textwrap.dedent("""
        import os
        import metrifold
        from prometheus_client import Counter, Gauge, Histogram
        metrifold.install()
        counter, gauge, histogram = Counter("c", "h"), Gauge("g", "h"), Histogram("s", "h")
        labelled = Counter("l", "h", ["who"]); labelled.labels("a")
        latest = Gauge("latest", "h", multiprocess_mode="mostrecent")
        def record(times):
            for _ in range(times):
                counter.inc(); gauge.set(1); histogram.observe(0.3); labelled.labels("a").inc(); latest.set(2)
        record(100)
        os.write(1, b"mark")
        record(100_000)
        os.write(1, b"mark")
    """)
    trace = tmp_path / "trace"
    # The C library's clock reads go through the vDSO where the machine's clock allows it.
    subprocess.run(
        ["strace", "-f", "-o", trace, "-e", "trace=!clock_gettime", sys.executable, "-c", program],
        env=segments.environment(),
        check=True,
        stdout=subprocess.DEVNULL,
    )
    calls = [line.split(None, 1)[1] for line in trace.read_text().splitlines()]
    marks = [place for place, call in enumerate(calls) if re.match(r'write\(1, "mark"', call)]
    assert len(marks) == 2
    assert calls[marks[0] + 1 : marks[1]] == []
    assert segments.values("counter", "c_total") == [100_100]


def test_a_full_file_system_costs_the_application_nothing(segments):
    """A file size limit stands for the full file system; SIGXFSZ would end the program."""
    output = segments.run("""
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        import metrifold
        from prometheus_client import Counter
        metrifold.install()
        counter = Counter("c", "h" * 1000, ["who"])
        for who in range(500):
            counter.labels(who).inc()
        assert all(counter.labels(who)._value.get() == 1 for who in range(500))
        status = metrifold.status()
        print(bool(status.problem or status.refused_slots))
    """)
    assert output == "True\n"


# Counts, and goes on with new series when it is told that there is no room left.
COUNTS_ON_A_FULL_FILE_SYSTEM = """
import json, sys
from prometheus_client import Counter
counter = Counter("c", "h" * 1000, ["who"])
counter.labels("early").inc()
print("ready", flush=True)
sys.stdin.readline()
for who in range(500):
    counter.labels("early").inc()
    counter.labels(who).inc()
print(json.dumps([counter.labels("early")._value.get(), [counter.labels(who)._value.get() for who in range(500)]]))
"""
OURS = f"""
import metrifold
status = metrifold.install()
assert status.problem is None and status.refused_slots == 0
{COUNTS_ON_A_FULL_FILE_SYSTEM}
status = metrifold.status()
print(json.dumps(bool(status.problem or status.refused_slots)))
"""
# What runs where the file system is mounted.
SIDE_BY_SIDE = """
import errno, json, subprocess, sys
from pathlib import Path
from metrifold import _native
full, programs = Path(sys.argv[1]), sys.argv[2:]
(full / "theirs").mkdir()
pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
workers = [subprocess.Popen([sys.executable, "-c", program], **pipes) for program in programs]
assert [worker.stdout.readline() for worker in workers] == ["ready\\n"] * 2
with open(full / "filler", "wb", buffering=0) as filler:
    try:
        while filler.write(bytes(512)):
            pass
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
outputs = [worker.communicate("go on\\n")[0] for worker in workers]
[segment] = (full / "ours").glob("*.seg")
in_segment = [value for _, _, labels, value in _native.read_segment(str(segment)) if labels == {"who": "early"}]
print(json.dumps([[worker.returncode for worker in workers], outputs, in_segment]))
"""


def test_a_full_tmpfs_kills_who_writes_prometheus_clients_files_and_nobody_else(segments, tmp_path):
    """Both value classes in processes of their own, on one tmpfs that is filled once they count."""
    full = tmp_path / "full"
    full.mkdir()
    mount = 'mount -t tmpfs -o size=1m none "$0" && exec "$@"'
    mounted = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(full)]
    if shutil.which("unshare") is None:
        pytest.skip("a file system of its own needs unshare (util-linux), which is not installed")
    tried = subprocess.run([*mounted, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"mounting a tmpfs in a user namespace of its own is not allowed here: {tried.stderr.strip()}")
    done = subprocess.run(
        [*mounted, sys.executable, "-c", SIDE_BY_SIDE, full, COUNTS_ON_A_FULL_FILE_SYSTEM, OURS],
        # install() takes the place of what the variable asks for.
        env=segments.environment(METRIFOLD_TARGET=f"local:{full / 'ours'}", PROMETHEUS_MULTIPROC_DIR=str(full / "theirs")),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    (theirs, ours), outputs, in_segment = json.loads(done.stdout)
    assert (theirs, outputs[0]) == (-signal.SIGBUS, "")
    assert ours == 0
    counted, says_so = map(json.loads, outputs[1].splitlines())
    assert counted == [501, [1] * 500]
    assert says_so
    assert in_segment == [501], "what had room before is in the segment"


def test_a_forked_childs_segment_names_the_child(segments):
    """The lock and the pid in a segment are its own process's, so a death is seen as what it is."""
    output = segments.run("""
        import os
        import metrifold
        metrifold.install()
        parent = metrifold.status().segment
        if os.fork() == 0:
            child = metrifold.status().segment
            assert child != parent and os.path.exists(child) and os.path.exists(parent)
            os._exit(0)
        assert os.wait()[1] == 0
        print(parent)
    """)
    assert os.path.dirname(output.strip()) == str(segments.directory)
    assert len(segments.read()) == 2


def test_a_forks_child_never_waits_for_a_lock_of_labels_that_a_thread_of_its_parent_held(segments):
    output = segments.run("""
        import os, sys, threading, warnings
        import metrifold
        from prometheus_client import Counter, Enum
        warnings.simplefilter("ignore")
        early = Counter("early", "h", ["who"])
        metrifold.install()
        late, state = Counter("late", "h", ["who"]), Enum("state", "h", states=["a", "b"])
        held, release = threading.Event(), threading.Event()
        def hold():
            with early._lock, late._lock, state._lock:
                held.set()
                release.wait()
        thread = threading.Thread(target=hold); thread.start(); held.wait()
        if os.fork() == 0:
            early.labels("x").inc(); late.labels("x").inc(); state.state("b")
            os._exit(0)
        ended = os.wait()[1]
        release.set(); thread.join()
        print(ended)
    """)
    assert output == "0\n"
    assert segments.values("counter", "late_total", who="x") == [1]


def test_a_signals_handler_may_ask_for_the_labels_that_it_interrupted(segments):
    segments.run("""
        import signal
        import metrifold
        from prometheus_client import Counter
        metrifold.install()
        counter = Counter("c", "h", ["who"])
        signal.signal(signal.SIGALRM, lambda *_: counter.labels("handler").inc())
        with counter._lock:
            signal.raise_signal(signal.SIGALRM)
    """)
    assert segments.values("counter", "c_total", who="handler") == [1]


def test_a_collector_of_files_after_install_says_where_the_page_is(segments, tmp_path):
    output = segments.run(
        """
        import logging, sys
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        import metrifold
        from prometheus_client import CollectorRegistry, multiprocess
        metrifold.install()
        for _ in range(2):
            multiprocess.MultiProcessCollector(CollectorRegistry())
        """,
        PROMETHEUS_MULTIPROC_DIR=str(tmp_path),
    )
    [line] = output.splitlines()
    assert f"PROMETHEUS_MULTIPROC_DIR={tmp_path}" in line and "metrifold serve" in line


def test_marking_a_process_dead_removes_files_where_there_are_some(segments, tmp_path):
    (tmp_path / "gauge_liveall_1.db").touch()
    (tmp_path / "gauge_liveall_2.db").touch()
    segments.run(
        """
        import metrifold
        from prometheus_client import multiprocess
        metrifold.install()
        multiprocess.mark_process_dead(1)
        """,
        PROMETHEUS_MULTIPROC_DIR=str(tmp_path),
    )
    assert [path.name for path in tmp_path.glob("*.db")] == ["gauge_liveall_2.db"]


def test_a_process_that_becomes_another_program_is_two_sources_of_which_one_is_dead(segments, local_server):
    """Pid and start time stay, and so does the process: only its memory is gone. Live gauges were added up twice."""
    counting = "import metrifold; from prometheus_client import Counter, Gauge; metrifold.install(); Counter('c', 'h').inc(); "
    gauge = "Gauge('g', 'h', multiprocess_mode='livesum').set(5); "
    waiting = f"{counting}{gauge}print('ready', flush=True); input()"
    program = f"{counting}{gauge}import os, sys; os.execv(sys.executable, [sys.executable, '-c', {waiting!r}])"
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=segments.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"ready\n"
    local_server.eventually(lambda lines: lines.get("c_total") == 2)
    local_server.eventually(lambda lines: lines.get("g") == 5)
    process.communicate(b"\n")


def test_a_help_text_of_any_length_costs_nobody_the_metric(segments, local_server):
    segments.run("""
        import metrifold
        from prometheus_client import Counter
        metrifold.install()
        Counter("c", "long " * 2000).inc()
        assert metrifold.status().refused_slots == 0
    """)
    local_server.eventually(lambda lines: lines.get("c_total") == 1)


def test_a_dotted_name_is_shown_with_underscores_to_whoever_asks_for_nothing_else(segments, local_server):
    segments.run("""
        import metrifold
        from prometheus_client import Counter
        metrifold.install()
        Counter("jobs.done", "h", ["the.way"]).labels("x").inc()
    """)
    local_server.eventually(lambda lines: lines.get('jobs_done_total{the_way="x"}') == 1)
