"""Who runs where, and where a call must go: the demonstration's own idea of the policy, kept apart from the code under
test."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass

from meshfast.demo.app import ARROW

LABEL = "trafficLabel"
APPS = ("A", "B", "C")
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, order=True)
class Instance:
    """One running copy of an application. ``env`` empty: the baseline."""

    app: str
    env: str = ""

    def __str__(self) -> str:
        return f"{self.app}({self.env or 'base'})"

    @property
    def service(self) -> str:
        return service(self.app)

    @property
    def file(self) -> str:
        """Its name in file names: ``b-dev1``."""
        return f"{self.app.lower()}-{self.env or 'base'}"


BASELINE = tuple(Instance(app) for app in APPS)
START = (*BASELINE, Instance("A", "dev1"), Instance("B", "dev1"), Instance("B", "dev2"), Instance("C", "dev2"))
LATE = Instance("C", "dev1")
KILLED = Instance("C", "dev2")


def service(app: str) -> str:
    """The service, a Dubbo interface, that an application offers."""
    return f"demo.{app}"


def following(app: str) -> str:
    """The application that this one calls, or empty."""
    return dict(zip(APPS, APPS[1:], strict=False)).get(app, "")


def path(label: str, running: Iterable[Instance], first: str = APPS[0]) -> tuple[Instance, ...]:
    """Where a call to `first` with this label must go, hop by hop: the label's own instance, else the baseline's."""
    there, apps = set(running), APPS[APPS.index(first) :]
    return tuple(i if label and (i := Instance(app, label)) in there else Instance(app) for app in apps)


def path_text(hops: Iterable[Instance]) -> str:
    """``A(dev1) -> B(dev1) -> C(base)``: what the applications answer for this path."""
    return ARROW.join(map(str, hops))


def path_parse(text: str) -> tuple[Instance, ...] | None:
    """The hops of such a text; None when it is not one (an application reports a failure)."""
    hops = []
    for part in text.split(ARROW):
        app, opened, env = part.partition("(")
        if app not in APPS or not opened or not env.endswith(")"):
            return None
        hops.append(Instance(app, "" if env == "base)" else env[:-1]))
    return tuple(hops)


class Ports:
    """Free ports, each kept bound (not listening) until closed, so that no other program gets it in between.

    Linux lets a listener with SO_REUSEADDR or SO_REUSEPORT bind beside such a socket.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def take(self) -> int:
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((HOST, 0))
        self._held.append(held)
        return int(held.getsockname()[1])

    def close(self) -> None:
        for held in self._held:
            held.close()


@dataclass(frozen=True, slots=True)
class Place:
    """An instance with its addresses: the application, and its sidecar's three listeners."""

    instance: Instance
    app: int
    inbound: int
    outbound: int
    admin: int


@dataclass(frozen=True, slots=True)
class Gateway:
    """The sidecar where the demonstration's own calls come in."""

    outbound: int
    admin: int


def place(instance: Instance, ports: Ports) -> Place:
    return Place(instance, ports.take(), ports.take(), ports.take(), ports.take())
