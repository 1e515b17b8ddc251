"""Imports prometheus_client so that it writes no files, whatever PROMETHEUS_MULTIPROC_DIR says.

Its metrics move to segments before the first worker; but those of a preloaded application would be made in the directory's files
before that, or fail because there is no such directory. The variable itself stays, for code that goes by it.
"""

from __future__ import annotations

import os
import sys

# The second is how the variable was once called.
_VARIABLES = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")

if "prometheus_client" not in sys.modules:
    _kept = {name: os.environ.pop(name) for name in _VARIABLES if name in os.environ}
    try:
        import prometheus_client  # noqa: F401
    finally:
        os.environ.update(_kept)
