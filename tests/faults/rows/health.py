"""Who is up: an application that is gone behind its sidecar, peers that were away, and one that cannot be reached.

Callers begin calls at a fixed rate here, so that seconds are counted in calls: `within a second` is met when no more
calls have failed, or gone elsewhere, than begin in that time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from signal import SIGKILL

from faults.hole import Hole
from faults.process import Program, wait_for
from faults.rows import fault
from faults.sidecar import BUSY, Document, entry
from faults.stage import Stage, counts_of

PACED = ("--connections", "8", "--inflight", "10", "--pace", "100")
RATE = 8 * 10 * 10  # calls a second
SOON = RATE * 5 // 2  # a second, and what two busy cores may take longer

GONE_S = 4.0
AWAY_S, LONG_AWAY_S = 7.5, 40.0  # rests that double have grown to 8 s, and to 30 s
SOLE = "org.meshfast.faults.Sole"


def _until_used(stage: Stage, back: Mapping[str, tuple[Program, Program]]) -> None:
    """Providers have been started again: each is called before many calls of its caller have begun since."""
    sent: dict[str, int] = {}

    def all_used() -> bool:
        for name, (provider, caller) in back.items():
            if name not in sent and provider.ask("count")[0] > 0:
                sent[name] = caller.ask("count")[0]
        return len(sent) == len(back)

    wait_for("those that are back are used again", all_used, 60.0)
    for name, calls in sent.items():
        stage.row.figures[f"{name}_back_calls"] = calls
        stage.row.check(f"{name}: used again before {SOON:,} more calls", calls <= SOON, f"after {calls:,}")


def _first_second(stage: Stage) -> None:
    errors = stage.row.total("errors")
    stage.row.check(f"at most the {RATE} calls of one second failed", errors <= RATE, f"{errors:,} calls")


@fault("app-gone", "an application behind its sidecar is killed, and started again: the other instance takes its calls",
       allowed=(35, 80))  # fmt: skip
def app_gone(stage: Stage) -> None:
    a, b = stage.provider("a"), stage.provider("b")
    near = [stage.beside("near-a", a.address), stage.beside("near-b", b.address)]
    stage.begin([one.into for one in near], load=PACED)
    a.end(SIGKILL)
    stage.last(max(stage.row.seconds, GONE_S))
    stage.phase("back")
    again = stage.provider("a-again", listen=a.address)
    _until_used(stage, {"a": (again, stage.load)})
    stage.settle()
    stage.finish()
    _first_second(stage)


def _by_label() -> list[Document]:
    """`env` decides; where its instances are not there or not up, the baseline."""
    return [
        {
            "apiVersion": "istio.alibabacloud.com/v1",
            "kind": "TrafficLabel",
            "metadata": {"name": "env"},
            "spec": {"rules": [{"labels": [{"name": "env"}]}]},
        },
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "by-env"},
            "spec": {"hosts": [BUSY], "http": [{"route": [{"destination": {"subset": "$env"}}]}]},
        },
    ]


@fault("only-machine", "as app-gone, of the only machine of a label: the baseline takes its calls, and gives them back",
       allowed=(35, 80))  # fmt: skip
def only_machine(stage: Stage) -> None:
    dev1, base = stage.provider("dev1", named=True), stage.provider("base", named=True)
    near = stage.beside("near-dev1", dev1.address)
    stage.begin(
        [],
        busy=entry(BUSY, [near.into, base.address], [{"env": "dev1"}, {}]),
        documents=_by_label(),
        load=(*PACED, "--named", "--attach", "env=dev1"),
    )
    before = base.ask("count")[0]
    dev1.end(SIGKILL)
    stage.last(max(stage.row.seconds, GONE_S))
    taken = base.ask("count")[0]
    stage.row.check("the baseline took its calls, and none before", before == 0 < taken, f"{before}, {taken:,}")
    stage.phase("back")
    again = stage.provider("dev1", listen=dev1.address, named=True)
    _until_used(stage, {"dev1": (again, stage.load)})
    stage.settle()
    stage.load.ask("expect dev1")
    stage.finish()
    _first_second(stage)


@fault("away", "one of two instances, a sole one and one behind its sidecar are gone for a while: used as soon as back",
       allowed=(35, 80))  # fmt: skip
def away(stage: Stage) -> None:
    providers = {name: stage.provider(name) for name in ("pair", "sole", "inbound")}
    near = stage.beside("near", providers["inbound"].address)
    stage.begin(
        [providers["pair"].address, stage.provider("other").address],
        documents=[entry(SOLE, [providers["sole"].address])],
        load=PACED,
    )
    callers = {
        "pair": stage.load,
        "sole": stage.caller("load-sole", *PACED, "--service", SOLE),
        "inbound": stage.caller("load-inbound", *PACED, connect=near.into),
    }
    others = [callers["sole"], callers["inbound"]]
    for caller in others:
        caller.ask("resume")
        wait_for("calls are answered", lambda caller=caller: caller.ask("count")[1] > 0)  # type: ignore[misc]
    for provider in providers.values():
        provider.end(SIGKILL)
    stage.last(LONG_AWAY_S if stage.row.seconds >= LONG_AWAY_S else AWAY_S)
    stage.phase("back")
    for caller in others:
        caller.ask("phase back")
    began = time.monotonic()
    again = {name: stage.provider(f"{name}-again", listen=one.address) for name, one in providers.items()}
    _until_used(stage, {name: (again[name], callers[name]) for name in again})
    stage.row.figures["back_s"] = round(time.monotonic() - began, 2)
    stage.settle()
    for caller in others:
        caller.ask("phase after")
    stage.finish()
    for caller in others:
        _judge(stage, caller)


def _judge(stage: Stage, caller: Program) -> None:
    """What a row demands of its first caller, of another one."""
    caller.tell("quit")
    phases = counts_of(caller)
    lost = sum(phase["lost"] + phase["cut"] + phase["crossed"] for phase in phases)
    strange = {status for phase in phases for status in phase["statuses"]} - {str(one) for one in stage.told(35, 80)}
    late = sum(phase["errors"] for phase in phases if phase["phase"] == "after")
    right = sum(phase["right"] for phase in phases if phase["phase"] == "after")
    found = f"{lost} lost, {sorted(strange)}, {late} errors and {right:,} answers after"
    met = lost == late == 0 and not strange and right > 0
    stage.row.check(f"{caller.name}: nothing lost, only such as are told, answered after", met, found)


@fault("hung-connect", "one of two instances drops SYNs; calls with a timeout of 1 s: all are answered by the other")
def hung_connect(stage: Stage) -> None:
    with Hole() as hole:
        within_a_second = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "within-a-second"},
            "spec": {"hosts": [BUSY], "http": [{"route": [{"destination": {}}], "timeout": "1s"}]},
        }
        addresses = [hole.address, stage.provider("b").address]
        stage.begin(addresses, limits={"connectTimeout": 3000}, documents=[within_a_second], load=PACED)
        stage.last(max(stage.row.seconds, GONE_S))
        full = hole.swallows()
        stage.row.check("it took place: nothing can connect there", full, full)
        stage.settle()
        stage.finish()
