"""A sidecar that is to stop while it still waits for its first configuration."""

from __future__ import annotations

import asyncio

from meshfast.sidecar import Sidecar


def test_a_stop_before_the_first_configuration_is_no_later_than_another():
    """It waited for its registries, and then began to serve, and to register, before it stopped."""
    waits, ended = asyncio.Event(), []

    async def source():
        try:
            waits.set()
            await asyncio.Event().wait()
            yield
        finally:
            ended.append(True)

    async def main():
        sidecar = Sidecar(source())
        running = asyncio.create_task(sidecar.run())
        await waits.wait()
        sidecar.stop()
        await asyncio.wait_for(running, 20)
        assert sidecar.engine is None and ended

    asyncio.run(main())
