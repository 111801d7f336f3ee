"""What happens on the wire between the sidecar and a provider, or a caller: resets, ends, silence, trickles."""

from __future__ import annotations

from faults.rows import fault
from faults.stage import Stage

ANSWER = 16 + 1 + 2 + 200  # bytes of an answer's frame: head, value tag, string head, text
HALF = 16 + 50  # into one

#: Bytes after which a connection breaks in the middle of a body: some thousand answers first.
MIDDLE = 2000 * ANSWER + HALF


@fault("reset", "a provider's connection gets RST in the middle of an answer, again and again", allowed=(35,))
def reset(stage: Stage) -> None:
    relay = stage.relay("a", stage.provider("a").address)
    stage.begin([relay.address, stage.provider("b").address])
    relay.ask(f"reset down {MIDDLE}")
    stage.last(stage.row.seconds)
    relay.ask("pass")
    ended = relay.ask("count")[2]
    stage.row.check("connections were reset", ended > 0 and stage.moved("upstream_reset_total") > 0, ended)
    stage.settle()
    stage.finish()
