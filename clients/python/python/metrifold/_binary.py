"""Finds and runs the ``metrifold`` binary that the wheel ships."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path


class BinaryNotFoundError(RuntimeError):
    """There is no ``metrifold`` binary: not where METRIFOLD_BINARY says, not in the package, not on PATH."""


def binary() -> str:
    """The path of the ``metrifold`` binary: METRIFOLD_BINARY, else the one in the package, else one on PATH."""
    if given := os.environ.get("METRIFOLD_BINARY"):
        if not _is_program(Path(given)):
            raise BinaryNotFoundError(f"METRIFOLD_BINARY={given} is no executable file; correct or unset it")
        return given
    for candidate in _candidates():
        if _is_program(candidate):
            return str(candidate)
    raise BinaryNotFoundError(
        "there is no metrifold binary in this installation and none on PATH; "
        "install a wheel that has it, or set METRIFOLD_BINARY to its path"
    )


def main() -> None:
    """The console command ``metrifold``: becomes the binary."""
    try:
        program = binary()
    except BinaryNotFoundError as error:
        sys.exit(f"metrifold: {error}")
    os.execv(program, ["metrifold", *sys.argv[1:]])


def _candidates() -> Iterator[Path]:
    yield Path(__file__).parent / "bin" / "metrifold"
    for directory in os.get_exec_path():
        yield Path(directory) / "metrifold"


def _is_program(path: Path) -> bool:
    if not (path.is_file() and os.access(path, os.X_OK)):
        return False
    # The console command is a script of the same name on the same PATH, and would run itself for ever.
    with path.open("rb") as file:
        return file.read(2) != b"#!"
