"""Each request of an ASGI worker, seen from between the server and the application."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from . import routes
from ._worker_metrics import MeasuredWorker, length

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class MeasuredApplication:
    """An ASGI 3 application whose HTTP requests are counted. WebSockets and the lifespan pass by."""

    def __init__(self, application: Any, worker: MeasuredWorker, *, counts: bool) -> None:
        assert worker.metrics is not None
        self._application = application
        self._worker = worker
        self._metrics = worker.metrics
        self._counts = counts

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """One request, or one connection of another kind."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        metrics, method = self._metrics, scope["method"]
        content_length, request_start = _headers(scope["headers"])
        status, received, sent, began, ended = "", 0, 0, time.perf_counter(), 0.0

        async def measured_receive() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
            return message

        async def measured_send(message: Message) -> None:
            nonlocal status, sent, ended
            kind = message["type"]
            if kind == "http.response.start":
                status = str(message["status"])
            elif kind == "http.response.body":
                # Of an answer to HEAD, the server leaves the body out.
                if method != "HEAD":
                    sent += len(message.get("body", b""))
                if not message.get("more_body", False):
                    # What the application still does in the background is not the client's time.
                    ended = time.perf_counter()
            await send(message)

        metrics.begun()
        try:
            # A body whose length no header tells is counted as it comes.
            await self._application(scope, receive if content_length is not None else measured_receive, measured_send)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            failure = (method, routes.of_scope(scope), scope["path"], error)
            metrics.failed(*failure)
            if not status:
                # The server answers in the application's place.
                metrics.error_handled(*failure)
            raise
        finally:
            if content_length is not None:
                received = length(content_length)
            seconds = (ended or time.perf_counter()) - began
            metrics.finished(seconds, method, routes.of_scope(scope), status or "500", received, sent, request_start)
            if self._counts:
                self._worker.nr += 1


def _headers(headers: Any) -> tuple[str | None, str | None]:
    """Content-Length and X-Request-Start."""
    content_length = request_start = None
    for name, value in headers:
        if name == b"content-length":
            content_length = value.decode("latin-1")
        elif name == b"x-request-start":
            request_start = value.decode("latin-1")
    return content_length, request_start
