"""Memory and processor time of this process."""

from __future__ import annotations

import os
import resource
import sys
import time


class Process:
    """The process that makes this object."""

    def __init__(self) -> None:
        self._began = self._looked = time.monotonic()
        self._busy = time.process_time()

    def uptime_seconds(self) -> float:
        """Since the object was made."""
        return time.monotonic() - self._began

    def memory_bytes(self) -> float:
        """Resident memory; where the system does not tell, the most that it ever was."""
        try:
            with open("/proc/self/statm", "rb", buffering=0) as file:
                return float(int(file.read(128).split()[1]) * _PAGE_BYTES)
        except OSError:
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return float(most if sys.platform == "darwin" else most * 1024)

    def cpu_percent(self) -> float:
        """Processor time since the last call, in percent of one processor."""
        now, busy = time.monotonic(), time.process_time()
        elapsed, used = now - self._looked, busy - self._busy
        self._looked, self._busy = now, busy
        return 100.0 * used / elapsed if elapsed > 0 else 0.0


_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
