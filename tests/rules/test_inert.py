"""Bytes from outside never choose code: nothing in the package can turn a name or a stream into an object."""

from __future__ import annotations

import ast

import pytest
from house import ROOT, files

MODULES = {"pickle", "marshal", "shelve", "dill"}
CALLS = {"eval", "exec", "compile", "__import__"}
#: Forbidden besides in what reads bytes from outside: there a name may be the wire's.
BY_NAME = {"getattr", "setattr", "globals", "importlib"}
READERS = {"meshfast/dubbo.py", "meshfast/hessian.py", "meshfast/http2.py"}
READERS |= {f"meshfast/demo/{name}.py" for name in ("wire", "dubbo2", "triple")}


def names(tree: ast.AST, calls: set[str]) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name.split(".")[0] for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in MODULES:
            found.append(node.module)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in calls:
            found.append(node.func.id)
        elif isinstance(node, ast.Attribute) and node.attr in ("unsafe_load", "full_load", "UnsafeLoader"):
            found.append(node.attr)
    return found


@pytest.mark.parametrize("path", files("meshfast/*.py", "meshfast/*/*.py", "meshfast/*/*/*.py"), ids=str)
def test_nothing_is_brought_to_life(path):
    calls = CALLS | BY_NAME if str(path) in READERS else CALLS
    assert names(ast.parse((ROOT / path).read_text()), calls) == []


def test_the_readers_are_there():
    assert {str(path) for path in files("meshfast/*.py", "meshfast/*/*.py", "meshfast/*/*/*.py")} >= READERS


def test_the_rule_sees_what_it_forbids():
    for text in ("import pickle", "from marshal import loads", "eval(x)", "getattr(a, b)", "yaml.unsafe_load(x)"):
        assert names(ast.parse(text), CALLS | BY_NAME), text
