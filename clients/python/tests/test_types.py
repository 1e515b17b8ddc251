"""The stub is the truth about the binary, and the other way round."""

import ast
import inspect
from pathlib import Path

import metrifold
from metrifold import _native


def stub() -> ast.Module:
    return ast.parse((Path(metrifold.__file__).parent / "_native.pyi").read_text())


def members(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    named = {node.name: node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    annotated = {node.target.id: node for node in body if isinstance(node, ast.AnnAssign)}
    return named | annotated


def public(names: list[str]) -> set[str]:
    return {name for name in names if not name.startswith("__")}


def test_the_stub_names_exactly_what_the_binary_has():
    assert public(list(members(stub().body))) == public(dir(_native))


def test_classes_have_exactly_the_members_of_the_stub():
    for name, node in members(stub().body).items():
        if isinstance(node, ast.ClassDef):
            assert public(list(members(node.body))) == public(list(vars(getattr(_native, name)))), name


def test_functions_have_exactly_the_parameters_of_the_stub():
    for name, node in members(stub().body).items():
        if isinstance(node, ast.FunctionDef):
            arguments = [argument.arg for argument in node.args.args + node.args.kwonlyargs]
            assert arguments == list(inspect.signature(getattr(_native, name)).parameters), name


def test_the_package_is_marked_as_typed():
    assert (Path(metrifold.__file__).parent / "py.typed").exists()
