"""An ordinary prometheus_client application. Nothing in it knows of Metrifold."""

import time

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("example_requests", "Requests by path.", ["path"])
SECONDS = Histogram("example_request_seconds", "Time to answer.")
IN_PROGRESS = Gauge("example_in_progress", "Requests that are being answered.", multiprocess_mode="livesum")

# Labels are a closed set: whatever else is asked for must not make a series of its own.
PATHS = {"/", "/slow"}


def app(environ, start_response):
    path = environ["PATH_INFO"] if environ["PATH_INFO"] in PATHS else "other"
    with IN_PROGRESS.track_inprogress(), SECONDS.time():
        if path == "/slow":
            time.sleep(0.1)
        REQUESTS.labels(path).inc()
    status = "404 Not Found" if path == "other" else "200 OK"
    start_response(status, [("Content-Type", "text/plain")])
    return [f"{status}\n".encode()]
