"""The directory of prometheus_client's files, for code that goes by it."""

from __future__ import annotations

import os


def get_multiprocess_dir() -> str | None:
    """PROMETHEUS_MULTIPROC_DIR; None if it is not set."""
    return os.environ.get("PROMETHEUS_MULTIPROC_DIR")


def ensure_multiprocess_dir(mp_dir: str | None) -> bool:
    """Makes a directory unless it is there. Whether there was one to make: no name, no directory."""
    if not mp_dir:
        return False
    os.makedirs(mp_dir, exist_ok=True)
    return True
