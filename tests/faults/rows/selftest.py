"""That the report can fail: callers beside providers that answer wrongly, without a sidecar between them."""

from __future__ import annotations

from faults.process import wait_for
from faults.rows import fault
from faults.stage import Stage, counts_of
from faults.verdict import Check

DEADLINE_MS = 500
LOST, CROSSED, ERRORS, NEIGHBOUR = "lost 0", "crossed 0", "errors 0", "neighbour: errors 0"


def _must_fail(stage: Stage, wanted: set[str]) -> None:
    """Judges as ever, and demands that these demands, and no others of theirs, are not met."""
    stage.row.judge()
    seen = {check.demand for check in stage.row.checks if not check.met} & {LOST, CROSSED, ERRORS, NEIGHBOUR}
    found = f"not met: {', '.join(sorted(seen)) or 'none'}"
    stage.row.checks = [Check(f"the report fails by: {', '.join(sorted(wanted))}", seen == wanted, found)]


def _call(stage: Stage, address: str, *options: str, expect: str = "*") -> list[dict[str, object]]:
    load = stage.caller("load", "--deadline", str(DEADLINE_MS), *options, connect=address)
    load.ask(f"expect {expect}")
    load.ask("phase before")
    load.ask("resume")
    wait_for("calls are sent", lambda: load.ask("count")[0] > 1000)
    load.tell("quit")
    return counts_of(load)


def _wrong(stage: Stage, how: str, wanted: set[str]) -> None:
    stage.row.phases = _call(stage, stage.backend(f"{how}:100").address)
    _must_fail(stage, wanted)


@fault("self-drop", "no sidecar: a provider that leaves 1 in 100 calls unanswered is seen as losing", loop="-")
def drop(stage: Stage) -> None:
    _wrong(stage, "drop", {LOST})


@fault("self-close", "no sidecar: a provider that hangs up on 1 in 100 calls is seen as losing", loop="-")
def close(stage: Stage) -> None:
    _wrong(stage, "close", {LOST})


@fault("self-id", "no sidecar: 1 in 100 answers with a wrong id are seen as crossed, and their calls as lost", loop="-")
def wrong_id(stage: Stage) -> None:
    _wrong(stage, "id", {LOST, CROSSED})


@fault("self-body", "no sidecar: 1 in 100 answers with a wrong body are seen as crossed", loop="-")
def body(stage: Stage) -> None:
    _wrong(stage, "body", {CROSSED})


@fault("self-status", "no sidecar: 1 in 100 answers with an error are seen as errors", loop="-")
def status(stage: Stage) -> None:
    _wrong(stage, "status", {ERRORS})


@fault("self-route", "no sidecar: answers of another provider than the expected one are seen as misrouted", loop="-")
def misrouted(stage: Stage) -> None:
    stage.row.phases = _call(stage, stage.provider("a", named=True).address, "--named", expect="b")
    _must_fail(stage, {CROSSED})


@fault("self-neighbour", "no sidecar: a neighbour that notices is seen", loop="-")
def neighbour(stage: Stage) -> None:
    stage.row.neighbour = _call(stage, stage.backend("status:100").address)
    _must_fail(stage, {NEIGHBOUR})
