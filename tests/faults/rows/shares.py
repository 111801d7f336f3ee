"""What one caller or one peer takes must not be what another gets: queues and calls in flight."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from faults.process import Program, RowError, wait_for
from faults.rows import fault
from faults.sidecar import SLOW, entry
from faults.stage import Stage, counts_of
from faults.twin import CALM, STEADY, Limits, also, begin_limited, beside_twin, judge_also, over, strike

PATIENT_S = 5.0


@contextmanager
def deaf(n: int = 1) -> Iterator[list[str]]:
    """Addresses that let all in and read nothing of what they send."""
    with ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64)) for _ in range(n)]
        yield ["{}:{}".format(*one.getsockname()) for one in servers]


def swallowing(stage: Stage) -> str:
    """A provider that takes every call and answers none, heartbeats neither."""
    relay = stage.relay("slow", stage.provider("slow").address)
    relay.ask("swallow down")
    return relay.address


# --- a peer that is full or silent, and others of the same caller

BIG, BIG_CALLS, BIG_TIMEOUT = 90_000, 120, "1000"
REFUSED = (31, 35, 80, 100)  # timed out, lost with its connection, nobody there, too much
ONE_CALLER = ("--connections", "1", "--inflight", "8", "--rest", "20000")


@fault("full-peer", f"{BIG_CALLS} calls of 90 KB to a provider that reads nothing; others of the same caller go on")
def full_peer(stage: Stage) -> None:
    load = (*ONE_CALLER, *also(BIG_CALLS, payload=BIG, timeout=BIG_TIMEOUT))
    with deaf() as silent:

        def begin(one: Stage) -> None:
            one.begin([one.provider("a").address], documents=[entry(SLOW, silent)], load=load, neighbour=CALM)

        with beside_twin(stage, begin) as twin:
            strike(stage, twin)
            stage.load.ask("also")
            stage.last(max(stage.row.seconds, 3.0))
            over(stage, twin)
    judge_also(stage, stage.row.also, REFUSED)


HUNG, HUNG_MAY = 8, 32 << 20
LONG, LONG_CALLS, LONG_CALLERS, LONG_TIMEOUT = 200_000, 80, 4, "2000"
MANY, HELD_MS, PRESS_S = 4096, 3000, 0.2


def _press(stage: Stage, caller: Program) -> None:
    """Calls that were refused or timed out are sent again, as long as the fault lasts."""
    until = time.monotonic() + max(stage.row.seconds, 3.0)
    while time.monotonic() < until:
        caller.ask("also")
        stage.last(PRESS_S)


@fault(
    "hung-peers",
    f"{LONG_CALLERS} callers send calls of 200 KB to {HUNG} instances that read nothing, and a worker may take "
    f"{HUNG_MAY >> 20} MiB; others go on, also after they have left",
)
def hung_peers(stage: Stage) -> None:
    with deaf(HUNG) as silent:

        def begin(one: Stage) -> None:
            a = one.provider("a").address
            limits: Limits = {"maxMemory": HUNG_MAY, "upstreamTrials": 0}
            one.begin([a], documents=[entry(SLOW, silent)], load=STEADY, neighbour=CALM, limits=limits)

        with beside_twin(stage, begin) as twin:
            strike(stage, twin)
            options = ("--connections", str(LONG_CALLERS), "--inflight", "1", "--rest", "10000000")
            senders = stage.caller("senders", *options, *also(LONG_CALLS, payload=LONG, timeout=LONG_TIMEOUT))
            senders.ask("resume")
            _press(stage, senders)
            senders.tell("quit")
            counts = [phase for phase in counts_of(senders) if phase["phase"] == "also"]
            if not stage.grpc:  # whose peers have no windows, and their requests wait with us
                full = stage.moved("limit_upstream_output_max_total")
                stage.row.check("it took place: no more was taken for them", full > 0, full)
            stage.last(max(stage.row.seconds, 3.0))
            over(stage, twin)
    judge_also(stage, counts, REFUSED)


@fault("silent-peer", f"{MANY:,} calls without a timeout, none is answered by its provider; the caller's others go on")
def silent_peer(stage: Stage) -> None:
    def begin(one: Stage) -> None:
        one.begin(
            [one.provider("a").address],
            documents=[entry(SLOW, [swallowing(one)])],
            load=(*ONE_CALLER, *also(MANY, timeout="")),
            neighbour=CALM,
            limits={"callTimeout": HELD_MS},
        )

    with beside_twin(stage, begin) as twin:
        strike(stage, twin)
        _press(stage, stage.load)
        over(stage, twin)
    judge_also(stage, stage.row.also, REFUSED)


HOGS = 1500  # on each of four connections, where a worker takes MANY


@fault("hog", f"one caller has {4 * HOGS:,} calls for a provider that never answers, {MANY:,} are let in; others go on")
def hog(stage: Stage) -> None:
    def begin(one: Stage) -> None:
        one.begin(
            [one.provider("a").address],
            documents=[entry(SLOW, [swallowing(one)])],
            load=STEADY,
            neighbour=CALM,
            limits={"callTimeout": HELD_MS, "maxCalls": MANY},
        )

    with beside_twin(stage, begin) as twin:
        strike(stage, twin)
        options = ("--connections", "4", "--inflight", "1", "--rest", "10000000", *also(HOGS, timeout=""))
        greedy = stage.caller("hog", *options)
        greedy.ask("resume")
        _press(stage, greedy)
        over(stage, twin)
        greedy.tell("quit")
        counts = [phase for phase in counts_of(greedy) if phase["phase"] == "also"]
    judge_also(stage, counts, REFUSED)


DAYS, MOST_MS, WAITING = str(24 * 86400 * 1000), 1000, 64


@fault("patient-caller", f"{WAITING} calls that may take 24 days, to a provider that never answers: they get 1 s")
def patient_caller(stage: Stage) -> None:
    begin_limited(
        stage,
        [stage.provider("a").address],
        "maxCallTimeout",
        {"maxCallTimeout": MOST_MS, "drainTimeout": 500},
        documents=[entry(SLOW, [swallowing(stage)])],
        load=(*STEADY, "--deadline", str(1000 * int(PATIENT_S)), *also(WAITING // 4, timeout=DAYS)),
        neighbour=CALM,
    )
    stage.load.ask("also")
    with suppress(RowError):  # told below
        wait_for("they are answered", lambda: stage.load.ask("count also")[2] == WAITING, PATIENT_S)
    stage.settle()
    stage.finish()
    judge_also(stage, stage.row.also, (31,))


# --- a connection to a peer that many share, and what waits for it

TAKES, TOO_LONG = 100_000, 200_000


@fault("touchy", "a caller asks what the provider of all hangs up over, again and again; others' calls are not on that")
def touchy(stage: Stage) -> None:
    def begin(one: Stage) -> None:
        address = one.provider("a", most=TAKES).address
        one.begin([address], documents=[entry(SLOW, [address])], load=STEADY, neighbour=CALM)

    with beside_twin(stage, begin) as twin:
        strike(stage, twin)
        options = ("--connections", "2", "--inflight", "1", "--rest", "10000000", *also(2, payload=TOO_LONG))
        asking = stage.caller("touchy", *options)
        asking.ask("resume")
        _press(stage, asking)
        ended = stage.moved("upstream_reset_total")
        stage.row.check("it took place: it hung up", ended >= 10, f"{ended} times")
        over(stage, twin)
        asking.tell("quit")
        counts = [phase for phase in counts_of(asking) if phase["phase"] == "also"]
    judge_also(stage, counts, REFUSED)


QUEUED, QUEUE_CALLERS, QUEUE_CALLS = 900_000, 12, 3


@fault("shared-queue", f"{QUEUE_CALLERS} callers' calls of 900 KB wait for a provider: outputMax is not for it")
def shared_queue(stage: Stage) -> None:
    slow = stage.provider("slow", delay=0)
    relay = stage.relay("slow", slow.address)

    def begin(one: Stage) -> None:
        one.begin(
            [one.provider("a").address],
            documents=[entry(SLOW, [relay.address])],
            load=("--connections", str(QUEUE_CALLERS), *STEADY[2:], *also(QUEUE_CALLS, payload=QUEUED, timeout="9000")),
            neighbour=CALM,
            limits={"outputMax": 4 << 20, "upstreamOutputHigh": 1 << 20, "upstreamTrials": 0},  # own answers fit
        )

    with beside_twin(stage, begin) as twin:
        strike(stage, twin)
        relay.ask("stall up")
        stage.load.ask("also")
        wait_for("they are on their way", lambda: stage.load.ask("count also")[0] == QUEUE_CALLERS * QUEUE_CALLS)
        stage.last(1.0)
        beats = stage.sidecar.counter("heartbeats_in_total")
        slow.ask("beat")
        wait_for("it was asked for a word", lambda: stage.sidecar.counter("heartbeats_in_total") > beats)
        stage.last(0.2)
        relay.ask("pass")
        over(stage, twin)
    judge_also(stage, stage.row.also, (100,))
