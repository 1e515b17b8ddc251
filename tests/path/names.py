"""Files of as many processes as it is told, written by one: prometheus_client asks for its process's name at every
operation, and goes on in another file whenever that changes."""

import sys

from prometheus_client import Counter, values

# Beyond any pid, so that nobody has them.
FIRST = 5_000_000
name = FIRST
values.ValueClass = values.MultiProcessValue(lambda: name)
EVENTS = Counter("forks_events", "Events")

for name in range(FIRST, FIRST + int(sys.argv[1])):
    EVENTS.inc(2)
