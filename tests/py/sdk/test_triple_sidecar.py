"""Triple beside Dubbo2 in one application: through ``meshfast proxy`` as it is killed, and its own engine."""

from __future__ import annotations

import asyncio
import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from peers import closing
from proxies import BACKENDS, outbound, proxy
from sdk_world import CART, PATIENCE, PATIENT, Counting, FakeFat, until
from sdk_world import play as playing
from test_sdk_sidecar import door
from triple_world import Web, streams

from meshfast import config, sdk
from meshfast.sdk.clients import Shared
from meshfast.sdk.fat import Fat
from meshfast.snapshot import Snapshot, only

STOCK = "com.x.Stock"
SIDECAR = """
apiVersion: meshfast.io/v1
kind: Sidecar
spec: {workload: {app: tests}}
---
"""
ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: "{port}"}}
spec:
  hosts: [{host}]
  ports: [{{name: any, number: 1, protocol: TCP}}]
  endpoints: [{{address: 127.0.0.1, ports: {{any: {port}}}}}]
"""


class Message:
    """What any message of protobuf has."""

    def __init__(self, text: str) -> None:
        self.text = text

    def SerializeToString(self) -> bytes:
        return self.text.encode()


def policy(web: Web, dubbo: Counting) -> str:
    """One service by HTTP/2, and one by Dubbo2."""
    return ENTRY.format(host=CART, port=web.port) + "---" + ENTRY.format(host=STOCK, port=dubbo.port)


def engine(text: str) -> Fat:
    mesh = config.load_texts([("mesh.yaml", (SIDECAR + text).encode())])
    return Fat(Snapshot("tests", 1, time.time(), only(mesh, [CART, STOCK])))


class Load:
    """Calls of both kinds, each with an argument of its own, and what became of each."""

    def __init__(self, mesh: sdk.Mesh, idempotent: bool, callers: int = 8) -> None:
        self.done: list[str] = []
        self.failed: list[Exception] = []
        self.stopping = False
        self._mesh, self._idempotent = mesh, idempotent
        self._tasks = [asyncio.create_task(self._call(number)) for number in range(callers)]

    async def _call(self, name: int) -> None:
        tri, dubbo = self._mesh.service(CART, protocol="tri"), self._mesh.service(STOCK)
        for number in itertools.count():
            if self.stopping:
                return
            text = f"{name}-{number}"
            try:
                if name % 2:
                    answer = (await tri.call("hi", Message(text), idempotent=self._idempotent)).decode()
                else:
                    answer = await dubbo.call("hi", text, idempotent=self._idempotent)
                assert answer.endswith(f":{text}"), answer  # its own answer, and nobody else's
                self.done.append(text)
            except sdk.CallError as error:
                self.failed.append(error)
            await asyncio.sleep(0.002)  # a rate: what starts beside it needs the CPU as well

    async def more(self, calls: int = 200) -> None:
        wanted = len(self.done) + calls
        await until(lambda: len(self.done) >= wanted)

    async def stop(self) -> None:
        self.stopping = True
        await asyncio.gather(*self._tasks)


@pytest.mark.parametrize("idempotent", [False, True], ids=["once", "idempotent"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_sidecar_comes_and_goes_under_calls_of_both(tmp_path: Path, backend: str, idempotent: bool) -> None:
    """Nothing is executed twice that may not, what may be repeated never fails, and a planned stop costs nothing."""

    async def story() -> None:
        dubbo = await Counting(name="dubbo").start()
        async with Web() as web, closing(dubbo):
            text, listeners = policy(web, dubbo), [outbound(door(tmp_path))]
            made: list[Fat] = []

            def make() -> Fat:
                made.append(engine(text))
                return made[-1]

            async with sdk.connect(
                "tests", address=door(tmp_path), api="unix://@nobody", fat=make, timing=PATIENT, timeout=PATIENCE
            ) as mesh:
                streams = mesh.clients.of("tri")

                def both(mode: str) -> bool:
                    return mesh.client.mode == streams.mode == mode

                async with proxy(tmp_path, backend, listeners, text) as running:
                    await until(lambda: both("thin"))
                    load = Load(mesh, idempotent)
                    await load.more()
                    running.process.kill()
                    await until(lambda: both("fat"))
                    assert mesh.mode == "fat" and len(made) == 1
                    await load.more()
                async with proxy(tmp_path, backend, listeners, text) as running:
                    await until(lambda: both("thin"))
                    await load.more()
                    failed = len(load.failed)
                    running.process.terminate()
                    await until(lambda: both("fat"))
                    await load.more()
                    assert len(load.failed) == failed
                    assert await running.process.wait() == 0
                async with proxy(tmp_path, backend, listeners, text):
                    await until(lambda: both("thin"))
                    await load.more()
                    await load.stop()
                executed = dubbo.executed.copy()
                executed.update({said.decode(): count for said, count in web.executed.items()})
                assert set(load.done) <= set(executed)
                assert mesh.counters["returns"] == sum(one.counters["returns"] for one in (mesh.client, streams)) >= 4
                assert mesh.client.calls == streams.calls == {} and len(made) == 1
            if idempotent:
                assert not load.failed and max(executed.values()) <= 2
            else:
                assert max(executed.values()) == 1 and len(load.failed) <= 8
                assert all(type(one) is sdk.ConnectionLost and one.may_have_run for one in load.failed)

    playing(story, 400)


def test_an_engine_alone_and_threads(tmp_path: Path) -> None:
    """No sidecar from the beginning: the other face, by both protocols through one engine."""

    async def story() -> None:
        dubbo = await Counting(name="dubbo").start()
        async with Web() as web, closing(dubbo):
            text = policy(web, dubbo)

            def work() -> None:
                with sdk.Blocking(
                    "tests", address=door(tmp_path), api="unix://@nobody", fat=lambda: engine(text), timing=PATIENT,
                    timeout=PATIENCE,
                ) as mesh, ThreadPoolExecutor(8) as threads:  # fmt: skip
                    tri, old = mesh.service(CART, protocol="tri"), mesh.service(STOCK)
                    raw = mesh.service(CART, protocol="grpc")
                    texts = [f"{number}" for number in range(300)]
                    assert list(threads.map(lambda one: tri.call("hi", Message(one)), texts)) == [
                        f"web:{one}".encode() for one in texts
                    ]
                    assert list(threads.map(lambda one: old.call("hi", one), texts)) == [f"dubbo:{t}" for t in texts]
                    assert raw.call("hi", b"x") == b"web:x" and mesh.mode == "fat"
                    assert mesh.counters["calls"] == 601 and mesh.counters["falls"] == 2
                    with pytest.raises(ValueError, match='say "dubbo", "tri" or "grpc"'):
                        mesh.service(CART, protocol="http")
                    with pytest.raises(TypeError, match="one way"):
                        tri.tell("hi", Message("x"))

            await asyncio.get_running_loop().run_in_executor(None, work)

    playing(story)


def test_the_engine_of_two_ends_after_the_last() -> None:
    made: list[FakeFat] = []

    def make() -> FakeFat:
        made.append(FakeFat("unix://@x", RuntimeError("none") if not made else None))
        return made[-1]

    shared = Shared(make)
    first, second, third = shared.handle(), shared.handle(), shared.handle()
    with pytest.raises(RuntimeError, match="none"):
        first.start()
    first.close()  # it has none
    assert made[0].closed == 1 and first.start() == second.start() == "unix://@x"
    second.refresh()
    assert (made[1].started, made[1].refreshed) == (1, 1)
    first.close()
    first.close()
    assert made[1].closed == 0
    second.close()
    assert made[1].closed == 1 and third.start() == "unix://@x" and len(made) == 3
    third.close()


def test_a_connection_that_rests_longer_than_the_sidecar_likes(tmp_path: Path) -> None:
    """It sends the connection away, and does not leave: calls go through it as before."""

    async def story() -> None:
        async with Web() as web:
            text = ENTRY.format(host=CART, port=web.port)
            async with (
                proxy(tmp_path, BACKENDS[0], [outbound(door(tmp_path))], text, limits={"idleTimeout": 100}),
                streams(door(tmp_path)) as mesh,
            ):
                for turn in range(1, 4):
                    await until(lambda turn=turn: mesh.counters["renewals"] >= turn)  # type: ignore[misc]
                    assert await mesh.cart.call("hi", b"%d" % turn) == b"web:%d" % turn
                assert mesh.counters["falls"] == 0 and mesh.mode == "thin"

    playing(story)
