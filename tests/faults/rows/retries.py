"""Calls that their rule lets try again: what that may cost providers that fail."""

from __future__ import annotations

import time

from faults.rows import also_grpc, fault
from faults.rows.health import PACED, RATE
from faults.sidecar import BUSY, Document
from faults.stage import Stage

ATTEMPTS = 3
LEAST_S = 4.0


def _rule() -> Document:
    retries = {"attempts": ATTEMPTS, "retryOn": "5xx,reset,unavailable", "backoff": "5ms"}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "retries"},
        "spec": {"hosts": [BUSY], "http": [{"route": [{"destination": {"host": "busy"}}], "retries": retries}]},
    }


@fault("all-failing", "every instance fails, and a call may be tried again three times: the budget of the limits holds",
       allowed=(80,))  # fmt: skip
def all_failing(stage: Stage) -> None:
    providers = [stage.provider(name) for name in "abc"]
    stage.begin([one.address for one in providers], documents=[_rule()], load=PACED)

    def tries() -> int:
        return sum(one.ask("count")[0] for one in providers)

    none = stage.moved("retries_total")
    stage.row.check("none is tried again while all is well", none == 0, none)
    for one in providers:
        one.ask("fail 14" if stage.grpc else "fail 80")
    tried, sent, began = tries(), stage.load.ask("count")[0], time.monotonic()
    stage.last(max(stage.row.seconds, LEAST_S))
    sent, tried = stage.load.ask("count")[0] - sent, tries() - tried
    seconds = time.monotonic() - began + 1  # what the second before has saved
    most = sent + (sent + RATE) // 5 + round(10 * seconds)
    stage.row.figures["tries_a_call"] = round(tried / max(sent, 1), 3)
    stage.row.check(f"at most 1.2 tries a call and 10 a second: {most:,}", tried <= most, f"{tried:,}")
    stage.row.check("and no less than 1.1", tried * 10 >= sent * 11, f"{tried:,} of {sent:,}")
    for one in providers:
        one.ask("fail 0")
    stage.settle()
    stage.finish()


@fault("one-failing", "one of three instances fails, and calls are tried again: no caller is told, within the budget")
def one_failing(stage: Stage) -> None:
    providers = [stage.provider(name) for name in "abc"]
    stage.begin(
        [one.address for one in providers], documents=[_rule()], load=PACED, limits={"retryPercent": 50}
    )
    providers[0].ask("fail 14" if stage.grpc else "fail 80")
    stage.last(max(stage.row.seconds, LEAST_S))
    well = stage.moved("retries_succeeded_total")
    stage.row.check("calls were tried again, and ended well", well > 0, well)
    providers[0].ask("fail 0")
    stage.settle()
    stage.finish()


also_grpc(all_failing, allowed=(14,))
also_grpc(one_failing)
