"""The page of this host's server: where it is, and what it says."""

from __future__ import annotations

import contextlib
import os
import ssl
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

from metrifold import _native
from metrifold.gunicorn import _master
from metrifold.gunicorn._settings import Settings

from ...config import ExporterConfig

# A page that asks another must not hang with it.
_SECONDS_MAX = 5.0
_LISTENS = "0A"
_END_OF_CERTIFICATE = "-----END CERTIFICATE-----"


class PageError(RuntimeError):
    """The server cannot be asked; the text says why."""


def read(config: ExporterConfig) -> str:
    """What the server shows, in text format 0.0.4.

    :raises PageError: if it cannot be asked.
    """
    address = "the server's page"
    try:
        if config.prometheus_ssl_enabled and config.prometheus_ssl_client_auth_required:
            raise PageError(
                "PROMETHEUS_SSL_CLIENT_AUTH_REQUIRED: the server answers those only who show a certificate, and this process "
                "has none; ask the server itself with one, or do not require it"
            )
        address = f"{'https' if config.prometheus_ssl_enabled else 'http'}://{_host_and_port()}/metrics"
        request = urllib.request.Request(address, headers={"Accept": "text/plain;version=0.0.4"})
        with _opener(config).open(request, timeout=_SECONDS_MAX) as answer:
            text: bytes = answer.read()
            return text.decode()
    except (OSError, ValueError, HTTPException) as error:
        raise PageError(f"{address}: {error}") from error


def _opener(config: ExporterConfig) -> urllib.request.OpenerDirector:
    # No proxy of the environment's: the server is on this host.
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if config.prometheus_ssl_certfile and config.prometheus_ssl_enabled:
        handlers.append(urllib.request.HTTPSHandler(context=_trusting(Path(config.prometheus_ssl_certfile))))
    return urllib.request.build_opener(*handlers)


def _trusting(certificate: Path) -> ssl.SSLContext:
    """Trusts who has this very certificate, whoever signed it and whatever names it is for."""
    # The first of the file is the server's own. Those after it sign, and would vouch for others too.
    own, end, _ = certificate.read_text().partition(_END_OF_CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=own + end)
    return context


def _host_and_port() -> str:
    master = _master._master
    if master is not None and master.server is not None:
        listen, directory = master.server.listen, master.server.directory
    else:
        settings = Settings.from_environment()
        listen, directory = settings.listen, settings.directory
    host, _, port = listen.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
    # The server may listen at a port of the system's choice, or be that of another gunicorn with the same directory.
    found = _port_of_server(Path(directory)) or int(port)
    if not found:
        raise ValueError(f"the port of the server of {directory} is not known: it does not run, or the system does not tell")
    return f"{host}:{found}"


def _port_of_server(directory: Path) -> int | None:
    """Where the server of a segment directory listens; None if there is none, or the system or its owner does not tell."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((directory / "agent.lock").read_text())
        # Else the pid is that of a server that has ended.
        if _native.agent_is_running(str(directory)):
            sockets = {os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()}
            return next((port for port, inode in _listening() if f"socket:[{inode}]" in sockets), None)
    return None


def _listening() -> Iterator[tuple[int, str]]:
    """Ports at which processes of this host listen, each with its socket's inode."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == _LISTENS:
                    yield int(columns[1].rpartition(":")[2], 16), columns[9]
