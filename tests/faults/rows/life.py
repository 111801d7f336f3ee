"""What happens to the sidecar itself: it is stopped with work in flight, its clock jumps, io_uring is refused to it."""

from __future__ import annotations

import struct
import time
from signal import SIGTERM

from faults.process import BIN
from faults.rows import fault
from faults.sidecar import BUSY
from faults.stage import Stage

WORK_MS = 500
STOP_S = 10.0

HOUR = 3600
STEPS = (HOUR, 0, -HOUR, 0)


@fault("calm", "nothing happens: what the times of the other rows are held against")
def calm(stage: Stage) -> None:
    stage.begin([stage.provider("a").address, stage.provider("b").address])
    stage.last(stage.row.seconds)
    stage.settle()
    stage.finish()


@fault("sigterm", f"SIGTERM while {8 * 50} answers of {WORK_MS} ms are due: all come, and the sidecar ends")
def sigterm(stage: Stage) -> None:
    stage.begin([stage.provider("a", delay=WORK_MS).address])
    stage.sidecar.program.send(SIGTERM)
    began = time.monotonic()
    code = stage.sidecar.program.wait(STOP_S * 3)
    took = time.monotonic() - began
    stage.collect()
    stage.row.judge(ending=True)
    told = stage.row.total("readonly")
    stage.row.figures["stopped_s"] = round(took, 2)
    stage.row.check("callers were told READONLY", told >= 8, told)
    stage.row.check("it ended with code 0", code == 0, code)
    stage.row.time(f"within {STOP_S:g} s", took <= STOP_S, f"{took:.1f} s")


@fault("clock", "the wall clock jumps an hour ahead and back, and an hour back and ahead, again and again")
def clock(stage: Stage) -> None:
    step = stage.directory / "step"
    step.write_bytes(struct.pack("=q", 0))
    env = {"LD_PRELOAD": str(BIN / "clock.so"), "FAULTS_CLOCK": str(step)}
    stage.begin([stage.provider("a").address, stage.provider("b").address], env=env)
    until, steps, seen = time.monotonic() + max(stage.row.seconds, 2.0), 0, []
    while time.monotonic() < until:
        with step.open("r+b") as file:
            file.write(struct.pack("=q", STEPS[steps % len(STEPS)]))
        steps += 1
        seen.append(stage.sidecar.counters()["uptime_seconds"])
        stage.last(0.5)
    jumped = max(seen) - min(seen)
    timeouts = stage.moved("limit_call_timeout_total") + stage.moved("limit_heartbeat_timeout_total")
    found = f"{steps} steps, {jumped:.0f} s apart"
    stage.row.check("it took place: the sidecar's wall clock jumped", jumped > HOUR, found)
    stage.row.check("spurious timeouts 0", timeouts == 0, timeouts)
    stage.settle()
    stage.finish()


@fault("uring-denied", "a filter refuses io_uring: the sidecar that may choose takes epoll", loop="auto")
def uring_denied(stage: Stage) -> None:
    stage.begin([stage.provider("a").address], wrap=[BIN / "deny_uring"])
    stage.row.check("it runs on epoll", stage.sidecar.loop == "epoll", stage.sidecar.loop)
    stage.last(stage.row.seconds)
    stage.settle()
    stage.finish()
    right = stage.row.phase("during")["right"]
    stage.row.check(f"calls of {BUSY} are answered", right > 0, f"{right:,}")
