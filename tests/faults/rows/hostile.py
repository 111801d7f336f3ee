"""Those who take memory or the time of a worker from all: strangers, slow readers, an application that never stops."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from faults.process import wait_for
from faults.rows import fault
from faults.sidecar import SLOW, Document, entry
from faults.stage import Stage
from faults.twin import CALM, STEADY, Limits, also, begin_limited, beside_twin, judge_also, over, strike

PATIENT_S = 5.0

# --- memory

MIB = 1 << 20
SLACK = 48 * MIB  # connections, what the allocator keeps, and what was on its way when the limit was met


def _begin_bounded(stage: Stage, limit: int, slow: Document, load: tuple[str, ...]) -> None:
    a, limits = stage.provider("a").address, Limits(maxMemory=limit)
    begin_limited(stage, [a], "maxMemory", limits, documents=[slow], load=load, neighbour=CALM)


def _watch_memory(stage: Stage, limit: int) -> None:
    until, most = time.monotonic() + max(stage.row.seconds, 3.0), 0
    while time.monotonic() < until:
        stage.last(0.05)
        most = max(most, stage.sidecar.rss)
    grown = most - stage.row.rss_before
    stage.row.rss_peak = most
    stage.row.figures["grown_mib"] = grown // MIB
    demand = f"memory grows by at most {limit // MIB} MiB and {SLACK // MIB}"
    stage.row.check(demand, grown <= limit + SLACK, f"{grown / MIB:.0f} MiB")


STRANGERS, ANNOUNCED, STRANGERS_MAY = 60, 8 * MIB - 4096, 64 * MIB
LONG = 1_000_000


@fault("hoard", f"{STRANGERS} strangers send 8 MiB each but for the last byte; it may take {STRANGERS_MAY // MIB} MiB")
def hoard(stage: Stage) -> None:
    def begin(one: Stage) -> None:
        load = (*STEADY, *also(1, payload=LONG))
        slow = entry(SLOW, [one.provider("slow", delay=0).address])
        _begin_bounded(one, STRANGERS_MAY, slow, load)

    with beside_twin(stage, begin) as twin:
        strike(stage, twin)
        crowd = stage.crowd("hoard", STRANGERS, "--payload", str(ANNOUNCED))
        wait_for("strangers are there", lambda: crowd.ask("count")[1] >= STRANGERS)
        stage.load.ask("also")
        _watch_memory(stage, STRANGERS_MAY)
        crowd.ask("close")
        over(stage, twin)
    judge_also(stage, stage.row.also, (100,))


READERS, READER_CALLS, READER_ANSWER, READERS_MAY = 16, 64, 256 << 10, 32 * MIB


@fault(
    "unread",
    f"{READERS} callers hardly read {READER_CALLS} answers of 256 KiB each, all in flight at once; "
    f"a worker may take {READERS_MAY // MIB} MiB",
)
def unread(stage: Stage) -> None:
    def begin(one: Stage) -> None:
        slow = entry(SLOW, [one.provider("slow", delay=1000, answer=READER_ANSWER).address])
        _begin_bounded(one, READERS_MAY, slow, STEADY)

    with beside_twin(stage, begin) as twin:
        strike(stage, twin)
        crowd = stage.crowd("reader", READERS, "--calls", str(READER_CALLS), "--every", "10", "--rate", "100")
        wait_for("readers are there", lambda: crowd.ask("count")[1] >= READERS)
        stage.last(3.0)  # their calls are let in, and answered
        _watch_memory(stage, READERS_MAY)
        crowd.ask("close")
        over(stage, twin)


# --- the worker's time

IDLE = 4000
BURST, EVERY_S, LASTS_S = 200, 0.2, 5.0
INBOUND = "in"


def _event(word: bytes) -> bytes:
    return struct.pack(">HBBqI", 0xDABB, 0x80 | 0x20 | 2, 0, 0, 2) + b"\x01" + word


@contextmanager
def saying(words: bytes) -> Iterator[tuple[str, threading.Event]]:
    """An application that answers nothing, and from the moment that it is told to says this, again and again."""
    begun, ended = threading.Event(), threading.Event()

    def talk(server: socket.socket) -> None:
        with suppress(OSError), server.accept()[0] as conn:
            conn.settimeout(PATIENT_S)
            while not ended.wait(EVERY_S):
                if select.select([conn], [], [], 0)[0]:
                    conn.recv(MIB)
                if begun.is_set():
                    conn.sendall(words)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=talk, args=(server,), daemon=True)
        thread.start()
        try:
            yield "{}:{}".format(*server.getsockname()), begun
        finally:
            ended.set()


def _flood(stage: Stage, words: bytes) -> None:
    with saying(words) as (application, begun):

        def begin(one: Stage) -> None:
            inbound = {"name": INBOUND, "bind": "tcp://127.0.0.1:0", "direction": "inbound"}
            inbound["forward"] = f"tcp://{application if one is stage else one.provider('application').address}"
            known = entry(SLOW, [application])
            one.begin(
                [one.provider("a").address], documents=[known], load=STEADY, neighbour=CALM, listeners=[inbound]
            )

        with beside_twin(stage, begin) as twin:
            crowd = stage.crowd(
                "reader", IDLE, "--calls", "1", "--every", "200", "--rate", "20480",
                connect=stage.sidecar.addresses[INBOUND],
            )  # fmt: skip
            wait_for("callers are there", lambda: crowd.ask("count")[0] >= IDLE, 60.0)
            stage.last(0.5)  # each has called once
            strike(stage, twin)
            begun.set()
            stage.last(min(max(stage.row.seconds, 3.0), LASTS_S))
            heard = stage.moved("readonly_in_total")
            stage.row.check("it took place: the sidecar heard it", heard > BURST, f"{heard:,} times")
            over(stage, twin)


@fault("readonly-flood", f"an application says READONLY {BURST / EVERY_S:,.0f} times a second to {IDLE:,} idle callers")
def readonly_flood(stage: Stage) -> None:
    _flood(stage, _event(b"R") * BURST)


@fault("readonly-flap", f"an application says READONLY and WRITEABLE in turn, as often, to {IDLE:,} idle callers")
def readonly_flap(stage: Stage) -> None:
    _flood(stage, (_event(b"R") + _event(b"W")) * (BURST // 2))
