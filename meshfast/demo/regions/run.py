"""The demonstration of data centres from start to end, every call judged."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

from meshfast.demo import admin
from meshfast.demo.documents import write
from meshfast.demo.load import Load
from meshfast.demo.process import Child, DemoError
from meshfast.demo.regions import policy
from meshfast.demo.regions.judge import Death, Timeline, drawn, first, verdict
from meshfast.demo.regions.show import RegionsShow, Report, Step, Told, by_region
from meshfast.demo.regions.topology import (
    APPS,
    BACK,
    BY_HAND,
    CALLERS,
    DEAD,
    DONE,
    FAR,
    HALF,
    HOME,
    LEFT,
    MOVED,
    NEXT,
    OTHER,
    REGIONS,
    START,
    WELL,
    Stand,
    region,
)
from meshfast.demo.stage import POLL, Environments, Options
from meshfast.demo.topology import HOST, Place
from meshfast.demo.wire import PROTOCOLS

WORK = 20  # milliseconds that an instance takes to answer, so that some calls are in flight as it dies
TAKE_TIMEOUT = 15.0  # seconds, for a change to be in force by the word of the callers' sidecar
SPREAD = 0.05  # seconds: shares that calls go by follow health within 10 ms, what explain tells at once
SEE_TIMEOUT = 15.0  # seconds, for ends of connections and for calls
_AT = {DEAD: NEXT, BACK: HOME, LEFT: FAR, HALF: HOME}  # where calls are then that were not there just before

Change = Callable[[], Awaitable[None]]


class Regions(Environments):
    """One run."""

    START = START
    report: Report
    show: RegionsShow

    def __init__(self, options: Options, show: RegionsShow) -> None:
        super().__init__(options, show, START)
        self.mesh = options.directory / "regions"
        self.switch = self.mesh / "switch.yaml"
        self.report = Report(options.directory)
        self.timeline = Timeline()
        self.death = Death()
        self.load = Load((HOST, self.gateway.outbound), ("",), options.interval, CALLERS)

    def write(self) -> None:
        self.switch.unlink(missing_ok=True)  # of a run before
        loop = self.options.loop
        write(self.sidecars / "gateway.yaml", policy.caller(self.gateway, loop))
        for one in self.places.values():
            write(self.sidecars / f"{one.instance.file}.yaml", policy.sidecar(one, loop))
        write(self.mesh / "mesh.yaml", policy.mesh(self.places.values()))

    def arguments(self, one: Place) -> tuple[str, ...]:
        return ("--work", str(WORK))

    def picture(self) -> None:
        self.show.centres(self.places.values(), self.gateway)
        self.show.line(f"policy: {self.mesh}   logs: {self.children.logs}")

    def summary(self) -> None:
        self.show.end(self.report)

    def hints(self) -> Iterable[str]:
        yield f"try: meshfast explain --app {MOVED} --admin {HOST}:{self.gateway.admin}"
        yield f"or write to {self.switch}:\n{policy.switch(100)}"

    # --- what happens

    async def story(self) -> None:
        self.load.start()
        try:
            await self._phase(WELL, "Calls stay near")
            await self._phase(DEAD, f"The data centre {HOME} dies", self._die)
            await self._phase(BACK, f"{HOME} comes back", self._return)
            await self._phase(LEFT, f"A small document sends {MOVED} from {HOME} to {FAR}", self._document(100))
            await self._phase(HALF, "The document says 50 percent", self._document(50))
            await self._phase(DONE, "The document is taken away", self._document(None))
        finally:
            await self.load.stop()
        self.children.check()

    async def _phase(self, stand: Stand, title: str, change: Change | None = None) -> None:
        """One change, and a while after the callers' sidecar says that it is in force."""
        self.show.title(title)
        began = time.monotonic()
        self.timeline.begin(stand, began)
        if change is not None:
            await change()
        told = await self._said(stand)
        await asyncio.sleep(SPREAD)
        now = time.monotonic()
        self.timeline.settle(now)
        if change is not None:
            self.report.changes[stand.name] = now - began
        await asyncio.sleep(self.options.settle)
        step = Step(stand, told, await self._steady(now))
        self.report.steps.append(step)
        self.show.step(step)
        if change is not None:
            there = f"; first calls there after {self._first(stand)}" if stand in _AT else ""
            self.show.line(f"  in force after {now - began:.2f} s{there}")

    async def _steady(self, since: float) -> Counter[tuple[str, str, str]]:
        """The calls that met the last stand alone; some of each kind, however slow the machine is."""
        while True:
            calls = self.timeline.phases[-1].steady(self.load.calls)
            kinds = {(app, protocol) for app, protocol, _ in calls}
            if len(kinds) == len(APPS) * len(PROTOCOLS) or time.monotonic() > since + SEE_TIMEOUT:
                return calls
            await asyncio.sleep(POLL)

    async def _said(self, stand: Stand) -> dict[str, Told]:
        """What the callers' sidecar says of each application, once that is what it should, or when time is up."""
        deadline = time.monotonic() + TAKE_TIMEOUT
        while True:
            told = {app: await admin.shares(self.gateway.admin, app) for app in APPS}
            if all(_shares(told[app]) == stand.shares[app] for app in APPS) or time.monotonic() > deadline:
                return told
            self.children.check()
            await asyncio.sleep(POLL)

    async def _die(self) -> None:
        """Every process of HOME ends without a word. Until their connections are seen to end, calls are in flight."""
        all_closed = sum(await self._connections())
        self.death.begin = time.monotonic()
        await self.children.kill(*self._at_home())
        deadline = time.monotonic() + SEE_TIMEOUT
        while (await self._connections())[0] < all_closed:
            if time.monotonic() > deadline:
                raise DemoError(f"the connections to {HOME} do not end; see {self.children.logs}")
            await asyncio.sleep(POLL / 10)
        self.death.end = time.monotonic()

    def _at_home(self) -> list[Child]:
        names = {f"{one.file}-{what}" for one in START if region(one) == HOME for what in ("app", "sidecar")}
        return [child for child in self.children.all if child.name in names]

    async def _connections(self) -> tuple[float, float]:
        """The connections of the callers' sidecar that have ended, and those that are there."""
        made = await admin.counter(self.gateway.admin, "meshfast_upstream_connections_total")
        there = await admin.counter(self.gateway.admin, "meshfast_upstream_active")
        return made - there, there

    async def _return(self) -> None:
        pairs = [await self.start(self.places[instance]) for instance in START if region(instance) == HOME]
        await asyncio.gather(*(self.both_ready(*pair) for pair in pairs))

    def _document(self, percent: int | None) -> Change:
        async def change() -> None:
            if percent is None:
                self.switch.unlink()
                return
            text = policy.switch(percent)
            write(self.switch, text)
            self.show.line("".join(f"    {line}\n" for line in text.splitlines()).rstrip())

        return change

    # --- judgement

    def _first(self, stand: Stand) -> str:
        """How long after the change the first call was where it went from then on, by protocol."""
        return ", ".join(f"{p} {self._after(stand, p):.2f} s" for p in PROTOCOLS)

    def _after(self, stand: Stand, protocol: str) -> float:
        return first(self.load.calls, MOVED, protocol, _AT[stand], self.timeline.of(stand).begin)

    def judge(self) -> None:
        load = self.report.load = verdict(self.load.calls, self.timeline, self.death)
        steps = {step.stand: step for step in self.report.steps}
        self._stays("all calls stay near", steps[WELL], APPS, HOME)
        self._stays(f"{HOME} dies: calls go on to {NEXT}", steps[DEAD], APPS, NEXT)
        self.check(f"lost are only calls in flight as {HOME} died", not load.lost and load.cut_as_they_died,
                   f"{len(load.lost)} others; of {load.in_flight} in flight in these "
                   f"{(self.death.end - self.death.begin) * 1e3:.0f} ms {len(load.cut)} were cut")  # fmt: skip
        self._stays(f"{HOME} comes back: calls return", steps[BACK], APPS, HOME)
        self._stays(f"the document moves {MOVED} to {FAR}", steps[LEFT], (MOVED,), FAR)
        half = [steps[HALF].count(MOVED, where) for where in (FAR, HOME)]
        self.check("then half of it", drawn(50, half[0], sum(half)), f"{half[0]} in {FAR}, {half[1]} in {HOME}")
        self._stays("the document is gone: all is back", steps[DONE], (MOVED,), HOME)
        other = sum(steps[one].total(OTHER) for one in BY_HAND)
        at_home = sum(steps[one].count(OTHER, HOME) for one in BY_HAND)
        self.check(f"{OTHER} is not touched by it", at_home == other > 0, f"{at_home} of {other} calls in {HOME}")
        live = {one.name: max(self._after(one, p) for p in PROTOCOLS) for one in (LEFT, HALF)}
        live[DONE.name] = self.report.changes[DONE.name]
        self.check("each change of it is in force within a second", max(live.values()) <= self.options.live,
                   ", ".join(f"{name}: {took:.2f} s" for name, took in live.items()))  # fmt: skip
        self.check("each call went where policy allowed at its time", not load.elsewhere,
                   f"{len(load.elsewhere)} of {load.sent} elsewhere")  # fmt: skip
        self.check("none got the answer to another", not load.strayed, f"{len(load.strayed)} strayed")
        self._agrees()

    def _stays(self, name: str, step: Step, apps: Iterable[str], where: str) -> None:
        """All calls of these applications were answered there."""
        there, all_ = (sum(x) for x in zip(*((step.count(a, where), step.total(a)) for a in apps), strict=True))
        self.check(name, there == all_ > 0, f"{there} of {all_} in {where}")

    def _agrees(self) -> None:
        """What explain told is what came."""
        told = [
            (step.stand.shares[app][where], _shares(step.told[app])[where], step.count(app, where), step.total(app))
            for step in self.report.steps for app in APPS for where in REGIONS
        ]  # fmt: skip
        good = sum(wanted == share and drawn(share, n, total) for wanted, share, n, total in told)
        self.check("explain tells each share as it is", good == len(told) > 0, f"{good} of {len(told)}")


def _shares(told: Told) -> dict[str, float]:
    return {where: one["share"] for where, one in by_region(told).items()}
