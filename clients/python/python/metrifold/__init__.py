"""One correct Prometheus scrape over many worker processes, for existing prometheus_client code.

    import metrifold

    metrifold.install()

From then on every Counter, Gauge, Histogram and Summary of prometheus_client, made before or after, keeps its values in a
segment: memory that outlives the process. A local Metrifold (``metrifold serve``) shows the sum over all processes, dead ones
included. Recording stays an addition in the process's own memory.

Under gunicorn nothing needs to be called: use the worker class ``metrifold.gunicorn.PrometheusWorker``.
"""

from ._binary import BinaryNotFoundError, binary
from ._install import NotInstalledError, install, status
from ._native import Status

__all__ = ["BinaryNotFoundError", "NotInstalledError", "Status", "binary", "install", "status"]
