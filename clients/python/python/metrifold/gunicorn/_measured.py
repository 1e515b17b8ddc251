"""What the worker classes add to gunicorn's own."""

from __future__ import annotations

import functools
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._install import sample_if_due
from . import _ends, _master, routes
from ._asgi import MeasuredApplication
from ._wsgi import noting_files, observe_requests

if TYPE_CHECKING:
    from gunicorn.workers.base import Worker
else:
    Worker = object

# Memory and processor time are read at heartbeats, at most this often: reading them costs some 20 us.
_SAMPLE_SECONDS = 1.0


class Measured(Worker):  # type: ignore[misc]
    """A worker of gunicorn with metrics. Without them, because they cannot be had, it is just that worker."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The master makes the object and then forks.
        self.metrics = _master.prepare(self, self.log)
        self.end_note = _ends.Note()
        self._sample_at = 0.0

    @property
    def worker_id(self) -> str:
        """The label of this worker's series."""
        return self.metrics.worker_id if self.metrics is not None else ""

    def init_process(self) -> None:
        """In the worker, from its start to its end."""
        if self.metrics is None:
            super().init_process()
            return
        self.observe()
        try:
            super().init_process()
        finally:
            if self.nr >= self.max_requests:
                self.end_note.write(_ends.MAX_REQUESTS)

    def observe(self) -> None:
        """Begins to measure, in the worker. For subclasses."""

    def load_wsgi(self) -> None:
        """Loads the application."""
        super().load_wsgi()
        if self.metrics is not None:
            routes.follow_frameworks()

    def run(self) -> None:
        """The worker's main loop."""
        if self.metrics is not None:
            self.metrics.booted()
            self.update_worker_metrics()
        super().run()

    def notify(self) -> None:
        """The heartbeat."""
        super().notify()
        if self.metrics is not None and time.monotonic() >= self._sample_at:
            self.update_worker_metrics()
            _master.tend(self.log)

    def update_worker_metrics(self) -> None:
        """Reads memory, processor time and age of the process, and asks the application's collectors."""
        if self.metrics is not None:
            self._sample_at = time.monotonic() + _SAMPLE_SECONDS
            self.metrics.sample()
            sample_if_due()

    def _ending(self, note: int) -> None:
        self.end_note.write(note)
        if self.metrics is not None:
            self.metrics.ending()

    def handle_exit(self, sig: Any, frame: Any) -> None:
        """SIGTERM: ends after the current requests."""
        self._ending(_ends.TERM)
        super().handle_exit(sig, frame)

    def handle_quit(self, sig: Any, frame: Any) -> None:
        """SIGQUIT or SIGINT: ends at once."""
        self._ending(_ends.QUIT)
        super().handle_quit(sig, frame)

    def handle_abort(self, sig: Any, frame: Any) -> None:
        """SIGABRT: the master has waited too long for a heartbeat."""
        self._ending(_ends.ABORT)
        super().handle_abort(sig, frame)


class MeasuredWsgi(Measured):
    """For workers that call a WSGI application."""

    wsgi: Any

    def observe(self) -> None:
        """Hooks of gunicorn's see each request begin and end."""
        observe_requests(self)

    def load_wsgi(self) -> None:
        """Loads the application, and sees which files it answers with."""
        super().load_wsgi()
        if self.metrics is not None:
            self.wsgi = noting_files(self.wsgi)

    def handle_error(self, req: Any, client: Any, addr: Any, error: Any) -> None:
        """Answers a request that could not be parsed, or that the application failed at before it answered."""
        if self.metrics is not None:
            self.metrics.error_handled(
                getattr(req, "method", None), getattr(req, routes.ATTRIBUTE, None), getattr(req, "path", None), error
            )
        super().handle_error(req, client, addr, error)


class MeasuredAsgi(Measured):
    """For gunicorn's own worker that calls an ASGI application."""

    asgi: Any

    def load_wsgi(self) -> None:
        """Loads the application, and stands between it and the server."""
        super().load_wsgi()
        if self.metrics is not None:
            self.asgi = MeasuredApplication(self.asgi, self, counts=False)

    def handle_exit_signal(self) -> None:
        """SIGTERM, as gunicorn's asgi worker takes it."""
        self._ending(_ends.TERM)
        super().handle_exit_signal()

    def handle_quit_signal(self) -> None:
        """SIGQUIT or SIGINT."""
        self._ending(_ends.QUIT)
        super().handle_quit_signal()

    def handle_abort_signal(self) -> None:
        """SIGABRT."""
        self._ending(_ends.ABORT)
        super().handle_abort_signal()


class MeasuredUvicorn(Measured):
    """For uvicorn's worker, which runs a server of uvicorn's."""

    config: Any
    wsgi: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stands_before_the_server = False
        if self.metrics is not None:
            # The heart would beat every half time-out, too seldom to sample by. gunicorn's own workers' beat once a second.
            self.config.timeout_notify = min(self.config.timeout_notify, _SAMPLE_SECONDS)

    def load_wsgi(self) -> None:
        """Loads the application, and stands between it and the server, which does not count the worker's requests."""
        super().load_wsgi()
        if self.metrics is not None:
            self.wsgi = MeasuredApplication(self.wsgi, self, counts=True)

    def notify(self) -> None:
        """The heartbeat. The first one says that the server runs, so that its handlers stand in the place of the worker's."""
        super().notify()
        if not self._stands_before_the_server:
            self._stands_before_the_server = True
            for number, note in ((signal.SIGTERM, _ends.TERM), (signal.SIGINT, _ends.QUIT)):
                if callable(handler := signal.getsignal(number)):
                    signal.signal(number, functools.partial(self._ending_before, handler, note))

    def _ending_before(self, servers_handler: Callable[[int, Any], Any], note: int, sig: int, frame: Any) -> None:
        self._ending(note)
        servers_handler(sig, frame)

    def handle_exit(self, sig: Any, frame: Any) -> None:
        """The one handler that uvicorn's worker leaves in place, and it hands SIGQUIT to it."""
        if sig == signal.SIGQUIT:
            self._ending(_ends.QUIT)
        super().handle_exit(sig, frame)
