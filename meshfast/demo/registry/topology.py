"""Who runs where: two applications in Python, a sidecar beside each of their instances, and one registry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meshfast.demo.topology import HOST, Instance, Ports

LABEL = "env"
STOCK, SHOP = "stock", "shop"
SERVICES = {STOCK: "demo.Stock", SHOP: "demo.Shop"}
BASE, DEV, CALLER = START = Instance(STOCK), Instance(STOCK, "dev1"), Instance(SHOP)


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the background callers. ``label`` empty: none is sent; ``idempotent``: a call may be executed twice."""

    label: str
    idempotent: bool

    def __str__(self) -> str:
        return f"{self.label or 'no label'}, {'idempotent' if self.idempotent else 'once'}"


KINDS = tuple(Kind(label, idempotent) for label in ("", DEV.env) for idempotent in (False, True))


@dataclass(frozen=True, slots=True)
class Seat:
    """An instance with its addresses: the application's own port; its sidecar's inbound port, admin port, the listener
    for the application's calls (``door``) and where that is heard (``api``); and the sidecar's directory."""

    instance: Instance
    app: int
    inbound: int
    admin: int
    door: str
    api: str
    state: str

    @property
    def address(self) -> str:
        """As what it stands in the registry."""
        return f"{HOST}:{self.inbound}"


def seat(instance: Instance, ports: Ports, state: str) -> Seat:
    app, inbound, admin = ports.take(), ports.take(), ports.take()
    # No path: that of a socket may not be long, and this directory's may be. The port is this run's alone.
    own = f"unix://@meshfast-demo-{inbound}"
    return Seat(instance, app, inbound, admin, f"{own}.sock", f"{own}.api", state)


def options(one: Seat) -> Iterator[str]:
    """What its program is told of it."""
    for name in ("door", "api", "state"):
        yield f"--{name}"
        yield getattr(one, name)
    yield from ("--port", str(one.app))
