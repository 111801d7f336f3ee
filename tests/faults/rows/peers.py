"""What happens to providers: killed, started again, all gone and back."""

from __future__ import annotations

from signal import SIGKILL

from faults.process import wait_for
from faults.rows import fault
from faults.stage import Stage

BACKOFF_MS = 500
SLACK_S = 1.0  # two cores, and the providers and callers beside it


@fault("kill", "a provider gets SIGKILL: its calls in flight are answered with 35, others go elsewhere", allowed=(35,))
def kill(stage: Stage) -> None:
    a, b = stage.provider("a"), stage.provider("b")
    stage.begin([a.address, b.address])
    a.end(SIGKILL)
    stage.last(stage.row.seconds)
    stage.settle()
    stage.finish()
    (status,) = stage.told(35)
    errors, reset = stage.row.total("errors"), stage.row.statuses.get(status, 0)
    stage.row.check("at most what was in flight failed", 0 < errors <= 8 * 50, f"{errors} calls")
    stage.row.check(f"it was answered with {status}", reset == errors, f"{reset} of {errors}")


@fault("restart", "a provider is killed and started again: in use within the rest that it was given", allowed=(35,))
def restart(stage: Stage) -> None:
    a, b = stage.provider("a"), stage.provider("b")
    stage.begin([a.address, b.address], limits={"peerBackoff": BACKOFF_MS})
    a.end(SIGKILL)
    down_s = 1.5
    stage.last(down_s)
    again = stage.provider("a-again", listen=a.address)
    took = wait_for("the provider is in use again", lambda: again.ask("count")[0] > 0)
    longest = 2 * down_s + BACKOFF_MS / 1000  # rests double: the last one is at most as long as all before it
    stage.row.figures["back_s"] = took
    stage.row.time(f"in use within {longest + SLACK_S:g} s", took <= longest + SLACK_S, f"{took:.2f} s")
    stage.last(stage.row.seconds)
    stage.settle()
    stage.finish()


@fault("all-gone", "all providers are killed: errors at once, 35 and 80; later all are back", allowed=(35, 80))
def all_gone(stage: Stage) -> None:
    a, b = stage.provider("a"), stage.provider("b")
    stage.begin([a.address, b.address], limits={"peerBackoff": BACKOFF_MS})
    a.end(SIGKILL)
    b.end(SIGKILL)
    stage.last(stage.row.seconds)
    stage.provider("a-again", listen=a.address)
    stage.provider("b-again", listen=b.address)
    stage.settle(within=40.0)
    stage.finish()
    during = stage.row.phase("during")
    (status,) = stage.told(80)
    worst, gone = during["failing_ms"]["p99"], during["statuses"].get(str(status), 0)
    stage.row.check(f"it took place: answered with {status}", gone > 0, f"{gone:,} calls")
    stage.row.time("99 of 100 errors within 500 ms", worst <= 500, f"{worst:.1f} ms")
