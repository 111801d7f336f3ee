"""Includes and imports only point down the floors of DESIGN.md."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from house import ROOT, code, files, text

FLOORS = {"base": 0, "codec": 1, "table": 2, "loop": 3, "call": 4, "protocol": 5, "engine": 6}

#: The files of a floor from the ground up: each names only those before it, by include or by call; what goes up goes
#: through tables of functions. With its ending a header stands alone, else with its file.
ORDER = {
    "loop": (
        "timer", "uring", "listen", "loop.h", "sock.h", "backend.h",
        "sock", "sock_in", "sock_out", "sock_step", "listener",
        "loop_epoll", "loop_uring.h", "watch_uring", "loop_uring", "loop",
    ),
    "call": (
        "lately.h", "limits", "counters", "outcome", "health", "retry", "verdict", "tally", "local", "note", "passed",
        "conn",
        "budget", "ends", "governing.h", "call.h", "beside", "call", "labels", "trial", "stuck.h", "pool.h",
        "pool_rest", "lane", "pool", "pools", "share", "inlet", "relay",
        "request.h", "reply.h", "fault", "again", "cookie", "copies", "limited", "govern.h", "guarding", "govern",
        "deadline", "dispatch",
    ),
    "protocol": (
        "tcp", "http1_change", "http1.h", "http1_route", "http1",
        "dubbo_code", "dubbo_counts", "dubbo_share", "dubbo_read", "dubbo_frame", "dubbo_change", "dubbo_request",
        "dubbo_down", "dubbo_up",
        "h2_code", "h2_state", "h2_share", "h2_stream.h", "h2_cancels.h",
        "h2_conn.h", "h2_due.h", "h2_frozen", "h2_memo", "h2_like", "h2_core", "h2_send",
        "h2_stream", "h2_block", "h2_read", "h2_conn", "h2_change", "h2_held", "h2_ask", "h2_blame",
        "h2_request", "h2_reply", "h2_up", "h2_down",
    ),
    "engine": ("options", "protocols", "silent", "door", "worker", "engine"),
}  # fmt: skip

#: The rooms of the package from the ground up. A room may import what stands on a lower line, and its own modules;
#: what is imported for types alone counts as well.
PYTHON = (
    ("balance", "changes", "registers", "retries"),
    ("policies",),
    ("behind", "collector", "model", "record", "sink", "exposition", "pretty", "hints", "where"),
    ("accepting", "errors", "logs", "address", "plain"),
    ("", "_core", "config", "ask", "fixed", "passing"),
    ("httpview", "sockets"),
    ("words", "doing", "pieces", "shared", "statedir"),
    ("serve", "passed", "moving"),
    ("custodians", "takeover"),
    ("handover",),
    ("hessian", "loop", "apply", "eventlog", "protobuf", "snapshot"),
    ("dubbo", "http2", "routing"),
    ("serving",),
    ("registry", "sdk"),
    ("source",),
    ("endpoint",),
    ("alive", "snapshots"),
    ("registration",),
    ("standing", "heard", "saying"),
    ("doors", "guards", "besides", "listings", "localities", "stepped"),
    ("running", "explain", "metered", "shares"),
    ("metrics", "accesslog"),
    ("admin",),
    ("appside",),
    ("leaving",),
    ("sidecar",),
    ("sdk",),
    ("demo",),
    ("commands",),
    ("cli",),
    ("reference", "__main__"),
)
RANK = {room: rank for rank, rooms in enumerate(PYTHON) for room in rooms}
#: What a source may not know besides: it yields meshes and never touches native tables.
APART = {"source": {"_core"}}

#: What an embedder gets by meshfast.h, and no more: nothing of connections, calls in flight, pools or protocols.
PUBLIC = {
    "base": {"addr", "atom", "block", "err", "list", "mem", "ring", "slice"},
    "codec": {"change", "dubbo", "hessian", "hpack", "replace", "sniff", "traceid"}
    | {"h2_fields", "h2_frame", "h2_grpc", "h2_name", "h2_name_tbl", "h2_shown", "h2_view"},
    "table": {"actions", "answers", "balancer", "bound", "bucket", "dfa", "epoch", "label", "meter", "mirror", "peer"}
    | {"policy", "breaker", "guard", "outlier", "retries", "route", "stat", "table", "trace"},
    "loop": {"loop", "sock", "timer"},
    "call": {"counters", "limits", "local", "note", "outcome", "passed", "tally"},
    "protocol": {"dubbo_counts"},
    "engine": {"engine", "options"},
}

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


def reached(name: str, seen: set[str]) -> set[str]:
    """All of ours that a header includes, and what those include."""
    for other in re.findall(r'^#include "([^"]+)"', text(Path("csrc", name)), re.M):
        if other not in seen:
            seen.add(other)
            reached(other, seen)
    return seen


def test_the_public_header_shows_no_inner_rooms():
    public = {f"{floor}/{name}.h" for floor, names in PUBLIC.items() for name in names}
    assert reached("meshfast.h", set()) == public


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


@pytest.mark.parametrize("path", files("csrc/protocol/*.c", "csrc/protocol/*.h"), ids=str)
def test_protocols_do_not_know_each_other(path):
    own = path.stem.split("_")[0]
    for name in re.findall(r'^#include "protocol/([^"]+)"', text(path), re.M):
        assert name.removesuffix(".h").split("_")[0] == own, f"{path} includes {name}"


@pytest.mark.parametrize("path", files("csrc/call/*.c", "csrc/call/*.h"), ids=str)
def test_calls_know_no_protocol(path):
    assert not re.search(r"mf_(dubbo|tcp|hessian|jsonb)_|MF_DUBBO_", code(path)), f"{path} names a protocol"


def rank(order: tuple[str, ...], name: str) -> int:
    stem = name.rsplit(".", 1)[0]
    return order.index(name) if name in order else order.index(stem)


def upward(order: tuple[str, ...], sources: dict[str, str]) -> list[str]:
    """What points up among the files of one floor, whose text without comments is given by name."""
    defined = {}
    for name, source in sources.items():
        for function in re.findall(r"^[a-z][\w \*]*?\b(mf_\w+)\([^;{}]*\)\s*\{", source, re.M):
            defined[function] = name
    found = []
    for name, source in sources.items():
        own = rank(order, name)
        named = [include for include in re.findall(r'^#include "\w+/([^"]+)"', source, re.M) if include in sources]
        found += [f"{name} includes {include}" for include in named if rank(order, include) > own]
        bodies = re.sub(r"^[a-z][\w \*]*\bmf_\w+\([^;{}]*\);", "", source, flags=re.M)  # without declarations
        calls = sorted(set(re.findall(r"\b(mf_\w+)\s*\(", bodies)) & set(defined))
        found += [f"{name} calls {call} of {defined[call]}" for call in calls if rank(order, defined[call]) > own]
    return found


@pytest.mark.parametrize("floor", ORDER)
def test_files_of_a_floor_point_down(floor):
    # code() blanks strings, and the names of includes are strings.
    paths = files(f"csrc/{floor}/*.c", f"csrc/{floor}/*.h")
    sources = {}
    for path in paths:
        includes = re.findall(r"^#include .*$", text(path), re.M)
        sources[path.name] = "\n".join([*includes, code(path)])
    assert {path.stem for path in paths} == {name.removesuffix(".h") for name in ORDER[floor]}
    assert upward(ORDER[floor], sources) == []


def test_the_rule_sees_what_points_up():
    order = ("low.h", "low", "high")
    low = '#include "x/high.h"\nint mf_low_do(int a,\n    int b)\n{\n    return mf_high_do(a);\n}\n'
    high = '#include "x/low.h"\nint mf_high_do(int a)\n{\n    return mf_low_do(a, a);\n}\n'
    sources = {"low.c": low, "high.c": high, "high.h": "int mf_high_do(int a);\n", "low.h": ""}
    assert upward(order, sources) == ["low.c includes high.h", "low.c calls mf_high_do of high.c"]
    table = low.replace('#include "x/high.h"', "").replace("mf_high_do(a)", "ops->high_do(a)")
    assert upward(order, sources | {"low.c": table}) == []
