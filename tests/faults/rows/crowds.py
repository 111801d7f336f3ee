"""Many connections that do nothing good: slow readers, slowloris, idle ones, and more than there are descriptors."""

from __future__ import annotations

import resource
import time

from faults.process import Program, RowError, wait_for
from faults.rows import fault
from faults.sidecar import SLOW, entry
from faults.stage import Stage

KIB = 1024
RECOVERY_S = 1.0
SLACK_S = 1.0

# Half a megabyte for each: how much of it the kernel takes before the sidecar must wait differs from day to day.
READERS, READER_CALLS, READER_ANSWER, READER_MS = 1000, 64, 8 * KIB, 50
READER_RATE = 100  # bytes a second: so slow that none is read again while the row lasts
OUTPUT_HIGH = 64 * KIB
READER_EACH = 64 * KIB + OUTPUT_HIGH

LORIS, LORIS_EACH = 5000, 4 * KIB
FRAME_MS = 3000

IDLE, IDLE_EACH = 10_000, 4 * KIB

DESCRIPTORS, TOO_MANY = 256, 1000
FULL = DESCRIPTORS - 4  # what looks like full from outside: some are taken and given back in a moment
FULL_CPU = 0.20


def _needs_descriptors(count: int) -> None:
    """Both this row's crowd and the sidecar inherit the limit of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(hard, count)))
    except (ValueError, OSError):
        raise RowError(f"{count} descriptors are needed, and this shell's hard limit is {hard}: ulimit -Hn") from None


def _gather(crowd: Program, count: int) -> float:
    return wait_for(f"{count} connections are made", lambda: crowd.ask("count")[0] >= count, 60.0)


def _grown(stage: Stage, each: int, count: int, *, paced: bool = False) -> None:
    """What the crowd costs in resident memory, by the second look, when what must grow has grown. ``paced``: it depends
    on how fast all is, as what is in flight for a reader still comes when it is paused."""
    grown = stage.sidecar.rss - stage.row.rss_before
    stage.row.rss_peak = max(stage.row.rss_peak, stage.sidecar.rss)
    stage.row.figures["rss_each"] = round(grown / count)
    found = f"{grown / count / KIB:.1f} KiB each, {grown / 2**20:.0f} MiB in all"
    judge = stage.row.time if paced else stage.row.check
    judge(f"memory: at most {each // KIB} KiB for each of {count:,}", grown <= each * count, found)


@fault("slow-readers", f"{READERS:,} callers ask for {READER_CALLS} answers of 8 KiB each and read {READER_RATE} B/s")
def slow_readers(stage: Stage) -> None:
    _needs_descriptors(READERS + 1000)
    slow = stage.provider("slow", delay=0, answer=READER_ANSWER)
    stage.begin(
        [stage.provider("a").address],
        documents=[entry(SLOW, [slow.address])],
        limits={"outputHigh": OUTPUT_HIGH},
    )
    crowd = stage.crowd(
        "reader", READERS, "--calls", str(READER_CALLS), "--rate", str(READER_RATE), "--every", str(READER_MS)
    )
    _gather(crowd, READERS)
    stage.last(max(stage.row.seconds, READER_CALLS * READER_MS / 1000 + 1.0))
    wait_for("half of them are not read", lambda: stage.moved("limit_output_high_total") >= READERS // 2)
    _grown(stage, READER_EACH, READERS, paced=True)
    paused, answered = stage.moved("limit_output_high_total"), slow.ask("count")[0]
    found = f"{paused:,} pauses, {answered:,} of {READERS * READER_CALLS:,} calls were let through"
    stage.row.check("it took place: they were not read any more", paused >= READERS // 2, found)
    closed = crowd.ask("count")[2]
    crowd.ask("close")
    stage.settle()
    stage.finish()
    stage.row.check("none was closed for being slow", closed == 0, closed)


@fault("slowloris", f"{LORIS:,} callers send a byte now and then of a head or a body, and dial again when closed")
def slowloris(stage: Stage) -> None:
    _needs_descriptors(LORIS + 1000)
    stage.begin([stage.provider("a").address], limits={"frameTimeout": FRAME_MS})
    crowd = stage.crowd("loris", LORIS, "--again", "--every", "500")
    _gather(crowd, LORIS * 9 // 10)
    stage.last(1.0)
    _grown(stage, LORIS_EACH, LORIS)
    made = crowd.ask("count")[1]
    stage.last(max(stage.row.seconds, FRAME_MS / 1000 + 2.0))
    _, connected, closed, refused, oldest = crowd.ask("count")
    limit = FRAME_MS / 1000 + 0.5 + SLACK_S  # the first byte comes up to half a second after the connect
    stage.row.time(f"each is closed within {limit:g} s", oldest <= limit * 1000, f"{oldest} ms at most")
    timeouts = stage.moved("limit_frame_timeout_total")
    counted = f"{closed:,} closed, {timeouts:,} counted"
    stage.row.check("closed by frameTimeout", timeouts >= closed > LORIS // 2, counted)
    stage.row.check("new ones were accepted throughout", connected > made and refused == 0, f"{connected:,}, {refused}")
    crowd.ask("close")
    stage.settle()
    stage.finish()


@fault("idle", f"{IDLE:,} connections that say nothing")
def idle(stage: Stage) -> None:
    _needs_descriptors(IDLE + 1000)
    stage.begin([stage.provider("a").address])
    crowd = stage.crowd("idle", IDLE)
    _gather(crowd, IDLE)
    wait_for("all are accepted", lambda: stage.sidecar.counter("downstream_active") >= IDLE, 60.0)
    stage.last(stage.row.seconds)
    _grown(stage, IDLE_EACH, IDLE)
    open_now = crowd.ask("count")[0]
    stage.row.check("all are still open", open_now == IDLE, f"{open_now:,}")
    crowd.ask("close")
    wait_for("all have gone", lambda: stage.sidecar.counter("downstream_active") < 100, 60.0)
    stage.settle()
    stage.finish()


def _few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))


@fault("descriptors", f"{TOO_MANY:,} connections to a sidecar that may have {DESCRIPTORS} descriptors")
def descriptors(stage: Stage) -> None:
    stage.begin([stage.provider("a").address], before=_few_descriptors)
    crowd = stage.crowd("idle", TOO_MANY)
    wait_for("descriptors run out", lambda: stage.sidecar.descriptors >= FULL, 30.0)
    stage.last(stage.row.seconds)
    still = stage.sidecar.descriptors
    stage.row.check("it took place: no descriptor left", still >= FULL, f"{still} open")

    for caller in (stage.load, stage.neighbour):
        caller.ask("pause")
    began, cpu = time.monotonic(), stage.sidecar.cpu_seconds
    stage.last(2.0)
    busy = (stage.sidecar.cpu_seconds - cpu) / (time.monotonic() - began)
    for caller in (stage.load, stage.neighbour):
        caller.ask("resume")
    stage.row.figures["cpu_full_and_idle"] = round(busy, 4)
    stage.row.time(f"CPU under {FULL_CPU:.0%} while full and idle", busy < FULL_CPU, f"{busy:.1%}")

    crowd.ask("close")
    freed = time.monotonic()
    late = stage.caller("late", "--connections", "1", "--inflight", "1", "--service", "org.meshfast.faults.Quiet")
    late.ask("resume")
    wait_for("a new caller is answered", lambda: late.ask("count")[1] > 0)
    took = time.monotonic() - freed
    stage.row.figures["recovered_s"] = round(took, 3)
    stage.row.time(f"a new caller is answered within {RECOVERY_S:g} s", took <= RECOVERY_S, f"{took:.2f} s")
    stage.settle()
    stage.finish()
    cut = stage.row.total("ends")
    stage.row.check("no connection that was there ended", cut == 0, cut)
