"""One correct Prometheus scrape over many worker processes, for existing prometheus_client code.

    import metrifold

    metrifold.install()

From then on every metric of prometheus_client, made before or after, keeps its values in a
segment: memory that outlives the process. A local Metrifold (``metrifold serve``) shows the sum over all processes, dead ones
included. Recording stays an addition in the process's own memory.

For programs that stay with prometheus_client's multiprocess mode, :class:`MultiProcessCollector` reads its directory many times
faster, and :func:`generate_latest` writes the scrape without an object per sample.

Gauges with a function and custom collectors are sampled, see :func:`install`.

Under gunicorn nothing needs to be called: use the worker class ``metrifold.gunicorn.PrometheusWorker``.
"""

from ._binary import BinaryNotFoundError, binary
from ._collector import MultiProcessCollector, generate_latest, mark_process_dead
from ._install import NotInstalledError, install, register, sample, status
from ._native import Status

__all__ = [
    "BinaryNotFoundError",
    "MultiProcessCollector",
    "NotInstalledError",
    "Status",
    "binary",
    "generate_latest",
    "install",
    "mark_process_dead",
    "register",
    "sample",
    "status",
]
