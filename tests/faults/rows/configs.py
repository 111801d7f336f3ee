"""What happens to the configuration: replaced all the time, bad in every way, a route moved under load."""

from __future__ import annotations

import ctypes
import json
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import yaml

from faults.process import wait_for
from faults.rows import fault
from faults.sidecar import BUSY, Document, entry, route
from faults.stage import Stage

EVERY_S = 0.1  # ten changes a second
BURST_S = 1.5
SWITCH_S = 1.0
SLACK_S = 0.5

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2  # prctl(2), capabilities(7)


def _two_sides(stage: Stage) -> Document:
    """Providers `a` and `b`, which say who they are; instances of one service with the label `side`."""
    a, b = stage.provider("a", named=True), stage.provider("b", named=True)
    return entry(BUSY, [a.address, b.address], [{"side": "a"}, {"side": "b"}])


def _with_route(stage: Stage, side: str) -> list[Document]:
    routes = ("VirtualService", "DestinationRule")
    return [one for one in stage.sidecar.documents if one["kind"] not in routes] + route(BUSY, side)


def _acked(stage: Stage, side: str) -> bool:
    """The sidecar says that this route is the one in force."""
    return f'"{side}"' in stage.sidecar.page(f"/explain?service={BUSY}").partition('"subset":')[2][:8]


def _begin_two_sides(stage: Stage) -> None:
    busy = _two_sides(stage)
    stage.begin([], busy=busy, documents=route(BUSY, "a"), load=("--named",))
    stage.load.ask("expect a")


def _switch(stage: Stage, side: str) -> float:
    """Moves the route and waits until the sidecar says so; from then on every call must be answered there."""
    stage.load.ask("expect *")
    began = time.monotonic()
    stage.sidecar.write(_with_route(stage, side))
    wait_for(f"the route to {side} is in force", lambda: _acked(stage, side))
    took = time.monotonic() - began
    stage.load.ask(f"expect {side}")
    return took


@fault("route", "all calls are moved to the other instance and back, by a route: none is misrouted once that is acked")
def move_route(stage: Stage) -> None:
    _begin_two_sides(stage)
    until = time.monotonic() + stage.row.seconds
    took: list[float] = []
    while time.monotonic() < until:
        took.append(_switch(stage, "ba"[len(took) % 2]))
        stage.last(0.4)
    stage.settle()
    stage.finish()
    worst = max(took)
    stage.row.figures["switch_s"] = round(worst, 3)
    stage.row.time(f"each move is in force within {SWITCH_S + SLACK_S:g} s", worst <= SWITCH_S + SLACK_S,
                   f"{worst:.2f} s at most, {len(took)} moves")  # fmt: skip


LEAST_WRITTEN = 20


@fault("churn", "the configuration is replaced ten times a second, the route turned each time")
def churn(stage: Stage) -> None:
    _begin_two_sides(stage)
    until, written = time.monotonic() + stage.row.seconds, 0
    side = "a"
    while time.monotonic() < until or written < LEAST_WRITTEN:
        stage.load.ask("expect *")
        burst = time.monotonic() + BURST_S
        while time.monotonic() < burst:
            side = "b" if side == "a" else "a"
            stage.sidecar.write(_with_route(stage, side))
            written += 1
            stage.last(EVERY_S)
        _switch(stage, side)  # written once more, so that what comes to rest is known
        stage.last(0.4)
    applied, refused = stage.moved("config_version"), stage.moved("config_rejected_total")
    stage.settle()
    stage.finish()
    stage.row.check("it took place: some were applied", applied > 2, f"{applied} of {written}")
    stage.row.check("none was refused", refused == 0, refused)


# --- bad in every way


def _expression_bomb() -> bytes:
    """An expression whose automaton has 2^20 states."""
    documents = route(BUSY, "a")
    documents[1]["spec"]["http"][0]["match"] = [{"uri": {"regex": "/.*a.{20}"}}]
    return yaml.safe_dump_all(documents).encode()


def _alias_bomb() -> bytes:
    """Nine to the ninth, in a few lines."""
    lines = ["apiVersion: networking.istio.io/v1", "kind: ServiceEntry", "metadata: {name: bomb}", "spec:"]
    lines.append("  a: &a [x, x, x, x, x, x, x, x, x]")
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"  {name}: &{name} [{', '.join(['*' + before] * 9)}]")
    return "\n".join(lines).encode()


def _bad_files(good: list[Document]) -> Iterator[tuple[str, str, bytes]]:
    """What is wrong, a piece of what the sidecar must say of it, the file."""
    text = yaml.safe_dump_all(good, sort_keys=False).encode() + b"---\n"
    strange = [dict(document) for document in good]
    strange[1] = {**strange[1], "spec": {**strange[1]["spec"], "hostz": ["x"]}}
    yield "syntax", "not YAML", text + b"{[\n"
    yield "unknown field", "unknown field hostz", yaml.safe_dump_all(strange).encode()
    yield "dangling subset", "not declared", yaml.safe_dump_all([*good, route(BUSY, "nowhere")[1]]).encode()
    yield "expression bomb", "too complex", text + _expression_bomb()
    yield "alias bomb", "ServiceEntry/bomb spec.", text + _alias_bomb()
    yield "10 MB", "more than", text + b"a: [" + b"0, " * (10 << 20 >> 2) + b"0]\n"
    yield "half-written", "", text[: len(text) * 2 // 3 + 3]
    yield "empty", "is empty", b""
    yield "binary", "not UTF-8", bytes(range(256)) * 64


def _may_not_read_all() -> None:
    """Root reads a file of mode 000; a sidecar without these capabilities does not."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.getuid() == 0:
        libc.prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
        libc.prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH, 0, 0, 0)


def _dump(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stage.sidecar.page("/config_dump"))
    return found


def _refused(stage: Stage, kind: str, why: str, spoil: Callable[[], object], mesh: object) -> None:
    """Spoils, and sees it refused for the right reason, counted, and the last good one still in force."""
    rejected = stage.sidecar.counter("config_rejected_total")
    spoil()
    took = wait_for(f"{kind} is refused", lambda: stage.sidecar.counter("config_rejected_total") > rejected)
    dump = _dump(stage)
    good = dump["mesh"] == mesh
    said = " ".join(dump["last_error"].partition("policy")[2].split())
    stage.row.check(f"{kind}: refused, the last good one stays", good and why in said, f"{took:.1f} s: {said[:70]}")


@fault("bad-configs", "a configuration that is wrong in each of 12 ways: refused, counted, the last good one stays")
def bad_configs(stage: Stage) -> None:
    stage.begin([stage.provider("a").address], before=_may_not_read_all)
    sidecar, path = stage.sidecar, stage.sidecar.policy / "mesh.yaml"
    good, mesh = sidecar.documents, _dump(stage)["mesh"]

    for kind, why, data in _bad_files(good):
        _refused(stage, kind, why, partial(sidecar.write_bytes, data), mesh)
        sidecar.write(good)
    _refused(stage, "mode 000", "Permission denied", partial(path.chmod, 0), mesh)
    _refused(stage, "file gone", "no *.yaml", path.unlink, mesh)
    sidecar.write(good)
    aside = sidecar.policy.with_name("aside")
    _refused(stage, "directory gone", "No such file", partial(sidecar.policy.rename, aside), mesh)
    aside.rename(sidecar.policy)
    stage.last(0.5)
    stage.settle()
    changed = [*good, *route("org.meshfast.faults.Quiet", "a")[:1]]
    version = sidecar.counter("config_version")
    sidecar.write(changed)
    took = wait_for("a good one is applied again", lambda: sidecar.counter("config_version") > version)
    stage.row.check("a good one is applied again", True, f"{took:.1f} s")
    stage.finish()
