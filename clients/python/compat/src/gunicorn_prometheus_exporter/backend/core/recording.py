"""Begins to record, wherever this is called."""

from __future__ import annotations

import logging
import sys

import metrifold
from metrifold import _native
from metrifold.gunicorn import _master

from ...config import get_config

_LOG = logging.getLogger(__name__)


def begin_to_record() -> None:
    """Does nothing if this process, or the one that it was forked from, records already.

    :raises ValueError: for a setting that can never work.
    """
    if _native.status() is not None:
        return
    if "gunicorn.arbiter" in sys.modules:
        # In gunicorn's master: as its first worker would.
        _master.start(_LOG)
    else:
        metrifold.install(namespace=get_config().redis_key_prefix)
