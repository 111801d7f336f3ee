"""When calls leave the sidecar, and when they come back; the engine that has them meanwhile comes, and rests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from peers import Provider, closing
from sdk_world import CART, PATIENCE, Counting, FakeFat, closes, hang, meshed, nothing, play, thin, until, url

from meshfast import address as address_module
from meshfast import dubbo, sdk
from meshfast.errors import StateError
from meshfast.sdk.clients import Shared
from meshfast.sdk.link import State

#: Silence is found soon; only where the test makes it, as what answers is in this loop too.
QUICK = sdk.Timing(silent=0.05, lost=0.2, probe=0.02, hold=0.05, keep=30.0)
#: Nobody waits that long: what has to be found is found by itself.
ENDLESS = sdk.Timing(silent=3600.0, lost=3600.0, probe=0.02, hold=0.05)


def test_a_sidecar_that_says_nothing_is_left(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        sidecar, engine = await Counting(handler=hang).start(), await Counting(name="engine").start()
        async with closing(sidecar, engine), meshed(url(sidecar), lambda: FakeFat(url(engine)), QUICK) as mesh:
            await thin(mesh)
            with pytest.raises(sdk.ConnectionLost, match="says nothing"):
                await mesh.service(CART).call("hi", "x")
            assert await mesh.service(CART).call("hi", "y") == "engine:y"
            sidecar.handler = sidecar.admit = None
            await thin(mesh)
            assert await mesh.service(CART).call("hi", "z") == "provider:z"

    with caplog.at_level(logging.INFO, "meshfast.sdk"):
        play(story)
    assert "says nothing" in caplog.text and "go through the sidecar" in caplog.text


def test_a_slow_provider_behind_a_good_sidecar_is_waited_for() -> None:
    async def story() -> None:
        provider = await Provider(handler=nothing).start()
        async with closing(provider), meshed(
            url(provider), timing=sdk.Timing(silent=0.05, lost=PATIENCE)
        ) as mesh:  # fmt: skip
            await thin(mesh)
            call = asyncio.ensure_future(mesh.service(CART).call("hi", "x"))
            await until(lambda: len(provider.events) >= 6)  # asked again and again, and it answers
            other = asyncio.ensure_future(mesh.service(CART).call("hi", "y"))
            await until(lambda: len(provider.requests) == 2)
            for frame in provider.requests:
                provider.writers[0].write(provider.answer(frame))
            assert await asyncio.gather(call, other) == ["provider:x", "provider:y"]
            assert mesh.counters["falls"] == 0

    play(story)


def test_a_connection_that_ends_while_it_rests_is_made_anew() -> None:
    async def story() -> None:
        sidecar, engine = await Counting().start(), await Counting(name="engine").start()
        async with closing(sidecar, engine), meshed(url(sidecar), lambda: FakeFat(url(engine))) as mesh:
            cart = mesh.service(CART)
            for turn in range(1, 4):
                assert await cart.call("hi", f"{turn}") == f"provider:{turn}"
                wire = mesh.client.route
                assert wire is not None
                await until(lambda made=wire.made: mesh.client.loop.time() - made > 0.02)  # type: ignore[misc]
                sidecar.writers[-1].transport.abort()
                await until(lambda turn=turn: mesh.counters["renewals"] == turn)  # type: ignore[misc]
            assert mesh.mode == "thin" and mesh.counters["falls"] == 0 and len(sidecar.writers) == 4
            sidecar.shut()
            sidecar.writers[-1].transport.abort()
            await until(lambda: mesh.mode == "fat")
            assert await cart.call("hi", "x") == "engine:x" and mesh.counters["falls"] == 1

    play(story)


def test_one_that_is_in_doubt_as_it_ends_leaves_none_behind() -> None:
    """It says nothing, nobody waits for it any more, and its end comes: the one in its place has calls at once."""

    async def story() -> None:
        sidecar = await Counting(handler=hang).start()
        patience = sdk.Timing(silent=0.05, lost=PATIENCE, probe=0.02)
        async with closing(sidecar), meshed(url(sidecar), timing=patience) as mesh:
            await thin(mesh)
            call = asyncio.ensure_future(mesh.service(CART).call("hi", "x"))
            await until(lambda: mesh.client.link.state is State.DOUBT)
            call.cancel()
            await asyncio.wait([call])
            sidecar.handler = sidecar.admit = None
            sidecar.writers[0].transport.abort()
            assert await mesh.service(CART).call("hi", "y") == "provider:y"
            assert mesh.client.link.state is State.THIN and mesh.counters["renewals"] == 1

    play(story)


def test_readonly_ends_what_was_sent_and_sends_the_next_elsewhere() -> None:
    async def story() -> None:
        sidecar, engine = await Provider(handler=nothing).start(), await Counting(name="engine").start()
        async with closing(sidecar, engine), meshed(url(sidecar), lambda: FakeFat(url(engine))) as mesh:
            await thin(mesh)
            call = asyncio.ensure_future(mesh.service(CART).call("hi", "x"))
            await until(lambda: len(sidecar.requests) == 1)
            sidecar.shut()
            sidecar.writers[0].write(dubbo.readonly())
            await until(lambda: mesh.mode == "fat")
            assert await mesh.service(CART).call("hi", "y") == "engine:y"
            sidecar.writers[0].write(sidecar.answer(sidecar.requests[0]))
            assert await call == "provider:x" and mesh.counters["lost"] == 0

    play(story)


def test_a_sidecar_that_leaves_is_not_gone_back_to() -> None:
    async def leaving(provider: Provider, writer: asyncio.StreamWriter) -> bool:
        writer.write(dubbo.readonly())
        return True

    async def story() -> None:
        sidecar, engine = await Provider(admit=leaving).start(), await Counting(name="engine").start()
        async with closing(sidecar, engine), meshed(url(sidecar), lambda: FakeFat(url(engine))) as mesh:
            assert await mesh.service(CART).call("hi", "y") == "engine:y"
            await until(lambda: len(sidecar.writers) > 10)
            assert mesh.mode == "fat" and not sidecar.requests
            sidecar.admit = None
            await thin(mesh)

    play(story)


def test_one_that_closes_at_once_is_left_at_once() -> None:
    async def story() -> None:
        sidecar, engine = await Provider(admit=closes).start(), await Counting(name="engine").start()
        fat = FakeFat(url(engine))
        async with closing(sidecar, engine), meshed(url(sidecar), lambda: fat, ENDLESS) as mesh:
            assert await mesh.service(CART).call("hi", "y") == "engine:y"
            await until(lambda: len(sidecar.writers) > 10)  # probes go on, none waits for its time to end
            assert mesh.mode == "fat"

    play(story)


def test_a_wire_that_ended_before_it_was_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection ends in the very turn in which it was made."""

    async def story() -> None:
        engine = await Counting(name="engine").start()
        dialled = 0

        async def connect(address: str, protocol: Callable[[], Any]) -> Any:
            nonlocal dialled
            found = await address_module.connect(address, protocol)
            dialled += 1
            if dialled == 1:
                found._transport.abort()
                await until(lambda: found.closed)
            return found

        monkeypatch.setattr("meshfast.sdk.client.connect", connect)
        async with closing(engine), meshed(url(engine), lambda: FakeFat(url(engine)), ENDLESS) as mesh:
            assert await mesh.service(CART).call("hi", "y") == "engine:y"
            assert mesh.counters["falls"] == 1

    play(story)


def test_an_engine_that_cannot_be_had_is_told_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        engine = await Counting(name="engine").start()
        fats: list[FakeFat] = []

        def make() -> FakeFat:
            good = len(fats) >= 3
            fats.append(FakeFat(url(engine), None if good else RuntimeError("no snapshot")))
            return fats[-1]

        async with closing(engine), meshed("unix://@nobody-is-here", make) as mesh:
            assert await mesh.service(CART).call("hi", "x") == "engine:x"
            assert mesh.mode == "fat"
        assert [one.closed for one in fats] == [1, 1, 1, 1] and len(fats) == 4

    play(story)
    assert caplog.text.count("no snapshot") == 1


def test_the_engine_rests_a_while_after_the_return(tmp_path: Path) -> None:
    async def story() -> None:
        sidecar, engine = Counting(), await Counting(name="engine").start()
        fats: list[FakeFat] = []

        def make() -> FakeFat:
            fats.append(FakeFat(url(engine)))
            return fats[-1]

        timing = sdk.Timing(silent=30, lost=30, probe=0.02, hold=0.05, keep=0.05)
        path = tmp_path / "sidecar"
        async with closing(engine, sidecar), meshed(f"unix://{path}", make, timing) as mesh:
            cart = mesh.service(CART)
            assert await cart.call("hi", "x") == "engine:x"
            engine.handler = nothing
            call = asyncio.ensure_future(cart.call("hi", "y"))
            await until(lambda: len(engine.requests) == 2)
            await sidecar.start(path=str(path))
            await thin(mesh)
            assert await cart.call("hi", "z") == "provider:z"
            await until(lambda: mesh.client._engine is None)
            assert fats[0].closed == 0  # a call is under way on it
            engine.writers[0].write(engine.answer(engine.requests[1]))
            assert await call == "engine:y"
            await until(lambda: fats[0].closed == 1)

    play(story)


def test_an_engine_that_has_calls_yet_is_taken_again(tmp_path: Path) -> None:
    """It is not ended for another one to be made: new calls would wait for the old."""

    async def story() -> None:
        sidecar, engine = Counting(), await Counting(name="engine").start()
        shared = Shared(lambda: fat)
        fat = FakeFat(url(engine))
        timing = sdk.Timing(silent=PATIENCE, lost=PATIENCE, probe=0.02, hold=0.05, keep=0.05)
        path = tmp_path / "sidecar"
        async with closing(engine, sidecar), meshed(f"unix://{path}", shared.handle, timing) as mesh:
            cart = mesh.service(CART)
            assert await cart.call("hi", "x") == "engine:x"
            engine.handler = nothing
            call = asyncio.ensure_future(cart.call("hi", "y"))
            await until(lambda: len(engine.requests) == 2)
            for turn in range(2):
                path.unlink(missing_ok=True)
                await sidecar.start(path=str(path))
                await thin(mesh)
                await until(lambda: mesh.client._engine is None)
                engine.handler = None
                await sidecar.stop()
                assert await cart.call("hi", f"{turn}") == f"engine:{turn}" and not call.done()
            assert (fat.started, fat.closed) == (1, 0) and fat.refreshed >= 2
            engine.writers[0].write(engine.answer(engine.requests[1]))
            assert await call == "engine:y"
            assert await cart.call("hi", "z") == "engine:z" and fat.closed == 0
        assert fat.closed == 1

    play(story)


@pytest.mark.parametrize("missing", [True, False])
def test_parts_are_loaded_when_they_are_needed(missing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine and the server are modules of their own: a connection loads neither."""
    from meshfast.sdk import mesh as room

    asked: list[tuple[Any, ...]] = []

    def load(name: str) -> Any:
        asked.append((name,))
        if missing:
            raise ModuleNotFoundError(f"No module named {name!r}")

        def note(*words: Any, **more: Any) -> Any:
            asked.append((*words, *more.items()))
            return FakeFat("")

        return SimpleNamespace(Fat=note, Offer=note, Serving=note)

    monkeypatch.setattr(room, "import_module", load)

    async def story() -> None:
        mesh = sdk.connect("shop", address="unix://@nobody-at-all", api="unix://@api", state="/state")
        async with mesh:
            await until(lambda: mesh.counters["falls"] == 1 and len(asked) == (1 if missing else 2))
            assert asked.pop(0) == ("meshfast.sdk.fat",)
            if missing:
                with pytest.raises(sdk.NotSent, match="has no engine for applications"):
                    await mesh.service(CART).call("hi", "x", timeout=0.3)
                with pytest.raises(StateError, match="serves nothing"):
                    mesh.serve("com.x.Stock", {})
            else:
                assert asked.pop(0) == ("/state", ("app", "shop"))
                mesh.serve("com.x.Stock", {}, port=5, version="1.0.0")
                assert asked[0] == ("meshfast.sdk.serve",)
                assert asked[1] == ("com.x.Stock", {}, "", "1.0.0", {}, ("dubbo",))
                assert asked[2][0] == "unix://@api" and asked[2][2] == ("port", 5)

    play(story)
