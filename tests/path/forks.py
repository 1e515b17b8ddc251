"""A process that lives, and as many short ones as it is told to: each counts, sets a live gauge, and ends without a word."""

import os
import signal
import sys

from prometheus_client import Counter, Gauge

EVENTS = Counter("forks_events", "Events")
LIVE = Gauge("forks_live", "Processes that live", multiprocess_mode="livesum")

EVENTS.inc()
LIVE.set(1)
for _ in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        EVENTS.inc(2)
        LIVE.set(1)
        os._exit(0)
    os.waitpid(pid, 0)
print("all forked", flush=True)
signal.pause()
