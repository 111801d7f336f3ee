"""The demonstration from start to end: start everything, call, change the mesh under load, judge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from meshfast.demo import admin, policy
from meshfast.demo.explain import Why, why
from meshfast.demo.judge import Call, Timeline, tally
from meshfast.demo.load import Load, call
from meshfast.demo.process import READY_TIMEOUT, Child, Children, DemoError
from meshfast.demo.protocols import consumer
from meshfast.demo.show import Check, Hop, Report, Show, Walk
from meshfast.demo.topology import (
    APPS,
    HOST,
    KILLED,
    LATE,
    START,
    Gateway,
    Instance,
    Place,
    Ports,
    following,
    path,
    path_text,
    place,
    service,
)
from meshfast.demo.wire import PROTOCOLS

LABELS = ("dev1", "dev2", "", "dev9")  # nobody is labelled dev9
TIME_LIMIT = 120.0  # seconds, for all of it
TAKE_TIMEOUT = 15.0  # seconds, for a change to reach every sidecar
SPREAD_LIMIT = 1.0  # seconds: a changed file is live by then
BACK_TIMEOUT = 15.0  # seconds, for an instance that is back to be used again
SETTLE = 1.5  # seconds of load before, between and after the changes
POLL = 0.02  # seconds


@dataclass(frozen=True, slots=True)
class Options:
    """``interval``: seconds between two calls of one background caller. ``loop``: the sidecars' event loop."""

    directory: Path
    loop: str = "auto"
    interval: float = 0.02
    keep: bool = False


class Demo:
    """One run. ``await run()`` returns the report; whatever happens, no process is left."""

    def __init__(self, options: Options, show: Show) -> None:
        self.options = options
        self.show = show
        self.report = Report(options.directory)
        self.ports = Ports()
        self.children = Children(options.directory / "logs")
        self.gateway = Gateway(self.ports.take(), self.ports.take())
        self.places = {instance: place(instance, self.ports) for instance in (*START, LATE)}
        self.timeline = Timeline(START)
        self._mesh = options.directory / "mesh"
        self._clients = {protocol: consumer(protocol, (HOST, self.gateway.outbound)) for protocol in PROTOCOLS}
        self._apps: dict[Instance, Child] = {}
        self.kept = False  # all is checked, and left running

    async def run(self) -> Report:
        """:raises DemoError: something does not start, or takes too long"""
        try:
            async with self._processes(), asyncio.timeout(TIME_LIMIT) as limit:
                await self._walks("Calls by hand: the path, and why it left the label's environment", LABELS)
                await self._inside(Instance("A", "dev1"))
                await self._switch()
                await self._kill()
                await self._trace_memory()
                if self.options.keep:
                    limit.reschedule(None)
                    self._judge_walks()
                    await self._keep()
        except TimeoutError:
            raise DemoError(f"not done after {TIME_LIMIT:.0f} s; logs: {self.children.logs}") from None
        finally:
            self.ports.close()
        if not self.options.keep:
            self._judge_walks()
            self.show.summary(self.report)
        return self.report

    # --- processes

    @asynccontextmanager
    async def _processes(self) -> AsyncIterator[None]:
        """Everything runs inside; everything has ended after."""
        began = time.monotonic()
        sidecars = self.options.directory / "sidecars"
        for directory in (self._mesh, sidecars, self.children.logs):
            directory.mkdir(parents=True, exist_ok=True)
        policy.write(sidecars / "gateway.yaml", policy.gateway(self.gateway, self.options.loop))
        for one in self.places.values():
            policy.write(sidecars / f"{one.instance.file}.yaml", policy.sidecar(one, self.options.loop))
        self._write_mesh(START)
        try:
            self.show.title(f"Starting {len(START)} applications and {len(START) + 1} sidecars")
            # The first one makes the process group that the others join.
            gateway = await self._start_sidecar("gateway")
            pairs = [await self._start(self.places[instance]) for instance in START]
            await self._ready(gateway, self.gateway.admin)
            await asyncio.gather(*(self._both_ready(*pair) for pair in pairs))
            self.show.line(f"all ready after {time.monotonic() - began:.1f} s")
            self.show.topology((self.places[i] for i in START), self.gateway, self.options.directory)
            yield
            self.children.check()
        finally:
            for client in self._clients.values():
                await client.close()
            codes = await self._stop_all()
        bad = [f"{name}: {code}" for name, code in codes.items() if code != 0]
        found = f"{len(codes)} processes, {', '.join(bad) or 'exit code 0 each'}"
        self._check("every process ends cleanly when told to", not bad, found)

    async def _stop_all(self) -> dict[str, int]:
        """The sidecars first: they still need their applications to answer what is in flight."""
        stop = [c for c in self.children.all if c.name.endswith("sidecar")]
        codes = await self.children.stop_these(stop)
        return codes | await self.children.stop_these(self.children.all)

    async def _start(self, one: Place) -> tuple[Place, Child, Child]:
        return one, await self._start_app(one), await self._start_sidecar(one.instance.file)

    async def _start_app(self, one: Place) -> Child:
        instance = one.instance
        next_app = following(instance.app)
        app = self._apps[instance] = await self.children.start(
            f"{instance.file}-app", "meshfast.demo.app",
            "--name", instance.app, "--env", instance.env,
            "--listen", f"{HOST}:{one.app}", "--sidecar", f"{HOST}:{one.outbound}",
            "--next", service(next_app) if next_app else "",
        )  # fmt: skip
        return app

    async def _start_sidecar(self, name: str) -> Child:
        own = self.options.directory / "sidecars" / f"{name}.yaml"
        return await self.children.start(f"{name}-sidecar", "meshfast", "proxy", str(self._mesh), str(own))

    async def _both_ready(self, one: Place, app: Child, sidecar: Child) -> None:
        await self.children.ready(app, one.app)
        await self._ready(sidecar, one.admin)

    async def _ready(self, sidecar: Child, port: int) -> None:
        deadline = time.monotonic() + READY_TIMEOUT
        while not await admin.ready(port):
            self.children.check()
            if time.monotonic() > deadline:
                raise DemoError(f"{sidecar.name} is not ready after {READY_TIMEOUT:.0f} s; see {sidecar.log}")
            await asyncio.sleep(POLL)

    # --- calls

    async def _walks(self, title: str, labels: Iterable[str]) -> None:
        self.show.title(title)
        for label in labels:
            for protocol, client in self._clients.items():
                await self._walk(await call(client, protocol, label), label, self.gateway.admin)

    async def _inside(self, instance: Instance) -> None:
        """Calls that begin in an environment, with no label and a trace id that nobody knows."""
        own = self.places[instance]
        for protocol in PROTOCOLS:
            client = consumer(protocol, (HOST, own.outbound))
            one = await call(client, protocol, "", following(instance.app))
            await client.close()
            await self._walk(one, instance.env, own.admin, instance)

    async def _walk(self, one: Call, label: str, asked: int, inside: Instance | None = None) -> None:
        """Shows the way of a call that counts as labelled `label`; each hop by the word of the sidecar that made it,
        the first by the one with the admin port `asked`."""
        self.children.check()
        hops = []
        for instance in one.hops or ():
            told = await self._why(asked, one.protocol, instance.app, label)
            hops.append(Hop(instance, told.reason, told.peer == f"{HOST}:{self.places[instance].inbound}"))
            asked = self.places[instance].admin
        first = following(inside.app) if inside else APPS[0]
        right = one.value in self.timeline.allowed(label, one.sent, one.answered, first) and not one.strayed
        walk = Walk(one, tuple(hops), right, inside)
        self.report.walks.append(walk)
        self.show.walk(walk)

    async def _why(self, port: int, protocol: str, app: str, label: str) -> Why:
        return why(await admin.explain(port, protocol, service(app), label), app)

    # --- the change

    async def _switch(self) -> None:
        """C(dev1) comes and goes while calls run."""
        self.show.title(f"{LATE} starts and stops while calls run")
        load = Load((HOST, self.gateway.outbound), LABELS, self.options.interval)
        load.start()
        try:
            await asyncio.sleep(SETTLE)
            pair = await self._start(self.places[LATE])
            await self._both_ready(*pair)
            await self._change(f"{LATE} is listed", (*START, LATE))
            await self._walks(f"With {LATE}", ("dev1",))
            await asyncio.sleep(SETTLE)
            await self._change(f"{LATE} is no longer listed", START)
            sidecar, app = await self.children.stop(pair[2]), await self.children.stop(pair[1])
            self.show.line(f"{LATE} has stopped")
            await self._walks(f"Without {LATE}", ("dev1",))
            await asyncio.sleep(SETTLE)
        finally:
            calls = await load.stop()
        self.children.check()
        found = self.report.load = tally(calls, self.timeline)
        self.show.paths(found)
        each = {p: tally((one for one in calls if one.protocol == p), self.timeline) for p in PROTOCOLS}
        self._check("no call in the background is lost", all(one.sent and not one.lost for one in each.values()),
                    ", ".join(f"{p}: {one.answered} of {one.sent} answered" for p, one in each.items()))  # fmt: skip
        self._check("each went where policy allowed at its time", not found.elsewhere,
                    f"{len(found.elsewhere)} elsewhere")  # fmt: skip
        self._check("none got the answer to another", not found.strayed, f"{len(found.strayed)} strayed")
        self._check("none without a label entered an environment", not found.leaked, f"{len(found.leaked)} did")
        ways = [path_text(path("dev1", running)) for running in ((*START, LATE), START)]
        used = {p: [found.paths[p, "dev1", way] for way in ways] for p in PROTOCOLS}
        self._check(f"dev1 used {LATE} while it was there", all(all(one) for one in used.values()),
                    ", ".join(f"{p}: {new} calls, {old} without it" for p, (new, old) in used.items()))  # fmt: skip
        slow = [f"{what}: {took:.2f} s" for what, took in self.report.changes.items()]
        self._check("each change was live within a second", max(self.report.changes.values()) <= SPREAD_LIMIT,
                    ", ".join(slow))  # fmt: skip
        self._check(f"{LATE} drained and ended cleanly", (sidecar, app) == (0, 0), f"exit codes {sidecar}, {app}")

    async def _change(self, what: str, running: tuple[Instance, ...]) -> None:
        """Rewrites the mesh and waits until every sidecar routes by it."""
        began = time.monotonic()
        self.timeline.begin_change(running, began)
        self._write_mesh(running)
        wanted = path(LATE.env, running)[-1]
        ports = [self.gateway.admin, *(self.places[instance].admin for instance in (*START, LATE))]
        await asyncio.gather(*(self._taken(port, protocol, wanted) for port in ports for protocol in PROTOCOLS))
        ended = time.monotonic()
        self.timeline.end_change(ended)
        self.report.changes[what] = ended - began
        self.show.line(f"{what}: {len(ports)} sidecars route by it after {ended - began:.2f} s")

    async def _taken(self, port: int, protocol: str, wanted: Instance) -> None:
        """Returns once this sidecar would send a call labelled like LATE to `wanted`."""
        deadline = time.monotonic() + TAKE_TIMEOUT
        peer = f"{HOST}:{self.places[wanted].inbound}"
        while (await self._why(port, protocol, LATE.app, LATE.env)).peer != peer:
            self.children.check()
            if time.monotonic() > deadline:
                raise DemoError(f"the sidecar with admin port {port} does not take a change; see {self.children.logs}")
            await asyncio.sleep(POLL)

    async def _kill(self) -> None:
        """The application of KILLED ends without a word, its sidecar stays: its calls go to the baseline until it is
        back."""
        self.show.title(f"{KILLED} is killed")
        await self.children.kill(self._apps[KILLED])
        self._now([one for one in START if one != KILLED])
        await self._walks(f"Without {KILLED}, which is still listed", (KILLED.env,))
        app = await self._start_app(self.places[KILLED])
        await self.children.ready(app, self.places[KILLED].app)
        began = time.monotonic()
        self.timeline.begin_change(START, began)
        for protocol in PROTOCOLS:
            await self._found_again(protocol)
        self.timeline.end_change(time.monotonic())
        self.show.line(f"{KILLED} is back, and used again after {time.monotonic() - began:.2f} s")
        await self._walks(f"With {KILLED} again", (KILLED.env,))

    async def _found_again(self, protocol: str) -> None:
        """Calls until one has gone to KILLED; none of them is lost or goes where it may not."""
        deadline = time.monotonic() + BACK_TIMEOUT
        while True:
            one = await call(self._clients[protocol], protocol, KILLED.env)
            if one.value not in self.timeline.allowed(KILLED.env, one.sent, one.answered):
                raise DemoError(f"{protocol}: {one.error or one.value}, while {KILLED} comes back")
            if one.hops and KILLED in one.hops:
                return
            if time.monotonic() > deadline:
                raise DemoError(f"{KILLED} is back for {BACK_TIMEOUT:.0f} s and not used; see {self.children.logs}")
            await asyncio.sleep(POLL)

    def _now(self, running: Iterable[Instance]) -> None:
        """These run from now on, whatever was before."""
        now = time.monotonic()
        self.timeline.begin_change(running, now)
        self.timeline.end_change(now)

    def _write_mesh(self, running: Iterable[Instance]) -> None:
        policy.write(self._mesh / "mesh.yaml", policy.mesh(self.places[instance] for instance in running))

    # --- judgement

    async def _trace_memory(self) -> None:
        """The applications carry the trace id only: the label must have come from the sidecars' memory."""
        name = "meshfast_labels_context_total"
        ports = [self.places[instance].admin for instance in START]
        found = sum(await asyncio.gather(*(admin.counter(port, name) for port in ports)))
        self._check("labels were found again by trace id", found > 0, f"{found:.0f} times, by {len(ports)} sidecars")

    def _judge_walks(self) -> None:
        walks = self.report.walks
        right = sum(walk.right for walk in walks)
        self._check("every call by hand went where policy says", right == len(walks) > 0, f"{right} of {len(walks)}")
        hops = [hop for walk in walks for hop in walk.hops]
        # A reason is due exactly where a call went to the baseline.
        good = sum(hop.agrees and bool(hop.reason) == (not hop.instance.env) for hop in hops)
        self._check("each sidecar explains its hop as it went", good == len(hops) > 0, f"{good} of {len(hops)} hops")

    def _check(self, name: str, good: bool, detail: str) -> None:
        self.report.checks.append(Check(name, good, detail))

    async def _keep(self) -> None:
        """Leaves all running until it is interrupted."""
        self.kept = True
        self.show.summary(self.report)
        self.show.title("Still running; end it with Ctrl-C")
        self.show.topology((self.places[i] for i in START), self.gateway, self.options.directory)
        url = f"http://{HOST}:{self.places[Instance('B', 'dev1')].admin}"
        self.show.line(f"try: curl '{url}{admin.explain_path(PROTOCOLS[0], service('C'), 'dev1')}'")
        self.show.line("or edit the policy: a good change is live within a second, a bad one is refused in the logs")
        while True:
            self.children.check()
            await asyncio.sleep(0.2)
