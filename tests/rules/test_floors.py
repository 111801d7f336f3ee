"""Includes and imports only point down the floors of DESIGN.md."""

from __future__ import annotations

import ast
import re

import pytest
from house import ROOT, files, text

FLOORS = {"base": 0, "codec": 1, "table": 2, "loop": 3, "call": 4, "protocol": 5, "engine": 6}

#: What a Python module may import of ours; a module that is not here may import anything below the command line.
PYTHON = {
    "model": set(),
    "errors": {"model"},
    "config": {"model", "errors", "config"},
    "source": {"model", "errors", "config", "source"},
    "apply": {"model", "errors", "_core", "apply"},
    "routing": {"model", "errors", "_core", "apply"},
    "hessian": {"model", "errors"},
    "dubbo": {"model", "errors", "hessian", "_core"},
    "loop": {"errors", "_core"},
}


@pytest.mark.parametrize("path", files("csrc/*/*.c", "csrc/*/*.h"), ids=str)
def test_includes_point_down(path):
    own = path.parts[1]
    for name in re.findall(r'^#include "([^"]+)"', text(path), re.M):
        floor = name.split("/")[0]
        assert floor in FLOORS, f"{path} includes {name}: write it as floor/file.h"
        assert FLOORS[floor] <= FLOORS[own], f"{path} includes {name}, which is above it"
        assert not (own == "loop" and floor == "table"), f"{path}: loop and table do not know each other"
        assert not (own == "loop" and floor == "codec"), f"{path}: the loop knows no protocol"


@pytest.mark.parametrize("path", [p for p in files("meshfast/*.py", "meshfast/*/*.py")], ids=str)
def test_imports_point_down(path):
    room = path.parts[1].removesuffix(".py")
    allowed = PYTHON.get(room)
    if allowed is None:
        return
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("meshfast"):
            module = node.module.split(".")
            names = [module[1]] if len(module) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [a.name.split(".")[1] for a in node.names if a.name.startswith("meshfast.")]
        for name in names:
            assert name in allowed, f"{path}:{node.lineno} imports meshfast.{name}, which is not below {room}"
