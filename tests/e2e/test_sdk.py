"""The SDK for Python calls Apache Dubbo for Java through a sidecar, and goes on while that is away."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest
from conftest import Peers
from harness import mesh
from harness.java import SERVICE
from harness.process import RUN, until
from harness.sidecar import Sidecar
from harness.way import LOOPS

from meshfast import sdk, snapshot
from meshfast.errors import MeshfastError

PortOf = Callable[..., int]
VERSIONS = ("java-3.3", "java-2.7")
#: A busy machine is silent now and then; and a test does not wait as long as an application for the return.
STEADY = sdk.Timing(silent=2.0, lost=3.0, probe=0.2, hold=0.5, hold_max=1.0)
_numbers = itertools.count(1)


@sdk.java("meshfast.peer.Order")
@dataclass
class Order:
    """Order.java."""

    id: int
    title: str | None
    price: float
    paid: bool
    at: datetime | None = None
    parts: list[Order] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)


class PeerService(Protocol):
    """Of PeerService.java what Python has the types for."""

    def whoami(self) -> str: ...

    def echo(self, text: str) -> str: ...

    def slow(self, millis: sdk.Int, text: str) -> str: ...

    def nothing(self) -> str | None: ...

    def fail(self, message: str) -> str: ...

    @sdk.named("failChecked")
    def fail_checked(self, message: str) -> str: ...

    def order(self, order: Order | None) -> Order | None: ...

    def checksum(self, data: bytes) -> int: ...

    def produce(self, size: sdk.Int) -> bytes: ...

    def attachments(self) -> dict[str, str]: ...

    def recorded(self) -> list[str]: ...


class World:
    """A sidecar with a door for the SDK, which leaves a snapshot for it."""

    def __init__(self, loop: str, *documents: mesh.Document) -> None:
        number = next(_numbers)
        RUN.mkdir(parents=True, exist_ok=True)
        self.state = RUN / f"sdk-{number}-state"
        shutil.rmtree(self.state, ignore_errors=True)
        self.where = {
            "address": f"unix://{RUN}/sdk-{number}.sock", "api": f"unix://{RUN}/sdk-{number}.api",
            "state": str(self.state),
        }  # fmt: skip
        more = {"endpoint": {"http": self.where["api"]}, "state": self.where["state"]}
        self.sidecar = Sidecar(loop, documents, [mesh.outbound(self.where["address"])], more=more)

    @contextmanager
    def blocking(self) -> Iterator[sdk.Blocking]:
        with sdk.Blocking("tests", timeout=20.0, timing=STEADY, **self.where) as found:
            yield found

    def left(self) -> bool:
        """Whether what is called is in the snapshot."""
        try:
            return any(SERVICE in one.name for one in snapshot.read(self.state, "tests").mesh.services)
        except (MeshfastError, OSError):
            return False


@pytest.fixture
def worlds() -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(loop: str, *documents: mesh.Document) -> World:
        made.append(World(loop, *documents))
        return made[-1]

    yield make
    for one in made:
        one.sidecar.close()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("version", VERSIONS)
def test_values(worlds: Callable[..., World], port_of: PortOf, loop: str, version: str) -> None:
    """Every type comes back as it went, nested and empty, and what is thrown comes with its class."""
    world = worlds(loop, mesh.entry([mesh.endpoint(port_of(version))]))
    with world.blocking() as found:
        peer = found.stub(PeerService, SERVICE)  # type: ignore[type-abstract]
        assert peer.whoami() == "A"
        for text in ("", "book", "Größe 😀 \U0001f600" * 50, "x" * 100_000):
            assert peer.echo(text) == text
        assert peer.slow(1, "x") == "A|x"
        assert peer.nothing() is None
        data = bytes(number % 251 for number in range(100_000))
        assert peer.produce(100_000) == data
        assert peer.checksum(b"123456789") == 0xCBF43926
        at = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC) + timedelta(milliseconds=7)
        part = Order(2, "part", 0.5, True, at)
        notes = {"text": "café € 😀", "count": 7, "none": None, "list": [1, 2.5, "x"], "map": {"k": -(1 << 62)}}
        order = Order(1 << 40, "all", 1 / 8, False, at, [part, part, Order(3, None, -1e300, False)], notes)
        assert peer.order(order) == order
        assert peer.order(None) is None
        thrown = {peer.fail: "java.lang.IllegalStateException", peer.fail_checked: "meshfast.peer.PeerException"}
        for call, kind in thrown.items():
            with pytest.raises(sdk.RemoteError, match="sold out") as error:
                call("sold out")
            assert (error.value.kind, error.value.message, error.value.may_have_run) == (kind, "sold out", True)
        assert world.sidecar.count("calls") >= 13 and found.counters["falls"] == 0


@pytest.mark.parametrize("loop", LOOPS)
def test_labels_and_time(worlds: Callable[..., World], peers: Peers, port_of: PortOf, loop: str) -> None:
    """A label leads where it says, what goes along is seen, and so is how long the caller waits."""
    base, dev = port_of("java-3.3"), peers.fresh("java-3.3").export("dev")
    entry = mesh.entry([mesh.endpoint(base), mesh.endpoint(dev, env="dev1")])
    world = worlds(loop, entry, *mesh.label_policy())
    with world.blocking() as found:
        peer, service = found.stub(PeerService, SERVICE), found.service(SERVICE)  # type: ignore[type-abstract]
        assert {peer.whoami() for _ in range(8)} == {"A"}
        with sdk.labelled(env="dev1"):
            assert {peer.whoami() for _ in range(8)} == {"dev"}
        reply = service.reply("attachments", attachments={"reply": "yes", "user": "ü"}, timeout=7.0)
        assert reply.value["user"] == "ü" and reply.attachments["replied"] == "yes"
        assert service.call("left", types=()) == -1 or service.call("left") <= 20_000
        with pytest.raises(sdk.CallTimeout):
            service.call("slow", 20_000, "x", types=("int", "java.lang.String"), timeout=0.2)
        service.tell("record", "one way")
        until("recorded", lambda: "one way" in peer.recorded())
        with pytest.raises(sdk.NoRoute):
            found.service("com.x.None").call("hi")


class Load:
    """Calls as fast as they come back, and what became of each."""

    def __init__(self, found: Any, idempotent: bool, name: str) -> None:
        self.service, self.idempotent, self.name = found.service(SERVICE), idempotent, name
        self.done: set[str] = set()
        self.failed: dict[str, Exception] = {}
        self.stopping = threading.Event()
        self.numbers = itertools.count()

    def one(self) -> None:
        while not self.stopping.is_set():
            token = f"{self.name}-{next(self.numbers)}"
            types = ("java.lang.String", "int", "java.lang.String")
            try:
                answer = self.service.call("attempt", "nobody", 0, token, types=types, idempotent=self.idempotent)
                assert answer == f"counting|{token}", (answer, token)
                self.done.add(token)
            except sdk.CallError as error:
                self.failed[token] = error

    def more(self, calls: int = 300) -> None:
        wanted = len(self.done) + calls
        until(f"{calls} more calls", lambda: len(self.done) >= wanted, 60)


@pytest.mark.parametrize("idempotent", [False, True], ids=["once", "idempotent"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_sidecar_comes_and_goes_under_load(
    worlds: Callable[..., World], peers: Peers, loop: str, idempotent: bool
) -> None:
    """Killed, stopped as planned, hung: what may be repeated never fails, what may not is never executed twice, and a
    planned stop costs nothing at all."""
    provider = peers.fresh("java-3.3").export("counting")
    world = worlds(loop, mesh.entry([mesh.endpoint(provider)]))
    threads = 8
    with world.blocking() as found, ThreadPoolExecutor(threads) as pool:
        load = Load(found, idempotent, f"{loop}-{idempotent}")
        running = [pool.submit(load.one) for _ in range(threads)]
        try:
            load.more()
            until("a snapshot", world.left, 60)
            for way in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP):
                failed = len(load.failed)
                until("thin", lambda: found.mode == "thin", 90)
                load.more()
                world.sidecar.child.send_signal(way)
                until("fat", lambda: found.mode == "fat", 60)
                load.more()
                if way == signal.SIGTERM:
                    assert len(load.failed) == failed
                if way == signal.SIGSTOP:
                    world.sidecar.child.send_signal(signal.SIGCONT)
                else:
                    world.sidecar.wait(60)
                    world.sidecar.again()
            until("thin again", lambda: found.mode == "thin", 90)
            load.more()
        finally:
            load.stopping.set()
        for one in running:
            one.result(60)
        executed = Counter(one for one in found.stub(PeerService, SERVICE).recorded())  # type: ignore[type-abstract]
        assert load.done <= set(executed)
        assert found.client.calls == {} and found.counters["returns"] >= 3
        under_way = threads * found.counters["falls"]
    if idempotent:
        assert not load.failed and max(executed.values()) <= 2
    else:
        assert max(executed.values()) == 1
        assert len(load.failed) <= under_way
        assert all(type(error) is sdk.ConnectionLost and error.may_have_run for error in load.failed.values())


@pytest.mark.parametrize("loop", LOOPS)
def test_the_other_face(worlds: Callable[..., World], port_of: PortOf, loop: str) -> None:
    """Many calls at a time on one connection, each with its own answer."""
    world = worlds(loop, mesh.entry([mesh.endpoint(port_of("java-3.3"))]))

    async def story() -> None:
        async with sdk.connect("tests", timeout=30.0, timing=STEADY, **world.where) as found:
            peer = found.service(SERVICE)
            for begun in range(0, 3000, 100):  # Dubbo for Java has 200 threads, and refuses what is over them
                numbers = range(begun, begun + 100)
                answers = await asyncio.gather(*(peer.call("ask", f"{number}") for number in numbers))
                assert answers == [f"A|{number}" for number in numbers]
            assert await peer.call("order", Order(1, "x", 2.0, True)) == Order(1, "x", 2.0, True)

    asyncio.run(asyncio.wait_for(story(), 120))
