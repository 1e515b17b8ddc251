"""Each request of a WSGI worker, seen by gunicorn's hooks ``pre_request`` and ``post_request``.

They are the one place where every worker, over all versions of gunicorn, shows the request, its environment and the response
with the bytes sent; nothing of gunicorn is patched. They are set in the worker's copy of the configuration, around those that
the user has set.

Two sizes are not shown there. A body in chunks is counted by a reader in front of gunicorn's; a file that the system sends from
its descriptor is looked at when the application answers with it.
"""

from __future__ import annotations

import errno
import os
import ssl
import sys
import time
from collections.abc import Callable
from typing import Any

from gunicorn.http.body import ChunkedReader

from . import routes
from ._worker_metrics import MeasuredWorker, length

Application = Callable[[dict[str, Any], Any], Any]

_BEGAN = "_metrifold_began"
# Where a request's environment holds the length of the file that the application answered with.
_FILE_BYTES = "metrifold.file_bytes"
# How a socket says that the client has hung up. gunicorn takes these for that too, whoever raised them.
_HUNG_UP = frozenset((errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN))


def observe_requests(worker: MeasuredWorker) -> None:
    """Called in the worker, once."""
    metrics = worker.metrics
    assert metrics is not None
    settings = worker.cfg.settings
    users_pre_request = settings["pre_request"].get()
    users_post_request = settings["post_request"].get()
    calls_users_post_request = users_post_request is not type(settings["post_request"]).default
    clock, exception, route_key, finished = time.perf_counter, sys.exc_info, routes.KEY, metrics.finished
    begun = metrics.begun

    def pre_request(worker: Any, req: Any) -> None:
        begun()
        setattr(req, _BEGAN, clock())
        # A request of HTTP/2 has a body of another kind.
        if isinstance(reader := getattr(req.body, "reader", None), ChunkedReader):
            req.body.reader = _CountingReader(reader)
        users_pre_request(worker, req)

    def post_request(worker: Any, req: Any, environ: Any, resp: Any) -> None:
        try:
            began = getattr(req, _BEGAN, None)
            error = exception()[1]
            if began is not None:
                route = environ.get(route_key)
                cause = None if error is None else _cause(error)
                if resp is None or resp.status is None:
                    status, sent = "500", 0
                else:
                    status, sent = resp.status, resp.sent
                    if not sent and cause is None:
                        sent = _sent_by_the_system(req, environ, resp)
                finished(
                    clock() - began,
                    req.method,
                    route,
                    status,
                    _received(req, environ),
                    sent,
                    environ.get("HTTP_X_REQUEST_START"),
                )
                if cause is not None and not has_hung_up(cause):
                    setattr(req, routes.ATTRIBUTE, route)
                    metrics.failed(req.method, route, req.path, cause)
        finally:
            if calls_users_post_request:
                users_post_request(worker, req, environ, resp)

    worker.cfg.set("pre_request", pre_request)
    worker.cfg.set("post_request", post_request)


def _cause(error: BaseException) -> BaseException | None:
    """gunicorn raises StopIteration to close a connection, in order or because of what went wrong before."""
    return error.__context__ if isinstance(error, StopIteration) else error


def has_hung_up(error: BaseException) -> bool:
    """Whether it is the client's hanging up, which is no failure of the application's."""
    return isinstance(error, ssl.SSLEOFError) or (isinstance(error, OSError) and error.errno in _HUNG_UP)


class _CountingReader:
    """Counts what is read of a body in chunks: no header tells its length."""

    def __init__(self, reader: ChunkedReader) -> None:
        self._reader = reader
        self.received = 0

    def read(self, size: int) -> bytes:
        data: bytes = self._reader.read(size)
        self.received += len(data)
        return data


def _received(req: Any, environ: dict[str, Any]) -> int:
    reader = getattr(req.body, "reader", None)
    return reader.received if isinstance(reader, _CountingReader) else length(environ.get("CONTENT_LENGTH"))


def noting_files(application: Application) -> Application:
    """The application, with a note in the environment of each file that it answers with."""

    def noting(environ: dict[str, Any], start_response: Any) -> Any:
        answer = application(environ, start_response)
        # By the same test as gunicorn's. Now, because the file is closed before the request ends.
        if isinstance(answer, environ["wsgi.file_wrapper"]):
            environ[_FILE_BYTES] = _bytes_left(answer.filelike)
        return answer

    return noting


def _bytes_left(file: Any) -> int:
    """From the file's position to its end; 0 if it is none of the system's, so that gunicorn itself reads and counts it."""
    try:
        descriptor = file.fileno()
        return max(os.fstat(descriptor).st_size - os.lseek(descriptor, 0, os.SEEK_CUR), 0)
    except (AttributeError, OSError):
        return 0


def _sent_by_the_system(req: Any, environ: dict[str, Any], resp: Any) -> int:
    """What gunicorn has let the system send from a file, and not counted."""
    file_bytes: int | None = environ.get(_FILE_BYTES)
    if file_bytes is None or req.method == "HEAD" or resp.status.startswith(("1", "204", "304")):
        return 0
    return file_bytes if resp.response_length is None else min(file_bytes, resp.response_length)
