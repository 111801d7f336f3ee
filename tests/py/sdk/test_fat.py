"""An application's own engine on its sidecar's snapshot: where calls go, how it ends, and that it leaves nothing."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import webs2
from engines import BACKENDS, PATIENCE, play, running
from peers import Caller, Frame, Provider, closing, until, until_now

from meshfast import config, dubbo, snapshot
from meshfast.address import dial
from meshfast.errors import SourceError, StateError
from meshfast.model import Mesh, Target, TargetKind
from meshfast.sdk import fat as fat_module
from meshfast.sdk.fat import Fat
from meshfast.snapshot import Snapshot, only
from meshfast.statedir import StateDir

POLICY = """
apiVersion: meshfast.io/v1
kind: Sidecar
spec:
  workload: {{app: shop, labels: {{env: own}}}}
  limits: {limits}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: cart}}
spec:
  hosts: [com.x.Cart]
  ports: [{{name: any, number: 1, protocol: TCP}}]
  endpoints:
{endpoints}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: by-label}}
spec: {{hosts: ["*"], http: [{{route: [{{destination: {{subset: $env}}}}], timeout: 20s}}]}}
---
apiVersion: istio.alibabacloud.com/v1
kind: TrafficLabel
metadata: {{name: env}}
spec: {{rules: [{{labels: [{{name: env, valueFrom: [{sources}]}}]}}]}}
"""


def policy(*providers: tuple[int, str], sources: str = "", limits: str = "{}") -> str:
    lines = [
        f"  - {{address: 127.0.0.1, ports: {{any: {port}}}, labels: {{{f'env: {env}' if env else ''}}}}}"
        for port, env in providers
    ]
    return POLICY.format(endpoints="\n".join(lines), sources=sources, limits=limits)


def kept(text: str) -> Snapshot:
    mesh = config.load_texts([("mesh.yaml", text.encode())])
    return Snapshot("shop", 1, time.time(), only(mesh, ["com.x.Cart"]))


POOL = ThreadPoolExecutor(1)  # one thread that stays


async def ended(one: Fat, seconds: float | None = None) -> bool:
    """Closes it beside the loop; whether no call was cut off."""
    return await asyncio.get_running_loop().run_in_executor(POOL, one.close, seconds)


def left() -> tuple[int, int]:
    """Threads and descriptors of this process."""
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDir]:
    directory = StateDir(str(tmp_path / "state"))
    yield directory
    directory.close()


@asynccontextmanager
async def started(source: Snapshot | str, backend: str = "auto"):
    one = Fat(source, "shop", backend=backend)
    try:
        one.start()
    except OSError as error:
        pytest.skip(f"this kernel: {error}")
    try:
        caller = Caller(*await dial(one.address))
        async with closing(caller):
            yield one, caller
    finally:
        await ended(one, 0.0)


# --- calls


@pytest.mark.parametrize("backend", BACKENDS)
def test_calls_go_by_label_and_fall_back(backend: str, state: StateDir) -> None:
    async def story() -> None:
        base, dev1 = await Provider("base").start(), await Provider("dev1").start()
        async with closing(base, dev1):
            snapshot.write(state, kept(policy((base.port, ""), (dev1.port, "dev1"))))
            async with started(state.path, backend) as (one, caller):
                assert one.address.startswith(f"unix://@meshfast-{os.getpid()}-") and one.start() == one.address
                for env, who in (("dev1", "dev1"), ("dev2", "base"), ("", "base"), ("dev1", "dev1")):
                    said = {"env": env} if env else {}
                    assert (await caller.ask("com.x.Cart", "a", attachments=said)).value == f"{who}:a"
                assert (await caller.ask("com.x.Other", "a")).status == 60
                assert one.snapshot is not None and one.snapshot.version == 1
                await dev1.stop()
                async with asyncio.timeout(PATIENCE):  # what is down is found out here, too
                    while (answer := await caller.ask("com.x.Cart", "b", attachments={"env": "dev1"})).status != 20:
                        assert answer.status == 35  # it was sent before that was known
                assert answer.value == "base:b"

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_calls_of_grpc(backend: str, state: StateDir) -> None:
    async def story() -> None:
        async def named(stream: webs2.Stream) -> None:
            await stream.ended.wait()
            stream.head([(b":status", b"200"), webs2.GRPC, (b"x-env", stream.get(b"env") or b"-")])
            await stream.data(bytes(stream.body))
            stream.head([(b"grpc-status", b"0")], True)

        async with webs2.Server(named) as base, webs2.Server(named) as dev1:
            snapshot.write(state, kept(policy((base.port, ""), (dev1.port, "dev1"), sources="$(localLabel)")))
            async with started(state.path, backend) as (one, _):
                peer = webs2.Peer(*await dial(one.address), None)
                for env, server, found in ((b"dev1", dev1, b"dev1"), (b"", base, b"own"), (b"dev2", base, b"dev2")):
                    before = sum(len(each.streams) for each in server.peers)
                    more = [(b"env", env)] if env else []
                    stream = await peer.ask(webs2.asks("/com.x.Cart/add", webs2.GRPC, *more), b"\0\0\0\0\3abc")
                    await asyncio.wait_for(stream.ended.wait(), PATIENCE)
                    assert stream.get(b"grpc-status") == b"0" and bytes(stream.body) == b"\0\0\0\0\3abc"
                    assert stream.get(b"x-env") == found
                    assert sum(len(each.streams) for each in server.peers) == before + 1
                await peer.close()

    play(story)


def test_requests_go_out_as_the_sidecar_sends_them(state: StateDir) -> None:
    """Labels of the workload and of the caller are stamped alike, byte for byte."""

    async def story() -> None:
        base = await Provider("base").start()
        text = policy((base.port, ""), sources="$(localLabel)")
        snapshot.write(state, kept(text))
        async with closing(base), started(state.path) as (_, caller):
            with running("epoll", policy=text) as sidecar:
                other = await Caller.connect(sidecar.address)
                async with closing(other):
                    for said in ({}, {"env": "dev1"}, {"x": "y"}):
                        for one in (caller, other):
                            assert (await one.ask("com.x.Cart", "a", attachments=said)).value == "base:a"
                        mine, its = base.requests[-2:]
                        assert mine.raw[16:] == its.raw[16:]
                        stamped = dict(dubbo.parse_request(mine.raw).attachments)
                        assert stamped["env"] == said.get("env", "own")

    play(story)


def test_the_sidecars_limits_hold(state: StateDir) -> None:
    async def story() -> None:
        base = await Provider("base").start()
        snapshot.write(state, kept(policy((base.port, ""), limits="{maxBody: 1000B}")))
        async with closing(base), started(state.path) as (_, caller):
            assert (await caller.ask("com.x.Cart", "a" * 2000)).status == 40
            assert (await caller.ask("com.x.Cart", "a")).value == "base:a"

    play(story)


# --- its end


@pytest.mark.parametrize("backend", BACKENDS)
def test_answers_in_flight_come_before_it_is_gone(backend: str, state: StateDir) -> None:
    async def story() -> None:
        gate = asyncio.Event()

        async def late(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
            await gate.wait()
            writer.write(provider.answer(frame))

        base = await Provider("base", late).start()
        snapshot.write(state, kept(policy((base.port, ""))))
        async with closing(base), started(state.path, backend) as (one, caller):
            answers = [caller.ask("com.x.Cart", str(i)) for i in range(20)]
            await until(lambda: len(base.requests) == 1, PATIENCE)
            closed = asyncio.ensure_future(ended(one, PATIENCE))
            await until(lambda: any(each.head.is_event for each in caller.events), PATIENCE)  # READONLY
            gate.set()
            assert [(await each).value for each in answers] == [f"base:{i}" for i in range(20)]
            assert await closed is True and one.close() is True
            await asyncio.wait_for(caller.closed.wait(), PATIENCE)
            with pytest.raises(ConnectionRefusedError):
                await dial(one.address)
            with pytest.raises(StateError, match="was closed"):
                one.start()

    play(story)


def test_who_does_not_wait_is_told_that_calls_were_cut_off(state: StateDir) -> None:
    async def story() -> None:
        async def never(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None: ...

        base = await Provider("base", never).start()
        snapshot.write(state, kept(policy((base.port, ""))))
        async with closing(base), started(state.path) as (one, caller):
            answer = caller.ask("com.x.Cart", "a")
            await until(lambda: len(base.requests) == 1, PATIENCE)
            assert await ended(one, 0.0) is False
            assert (await answer).status != 20

    play(story)


def test_no_thread_and_no_descriptor_is_left(state: StateDir) -> None:
    async def story() -> None:
        base = await Provider("base").start()
        snapshot.write(state, kept(policy((base.port, ""))))

        async def once() -> None:
            async with started(state.path) as (one, caller):
                assert (await caller.ask("com.x.Cart", "a")).value == "base:a"
                assert len(os.listdir("/proc/self/task")) > before[0]
                assert await ended(one) is True

        async with closing(base):
            before = (0, 0)
            await once()  # the loop's own threads and pipes are there by now
            await until(lambda: all(each.is_closing() for each in base.writers), PATIENCE)
            gc.collect()
            before = left()
            for _ in range(20):
                await once()
            await until(lambda: left() == before, PATIENCE)

    play(story)


def test_threads_may_start_and_close_it_at_once(state: StateDir) -> None:
    snapshot.write(state, kept(policy((1, ""))))
    for _ in range(10):
        one, found, go = Fat(state.path), [], threading.Barrier(8)

        def start(one: Fat = one, found: list[str] = found, go: threading.Barrier = go) -> None:
            go.wait(PATIENCE)
            try:
                found.append(one.start())
            except StateError:
                found.append("closed")

        def close(one: Fat = one, go: threading.Barrier = go) -> None:
            go.wait(PATIENCE)
            one.close()

        threads = [threading.Thread(target=each) for each in (start, start, start, start, close, close, close, close)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(PATIENCE)
        assert len(found) == 4 and len(set(found) - {"closed"}) <= 1
        assert one.close() is True


# --- what is refused


def test_what_cannot_be_used(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    before = left()
    with pytest.raises(SourceError, match="is not there"):
        Fat(state.path, "shop").start()
    good = kept(policy((1, "")))
    snapshot.write(state, good)
    for source in (state.path, good):
        with pytest.raises(SourceError, match="of the application 'shop', not of 'other'"):
            Fat(source, "other").start()
    service = good.mesh.services[0]
    lost = replace(service.rules[0], targets=(Target("cart", TargetKind.LABEL, "env", 100, fallback=9),))
    nobody = replace(service.rules[0], targets=(Target("nobody", TargetKind.ALL, weight=1),))
    for rule in (lost, nobody):
        mesh = replace(good.mesh, services=(replace(service, rules=(rule,)),))
        with pytest.raises(SourceError, match="cannot be put in force"):
            Fat(replace(good, mesh=mesh)).start()
    side = replace(good.mesh.sidecar, limits={"noLimit": 1})
    with pytest.raises(SourceError, match="cannot be put in force"):
        Fat(replace(good, mesh=replace(good.mesh, sidecar=side))).start()
    gc.collect()
    until_now(lambda: left() == before, PATIENCE)
    unstarted = Fat(state.path)
    assert unstarted.close() is True
    with pytest.raises(StateError):
        unstarted.start()


def test_addresses_of_others_are_passed_over(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot.write(state, kept(policy((1, ""))))
    monkeypatch.setattr(fat_module, "_numbers", itertools.count(900_000))
    with socket.socket(socket.AF_UNIX) as other, Fat(Snapshot("", 1, 0.0, Mesh())) as first:
        assert first.address == f"unix://@meshfast-{os.getpid()}-900000"
        other.bind(f"\0meshfast-{os.getpid()}-900001")
        with Fat(state.path) as one:
            assert one.address == f"unix://@meshfast-{os.getpid()}-900002"
    monkeypatch.setattr(fat_module, "NAMES", 0)
    with pytest.raises(OSError, match="are taken by others"):
        Fat(state.path).start()


# --- other processes

FORKS = """
import gc, os, sys, time
from meshfast import snapshot
from meshfast.errors import StateError
from meshfast.sdk.fat import Fat

one = Fat(sys.argv[1])
address = one.start()
child = os.fork()
if not child:
    assert one.close() is True
    try:
        one.start()
        raise AssertionError("started")
    except StateError as error:
        assert "of another process" in str(error)
    del one
    gc.collect()
    with Fat(sys.argv[1]) as own:
        assert own.address != address
    sys.exit(7)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 7, status
child = os.fork()
if not child:
    sys.exit(8)  # with all that it has of this one
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 8, status
import socket
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect("\\0" + address[8:])
    sock.sendall(bytes.fromhex("dabbe21400000000000000010000000f") + bytes(15))
    assert sock.recv(16)[:3] == bytes.fromhex("dabb22"), "the parent's goes on"
assert one.close() is True
deadline = time.monotonic() + 15
while len(os.listdir("/proc/self/task")) != 1:  # who was joined may be on its way out yet
    assert time.monotonic() < deadline
    time.sleep(0.002)
"""


def test_a_forked_process_leaves_it_alone(state: StateDir) -> None:
    snapshot.write(state, kept(policy((1, ""))))
    done = subprocess.run(
        [sys.executable, "-c", FORKS, state.path], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_nothing_is_made_before_it_is_asked_for() -> None:
    code = "import os, sys, meshfast.sdk; print(len(os.listdir('/proc/self/task')), 'meshfast.sdk.fat' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["1", "False"]
