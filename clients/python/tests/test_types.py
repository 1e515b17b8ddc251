"""The stub is the truth about the binary, and the packages' types hold."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

CLIENT = Path(__file__).parents[1]


def run(*command: str, directory: Path = CLIENT) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(120)
def test_the_stub_says_exactly_what_the_binary_has(tmp_path):
    allowed = tmp_path / "allowed"
    # Made by PyO3, and not a promise.
    allowed.write_text("metrifold._native.__all__\n")
    run("mypy.stubtest", "metrifold._native", "--allowlist", str(allowed))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("package", [CLIENT, CLIENT / "compat"], ids=["metrifold", "compat"])
def test_the_types_of_the_package_hold(package, tmp_path):
    run("mypy", "--cache-dir", str(tmp_path), directory=package)


@pytest.mark.parametrize("package", ["metrifold", "gunicorn_prometheus_exporter"])
def test_the_package_is_marked_as_typed(package):
    found = importlib.util.find_spec(package)
    assert found is not None and found.origin is not None
    assert Path(found.origin).with_name("py.typed").exists()
