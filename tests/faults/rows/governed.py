"""What policy does about instances that fail, and about more calls than instances can take.

As in `health` callers begin calls at a fixed rate, and what must happen within a second is counted in calls.
"""

from __future__ import annotations

from collections.abc import Callable
from signal import SIGKILL
from typing import Any

from faults.process import Program, wait_for
from faults.rows import fault
from faults.rows.health import PACED, RATE, SOON
from faults.sidecar import BUSY, Document, entry
from faults.stage import Stage

BASE_S, INTERVAL_S = 1.0, 0.5
ERRORS = 5  # in a row eject
ON_THEIR_WAY = 8 * 10  # calls of PACED, at most
LEAST_S, LONG_S = 3.0, 300.0
WHOLE_S = 60.0  # a row that lasts so long is no short form


def _rule(**policy: Any) -> Document:
    name = BUSY.rpartition(".")[2].lower()
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": name},
        "spec": {"host": name, "trafficPolicy": policy},
    }


def _within(seconds: str) -> Document:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "within"},
        "spec": {"hosts": [BUSY], "http": [{"route": [{"destination": {}}], "timeout": seconds}]},
    }


EJECTING = _rule(
    outlierDetection={
        "consecutive5xxErrors": ERRORS, "maxEjectionPercent": 50,
        "interval": f"{INTERVAL_S}s", "baseEjectionTime": f"{BASE_S}s",
    }
)  # fmt: skip


def _ejections(stage: Stage) -> int:
    return sum(stage.moved(f"ejections_{why}_total") for why in ("errors", "gateway", "local"))


def _left_out(stage: Stage, bad: Program, heal: Callable[[], object]) -> None:
    """One of four instances fails from now on; later it does not."""
    wait_for("the instance is ejected", lambda: _ejections(stage) > 0)
    stage.last(1.0)
    stage.phase("found")
    asked, sent, times = bad.ask("count")[0], stage.load.ask("count")[0], _ejections(stage)
    stage.last(max(stage.row.seconds, LEAST_S))
    times = _ejections(stage) - times + 1
    asked, sent = bad.ask("count")[0] - asked, stage.load.ask("count")[0] - sent
    found = f"{asked:,} of {sent:,}"
    stage.row.check(
        "each time it is used again, it is given what ejects it and what was on its way",
        asked <= times * (ERRORS + ON_THEIR_WAY), f"{asked:,} calls, used {times} times at most",
    )
    stage.row.time("a second after its first failures at most 1 % of calls go there", asked * 100 <= sent, found)
    stage.phase("back")
    before, times = bad.ask("count")[0], _ejections(stage)
    heal()
    sent = stage.load.ask("count")[0]
    wait_for("it is used again", lambda: bad.ask("count")[0] > before, 60.0)
    calls = stage.load.ask("count")[0] - sent
    most = SOON + int(RATE * (times * BASE_S + INTERVAL_S))
    stage.row.figures["back_calls"] = calls
    stage.row.check(f"used again within its ejection time: before {most:,} more calls", calls <= most, f"{calls:,}")
    stage.settle(within=60.0)
    stage.finish()


@fault("ejected", "one of four instances answers errors: it is left out, and used again when it is well", allowed=(80,))
def ejected(stage: Stage) -> None:
    bad, *others = [stage.provider(name) for name in "abcd"]
    stage.begin([one.address for one in (bad, *others)], documents=[EJECTING], load=PACED)
    bad.ask(f"fail {stage.told(80)[0]}")
    _left_out(stage, bad, lambda: bad.ask("fail 0"))


@fault("ejected-black", "one of four instances goes black; calls have 500 ms: it is left out, and used again",
       allowed=(31, 35))  # fmt: skip
def ejected_black(stage: Stage) -> None:
    bad, *others = [stage.provider(name) for name in "abcd"]
    relay = stage.relay("a", bad.address)
    addresses = [relay.address, *(one.address for one in others)]
    stage.begin(addresses, documents=[EJECTING, _within("500ms")], load=PACED)
    relay.ask("stall both")
    _left_out(stage, bad, lambda: relay.ask("cut"))


REGION = "topology.kubernetes.io/region"
IN_FLIGHT = 8 * 50


@fault("centre-gone", "a data centre dies under load: the next one takes its calls, lost are those in flight there",
       allowed=(35,))  # fmt: skip
def centre_gone(stage: Stage) -> None:
    near, far = [stage.provider(name) for name in "ab"], [stage.provider(name) for name in "cd"]
    addresses = [one.address for one in (*near, *far)]
    busy = entry(BUSY, addresses, [{REGION: "hz"}] * 2 + [{REGION: "sh"}] * 2)
    setting = {"localityLbSetting": {"failover": [{"from": "hz", "to": "sh"}]}}
    stage.begin(addresses, busy=busy, documents=[_rule(outlierDetection={}, loadBalancer=setting)], where="hz")
    there = [one.ask("count")[0] for one in far]
    stage.row.check("while it is well all calls stay in it", not any(there), there)
    for one in near:
        one.send(SIGKILL)
    for one in near:
        one.end(SIGKILL)
    stage.last(stage.row.seconds)
    there = [one.ask("count")[0] for one in far]
    stage.row.check("it took place: the next one has its calls", all(there), there)
    stage.settle()
    stage.finish()
    # One instance of the two is dead a moment before the other, which takes its calls.
    errors = stage.row.total("errors")
    stage.row.check("at most what was in flight at each failed", 0 < errors <= 2 * IN_FLIGHT, f"{errors} calls")


CAPACITY = 400  # calls a second that the instance can do
AT_ONCE = 16  # 40 ms of them


@fault("twice", "twice the calls that an instance can do: as many as it can are answered, the others refused at once",
       allowed=(100,))  # fmt: skip
def twice(stage: Stage) -> None:
    one = stage.provider("one", rate=CAPACITY, delay=10)
    bounded = _rule(connectionPool={"http": {"http2MaxRequests": AT_ONCE}})
    load = ("--connections", "4", "--inflight", "4", "--pace", "100")  # 160 a second
    stage.begin([one.address], documents=[bounded], load=load)
    more = stage.caller("more", "--service", BUSY, "--connections", "8", "--inflight", "8", "--pace", "100")
    more.ask("resume")
    stage.last(0.5)
    right, answered, rss = _right(stage, more), one.ask("count")[0], stage.sidecar.rss
    seconds = LONG_S if stage.row.seconds >= WHOLE_S else max(stage.row.seconds, LEAST_S)
    stage.last(seconds)
    right, answered = _right(stage, more) - right, one.ask("count")[0] - answered
    goodput = right / seconds
    stage.row.figures["goodput"] = round(goodput, 1)
    grown = stage.sidecar.rss - rss
    stage.row.check("what the instance did was not in vain", right >= answered - 2 * AT_ONCE, f"{right} of {answered}")
    stage.row.time(f"goodput at least 90 % of {CAPACITY} a second", goodput >= 0.9 * CAPACITY, f"{goodput:.0f}")
    stage.row.check("memory grows by less than 4 MiB", grown < 4 << 20, f"{grown >> 10} KiB")
    busy = stage.moved("busy_requests_total")
    stage.row.check("it took place: refused", busy > 0, busy)
    more.ask("pause")
    more.tell("quit")
    more.line()
    stage.settle()
    stage.finish()
    refused = stage.row.phase("during")["failing_ms"]
    stage.row.time("refused within 5 ms", refused["p99"] <= 5, f"p99 {refused['p99']:.2f} ms of {refused['n']}")


def _right(stage: Stage, more: Program) -> int:
    return stage.load.ask("count")[1] + more.ask("count")[1]
