"""Includes and imports only point down the floors of DESIGN.md."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from house import ROOT, files, text

FLOORS = {"base": 0, "codec": 1, "table": 2, "loop": 3, "proxy": 4}

#: The rooms of the package from the ground up. A room may import what stands on a lower line, and its own modules;
#: what is imported for types alone counts as well.
PYTHON = (
    ("model", "record", "sink", "exposition", "pretty", "hints"),
    ("errors", "logs", "address"),
    ("", "_core", "config", "ask"),
    ("hessian", "loop", "source", "apply", "eventlog"),
    ("dubbo", "routing"),
    ("running", "explain"),
    ("metrics", "serve", "accesslog"),
    ("admin",),
    ("sidecar",),
    ("demo",),
    ("commands",),
    ("cli",),
    ("reference", "__main__"),
)
RANK = {room: rank for rank, rooms in enumerate(PYTHON) for room in rooms}
#: What a source may not know besides: it yields meshes and never touches native tables.
APART = {"source": {"_core"}}

MODULES = files("meshfast/*.py", "meshfast/*/*.py", "meshfast/*/*/*.py")


@pytest.mark.parametrize("path", files("csrc/*/*.c", "csrc/*/*.h"), ids=str)
def test_includes_point_down(path):
    own = path.parts[1]
    for name in re.findall(r'^#include "([^"]+)"', text(path), re.M):
        floor = name.split("/")[0]
        assert floor in FLOORS, f"{path} includes {name}: write it as floor/file.h"
        assert FLOORS[floor] <= FLOORS[own], f"{path} includes {name}, which is above it"
        assert not (own == "loop" and floor == "table"), f"{path}: loop and table do not know each other"
        assert not (own == "loop" and floor == "codec"), f"{path}: the loop knows no protocol"


def module(path: Path) -> str:
    """``meshfast/config/file.py`` -> ``config.file``; a package has its folder's name, the whole one none."""
    return ".".join(path.with_suffix("").parts[1:]).removesuffix("__init__").removesuffix(".")


NAMES = {module(path) for path in MODULES} | {"_core"}


def imports(text: str, own: str) -> list[tuple[int, str]]:
    """Line and module of every import of ours, wherever it stands; a name of a package is the module it is."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, a.name.partition(".")[2]) for a in node.names if a.name.split(".")[0] == "meshfast"]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{own}:{node.lineno}: write meshfast. in full"
            if node.module and node.module.split(".")[0] == "meshfast":
                base = node.module.partition(".")[2]
                for alias in node.names:
                    whole = f"{base}.{alias.name}".removeprefix(".")
                    found.append((node.lineno, whole if whole in NAMES else base))
    return found


def wrong(path: Path, text: str) -> list[str]:
    own = module(path)
    room = own.split(".")[0]
    bad = []
    for line, name in imports(text, str(path)):
        other = name.split(".")[0]
        if other != room and (RANK[other] >= RANK[room] or other in APART.get(room, ())):
            bad.append(f"{path}:{line} imports meshfast.{name}, which is not below {room or 'meshfast'}")
    return bad


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_point_down(path):
    assert module(path).split(".")[0] in RANK, f"{path}: give it a line in PYTHON"
    assert wrong(path, (ROOT / path).read_text()) == []


def test_every_room_of_the_list_is_there():
    assert set(RANK) - {name.split(".")[0] for name in NAMES} == set()


def test_no_modules_form_a_circle():
    """Within a room too; a package's own __init__ may gather what its modules give."""
    below = {module(path): {n for _, n in imports((ROOT / path).read_text(), str(path))} for path in MODULES}
    below = {name: {one for one in found if one in below and one != name} for name, found in below.items()}
    while free := [name for name, found in below.items() if not found]:
        for name in free:
            del below[name]
        below = {name: found.difference(free) for name, found in below.items()}
    assert below == {}


def test_the_rule_sees_what_it_forbids():
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from meshfast.sidecar import Sidecar\n"
    late = "def f():\n    from meshfast import admin\n"
    assert wrong(Path("meshfast/admin.py"), typed) and wrong(Path("meshfast/metrics.py"), late)
    assert wrong(Path("meshfast/source/file.py"), "from meshfast import _core")
    assert not wrong(Path("meshfast/admin.py"), "from meshfast.running import Shown")
