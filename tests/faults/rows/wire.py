"""What happens on the wire between the sidecar and a provider, or a caller: ends, silence, trickles."""

from __future__ import annotations

import time

from faults.rows import fault
from faults.stage import Stage

ANSWER = 16 + 1 + 2 + 200  # bytes of an answer's frame: head, value tag, string head, text
MIDDLE = 2000 * ANSWER + 16 + 50  # after some thousand answers, in the middle of a body

#: A silent peer is found within two heartbeats of the timeout.
SILENT = {"heartbeat": 500, "heartbeatTimeout": 1500}


def _between(stage: Stage, command: str, *, end: str, counter: str, moved: str) -> None:
    """A relay before one of two providers does `command` all the time; then it is as if it were not there."""
    relay = stage.relay("a", stage.provider("a").address)
    stage.begin([relay.address, stage.provider("b").address])
    relay.ask(command)
    stage.last(stage.row.seconds)
    relay.ask("pass")
    ended, told = relay.ask("count")[2], stage.moved(counter)
    stage.row.check(f"it took place: {end}", ended > 0 and told > 0, f"{ended} connections, {moved} {told}")
    stage.settle()
    stage.finish()


@fault("reset", "a provider's connection gets RST in the middle of an answer, again and again", allowed=(35,))
def reset(stage: Stage) -> None:
    _between(stage, f"reset down {MIDDLE}", end="resets", counter="upstream_reset_total", moved="lost with calls:")


@fault("fin", "a provider ends its connection with half a body sent, again and again", allowed=(35,))
def fin(stage: Stage) -> None:
    _between(stage, f"fin down {MIDDLE}", end="ends", counter="upstream_reset_total", moved="lost with calls:")


@fault("half-provider", "a provider half-closes: FIN in the middle of its work, while it still reads", allowed=(35,))
def half_provider(stage: Stage) -> None:
    relay = stage.relay("a", stage.provider("a").address)
    stage.begin([relay.address, stage.provider("b").address])
    until, times = time.monotonic() + stage.row.seconds, 0
    while time.monotonic() < until:
        relay.ask("half down")
        stage.last(0.2)
        relay.ask("pass")
        stage.last(0.3)
        times += 1
    lost = stage.moved("upstream_reset_total")
    stage.row.check("it took place: half-closed", lost > 0, f"{times} times, lost with calls: {lost}")
    stage.settle()
    stage.finish()


@fault("half-caller", "callers half-close with calls in flight: every answer still comes, then the sidecar's FIN")
def half_caller(stage: Stage) -> None:
    stage.begin([stage.provider("a").address, stage.provider("b").address])
    until, times = time.monotonic() + stage.row.seconds, 0
    while time.monotonic() < until:
        stage.load.ask("half")
        stage.last(0.5)
        times += 1
    stage.settle()
    stage.finish()
    ends = stage.row.total("ends")
    found = f"{ends} connections, {times} times"
    stage.row.check("it took place: ended by the sidecar's FIN", ends >= 4 * times, found)


@fault("refuse", "a provider's port is closed and its connections are reset; later it is back", allowed=(35,))
def refuse(stage: Stage) -> None:
    relay = stage.relay("a", stage.provider("a").address)
    stage.begin([relay.address, stage.provider("b").address], limits={"peerBackoff": 200})
    relay.ask("refuse")
    stage.last(stage.row.seconds)
    failed = stage.moved("upstream_connect_failed_total")
    stage.row.check("it took place: refused", failed > 0, f"{failed} connects")
    relay.ask("pass")
    stage.settle()
    stage.finish()


def _silent(stage: Stage, command: str, limits: dict[str, int | str], found_s: float) -> None:
    """One of two providers falls silent; after ``found_s`` hardly a call may go there."""
    relay = stage.relay("a", stage.provider("a").address)
    stage.begin([relay.address, stage.provider("b").address], limits=limits)
    relay.ask(command)
    stage.last(found_s)
    stage.phase("found")
    stage.last(max(stage.row.seconds - found_s, 2.0))
    beats = stage.moved("heartbeats_out_total")
    stage.row.check("it was asked for a word", beats > 0, f"{beats} heartbeats")
    relay.ask("cut")
    stage.settle(within=40.0)
    stage.finish()
    found = stage.row.phase("found")
    right, errors = found["right"], found["errors"]
    stage.row.figures["found_share"] = round(errors / max(right, 1), 5)
    stage.row.check(f"after {found_s:g} s under 1 call in 100 fails", errors * 100 < right, f"{errors} of {right:,}")


@fault("blackhole", "a provider accepts, and reads nothing and says nothing any more", allowed=(31, 35))
def blackhole(stage: Stage) -> None:
    _silent(stage, "stall both", SILENT, 4.0)


@fault("mute", "a provider reads everything and says nothing any more", allowed=(31, 35))
def mute(stage: Stage) -> None:
    _silent(stage, "swallow down", SILENT, 4.0)


@fault("doubt", "a provider falls silent between heartbeats: found by calls that time out", allowed=(31, 35))
def doubt(stage: Stage) -> None:
    _silent(stage, "stall both", {}, 8.0)  # calls time out twice, and a second for an answer to the heartbeat


@fault("slow-provider", "the way to a provider is throttled to 20 kB/s: only its calls time out", allowed=(31,))
def slow_provider(stage: Stage) -> None:
    relay = stage.relay("a", stage.provider("a").address)
    stage.begin([relay.address, stage.provider("b").address])
    relay.ask("throttle both 20000")
    stage.last(max(stage.row.seconds, 4.0))
    relay.ask("cut")
    stage.row.allowed = stage.row.allowed + stage.told(35)  # the cut: what it still held
    stage.settle()
    stage.finish()
    right = stage.row.phase("during")["right"]
    stage.row.check("the other instance goes on", right > 0, f"{right:,} answers during")


def _slowed(stage: Stage, least_ms: int) -> None:
    p50 = stage.row.phase("during")["latency_ms"]["p50"]
    stage.row.check(f"it took place: the median call took over {least_ms} ms", p50 > least_ms, f"{p50:.0f} ms")


@fault("delay", "100 ms more in each direction on the way to every provider")
def delay(stage: Stage) -> None:
    relay = stage.relay("a", stage.provider("a").address)
    stage.begin([relay.address])
    relay.ask("delay both 100")
    stage.last(stage.row.seconds)
    relay.ask("pass")
    stage.settle()
    stage.finish()
    _slowed(stage, 200)


def _trickled(stage: Stage, single: int) -> None:
    right = stage.row.phase("during")["right"]
    told = f"{single:,} bytes, {right:,} answers"
    enough = single >= 10 * right > 0
    stage.row.check("it took place: ten bytes or more went by themselves for each answer", enough, told)


@fault("byte-provider", "one byte at a time to and from the only provider")
def byte_provider(stage: Stage) -> None:
    relay = stage.relay("a", stage.provider("a").address)
    stage.begin([relay.address])
    relay.ask("trickle both")
    stage.last(stage.row.seconds)
    relay.ask("pass")
    stage.settle()
    single = relay.ask("count")[3]
    stage.finish()
    _trickled(stage, single)


@fault("byte-caller", "one byte at a time to and from every caller")
def byte_caller(stage: Stage) -> None:
    relays = []

    def through(address: str) -> str:
        relays.append(stage.relay("callers", address))
        return relays[0].address

    load = ("--payload", "2000") if stage.grpc else ()  # whose fields take a few bytes after the first call
    stage.begin([stage.provider("a").address], through=through, load=load)
    relays[0].ask("trickle both")
    stage.last(stage.row.seconds)
    relays[0].ask("pass")
    stage.settle()
    single = relays[0].ask("count")[3]
    stage.finish()
    _trickled(stage, single)
