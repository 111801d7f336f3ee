"""Where calls go: through the sidecar ("thin"), or through an engine of the application's own ("fat").

Pure: no socket, no task and no clock of its own. Who drives it says what happened and when, and does what it is told.

| state | calls | is |
|---|---|---|
| opening | wait | nothing is known yet |
| thin | the sidecar | |
| doubt | wait | calls wait and the sidecar says nothing: it was sent a heartbeat |
| fat | the engine, once it is up | |
| none | wait | neither is there |

Back from fat or none the way is by probes, each a connection and a heartbeat: ``WELL`` needs several good ones in a row
and a time without a bad one, which doubles with each fall soon after a return.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["ROUTES", "TABLE", "Do", "Event", "Link", "State", "Timing"]


class State(Enum):
    OPENING = "opening"
    THIN = "thin"
    DOUBT = "doubt"
    FAT = "fat"
    NONE = "none"


class Event(Enum):
    UP = auto()  # the sidecar's connection is there, and answered a heartbeat
    LOST = auto()  # it was refused, ended or was reset; opening: or does not answer
    SILENT = auto()  # calls wait and it says nothing; in doubt: still nothing
    HEARD = auto()  # it said something
    READONLY = auto()  # it asks for no more calls
    BAD = auto()  # a probe failed
    GOOD = auto()  # a probe was good, and that is not enough for a return
    WELL = auto()  # a probe was good, and enough were
    FAT_UP = auto()  # the engine takes calls
    FAT_LOST = auto()  # it cannot be had, or its connection ended


class Do(Enum):
    ASK = auto()  # send the sidecar a heartbeat, and tell SILENT when nothing comes
    DROP = auto()  # close its connection: what was sent on it is lost
    RETIRE = auto()  # give its connection no more calls; close it when those that it has are done
    START = auto()  # have the engine, unless it is there
    PROBE = auto()  # begin to probe the sidecar
    ADOPT = auto()  # the last probe's connection is the sidecar's from now on; probe no more
    REST = auto()  # the engine is not needed: close it after a while, unless it is again


#: Whom calls are given to: the "sidecar", the "engine", or nobody, so that they wait.
ROUTES = {State.OPENING: "", State.THIN: "sidecar", State.DOUBT: "", State.FAT: "engine", State.NONE: ""}

_FALL = (State.FAT, (Do.START, Do.PROBE))
_DROP = (State.FAT, (Do.DROP, Do.START, Do.PROBE))
_LEAVE = (State.FAT, (Do.RETIRE, Do.START, Do.PROBE))
_BACK = (State.THIN, (Do.ADOPT, Do.REST))

#: What an event means. One that is not here changes nothing: it came late, of what is no more.
TABLE: dict[tuple[State, Event], tuple[State, tuple[Do, ...]]] = {
    (State.OPENING, Event.UP): (State.THIN, ()),
    (State.OPENING, Event.LOST): _FALL,
    (State.THIN, Event.LOST): _FALL,
    (State.THIN, Event.SILENT): (State.DOUBT, (Do.ASK,)),
    (State.THIN, Event.READONLY): _LEAVE,
    (State.DOUBT, Event.HEARD): (State.THIN, ()),
    (State.DOUBT, Event.LOST): _FALL,
    (State.DOUBT, Event.SILENT): _DROP,
    (State.DOUBT, Event.READONLY): _LEAVE,
    (State.FAT, Event.WELL): _BACK,
    (State.FAT, Event.FAT_LOST): (State.NONE, ()),
    # Where there is nothing else, one good probe is enough.
    (State.NONE, Event.GOOD): _BACK,
    (State.NONE, Event.WELL): _BACK,
    (State.NONE, Event.BAD): (State.NONE, (Do.START,)),
    (State.NONE, Event.FAT_UP): (State.FAT, ()),
}


@dataclass(frozen=True, slots=True)
class Timing:
    """Times in seconds. The defaults find a dead sidecar at once and a hung one within a second."""

    #: Without a word while a call waits, before the sidecar is asked.
    silent: float = 0.25
    #: From then on without a word, before it is left; and that a connection, or a probe, may take.
    lost: float = 0.5
    #: Between two probes.
    probe: float = 1.0
    #: Good probes in a row before the return.
    probes: int = 3
    #: Without a bad probe before the return; doubled by a fall within ``relapse`` of one, up to ``hold_max``.
    hold: float = 2.0
    hold_max: float = 60.0
    relapse: float = 60.0
    #: That the engine is kept after the return.
    keep: float = 60.0


class Link:
    """The state, and what probes have said. ``now`` is a monotonic time in seconds, the same clock for all."""

    def __init__(self, timing: Timing | None = None) -> None:
        self.timing = timing or Timing()
        self.state = State.OPENING
        self.hold = self.timing.hold
        self.good = 0  # probes in a row
        self._since = 0.0  # the first of them
        self._returned: float | None = None

    @property
    def mode(self) -> str:
        """ "thin", "fat", or "none" where neither is there (yet)."""
        return {State.THIN: "thin", State.DOUBT: "thin", State.FAT: "fat"}.get(self.state, "none")

    def on(self, event: Event, now: float) -> tuple[Do, ...]:
        """What to do about it, in this order."""
        before = self.state
        self.state, doing = TABLE.get((before, event), (before, ()))
        if Do.PROBE in doing:
            self._fell(now)
        elif Do.ADOPT in doing:
            self._returned = now
        return doing

    def probed(self, good: bool, now: float) -> tuple[Do, ...]:
        """The same for a probe that has ended."""
        if not good:
            self.good = 0
            return self.on(Event.BAD, now)
        if self.good == 0:
            self._since = now
        self.good += 1
        enough = self.good >= self.timing.probes and now - self._since >= self.hold
        return self.on(Event.WELL if enough else Event.GOOD, now)

    def _fell(self, now: float) -> None:
        """From thin; the first fall of all has no return before it."""
        self.good = 0
        soon = self._returned is not None and now - self._returned < self.timing.relapse
        self.hold = min(2 * self.hold, self.timing.hold_max) if soon else self.timing.hold
        self._returned = None
