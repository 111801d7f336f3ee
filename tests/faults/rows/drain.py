"""What becomes of connections when a sidecar stops while callers dial it all the time."""

from __future__ import annotations

from signal import SIGTERM

from faults.process import BIN, Program, wait_for
from faults.rows import fault
from faults.sidecar import BUSY, OUT, Sidecar, entry, inbound, sidecar_document
from faults.stage import Stage

DRAINS = 6  # at least; else one for each 2 s of a row
WORK_MS = 1
WARM = 1000  # answers to each dialler before the sidecar is told to stop
CONNECTIONS = 128


def _dialler(stage: Stage, name: str, address: str) -> Program:
    argv = [BIN / "dialler", "--connect", address, "--connections", str(CONNECTIONS)]
    return stage.enter(Program(name, argv, stage.logs))


def _drain(stage: Stage, sidecar: Sidecar, name: str) -> dict[str, tuple[int, ...]]:
    """Stops a sidecar under its diallers; what became of their connections, by listener."""
    callers = {way: _dialler(stage, f"{name}-{way}", at) for way, at in (("in", sidecar.into), ("out", sidecar.out))}
    for caller in callers.values():
        wait_for("calls are answered", lambda caller=caller: caller.ask("count")[1] >= WARM)  # type: ignore[misc]
    sidecar.program.send(SIGTERM)
    code = sidecar.program.wait()
    for caller in callers.values():
        wait_for("nobody listens there", lambda caller=caller: caller.ask("count")[4] > 0)  # type: ignore[misc]
    found = {way: tuple(caller.ask("stop")) for way, caller in callers.items()}
    if code != 0:
        stage.row.check(f"{name} ends with code 0", False, code)
    return found


@fault("drain", f"SIGTERM while {2 * CONNECTIONS} callers dial, call and hang up all the time: every connection made "
       "is answered")  # fmt: skip
def drain(stage: Stage) -> None:
    application, other = stage.provider("application", delay=WORK_MS), stage.provider("other", delay=WORK_MS)
    documents = [
        sidecar_document({}, stage.workers, [inbound(application.address), OUT]),
        entry(BUSY, [other.address]),
    ]
    drains = max(DRAINS, int(stage.row.seconds / 2))
    found = []
    for i in range(drains):
        sidecar = stage.another(f"drain-{i}", documents)
        found.append(_drain(stage, sidecar, f"drain-{i}"))
    for way in ("in", "out"):
        made, right, errors, reset, refused = (sum(one[way][i] for one in found) for i in range(5))
        told = f"{reset} of {made:,} in {drains} drains"
        stage.row.figures[f"{way}_reset"] = reset
        stage.row.check(f"{way}: connections reset 0", reset == 0, told)
        stage.row.check(f"{way}: every connection that was made is answered", made - right == 0 == errors,
                        f"{made - right} not, {errors} with an error")  # fmt: skip
        stage.row.check(f"{way}: it took place: refused once it had stopped", refused > 0, f"{refused:,}")
