"""An address for SDKs over listings that the test sets, and what is registered by it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from admins import on_loop
from apis import Shown, Talk
from proxies import BACKENDS

from meshfast.endpoint.http import Api, Limits
from meshfast.heard import Heard, inbound
from meshfast.model import Listener, Sidecar
from meshfast.registers import Advertise
from meshfast.registry import Registration
from meshfast.saying import Saying

CART = "com.x.Cart"
GOOD = {"service": CART, "port": 20881}
SIDE = Sidecar(
    app="shop",
    listeners=(
        Listener("in", "0.0.0.0:20880", "inbound", forward="127.0.0.1:20881"),
        Listener("own", "127.0.0.1:20882", "inbound", forward="127.0.0.1:20883"),
        Listener("out", "127.0.0.1:15001"),
    ),
    advertise=Advertise("10.0.0.7"),
)
BOUND = {"in": "0.0.0.0:20880", "own": "127.0.0.1:20882", "out": "127.0.0.1:15001"}


class World:
    """An address of its own, and what is registered by it."""

    def __init__(
        self, address: str, side: Sidecar = SIDE, limits: Limits | None = None, takes: bool = True, state: Any = None
    ) -> None:
        self.shown, self.wanted = Shown(), dict[Any, Registration]()
        self.api = Api(address, self.shown, inbound(side, BOUND), limits, state)
        self._side, self._takes = side, takes
        self.address = ""

    async def start(self) -> None:
        self.address = await self.api.start()
        if self._takes:
            told: Any = SimpleNamespace(only=self.only, sure=lambda sure: None)
            heard = Heard(Saying(None, self.api), told, self._side, BOUND, own=lambda: ())
            self.api.judge, self.api.registries = heard.judged, ("main",)

    def only(self, wanted: dict[Any, Registration], kind: type) -> None:
        self.wanted = dict(wanted)

    @property
    def services(self) -> list[str]:
        return sorted(one.service for one in self.wanted.values())

    async def talk(self) -> Talk:
        return await Talk.to(self.address)


Story = Callable[[World], Awaitable[None]]


def play(tmp_path: Path, story: Story, backend: str = BACKENDS[0], **fields: Any) -> None:
    async def run() -> None:
        world = World(f"unix://{tmp_path}/shop.api", **fields)
        await world.start()
        try:
            await story(world)
        finally:
            await world.api.stop()

    on_loop(backend, run)
