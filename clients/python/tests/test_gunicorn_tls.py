"""The guide's PROMETHEUS_SSL_* variables under gunicorn, asked by curl."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import BINARY, WHY_NO_BINARY
from running import eventually, start  # noqa: F401

needs_binary = pytest.mark.skipif(not BINARY, reason=WHY_NO_BINARY)
needs_tools = pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("curl")), reason="openssl and curl are not both installed"
)

# curl's own exit codes.
CANNOT_TRUST_THE_SERVER = 60
THE_SERVER_ENDED_THE_HANDSHAKE = {35, 55, 56}


class Authority:
    """A certificate authority in a directory, and what it has signed."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory / name
        self.directory.mkdir()
        self._openssl("req", "-x509", *self._new_key("ca"), "-out", "ca.pem", "-days", "2", "-subj", f"/CN={name}")
        self.certificate = str(self.directory / "ca.pem")

    def sign(self, name: str) -> tuple[str, str]:
        """A certificate for this host under a name, and its key."""
        self._openssl("req", *self._new_key(name), "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (self.directory / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        self._openssl("x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.pem")
        return str(self.directory / f"{name}.pem"), str(self.directory / f"{name}.key")

    def _new_key(self, name: str) -> tuple[str, ...]:
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key")

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def foreign(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "foreign")


def curl(port: int, *arguments: str, scheme: str = "https") -> subprocess.CompletedProcess[str]:
    command = ["curl", "--silent", "--show-error", "--max-time", "10", *arguments, f"{scheme}://127.0.0.1:{port}/metrics"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_binary
@needs_tools
def test_metrics_are_served_over_https_and_to_nobody_who_does_not_trust_them(start, ours, foreign):
    certificate, key = ours.sign("server")
    gunicorn = start(PROMETHEUS_SSL_CERTFILE=certificate, PROMETHEUS_SSL_KEYFILE=key)
    gunicorn.serves()
    eventually(lambda: 'app_requests_total' in curl(gunicorn.metrics_port, "--cacert", ours.certificate).stdout)
    refused = curl(gunicorn.metrics_port, "--cacert", foreign.certificate)
    assert refused.returncode == CANNOT_TRUST_THE_SERVER, refused.stderr
    assert "app_requests_total" not in curl(gunicorn.metrics_port, scheme="http").stdout


@needs_binary
@needs_tools
@pytest.mark.parametrize("by", ["file", "directory"])
def test_only_clients_with_a_certificate_of_the_authority_are_let_in(start, ours, foreign, tmp_path, by):
    certificate, key = ours.sign("server")
    if by == "file":
        authority = {"PROMETHEUS_SSL_CLIENT_CAFILE": ours.certificate}
    else:
        directory = tmp_path / "authorities"
        directory.mkdir()
        shutil.copy(ours.certificate, directory / "ours.pem")
        authority = {"PROMETHEUS_SSL_CLIENT_CAPATH": str(directory)}
    gunicorn = start(
        PROMETHEUS_SSL_CERTFILE=certificate,
        PROMETHEUS_SSL_KEYFILE=key,
        PROMETHEUS_SSL_CLIENT_AUTH_REQUIRED="true",
        **authority,
    )
    gunicorn.serves()

    def ask(*client: str) -> subprocess.CompletedProcess[str]:
        shown = ("--cert", client[0], "--key", client[1]) if client else ()
        return curl(gunicorn.metrics_port, "--cacert", ours.certificate, *shown)

    own, others = ours.sign("client"), foreign.sign("client")
    eventually(lambda: "app_requests_total" in ask(*own).stdout)
    for refused in (ask(), ask(*others)):
        assert refused.returncode in THE_SERVER_ENDED_THE_HANDSHAKE, (refused.returncode, refused.stderr)


@needs_binary
@needs_tools
def test_a_certificate_that_cannot_be_used_costs_the_metrics_and_not_the_application(start, ours, tmp_path):
    _, key = ours.sign("server")
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate\n")
    gunicorn = start(PROMETHEUS_SSL_CERTFILE=str(broken), PROMETHEUS_SSL_KEYFILE=key)
    gunicorn.serves()
    eventually(lambda: str(broken) in gunicorn.log())
    assert curl(gunicorn.metrics_port).returncode != 0
