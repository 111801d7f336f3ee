"""What becomes of calls while connections come, go, and fall silent: the sidecar and the engine are the test's."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peers import Frame, Provider, argument, closing
from sdk_world import CART, PATIENCE, Counting, FakeFat, meshed, nothing, play, thin, until, url

from meshfast import dubbo, sdk
from meshfast.errors import LimitError, StateError
from meshfast.sdk.calls import LONG, Calls
from meshfast.sdk.codec import Answer, answered


def test_calls_wait_for_the_first_connection_and_are_not_sent_twice(tmp_path: Path) -> None:
    async def story() -> None:
        provider, path = Counting(), str(tmp_path / "late.sock")
        async with meshed(f"unix://{path}") as mesh:
            waiting = [asyncio.ensure_future(mesh.service(CART).call("hi", f"{i}")) for i in range(50)]
            await until(lambda: mesh.counters["falls"] == 1 and mesh.mode == "none")
            await provider.start(path=path)
            async with closing(provider):
                assert await asyncio.gather(*waiting) == [f"provider:{i}" for i in range(50)]
                assert mesh.mode == "thin" and set(provider.executed.values()) == {1}

    play(story)


def test_what_nobody_took_says_so_and_why(tmp_path: Path) -> None:
    async def story() -> None:
        async with meshed(f"unix://{tmp_path}/none.sock") as mesh:
            with pytest.raises(sdk.NotSent, match="No such file.*no engine in its place: none in this test") as error:
                await mesh.service(CART).call("hi", "x", timeout=0.3)
            assert not error.value.may_have_run and not mesh.client.calls and mesh.counters["timeouts"] == 1

    play(story)


def test_a_timeout_goes_along_and_a_late_answer_harms_nobody() -> None:
    async def story() -> None:
        provider = await Provider(handler=nothing).start()
        async with closing(provider), meshed(url(provider)) as mesh:
            await thin(mesh)
            cart = mesh.service(CART)
            with pytest.raises(sdk.CallTimeout, match="may have been executed") as error:
                await cart.call("hi", "x", timeout=0.05)
            assert error.value.may_have_run and isinstance(error.value, TimeoutError)
            assert dubbo.parse_request(provider.requests[0].raw).timeout == 50
            call = asyncio.ensure_future(cart.call("hi", "y"))
            await until(lambda: len(provider.requests) == 2)
            for frame in provider.requests:
                provider.writers[0].write(provider.answer(frame))
            assert await call == "provider:y"
            assert mesh.counters["late"] == 1 and mesh.client.calls == {}

    play(story)


def test_a_cancelled_call_leaves_nothing() -> None:
    async def story() -> None:
        provider = await Provider(handler=nothing).start()
        async with closing(provider), meshed(url(provider)) as mesh:
            await thin(mesh)
            cart = mesh.service(CART)
            calls = [asyncio.ensure_future(cart.call("hi", f"{i}")) for i in range(20)]
            await until(lambda: len(provider.requests) == 20)
            for one in calls[:19]:
                one.cancel()
            await asyncio.wait(calls[:19])
            assert len(mesh.client.calls) == 1
            for frame in provider.requests:
                provider.writers[0].write(provider.answer(frame))
            assert await calls[19] == "provider:19"
            wire = mesh.client.route
            assert wire is not None and wire.sent == 0 and mesh.counters["late"] == 19

    play(story)


def test_limits(tmp_path: Path) -> None:
    async def story() -> None:
        limits = sdk.Limits(max_calls=3, max_answer=2000, max_waiting=1500)
        async with meshed(f"unix://{tmp_path}/none.sock", limits=limits) as mesh:
            cart = mesh.service(CART)
            waiting = [asyncio.ensure_future(cart.call("hi", "x")) for _ in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(LimitError, match="max_calls: 3 calls wait"):
                await cart.call("hi", "x")
            for one in waiting:
                one.cancel()
            await asyncio.wait(waiting)
            with pytest.raises(LimitError, match="max_answer: the request has"):
                await cart.call("hi", "x" * 3000)
            big = asyncio.ensure_future(cart.call("hi", "x" * 1000))
            await asyncio.sleep(0)
            with pytest.raises(LimitError, match="max_waiting"):
                await cart.call("hi", "x" * 1000)
            big.cancel()
            await asyncio.wait([big])
            named = {name: mesh.counters[name] for name in ("max_calls", "max_answer", "max_waiting")}
            assert named == {"max_calls": 1, "max_answer": 1, "max_waiting": 1}
            assert (mesh.client.calls, mesh.client._queued) == ({}, 0)

    play(story)


@pytest.mark.parametrize("idempotent", [False, True])
def test_sent_and_lost(idempotent: bool) -> None:
    async def story() -> None:
        sidecar, engine = await Counting(handler=nothing).start(), await Counting(name="engine").start()
        async with closing(sidecar, engine), meshed(url(sidecar), lambda: FakeFat(url(engine))) as mesh:
            await thin(mesh)
            call = asyncio.ensure_future(mesh.service(CART).call("hi", "x", idempotent=idempotent))
            await until(lambda: len(sidecar.requests) == 1)
            await sidecar.stop()
            if idempotent:
                assert await call == "engine:x"
                assert dubbo.parse_request(engine.requests[0].raw).timeout <= 60_000
            else:
                with pytest.raises(sdk.ConnectionLost) as error:
                    await call
                assert error.value.may_have_run and not engine.requests
            assert await mesh.service(CART).call("hi", "y") == "engine:y"
            assert mesh.mode == "fat"

    play(story)


def test_never_more_than_two_sends() -> None:
    async def story() -> None:
        one, two = await Provider(handler=nothing).start(), await Provider(handler=nothing).start()
        async with closing(one, two), meshed(url(one), lambda: FakeFat(url(two))) as mesh:
            await thin(mesh)
            call = asyncio.ensure_future(mesh.service(CART).call("hi", "x", idempotent=True))
            await until(lambda: len(one.requests) == 1)
            await one.stop()
            await until(lambda: len(two.requests) == 1)
            two.writers[0].transport.abort()
            with pytest.raises(sdk.ConnectionLost):
                await call
            assert len(one.requests) == len(two.requests) == 1

    play(story)


@pytest.mark.parametrize(("idempotent", "sends"), [(False, 1), (True, 2)])
def test_lost_behind_the_sidecar(idempotent: bool, sends: int) -> None:
    async def lost(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        writer.write(dubbo.error_answer(frame.id, 35, "meshfast: the connection to the provider was lost"))

    async def story() -> None:
        provider = await Provider(handler=lost).start()
        async with closing(provider), meshed(url(provider)) as mesh:
            with pytest.raises(sdk.ConnectionLost):
                await mesh.service(CART).call("hi", "x", idempotent=idempotent)
            assert len(provider.requests) == sends and mesh.client.calls == {}

    play(story)


def test_thousands_of_connections_end_at_any_moment() -> None:
    """Each call has its own answer, or an error that says what may have become of it; no argument is executed twice."""

    async def story() -> None:
        draw = random.Random(7)
        sidecar, engine = await Counting().start(), await Counting().start()
        ended = done = 0
        failed: set[str] = set()

        async def some(provider: Counting, writer: asyncio.StreamWriter, frame: Frame) -> None:
            nonlocal ended
            if draw.random() < 0.5:
                await asyncio.sleep(0)
            answer = provider.answer(frame)
            cut = draw.randrange(len(answer)) if draw.random() < 0.15 else len(answer)
            writer.write(answer[:cut])
            if cut < len(answer):
                ended += 1
                writer.transport.abort()

        sidecar.handler = engine.handler = some  # type: ignore[assignment]
        timing = sdk.Timing(silent=30, lost=30, probe=0.001, hold=0.001, hold_max=0.001, probes=1, keep=30)
        async with closing(sidecar, engine), meshed(url(sidecar), lambda: FakeFat(url(engine)), timing) as mesh:
            cart = mesh.service(CART)

            async def caller(name: int) -> None:
                nonlocal done
                for number in range(600):
                    text = f"{name}-{number}"
                    idempotent = name % 2 == 0
                    try:
                        assert (await cart.call("hi", text, idempotent=idempotent)).endswith(f":{text}")
                        done += 1
                    except sdk.ConnectionLost:
                        failed.add(text)

            await asyncio.gather(*map(caller, range(20)))
            executed = sidecar.executed + engine.executed
            once = {text: count for text, count in executed.items() if int(text.split("-")[0]) % 2}
            assert done + len(failed) == 12_000 and ended > 1000
            assert set(once.values()) == {1} and max(executed.values()) == 2
            assert mesh.client.calls == {} and mesh.counters["late"] == 0
            assert mesh.counters["returns"] > 100

    play(story)


@pytest.mark.parametrize("how", ["call", "reply"])
def test_a_long_answer_is_read_while_others_are_answered(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    def slowly(answer: Answer) -> Any:
        return answered(answer) if len(answer[2]) < LONG or gate.wait(PATIENCE) else "held up"

    async def long(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        text = argument(frame)
        writer.write(dubbo.encode_response(frame.id, text * (LONG if text == "long" else 1)))

    async def story() -> None:
        provider, before = await Provider(handler=long).start(), threading.active_count()
        async with closing(provider), meshed(url(provider)) as mesh:
            cart = mesh.service(CART)
            waits = asyncio.ensure_future(getattr(cart, how)("hi", "long"))
            await until(lambda: len(provider.requests) == 1)
            assert await cart.call("hi", "x") == "x" and not waits.done()
            gate.set()
            found = await waits
            assert (found if how == "call" else found.value) == "long" * LONG
        await until(lambda: threading.active_count() == before)

    monkeypatch.setattr("meshfast.sdk.codec.Target.answered", staticmethod(slowly))
    play(story)


def test_nothing_is_left_behind() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    async def story() -> None:
        sidecar, engine = await Counting(handler=nothing).start(), await Counting(name="engine").start()
        fat = FakeFat(url(engine))
        before = descriptors() - 1, threading.active_count()  # the sidecar's door is shut meanwhile
        async with closing(sidecar, engine):
            async with meshed(url(sidecar), lambda: fat) as mesh:
                await thin(mesh)
                calls = [asyncio.ensure_future(mesh.service(CART).call("hi", f"{i}")) for i in range(5)]
                await until(lambda: len(sidecar.requests) == 5)
                sidecar.shut()
                sidecar.writers[0].write(dubbo.readonly())
                await until(lambda: mesh.mode == "fat")
                assert await mesh.service(CART).call("hi", "x") == "engine:x"
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(one, sdk.ConnectionLost) for one in found)
            with pytest.raises(StateError, match="inside its block"):
                await mesh.service(CART).call("hi", "x")
            await until(lambda: all(writer.transport.is_closing() for writer in sidecar.writers + engine.writers))
            gc.collect()
            await until(lambda: (descriptors(), threading.active_count()) == before)
            assert fat.closed == 1 and len(asyncio.all_tasks()) <= 2

    play(story)


@pytest.mark.parametrize(
    ("use", "text"),
    [
        (lambda: sdk.connect("no/app"), "no name of an application"),
        (lambda: sdk.connect("shop", address="127.0.0.1:1"), "write unix:///path"),
    ],
)
def test_what_connect_refuses(use: Callable[[], object], text: str) -> None:
    with pytest.raises(StateError, match=text):
        use()


def test_where_the_sidecar_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from meshfast.sdk.mesh import Settings

    assert Settings("shop", environ={}).address == "unix:///run/meshfast/shop.sock"
    environ = {"MESHFAST_SDK": "unix:///tmp/x", "MESHFAST_STATE": "/tmp/y", "MESHFAST_API": "unix:///tmp/z"}
    one = Settings("shop", environ=environ)
    assert (one.address, one.state, one.api) == ("unix:///tmp/x", "/tmp/y", "unix:///tmp/z")
    assert Settings("shop", address="tcp://127.0.0.1:5", environ=environ).address == "tcp://127.0.0.1:5"
    with pytest.raises(StateError, match="MESHFAST_SDK"):
        Settings("shop", environ={"MESHFAST_SDK": "/tmp/x"})


@pytest.mark.parametrize("limits", [{"max_calls": 0}, {"max_waiting": 0}, {}], ids=["calls", "waiting", "closed"])
def test_what_was_sent_and_is_refused_is_lost(limits: dict[str, int]) -> None:
    """A thread's line has ended behind it: that it was not sent would not be true."""

    async def story() -> None:
        one = Calls(sdk.Limits(**limits))
        if not limits:
            one.end()
        wanted = (LimitError, StateError)
        for sends, kind in ((0, wanted), (1, (sdk.ConnectionLost,))):
            with pytest.raises(kind, match="|".join(limits) or "is closed") as error:
                one.start(1, b"x", one.loop.create_future(), 60.0, True, True, sends)
            assert not sends or (error.value.may_have_run and "may have been executed" in str(error.value))
        assert not one.calls and all(one.counters[name] == 2 for name in limits)

    play(story)


class Growing(Counter[str]):
    """As another thread would, it counts something new while somebody reads."""

    def items(self) -> Any:
        for number, one in enumerate(list(super().items())):
            self[f"new {number}"] += 1
            yield one


def test_counters_are_read_while_others_count() -> None:
    async def story() -> None:
        async with meshed("tcp://127.0.0.1:9") as mesh:
            client = mesh.clients.of("tri")
            mesh.client.counters, client.counters = Growing(calls=1), Growing(calls=2)
            assert mesh.counters["calls"] == 3 and mesh.counters["none"] == 0
            assert not any(name.startswith("new") for name in (*mesh.client.counters, *client.counters))

    play(story)
