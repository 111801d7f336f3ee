"""Applications that register by themselves, and the sidecars of a consumer that find them where they did."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from . import mesh
from .driver import Driver, PeerError
from .java import SERVICE, Java, dotted
from .load import loaded
from .process import ANY, RUN, accepts, free_port, until
from .sidecar import Sidecar
from .way import LOOPS

#: How long a change may take to be seen. It takes a fraction of a second; the machine may be busy with other things.
SECONDS = 30.0
_numbers = itertools.count(1)
#: By what was waited for: the longest time that it took, told at the end.
took: dict[str, float] = {}


class Registered(Java):
    """One JVM; of 3 and later each of its instances is an application of its own."""

    def __init__(self, version: str, name: str) -> None:
        self.main = "Driver" if version == "java-2.7" else "WorldDriver"
        super().__init__(version, f"registered-{name}")

    def export(self, name: str, port: int = 0, **params: Any) -> int:
        """Offer the service as instance ``name`` and register it at ``registry``; the port it listens on.

        Of 3 and later ``application`` is how it is named, and ``metadata`` where its metadata is: local or remote.
        """
        port = port or free_port()
        self.do("export", name=name, port=port, params=dotted(params))
        self.ready(f"{self.name} on port {port}", lambda: accepts(port))
        return port

    def leave(self, port: int) -> None:
        """End the instance at a port, as an application that is told to; does not wait, it takes seconds."""
        self.start("unexport", port=port)


def registry(address: str, name: str = "main", **fields: Any) -> dict[str, Any]:
    """A registry as a sidecar is told of it."""
    return {"name": name, "address": address, **fields}


class Followers:
    """A sidecar on each loop, that know by registries where to call, and one consumer's references through them."""

    def __init__(self, consumer: Driver, refer: Callable[..., str], scheme: str = "dubbo") -> None:
        self.consumer, self.scheme = consumer, scheme
        self.sidecars: list[Sidecar] = []
        self.ports: list[int] = []
        self.error: PeerError | None = None
        self._refer = refer
        self._state: Path = RUN / f"state-{next(_numbers)}"
        shutil.rmtree(self._state, ignore_errors=True)

    def follow(
        self, *registries: dict[str, Any], policy: Iterable[mesh.Document] = (), service: str = SERVICE, **fields: Any
    ) -> list[str]:
        """Start the sidecars, again with the state that those before left; a reference through each."""
        policy = list(policy)
        for loop in LOOPS:
            port = free_port()
            more = {"registries": list(registries), "state": str(self._state / loop)}
            door = {"name": "out", "bind": f"tcp://{ANY}:{port}", "direction": "outbound", "service": service}
            self.sidecars.append(Sidecar(loop, policy, [door], more=more))
            self.ports.append(port)
        return self.refs(**fields)

    def refs(self, **params: Any) -> list[str]:
        """References through the sidecars as they are now, by group or version maybe."""
        return [self._refer(self.consumer, port, scheme=self.scheme, **params) for port in self.ports]

    def who(self, ref: str, **attachments: str) -> set[str]:
        """Who answers a few equal calls, nobody if one fails."""
        try:
            return {self.consumer.call(ref, "whoami", attachments=attachments) for _ in range(8)}
        except PeerError as error:
            self.error = error
            return set()

    def answered_by(self, refs: Iterable[str], *names: str, what: str = "", **attachments: str) -> None:
        """Wait until these, and no others, answer on every way."""
        began = time.monotonic()
        for ref in refs:
            self._answered_by(ref, set(names), attachments)
        if what:
            took[what] = max(took.get(what, 0.0), time.monotonic() - began)

    def _answered_by(self, ref: str, names: set[str], attachments: dict[str, str]) -> None:
        found: set[str] = set()

        def is_so() -> bool:
            found.clear()
            found.update(self.who(ref, **attachments))
            return found == names

        try:
            until(f"{names} answer", is_so, SECONDS)
        except TimeoutError as error:
            raise TimeoutError(f"{error}, but {found or self.error}") from None

    @contextlib.contextmanager
    def calling(self, refs: Iterable[str]) -> Iterator[None]:
        """A steady load on every way meanwhile, of which no call may fail."""
        with contextlib.ExitStack() as loads:
            reports = [loads.enter_context(loaded(self.consumer, ref, threads=4)) for ref in refs]
            for report in reports:
                until("calls", lambda: report()["good"] > 20)  # noqa: B023
            yield
            for report in reports:
                before = report()["good"]
                until("calls go on", lambda: report()["good"] > before + 20)  # noqa: B023
                told = report(end=True)
                assert (told["wrong"], told["failed"]) == (0, 0), told["errors"]

    def stop(self) -> None:
        """End the sidecars; what they know stays in their folders."""
        while self.sidecars:
            self.sidecars.pop().close()
        self.ports.clear()
