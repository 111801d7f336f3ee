"""What only HTTP/2 has: GOAWAY, streams that are reset or not read, and as many at once as a peer takes."""

from __future__ import annotations

import time
from signal import SIGKILL

from faults.process import Program
from faults.rows import fault
from faults.sidecar import SLOW, entry
from faults.stage import Stage
from faults.twin import CALM, STEADY, also, beside_twin, over, strike

EVERY_S = 0.1
LEFT_OUT = 20  # streams


def _says_goaway(stage: Stage, leaving: Program, command: str) -> None:
    until, times = time.monotonic() + stage.row.seconds, 0
    while time.monotonic() < until:
        leaving.ask(command)
        stage.last(EVERY_S)
        times += 1
    heard = stage.moved("h2_goaways_in_total")
    stage.row.check("it took place: the sidecar heard it", heard >= times // 2 > 0, f"{heard} times")
    stage.settle()
    stage.finish()


@fault("grpc-drained", "one of two providers sends GOAWAY and answers what it has, ten times a second: no call notices",
       grpc=True)  # fmt: skip
def drained(stage: Stage) -> None:
    a = stage.provider("a")
    stage.begin([a.address, stage.provider("b").address])
    _says_goaway(stage, a, "drain")


@fault("grpc-goaway", f"GOAWAY that leaves out the last {LEFT_OUT} calls, ten times a second: they are tried elsewhere",
       grpc=True)  # fmt: skip
def goaway(stage: Stage) -> None:
    a = stage.provider("a")
    stage.begin([a.address, stage.provider("b").address])
    _says_goaway(stage, a, f"cut {LEFT_OUT}")


@fault("grpc-goaway-sole", "the same of the only provider: they are tried on a new connection to it", grpc=True)
def goaway_sole(stage: Stage) -> None:
    a = stage.provider("a")
    stage.begin([a.address])
    _says_goaway(stage, a, f"cut {LEFT_OUT}")


FEW = 20


@fault("grpc-few-streams", f"the only provider takes {FEW} calls at once: the rest wait, all are answered", grpc=True)
def few_streams(stage: Stage) -> None:
    stage.begin([stage.provider("a", delay=5, streams=FEW).address])
    stage.last(stage.row.seconds)
    stage.settle()
    stage.finish()


@fault("grpc-rapid-reset", "callers reset each call as soon as it is sent, to the provider of others", grpc=True)
def rapid_reset(stage: Stage) -> None:
    def begin(one: Stage) -> None:
        address = one.provider("a").address
        one.begin([address], documents=[entry(SLOW, [address])], load=STEADY, neighbour=CALM)

    with beside_twin(stage, begin) as twin:
        strike(stage, twin)
        options = ("--connections", "4", "--inflight", "50", "--rest", "500", "--abandon", "--service", SLOW)
        greedy = stage.caller("resetting", *options)
        greedy.ask("resume")
        stage.last(max(stage.row.seconds, 3.0))
        resets, calm = stage.moved("h2_resets_in_total"), stage.moved("limit_h2_resets_total")
        stage.row.check("it took place: reset, and refused for it", resets > 1000 and calm > 0, f"{resets:,}, {calm}")
        greedy.end(SIGKILL)
        over(stage, twin)


READERS, READER_CALLS, ANSWER, SHUT, MAY = 16, 90, 60_000, 1000, 32 << 20
SLACK = 48 << 20  # connections, and what the allocator keeps


@fault(
    "grpc-windows-shut",
    f"{READERS} callers take {SHUT:,} bytes of each of {READER_CALLS} answers of 60 kB, of the provider of others; "
    f"a worker may take {MAY >> 20} MiB",
    grpc=True,
)
def windows_shut(stage: Stage) -> None:
    def begin(one: Stage) -> None:
        address = one.provider("a").address
        documents = [entry(SLOW, [address])]
        one.begin([address], documents=documents, load=STEADY, neighbour=CALM, limits={"maxMemory": MAY})

    with beside_twin(stage, begin) as twin:
        strike(stage, twin)
        options = ("--connections", str(READERS), "--inflight", str(READER_CALLS), "--payload", str(ANSWER))
        readers = stage.caller("readers", *options, "--shut", str(SHUT), "--deadline", "100000", "--service", SLOW)
        readers.ask("resume")
        until, most = time.monotonic() + max(stage.row.seconds, 4.0), 0
        while time.monotonic() < until:
            stage.last(0.05)
            most = max(most, stage.sidecar.rss)
        stage.row.rss_peak = most
        sent = readers.ask("count")[0]
        stage.row.check("it took place: they called", sent >= READERS, f"{sent:,} calls")
        grown = (most - stage.row.rss_before) >> 20
        stage.row.check(f"memory grows by at most {MAY + SLACK >> 20} MiB", grown <= MAY + SLACK >> 20, f"{grown} MiB")
        readers.end(SIGKILL)
        over(stage, twin)


MANY, HOGS, HELD_MS, PRESS_S = 1024, 1500, 2000, 0.2


@fault("grpc-hoard", f"one caller has {HOGS:,} calls for a provider that never answers, {MANY:,} are let in; others go "
       "on", grpc=True)  # fmt: skip
def hoard(stage: Stage) -> None:
    def begin(one: Stage) -> None:
        relay = one.relay("slow", one.provider("slow").address)
        relay.ask("swallow down")
        limits = {"callTimeout": HELD_MS, "maxCalls": MANY, "h2Streams": 2 * HOGS}
        documents = [entry(SLOW, [relay.address])]
        one.begin([one.provider("a").address], documents=documents, load=STEADY, neighbour=CALM, limits=limits)

    with beside_twin(stage, begin) as twin:
        strike(stage, twin)
        options = ("--connections", "1", "--inflight", "1", "--rest", "10000000", *also(HOGS, timeout=""))
        greedy = stage.caller("hog", *options)
        greedy.ask("resume")
        until = time.monotonic() + max(stage.row.seconds, 3.0)
        while time.monotonic() < until:
            greedy.ask("also")
            stage.last(PRESS_S)
        over(stage, twin)
        sent = greedy.ask("count also")[0]
        stage.row.check("it took place: it called", sent >= HOGS, f"{sent:,} calls")
        greedy.end(SIGKILL)
