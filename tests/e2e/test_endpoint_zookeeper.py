"""The endpoint and a real ZooKeeper are asked the same, by bytes and by kazoo, and answer the same: results, errors,
events and their order."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import obtain
from harness.zookeeper import VERSIONS, ZooKeeper
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from zookeepers import PATIENCE, Script, served

RECORDED = Path(__file__).parent / "recorded"
SEEDS = range(12)
STEPS = 250


@pytest.fixture(scope="module", params=VERSIONS)
def zookeeper(request: pytest.FixtureRequest) -> Iterator[ZooKeeper]:
    server = obtain(lambda: ZooKeeper(request.param))
    server.kazoo.exists("/")  # it says that it is well before it takes sessions
    yield server
    server.close()


def noted(port: int, seed: int) -> list[Any]:
    script = Script(port, seed)
    try:
        return script.run(STEPS)
    finally:
        script.close()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("zookeeper", ["3.9"], indirect=True)  # 3.8 knows less of persistent watches
def test_scripts(zookeeper: ZooKeeper, seed: int) -> None:
    real = noted(zookeeper.port, seed)
    with served() as endpoint:
        ours = noted(endpoint.port, seed)
    for number, (theirs, own) in enumerate(zip(real, ours, strict=False)):
        assert own == theirs, f"note {number}, after {real[max(0, number - 5) : number]}"
    assert len(real) == len(ours) and sum(len(note) == 3 for note in real) > 5


@pytest.mark.parametrize("sdk", ["java-3.3", "java-2.7"])
def test_what_sdks_ask(zookeeper: ZooKeeper, sdk: str) -> None:
    lines = (RECORDED / f"registry-{sdk}.txt").read_text().splitlines()

    def asked(port: int) -> list[Any]:
        script = Script(port, sdk, 1 + max(int(line.split()[0]) for line in lines))
        try:
            return script.again_as(lines)
        finally:
            script.close()

    real = asked(zookeeper.port)
    with served() as endpoint:
        assert asked(endpoint.port) == real and len(real) > 60


class Kazoo:
    """Two clients of kazoo, of which one watches; what they are told, without what depends on the server."""

    def __init__(self, port: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder = f"/kazoo-{seed}"
        self.clients = [KazooClient(f"127.0.0.1:{port}", timeout=10.0) for _ in range(2)]
        self.events: list[Any] = []
        self.notes: list[Any] = []

    def __enter__(self) -> Kazoo:
        for client in self.clients:
            client.start(PATIENCE)
        self.clients[0].create(self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.stop()
            client.close()

    def run(self, steps: int) -> list[Any]:
        for _ in range(steps):
            self.step()
        return self.notes

    def step(self) -> None:
        doing, watching = self.clients
        rand = self.random
        path = f"{self.folder}/{rand.choice('ab')}" + rand.choice(["", "/c", "/c/d"])
        version = rand.choice([-1, -1, 0, 1])
        kind = rand.randrange(9)
        if kind < 3:
            flags = {"ephemeral": rand.random() < 0.3, "sequence": rand.random() < 0.2, "makepath": rand.random() < 0.3}
            self.do(kind, path, lambda: doing.create(path, b"1", **flags))
        elif kind == 3:
            self.do(kind, path, lambda: doing.set(path, rand.randbytes(3), version))
        elif kind == 4:
            deep = rand.random() < 0.2
            self.do(kind, path, lambda: doing.delete(path, version, recursive=deep))
            if deep:  # by children in the order in which they are listed, which is nobody's promise
                self.notes[-1] = (*self.notes[-1][:3], sorted(self.notes[-1][3]))
        elif kind == 5:
            self.do(kind, path, lambda: watching.exists(path, watch=self.heard))
        elif kind == 6:
            self.do(kind, path, lambda: watching.get(path, watch=self.heard))
        elif kind == 7:
            self.do(kind, path, lambda: sorted(watching.get_children(path, watch=self.heard)))
        else:
            self.do(kind, path, lambda: watching.get_acls(path)[0])

    def do(self, kind: int, path: str, ask: Any) -> None:
        try:
            found = plain(ask())
        except KazooException as error:
            found = type(error).__name__
        self.clients[1].exists("/")  # what it is told comes before this
        self.notes.append((kind, path, found, self.drained()))

    def heard(self, event: Any) -> None:
        self.events.append((event.type, event.path))

    def drained(self) -> list[Any]:
        """Events of which kazoo's thread has told; a mark of ours follows them in its queue."""
        mark: list[int] = []
        self.clients[1].handler.completion_queue.put(lambda: mark.append(1))
        self.clients[1].handler.callback_queue.put(lambda: mark.append(1))
        deadline = time.monotonic() + PATIENCE
        while len(mark) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        events, self.events = self.events, []
        return events


def plain(value: Any) -> Any:
    """Without transactions, times and sessions."""
    with contextlib.suppress(AttributeError):
        owned = value.ephemeralOwner != 0
        same = (value.czxid == value.mzxid, value.czxid == value.pzxid, value.ctime <= value.mtime)
        return (value.version, value.cversion, value.aversion, value.dataLength, value.numChildren, owned, same)
    return tuple(map(plain, value)) if isinstance(value, tuple) else value


@pytest.mark.parametrize("seed", SEEDS[:4])
def test_kazoo(zookeeper: ZooKeeper, seed: int) -> None:
    with Kazoo(zookeeper.port, seed) as client:
        real = client.run(STEPS)
    with served() as endpoint, Kazoo(endpoint.port, seed) as client:
        ours = client.run(STEPS)
    assert ours == real and sum(len(note[3]) for note in real) > 5
