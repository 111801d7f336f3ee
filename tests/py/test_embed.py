"""An engine inside an asyncio program: no worker thread, its sockets are served by the loop's own select()."""

from __future__ import annotations

import asyncio
import gc

import pytest
from peers import Caller, Provider, closing, mesh
from webs2 import GRPC, Server, asks, calling

from meshfast import _core, config
from meshfast.loop import NativeSelector
from meshfast.routing import Table


@pytest.fixture(params=["epoll", "io_uring"])
def selector(request):
    try:
        return NativeSelector(request.param)
    except OSError as error:
        pytest.skip(f"this kernel: {error}")


def test_calls_in_the_callers_own_loop(selector):
    async def program() -> None:
        base, dev1 = await Provider("base").start(), await Provider("dev1").start()
        table = Table()
        table.publish(config.load_texts([("mesh.yaml", mesh((base, ""), (dev1, "dev1")).encode())]))
        engine = _core.Engine(table.native, workers=0, loop=selector.loop)
        address = engine.listen("out", "127.0.0.1:0")
        engine.start()
        caller = await Caller.connect(address)
        try:
            async with closing(base, dev1, caller):
                labels = [{"env": "dev1"} if i % 2 else {} for i in range(100)]
                answers = await asyncio.gather(
                    *(caller.ask("com.x.Cart", f"n{i}", attachments=label) for i, label in enumerate(labels))
                )
                assert [a.value for a in answers] == [f"{'dev1' if i % 2 else 'base'}:n{i}" for i in range(100)]
                assert engine.counters()["answers"] == 100
                with pytest.raises(RuntimeError, match="engine"):
                    selector.loop.close()
        finally:
            engine.stop()

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(program())


def test_http2_in_the_callers_own_loop(selector):
    async def program() -> None:
        async with Server() as base, Server() as dev1:
            table = Table()
            table.publish(config.load_texts([("mesh.yaml", mesh((base, ""), (dev1, "dev1")).encode())]))
            engine = _core.Engine(table.native, workers=0, loop=selector.loop)
            address = engine.listen("out", "127.0.0.1:0")
            engine.start()
            try:
                async with calling(address) as caller:
                    labels = [[(b"env", b"dev1")] if i % 2 else [] for i in range(100)]
                    calls = [
                        caller.ask(asks("/com.x.Cart/hi", GRPC, *more), b"x" * i * 100) for i, more in enumerate(labels)
                    ]
                    done = await asyncio.gather(*calls)
                    assert [len(one.body) for one in done] == [i * 100 for i in range(100)]
                    assert {one.get(b"grpc-status") for one in done} == {b"0"}
                    assert [len(server.peers[0].streams) for server in (base, dev1)] == [50, 50]
                    assert engine.counters()["answers"] == 100
            finally:
                engine.stop()

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(program())


def test_needs_a_loop():
    with pytest.raises(ValueError, match="0 workers"):
        _core.Engine(_core.Table(), workers=0)


def test_a_cycle_takes_the_engine_before_its_table():
    """The collector may clear an object of a cycle before it frees it: the engine still needs its table then."""

    class Owner:
        pass

    for _ in range(20):
        owner = Owner()
        owner.table = Table()
        owner.cluster = owner.table.native.cluster("x", [("127.0.0.1:1", {}, 1, "")])
        owner.service = owner.table.native.service("s", 0, [(0, [], [(owner.cluster, 0, "", 1, 0, None)], None)])
        owner.engine = _core.Engine(owner.table.native, workers=1, backend="epoll")
        owner.engine.listen("out", "127.0.0.1:0")
        owner.engine.start()
        owner.itself = owner
        del owner
        gc.collect()
