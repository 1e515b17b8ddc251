"""Where the metrifold binary is found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import metrifold
from metrifold import _binary


def program(path: Path, text: bytes = b"\x7fELF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """Neither a variable nor a packaged binary nor one on PATH."""
    monkeypatch.delenv("METRIFOLD_BINARY", raising=False)
    monkeypatch.setattr(_binary, "__file__", str(tmp_path / "package" / "_binary.py"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path


def test_the_variable_wins_over_the_package_and_the_package_over_the_path(bare, monkeypatch):
    on_path = program(bare / "path" / "metrifold")
    assert metrifold.binary() == str(on_path)
    packaged = program(bare / "package" / "bin" / "metrifold")
    assert metrifold.binary() == str(packaged)
    given = program(bare / "given")
    monkeypatch.setenv("METRIFOLD_BINARY", str(given))
    assert metrifold.binary() == str(given)


def test_a_variable_that_names_no_program_is_an_error_and_not_passed_over(bare, monkeypatch):
    program(bare / "package" / "bin" / "metrifold")
    monkeypatch.setenv("METRIFOLD_BINARY", str(bare / "missing"))
    with pytest.raises(metrifold.BinaryNotFoundError, match="METRIFOLD_BINARY=.*missing"):
        metrifold.binary()


def test_no_binary_anywhere_is_a_clear_error(bare):
    with pytest.raises(metrifold.BinaryNotFoundError, match="set METRIFOLD_BINARY"):
        metrifold.binary()


def test_the_console_command_does_not_run_itself(bare):
    program(bare / "path" / "metrifold", b"#!/usr/bin/python3\n")
    with pytest.raises(metrifold.BinaryNotFoundError):
        metrifold.binary()


def test_the_console_command_becomes_the_binary(tmp_path):
    environment = os.environ | {"METRIFOLD_BINARY": sys.executable}
    command = [sys.executable, "-c", "from metrifold._binary import main; main()", "-c", "print(6 * 7)"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("42\n", 0), done.stderr
