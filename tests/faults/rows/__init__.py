"""The rows: a fault each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from faults.stage import Stage

Play = Callable[[Stage], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """``loop``: it is played on that alone, not on each chosen one. ``own``: see Row. ``grpc``: callers and providers
    speak gRPC, not Dubbo2. ``long``: it is left out of a short run, where another row asks nearly the same."""

    name: str
    text: str
    play: Play
    loop: str = ""
    own: bool = False
    allowed: tuple[int, ...] = ()
    grpc: bool = False
    long: bool = False


FAULTS: dict[str, Fault] = {}


def fault(
    name: str, text: str, *, allowed: tuple[int, ...] = (), own: bool = False, loop: str = "", grpc: bool = False
) -> Callable[[Play], Play]:
    """Registers a row. ``text`` says what is done and what is demanded beyond what every row demands."""

    def register(play: Play) -> Play:
        assert name not in FAULTS
        FAULTS[name] = Fault(name, text, play, loop, own, allowed, grpc)
        return play

    return register


def also_grpc(*plays: Play, allowed: tuple[int, ...] = (), long: bool = False) -> None:
    """These rows again, with callers and providers that speak gRPC; ``allowed`` are what their calls may end with."""
    for one in [one for one in FAULTS.values() if one.play in plays]:
        FAULTS[f"grpc-{one.name}"] = replace(one, name=f"grpc-{one.name}", allowed=allowed, grpc=True, long=long)
