"""What every demonstration stands on: its applications and sidecars as processes, a time limit, and its checks."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from meshfast.demo import admin
from meshfast.demo.process import READY_TIMEOUT, Child, Children, DemoError
from meshfast.demo.show import Check, Findings, Show
from meshfast.demo.topology import HOST, Gateway, Instance, Place, Ports, place

TIME_LIMIT = 120.0  # seconds, for all of it
POLL = 0.02  # seconds


@dataclass(frozen=True, slots=True)
class Options:
    """``interval``: seconds between two calls of one background caller. ``loop``: the sidecars' event loop.
    ``settle``: seconds of load before, between and after changes. ``live``: by then a changed file is in force."""

    directory: Path
    loop: str = "auto"
    interval: float = 0.02
    keep: bool = False
    settle: float = 1.5
    live: float = 1.0


class Stage(ABC):
    """One run. ``await run()`` returns what was found; whatever happens, no process is left."""

    TIME_LIMIT = TIME_LIMIT
    report: Findings

    def __init__(self, options: Options, show: Show) -> None:
        self.options = options
        self.show = show
        self.ports = Ports()
        self.children = Children(options.directory / "logs")
        self.mesh = options.directory / "mesh"
        self.sidecars = options.directory / "sidecars"
        self.kept = False  # all is checked, and left running

    @abstractmethod
    def write(self) -> None:
        """Writes the policy, and each sidecar's own file."""

    @abstractmethod
    async def begin(self) -> None:
        """Starts everything, and returns when all of it is ready."""

    @abstractmethod
    def picture(self) -> None:
        """Shows who runs where."""

    @abstractmethod
    async def story(self) -> None:
        """All that happens."""

    @abstractmethod
    def judge(self) -> None:
        """The checks that are left for the end."""

    @abstractmethod
    def summary(self) -> None:
        """Shows what was found."""

    @abstractmethod
    def hints(self) -> Iterable[str]:
        """What there is to try while all is left running."""

    async def run(self) -> Findings:
        """:raises DemoError: something does not start, or takes too long"""
        try:
            async with self._processes(), asyncio.timeout(self.TIME_LIMIT) as limit:
                await self.story()
                if self.options.keep:
                    limit.reschedule(None)
                    self.judge()
                    await self._keep()
        except TimeoutError:
            raise DemoError(f"not done after {self.TIME_LIMIT:.0f} s; logs: {self.children.logs}") from None
        finally:
            self.ports.close()
        if not self.options.keep:
            self.judge()
            self.summary()
        return self.report

    def check(self, name: str, good: bool, detail: str) -> None:
        self.report.checks.append(Check(name, good, detail))

    # --- processes

    @asynccontextmanager
    async def _processes(self) -> AsyncIterator[None]:
        """Everything runs inside; everything has ended after."""
        began = time.monotonic()
        for directory in (self.mesh, self.sidecars, self.children.logs):
            directory.mkdir(parents=True, exist_ok=True)
        self.write()
        try:
            await self.begin()
            self.show.line(f"all ready after {time.monotonic() - began:.1f} s")
            self.picture()
            yield
            self.children.check()
        finally:
            codes = await self.stop_all()
        bad = [f"{name}: {code}" for name, code in codes.items() if code != 0]
        found = f"{len(codes)} processes, {', '.join(bad) or 'exit code 0 each'}"
        self.check("every process ends cleanly when told to", not bad, found)

    async def stop_all(self) -> dict[str, int]:
        """The sidecars first: they still need their applications to answer what is in flight."""
        stop = [c for c in self.children.all if c.name.endswith("sidecar")]
        codes = await self.children.stop_these(stop)
        return codes | await self.children.stop_these(self.children.all)

    async def start_sidecar(self, name: str) -> Child:
        own = self.sidecars / f"{name}.yaml"
        return await self.children.start(f"{name}-sidecar", "meshfast", "proxy", str(self.mesh), str(own))

    async def sidecar_ready(self, sidecar: Child, port: int) -> None:
        """``port``: of its admin address."""
        deadline = time.monotonic() + READY_TIMEOUT
        while not await admin.ready(port):
            self.children.check()
            if time.monotonic() > deadline:
                raise DemoError(f"{sidecar.name} is not ready after {READY_TIMEOUT:.0f} s; see {sidecar.log}")
            await asyncio.sleep(POLL)

    async def _keep(self) -> None:
        """Leaves all running until it is interrupted."""
        self.kept = True
        self.summary()
        self.show.title("Still running; end it with Ctrl-C")
        self.picture()
        for hint in self.hints():
            self.show.line(hint)
        while True:
            self.children.check()
            await asyncio.sleep(0.2)


class Environments(Stage):
    """A stage with a sidecar where calls come in, and applications that call each other."""

    START: tuple[Instance, ...]  # who runs from the start

    def __init__(self, options: Options, show: Show, instances: Iterable[Instance]) -> None:
        super().__init__(options, show)
        self.gateway = Gateway(self.ports.take(), self.ports.take())
        self.places = {instance: place(instance, self.ports) for instance in instances}
        self.apps: dict[Instance, Child] = {}

    @abstractmethod
    def arguments(self, one: Place) -> tuple[str, ...]:
        """What its program is told besides."""

    async def begin(self) -> None:
        self.show.title(f"Starting {len(self.START)} applications and {len(self.START) + 1} sidecars")
        # The first one makes the process group that the others join.
        gateway = await self.start_sidecar("gateway")
        pairs = [await self.start(self.places[instance]) for instance in self.START]
        await self.sidecar_ready(gateway, self.gateway.admin)
        await asyncio.gather(*(self.both_ready(*pair) for pair in pairs))

    async def start(self, one: Place) -> tuple[Place, Child, Child]:
        """An application and the sidecar beside it."""
        return one, await self.start_app(one), await self.start_sidecar(one.instance.file)

    async def start_app(self, one: Place) -> Child:
        instance = one.instance
        app = self.apps[instance] = await self.children.start(
            f"{instance.file}-app", "meshfast.demo.app",
            "--name", instance.app, "--env", instance.env,
            "--listen", f"{HOST}:{one.app}", "--sidecar", f"{HOST}:{one.outbound}", *self.arguments(one),
        )  # fmt: skip
        return app

    async def both_ready(self, one: Place, app: Child, sidecar: Child) -> None:
        await self.children.ready(app, one.app)
        await self.sidecar_ready(sidecar, one.admin)
