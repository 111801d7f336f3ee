"""Sidecars with a door for the SDK for Python, what it calls there, and load by it while they come and go."""

from __future__ import annotations

import itertools
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from meshfast import sdk, snapshot
from meshfast.errors import MeshfastError

from . import mesh
from .java import SERVICE
from .process import RUN, until
from .sidecar import Sidecar

#: A busy machine is silent now and then; and a test does not wait as long as an application for the return.
STEADY = sdk.Timing(silent=2.0, lost=3.0, probe=0.2, hold=0.5, hold_max=1.0)
#: Of who is never to turn away from its sidecar.
PATIENT = sdk.Timing(silent=60.0, lost=60.0)
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
    def blocking(self, timing: sdk.Timing = STEADY) -> Iterator[sdk.Blocking]:
        with sdk.Blocking("tests", timeout=20.0, timing=timing, **self.where) as found:
            yield found

    def left(self) -> bool:
        """Whether what is called is in the snapshot."""
        try:
            return any(SERVICE in one.name for one in snapshot.read(self.state, "tests").mesh.services)
        except (MeshfastError, OSError):
            return False


#: Makes one; all end with the test.
Worlds = Callable[..., World]


class Load:
    """Calls of a ``service`` of ``found`` as fast as they come back, and what became of each."""

    def __init__(self, service: Any, idempotent: bool, name: str) -> None:
        self.service, self.idempotent, self.name = service, idempotent, name
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


#: Of ``Load`` at once.
THREADS = 8


def comes_and_goes(world: World, load: Load, recorded: Callable[[], Sequence[str]]) -> None:
    """A sidecar is killed, stopped as planned and hung under load: what may be repeated never fails, what may not is
    never executed twice, and a planned stop costs nothing at all. ``recorded``: the calls that were executed."""
    client = load.service.client
    with ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(load.one) for _ in range(THREADS)]
        try:
            load.more()
            until("a snapshot", world.left, 60)
            for way in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP):
                failed = len(load.failed)
                until("thin", lambda: client.mode == "thin", 90)
                load.more()
                world.sidecar.child.send_signal(way)
                until("fat", lambda: client.mode == "fat", 60)
                load.more()
                if way == signal.SIGTERM:
                    assert len(load.failed) == failed
                if way == signal.SIGSTOP:
                    world.sidecar.child.send_signal(signal.SIGCONT)
                else:
                    world.sidecar.wait(60)
                    world.sidecar.again()
            until("thin again", lambda: client.mode == "thin", 90)
            load.more()
        finally:
            load.stopping.set()
        for one in running:
            one.result(60)
    executed = Counter(recorded())
    assert load.done <= set(executed)
    assert client.calls == {} and client.counters["returns"] >= 3
    if load.idempotent:
        assert not load.failed and max(executed.values()) <= 2
    else:
        assert max(executed.values()) == 1
        assert len(load.failed) <= THREADS * client.counters["falls"]
        assert all(type(error) is sdk.ConnectionLost and error.may_have_run for error in load.failed.values())
