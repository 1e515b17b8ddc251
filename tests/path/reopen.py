"""Processes that use a file's name again at any moment: each opens the file of a process that has ended, counts, holds the
file for a while, counts, and is killed or ends. After each event one byte is appended to $LEDGER/reopened.

The name is a number that no process has, because pids cannot be chosen; a pid that is used again does the same. With "pids"
as the last argument they can: the program runs in a pid namespace of its own, and the name is the process's pid.
"""

import fcntl
import os
import random
import signal
import sys
import time

names, seconds, seed = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
are_pids = sys.argv[4:] == ["pids"]
# Beyond the largest pid that a kernel gives out by default; or below the smallest limit of pids, far from each other, since
# what others start meanwhile gets the next ones.
FIRST, STEP = (20_000, 1_000) if are_pids else (4_190_000, 1)
events = os.open(os.path.join(os.environ["LEDGER"], "reopened"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
chance = random.Random(seed)
end = time.monotonic() + seconds


def use(name: int, first: float, hold: float) -> None:
    from prometheus_client import Counter, values

    values.ValueClass = values.MultiProcessValue(lambda: name)
    time.sleep(first)
    counter = Counter("reopened", "Events")
    # Not every pid can be had: a thread of the sidecar may live under one for as long as it runs.
    open(os.path.join(os.environ["LEDGER"], f"used-{name}"), "w").close()
    for _ in range(3):
        # First of all it holds a file that looks as the dead one left it.
        time.sleep(hold / 3)
        counter.inc()
        os.write(events, b".")
    os.kill(os.getpid(), signal.SIGKILL)


def fork(name: int) -> int:
    if not are_pids:
        return os.fork()
    with open(os.environ["LEDGER"] + "/.choosing", "w") as choosing:
        fcntl.flock(choosing, fcntl.LOCK_EX)
        with open("/proc/sys/kernel/ns_last_pid", "w") as last_pid:
            last_pid.write(str(name - 1))
        pid = os.fork()
        if pid == 0 and os.getpid() != name:
            # A thread of the sidecar was faster; there is another turn.
            os._exit(0)
        fcntl.flock(choosing, fcntl.LOCK_UN)
        return pid


def keep_using(name: int) -> None:
    while time.monotonic() < end:
        pid = fork(name)
        if pid == 0:
            use(name, chance.random() * 2.5, chance.random() * chance.choice([0.01, 1.5]))
        os.waitpid(pid, 0)


for number in range(names):
    if os.fork() == 0:
        chance.seed(seed + number)
        keep_using(FIRST + STEP * number)
        os._exit(0)
for _ in range(names):
    os.wait()
print("the last one has ended", flush=True)
