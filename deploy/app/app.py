"""An ordinary Flask application with prometheus_client. Nothing in it knows of Metrifold."""

import time

from flask import Flask, Response, g, request
from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("http_requests", "Answered requests by route and status.", ["route", "status"])
SECONDS = Histogram("http_request_seconds", "Time to answer by route.", ["route"])
IN_PROGRESS = Gauge("http_requests_in_progress", "Requests being answered.", multiprocess_mode="livesum")

app = Flask(__name__)


@app.get("/")
def index() -> str:
    return "hello\n"


@app.get("/slow")
def slow() -> str:
    time.sleep(0.1)
    return "at last\n"


@app.get("/broken")
def broken() -> Response:
    return Response("broken on purpose\n", status=500)


@app.get("/healthy")
def healthy() -> str:
    return "healthy\n"


@app.before_request
def begin() -> None:
    g.begun = time.perf_counter()
    IN_PROGRESS.inc()


@app.after_request
def count(response: Response) -> Response:
    # Routes are a closed set: whatever else is asked for must not make a series of its own.
    route = request.url_rule.rule if request.url_rule else "none"
    if route != "/healthy":
        REQUESTS.labels(route, response.status_code).inc()
        SECONDS.labels(route).observe(time.perf_counter() - g.begun)
    return response


@app.teardown_request
def end(_error: BaseException | None) -> None:
    IN_PROGRESS.dec()
