"""The rows: a fault each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from faults.stage import Stage

Play = Callable[[Stage], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """``loops``: it is played on each chosen loop; else once, on that of its own. ``own``: see Row."""

    name: str
    text: str
    play: Play
    loop: str = ""
    own: bool = False
    allowed: tuple[int, ...] = ()


FAULTS: dict[str, Fault] = {}


def fault(
    name: str, text: str, *, allowed: tuple[int, ...] = (), own: bool = False, loop: str = ""
) -> Callable[[Play], Play]:
    """Registers a row. ``text`` says what is done and what is demanded beyond what every row demands."""

    def register(play: Play) -> Play:
        assert name not in FAULTS
        FAULTS[name] = Fault(name, text, play, loop, own, allowed)
        return play

    return register
