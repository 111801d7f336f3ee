"""The snapshot as a sidecar keeps it: what is in it when, over restarts, and when it cannot be written."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from engines import PATIENCE, play
from peers import Provider, closing, mesh, until
from pictures import bare
from registered import Clock
from test_sidecar import Proxy
from zookeepers import Raw

from meshfast import config, snapshot
from meshfast.behind import Behind
from meshfast.endpoint import jute
from meshfast.endpoint.jute import Op
from meshfast.errors import SourceError
from meshfast.model import Mesh
from meshfast.snapshot import only, read
from meshfast.snapshots import AGAIN, RETRY, Snapshots
from meshfast.source.demand import LINGER
from meshfast.statedir import StateDir

A, B, C = "com.a.Cart", "com.b.Cart", "com.a.Stock"


def listing(*services: str, address: str = "10.0.0.1") -> Mesh:
    entries = [
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
        f"metadata: {{name: s{i}}}\nspec: {{hosts: [{one}], ports: [{{name: dubbo, number: 1, protocol: DUBBO}}], "
        f"endpoints: [{{address: {address}}}]}}\n"
        for i, one in enumerate(services)
    ]  # fmt: skip
    return config.load_texts([("mesh.yaml", "---\n".join(entries).encode())])


class World:
    def __init__(self, path: Path) -> None:
        self.state: StateDir | None = StateDir(str(path))
        self.path, self.clock, self.wants = str(path), Clock(), {A}
        self.begin()

    def begin(self) -> None:
        self.it = Snapshots(lambda: self.state, self.clock)
        self.it.consumed.append(lambda: self.wants)

    async def next(self, mesh: Mesh | None = None) -> list[str]:
        """What is in the next one that is written, which something has made due."""
        written = self.it.written
        if mesh is not None:
            self.it.holds(mesh)
        self.it.tend()
        await until(lambda: self.it.written > written, PATIENCE)
        return self.names()

    def names(self) -> list[str]:
        return [one.name for one in read(self.path).mesh.services]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "state")
    yield made
    if made.state is not None:
        made.state.close()


def test_it_follows_the_mesh_and_what_is_looked_for(world: World) -> None:
    async def story() -> None:
        mesh = listing(A, B)
        assert await world.next(mesh) == [A]
        assert read(world.path).mesh == bare(only(mesh, [A])) and (world.it.version, world.it.services) == (1, 1)
        world.wants = {A, B}
        assert await world.next() == [A, B] and world.it.version == 2
        moved = listing(A, B, address="10.0.0.2")
        await world.next(moved)
        assert read(world.path).mesh.clusters["s0"].endpoints[0].address == "10.0.0.2:1"
        # Nothing is new: nothing is due, and a while later it is said again that it is so.
        assert (world.it.version, world.it.written) == (3, 3)
        world.it.tend()
        world.clock.now += AGAIN - 1
        world.it.tend()
        await world.it._behind.close()
        assert world.it.written == 3
        world.clock.now += 1
        await world.next()
        assert (world.it.version, world.it.written) == (3, 4) and world.it.bytes > 100

    play(story)


def test_who_is_not_looked_for_stays_a_while_and_the_last_for_ever(world: World) -> None:
    async def story() -> None:
        world.wants = {A, B}
        assert await world.next(listing(A, B)) == [A, B]
        world.wants = {A}
        world.clock.now += AGAIN
        assert await world.next() == [A, B]
        world.clock.now += LINGER
        assert await world.next() == [A]
        world.wants = set()
        world.clock.now += AGAIN
        await world.next()
        world.clock.now += LINGER
        world.it.tend()
        await world.it.close()
        assert world.names() == [A] and world.it.failed == 0

    play(story)


def test_the_next_process_goes_on(world: World) -> None:
    async def story() -> None:
        assert await world.next(listing(A, B)) == [A]
        await world.it.close()
        world.wants = set()
        world.begin()
        assert await world.next(listing(A, B)) == [A] and world.it.version == 2  # nobody looks for it yet
        world.wants = {B}
        assert await world.next() == [A, B] and world.it.version == 3
        world.clock.now += LINGER
        assert await world.next() == [B]

    play(story)


def test_one_that_cannot_be_gone_on_from_is_replaced(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        Path(world.path, snapshot.NAME).write_bytes(b"other")
        Path(world.path, snapshot.NAME).chmod(0o600)
        assert await world.next(listing(A)) == [A] and world.it.version == 1
        assert "is not gone on from" in caplog.text

    play(story)


def test_without_a_directory_nothing_is_written(world: World, tmp_path: Path) -> None:
    async def story() -> None:
        assert world.state is not None
        world.state.close()
        world.state = None
        world.it.holds(listing(A))
        world.it.tend()
        await world.it.close()
        assert os.listdir(tmp_path / "state") == [] and not world.it.here

    play(story)


def test_one_that_cannot_be_written_is_told_once(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said: Exception | None = OSError(28, "No space left on device")

    def write(directory: StateDir, *args: object) -> int:
        if said is not None:
            raise said
        return put(directory, *args)  # type: ignore[arg-type]

    put = snapshot.put
    monkeypatch.setattr(snapshot, "put", write)

    async def fails(count: int) -> None:
        world.it.tend()
        await until(lambda: world.it.failed == count, PATIENCE)
        with pytest.raises(SourceError, match="is not there"):
            read(world.path)

    async def story() -> None:
        nonlocal said
        world.it.holds(listing(A))
        await fails(1)
        world.it.tend()  # not due
        world.clock.now += RETRY
        await fails(2)
        said = RuntimeError("a bug of ours")
        world.clock.now += RETRY
        await fails(3)
        said = None
        world.clock.now += RETRY
        assert await world.next() == [A]
        said = OSError(28, "No space left on device")
        world.clock.now += AGAIN
        world.it.tend()
        await until(lambda: world.it.failed == 4, PATIENCE)
        assert world.names() == [A]

    with caplog.at_level(logging.ERROR, "meshfast"):
        play(story)
    assert caplog.text.count("the snapshot stays as it was") == 2


def test_one_that_is_too_long_leaves_the_one_before(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        assert await world.next(listing(A, B)) == [A]
        monkeypatch.setattr(snapshot, "MOST", world.it.bytes + 130)
        world.wants = {A, B}
        world.it.tend()
        await until(lambda: world.it.failed == 1, PATIENCE)
        assert world.names() == [A] and world.it.version == 1

    play(story)


def test_work_behind_is_done_once_for_all_who_ask_and_at_the_end() -> None:
    async def story() -> None:
        done: list[int] = []
        gate = asyncio.Event()

        async def do() -> None:
            await gate.wait()
            done.append(len(done))

        work = Behind(do, 3600.0)
        await work.close()  # nothing was asked for
        work = Behind(do, 3600.0)
        work.ask()
        work.ask()
        gate.set()
        await until(lambda: done == [0], PATIENCE)
        work.ask()  # for an hour hence, or the end
        await asyncio.sleep(0)
        assert done == [0]
        await work.close()
        assert done == [0, 1]

    play(story)


# --- a whole sidecar

SIDECAR = """
apiVersion: meshfast.io/v1
kind: Sidecar
spec:
  workload: {{app: shop, labels: {{env: own}}}}
  state: {state}
  admin: "unix://{admin}"
  listeners: [{{name: out, bind: "tcp://127.0.0.1:0"}}]
  endpoint: {{zookeeper: "tcp://127.0.0.1:0"}}
"""


@asynccontextmanager
async def sidecar(folder: Path, start: Callable[..., Awaitable[asyncio.subprocess.Process]]):
    process = await start(stderr=asyncio.subprocess.PIPE)
    running = Proxy(process, str(folder / "admin.sock"))
    try:
        await until(lambda: "ready:" in running.log or process.returncode is not None, 60)
        assert "ready:" in running.log, running.log
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await asyncio.gather(running.task, return_exceptions=True)


def look(port: int, service: str) -> int:
    """An application that looks for a service and then is gone without a word; its session stays."""
    client = Raw(port)
    client.greet(4000)
    code, _ = client.ask(Op.GET_CHILDREN, jute.GetChildren(f"/dubbo/{service}/providers", False))
    client.close()
    return code


def test_a_sidecar_leaves_one_for_its_application(tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    policy.mkdir()
    state = tmp_path / "state"
    side = SIDECAR.format(state=state, admin=tmp_path / "admin.sock")

    async def start(**more: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(sys.executable, "-m", "meshfast", "proxy", str(policy), **more)

    def version() -> int:
        try:
            return read(state, "shop").version
        except SourceError:
            return 0

    async def story() -> None:
        base, dev1 = await Provider("base").start(), await Provider("dev1").start()
        async with closing(base, dev1):
            text = mesh((base, ""), (dev1, "dev1"))
            (policy / "mesh.yaml").write_text(text)
            (policy / "sidecar.yaml").write_text(side)
            async with sidecar(tmp_path, start) as running:
                found_port = re.search(r"endpoint \S*:(\d+)", running.log)
                assert found_port, running.log
                port = int(found_port[1])
                assert version() == 0
                assert await asyncio.to_thread(look, port, "com.x.Cart") == 0
                await until(lambda: version() == 1, PATIENCE)
                found = read(state, "shop")
                assert [one.name for one in found.mesh.services] == ["com.x.Cart"]
                assert {one.address for one in found.mesh.clusters["cart"].endpoints} == {base.address, dev1.address}
                assert found.mesh.sidecar.labels == {"env": "own"}
                async with asyncio.timeout(PATIENCE):
                    while await running.metric("meshfast_snapshot_written_total") < 1:
                        await asyncio.sleep(0.01)
                assert await running.metric("meshfast_snapshot_version") == 1
                (policy / "mesh.new").write_text(text.replace("name: by-label", "name: other") + "\n---\n" + OTHER)
                os.replace(policy / "mesh.new", policy / "mesh.yaml")
                await until(lambda: read(state).mesh.labels[-1].name == "lane", PATIENCE)
                running.process.send_signal(signal.SIGKILL)
                await running.process.wait()
            assert version() == 2
            async with sidecar(tmp_path, start) as running:
                await until(lambda: version() == 3, PATIENCE)
                assert [one.name for one in read(state).mesh.services] == ["com.x.Cart"]
                running.process.send_signal(signal.SIGTERM)
                await running.process.wait()
            assert [one.name for one in read(state).mesh.services] == ["com.x.Cart"]

    play(story, 240.0)


OTHER = """
apiVersion: istio.alibabacloud.com/v1
kind: TrafficLabel
metadata: {name: lane}
spec: {rules: [{labels: [{name: lane}]}]}
"""
