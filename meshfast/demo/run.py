"""The demonstration from start to end: start everything, call, change the mesh under load, judge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from meshfast.demo import admin, policy
from meshfast.demo.documents import write
from meshfast.demo.explain import Why, why
from meshfast.demo.judge import Call, Timeline, tally
from meshfast.demo.load import Load, call
from meshfast.demo.process import DemoError
from meshfast.demo.protocols import consumer
from meshfast.demo.show import Hop, Report, Show, Walk
from meshfast.demo.stage import POLL, Environments, Options
from meshfast.demo.topology import (
    APPS,
    HOST,
    KILLED,
    LATE,
    START,
    Instance,
    Place,
    following,
    path,
    path_text,
    service,
)
from meshfast.demo.wire import PROTOCOLS

LABELS = ("dev1", "dev2", "", "dev9")  # nobody is labelled dev9
TAKE_TIMEOUT = 15.0  # seconds, for a change to reach every sidecar
BACK_TIMEOUT = 15.0  # seconds, for an instance that is back to be used again


class Demo(Environments):
    """One run of the label demonstration."""

    START = START
    report: Report

    def __init__(self, options: Options, show: Show) -> None:
        super().__init__(options, show, (*START, LATE))
        self.report = Report(options.directory)
        self.timeline = Timeline(START)
        self._clients = {protocol: consumer(protocol, (HOST, self.gateway.outbound)) for protocol in PROTOCOLS}

    def write(self) -> None:
        write(self.sidecars / "gateway.yaml", policy.gateway(self.gateway, self.options.loop))
        for one in self.places.values():
            write(self.sidecars / f"{one.instance.file}.yaml", policy.sidecar(one, self.options.loop))
        self._write_mesh(START)

    def arguments(self, one: Place) -> tuple[str, ...]:
        next_app = following(one.instance.app)
        return ("--next", service(next_app) if next_app else "")

    def picture(self) -> None:
        self.show.topology((self.places[i] for i in START), self.gateway, self.options.directory)

    async def story(self) -> None:
        try:
            await self._walks("Calls by hand: the path, and why it left the label's environment", LABELS)
            await self._inside(Instance("A", "dev1"))
            await self._switch()
            await self._kill()
            await self._trace_memory()
        finally:
            for client in self._clients.values():
                await client.close()

    def judge(self) -> None:
        self._judge_walks()

    def summary(self) -> None:
        self.show.summary(self.report)

    def hints(self) -> Iterable[str]:
        url = f"http://{HOST}:{self.places[Instance('B', 'dev1')].admin}"
        yield f"try: curl '{url}{admin.explain_path(PROTOCOLS[0], service('C'), 'dev1')}'"
        yield "or edit the policy: a good change is live within a second, a bad one is refused in the logs"

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
            await asyncio.sleep(self.options.settle)
            pair = await self.start(self.places[LATE])
            await self.both_ready(*pair)
            await self._change(f"{LATE} is listed", (*START, LATE))
            await self._walks(f"With {LATE}", ("dev1",))
            await asyncio.sleep(self.options.settle)
            await self._change(f"{LATE} is no longer listed", START)
            sidecar, app = await self.children.stop(pair[2]), await self.children.stop(pair[1])
            self.show.line(f"{LATE} has stopped")
            await self._walks(f"Without {LATE}", ("dev1",))
            await asyncio.sleep(self.options.settle)
        finally:
            calls = await load.stop()
        self.children.check()
        found = self.report.load = tally(calls, self.timeline)
        self.show.paths(found)
        each = {p: tally((one for one in calls if one.protocol == p), self.timeline) for p in PROTOCOLS}
        self.check("no call in the background is lost", all(one.sent and not one.lost for one in each.values()),
                    ", ".join(f"{p}: {one.answered} of {one.sent} answered" for p, one in each.items()))  # fmt: skip
        self.check("each went where policy allowed at its time", not found.elsewhere,
                    f"{len(found.elsewhere)} elsewhere")  # fmt: skip
        self.check("none got the answer to another", not found.strayed, f"{len(found.strayed)} strayed")
        self.check("none without a label entered an environment", not found.leaked, f"{len(found.leaked)} did")
        ways = [path_text(path("dev1", running)) for running in ((*START, LATE), START)]
        used = {p: [found.paths[p, "dev1", way] for way in ways] for p in PROTOCOLS}
        self.check(f"dev1 used {LATE} while it was there", all(all(one) for one in used.values()),
                    ", ".join(f"{p}: {new} calls, {old} without it" for p, (new, old) in used.items()))  # fmt: skip
        slow = [f"{what}: {took:.2f} s" for what, took in self.report.changes.items()]
        self.check("each change was live within a second", max(self.report.changes.values()) <= self.options.live,
                    ", ".join(slow))  # fmt: skip
        self.check(f"{LATE} drained and ended cleanly", (sidecar, app) == (0, 0), f"exit codes {sidecar}, {app}")

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
        await self.children.kill(self.apps[KILLED])
        self._now([one for one in START if one != KILLED])
        await self._walks(f"Without {KILLED}, which is still listed", (KILLED.env,))
        app = await self.start_app(self.places[KILLED])
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
        write(self.mesh / "mesh.yaml", policy.mesh(self.places[instance] for instance in running))

    # --- judgement

    async def _trace_memory(self) -> None:
        """The applications carry the trace id only: the label must have come from the sidecars' memory."""
        name = "meshfast_labels_context_total"
        ports = [self.places[instance].admin for instance in START]
        found = sum(await asyncio.gather(*(admin.counter(port, name) for port in ports)))
        self.check("labels were found again by trace id", found > 0, f"{found:.0f} times, by {len(ports)} sidecars")

    def _judge_walks(self) -> None:
        walks = self.report.walks
        right = sum(walk.right for walk in walks)
        self.check("every call by hand went where policy says", right == len(walks) > 0, f"{right} of {len(walks)}")
        hops = [hop for walk in walks for hop in walk.hops]
        # A reason is due exactly where a call went to the baseline.
        good = sum(hop.agrees and bool(hop.reason) == (not hop.instance.env) for hop in hops)
        self.check("each sidecar explains its hop as it went", good == len(hops) > 0, f"{good} of {len(hops)} hops")
