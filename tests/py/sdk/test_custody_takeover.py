"""An application keeps the listeners of the sidecar that took over, also while the one before still drains."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from peers import Caller, closing, until
from proxies import BACKENDS, PATIENCE, Proxy, inbound, proxy
from takeovers import CART

from meshfast import dubbo
from meshfast.sdk.serve import Offer, Serving

#: ms; a call that does not end holds the sidecar that it came to.
LIMITS = {"drainTimeout": 60_000, "passTimeout": 50}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_next_one_ends_before_the_one_that_drains(tmp_path: Path, backend: str, how: signal.Signals) -> None:
    """Nobody who calls in waits where nobody takes, and the call that is held is answered."""

    async def story() -> None:
        gate = asyncio.Event()

        async def hold(said: str) -> str:
            await gate.wait()
            return said

        offer = Offer(CART, {"hi": lambda said: f"app:{said}", "hold": hold})
        async with Serving(None, offer, state=str(tmp_path / "state")) as serving:
            custody = serving.custody
            assert custody is not None

            def sidecar(*args: str) -> AbstractAsyncContextManager[Proxy]:
                listeners, more = [inbound(f"127.0.0.1:{serving.port}")], {"state": str(tmp_path / "state")}
                return proxy(tmp_path / "one", backend, listeners, more=more, limits=LIMITS, args=args)

            async with sidecar() as old:
                address = old.address("in")
                await until(lambda: "custody: process" in old.log, PATIENCE)
                caller = await Caller.connect(address)
                async with closing(caller):
                    held = caller.send(dubbo.encode_request(next(caller.ids), CART, "hold", ("held",)))
                    await until(lambda: serving.calls == 1, PATIENCE)
                    async with sidecar("--takeover") as after:
                        await until(lambda: "custody: process" in after.log, PATIENCE)
                        assert not old.ended and not custody.takes
                        assert await _asked(address) == "app:x"
                        after.process.send_signal(how)
                        await asyncio.wait_for(after.process.wait(), PATIENCE)
                        await until(lambda: custody.takes, PATIENCE)
                        assert await _asked(address) == "app:x" and not old.ended
                        assert custody.times == 1
                    gate.set()
                    assert (await asyncio.wait_for(held, PATIENCE)).value == "held"
                await asyncio.wait_for(old.process.wait(), PATIENCE)
                assert custody.takes and await _asked(address) == "app:x"  # nothing is shut by the end of the old one
            async with sidecar() as third:
                await until(lambda: "custody: process" in third.log and not custody.takes, PATIENCE)
                assert await _asked(address) == "app:x" and third.address("in") == address

    asyncio.run(asyncio.wait_for(story(), 6 * PATIENCE))


async def _asked(address: str) -> object:
    caller = await Caller.connect(address)
    async with closing(caller):
        return (await asyncio.wait_for(caller.ask(CART, "x"), PATIENCE)).value
