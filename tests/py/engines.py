"""An engine with one worker thread and one listener, for tests of what it does with bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from peers import Provider, mesh, until

from meshfast import _core, config
from meshfast.routing import Table

BACKENDS = ["epoll", "io_uring"]
PATIENCE = 15.0  # seconds; generous: what decides is whether it happens at all


class Running:
    """An engine, the address of its listener, and its table."""

    def __init__(self, engine: _core.Engine, address: str, table: Table) -> None:
        self.engine = engine
        self.table = table
        self.address = address

    def count(self, name: str) -> int:
        return int(self.engine.counters()[name])

    def publish(self, policy: str) -> None:
        """Another policy."""
        self.table.publish(config.load_texts([("mesh.yaml", policy.encode())]))

    async def reaches(self, name: str, value: int = 1) -> None:
        """Waits for a counter; a TimeoutError says that it did not come so far."""
        await until(lambda: self.count(name) >= value, PATIENCE)


@contextmanager
def running(
    backend: str, *providers: tuple[Provider, str], limits: dict[str, int] | None = None, policy: str = "",
    trace: _core.TraceMemory | None = None, access_sample: float = 0.0, **listen: Any
) -> Iterator[Running]:  # fmt: skip
    """``providers`` are those of com.x.Cart with their label env, unless a ``policy`` says otherwise; ``listen`` goes
    to Engine.listen."""
    table = Table()
    if providers or policy:
        table.publish(config.load_texts([("mesh.yaml", (policy or mesh(*providers)).encode())]))
    try:
        engine = _core.Engine(
            table.native, workers=1, backend=backend, limits=limits, trace=trace, access_sample=access_sample
        )
    except OSError as error:
        pytest.skip(f"this kernel: {error}")
    try:
        address = engine.listen("test", "127.0.0.1:0", **listen)
        engine.start()
        yield Running(engine, address, table)
    finally:
        engine.stop()


def play(story: Callable[[], Any], seconds: float = 60.0) -> None:
    asyncio.run(asyncio.wait_for(story(), seconds))
