"""Registries: where applications say that they are there, and what they offer.

What a registry lists is the same whatever it speaks: a service has offers, one for each group and version, and an offer
has instances. A registry tells whole lists, in the turns of the loop that it was made in, and never blocks it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

__all__ = [
    "EVERY", "Instance", "Key", "LEVELS", "Listing", "Offer", "Registration", "Registry", "Standing", "State", "Tell",
    "Writer",
]  # fmt: skip

#: As a service that is wanted: whatever there is.
EVERY = "*"


@dataclass(frozen=True, slots=True)
class Instance:
    """A provider. ``address``: ``10.0.0.7:20880``; ``protocol``: "dubbo" or "tri"; ``parameters``: those of its URL, as
    they are meant; ``application``: whose it is, "" where it does not say."""

    address: str
    protocol: str = "dubbo"
    application: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Offer:
    """What is listed for a service under one group and version; "" is none."""

    service: str
    group: str = ""
    version: str = ""
    instances: tuple[Instance, ...] = ()


#: As what a service can be registered: by its interface, or by an instance of its application.
LEVELS = ("interface", "instance")

#: All offers of one service.
Listing = tuple[Offer, ...]

#: Takes the service and its whole listing as the registry has it now; () where nobody offers it.
Tell = Callable[[str, Listing], None]


@dataclass(slots=True)
class State:
    """``connected`` or not, and ``since`` when (monotonic seconds) that is so or not; ``sessions``: how many
    were begun, resumed ones not counted; ``error``: why it is not, or was not last; ``refused``: what was listed and
    cannot be read, by reason."""

    connected: bool = False
    since: float = 0.0
    sessions: int = 0
    error: str = ""
    refused: dict[str, int] = field(default_factory=dict)


class Registry(Protocol):
    """One real registry. ``tell`` is given when it is made."""

    name: str
    state: State

    def start(self) -> None:
        """Connects, and goes on trying until ``close``: it raises nothing for a registry that is not there."""

    def want(self, services: Collection[str]) -> None:
        """These services and no others are to be told of from now on, each at once and whenever it changes; ``EVERY``
        means all that there are."""

    async def close(self) -> None:
        """Nothing is told afterwards."""


class Key(NamedTuple):
    """Which registration it is: there is one for each."""

    service: str
    group: str
    version: str
    protocol: str
    address: str


@dataclass(frozen=True, slots=True)
class Registration:
    """An application's offer of a service, to be written into registries. ``address``: where callers reach it, its
    sidecar's; ``behind``: the application's own; ``levels``: as what it is written, see ``LEVELS``. ``parameters`` are
    written as they are; a ``timestamp`` is added where they have none, the same for as long as it stands."""

    service: str
    group: str = ""
    version: str = ""
    protocol: str = "dubbo"
    address: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    levels: tuple[str, ...] = ("interface",)
    behind: str = ""

    @property
    def key(self) -> Key:
        return Key(self.service, self.group, self.version, self.protocol, self.address)


@dataclass(slots=True)
class Standing:
    """What has become of a registration in one registry: "registered", "pending" or "leaving"; ``error``: why it is not
    as it should be. ``conflicts``: what else is registered there for the application's own address."""

    state: str = "pending"
    error: str = ""
    conflicts: tuple[str, ...] = ()


@runtime_checkable
class Writer(Protocol):
    """A registry that takes registrations. Nothing here waits: each is written as soon as the registry can be reached,
    and again whenever it is found missing."""

    name: str
    repaired: int  # registrations that were found missing, or of another session, and written again
    conflicts: int  # times that an application was found registered besides its sidecar

    def put(self, registration: Registration) -> None:
        """It is to stand from now on; another of the same key no longer."""

    def drop(self, key: Key) -> None:
        """It is not to stand any more, whether it was put here or by the process before."""

    def sweep(self, keys: Collection[Key]) -> None:
        """What the process before left under other keys is not to stand any more."""

    def standing(self, key: Key) -> Standing | None:
        """None: it was never put, or is gone."""

    async def left(self) -> None:
        """Returns when nothing stands that was dropped."""
