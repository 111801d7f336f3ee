"""The demonstration of a registry from start to end, every call judged."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable

import msgspec

from meshfast import snapshot
from meshfast.demo import admin
from meshfast.demo.documents import write
from meshfast.demo.process import Child, DemoError
from meshfast.demo.registry import policy, topology
from meshfast.demo.registry.judge import Times, Window, verdict
from meshfast.demo.registry.records import Call, Ended, Executed, Heard, Lines, Mode
from meshfast.demo.registry.show import Moment, Offers, RegistryShow, Report, bar
from meshfast.demo.registry.topology import BASE, CALLER, DEV, KINDS, SERVICES, SHOP, START, STOCK
from meshfast.demo.stage import POLL, Options, Stage
from meshfast.demo.topology import HOST, Instance
from meshfast.errors import SourceError
from meshfast.registry.zookeeper import available

WORK = 20  # milliseconds that an instance takes to answer, so that some calls are under way as somebody is killed
SEE_TIMEOUT = 60.0  # seconds, for anything to be seen that must come
ENOUGH = 10  # calls of each kind that were answered, before it goes on


class Registry(Stage):
    """One run."""

    TIME_LIMIT = 240.0
    report: Report
    show: RegistryShow

    def __init__(self, options: Options, show: RegistryShow) -> None:
        try:
            available()
        except ImportError as error:
            raise DemoError(str(error)) from None
        super().__init__(options, show)
        own = options.directory / "registry"
        self.mesh, self.records, self.states = own / "mesh", own / "records", own / "state"
        self.address = f"{HOST}:{self.ports.take()}"
        self.seats = {one: topology.seat(one, self.ports, str(self.states / one.file)) for one in START}
        self.running: dict[str, Child] = {}
        self.report = Report(options.directory)
        self.times = Times()
        self.shop: Lines[Call | Mode | Ended] = Lines(self.records / "shop.jsonl", Call | Mode | Ended)
        self.stock: Lines[Executed] = Lines(self.records / "stock.jsonl", Executed)
        self.told: Lines[Heard] = Lines(self.records / "registry.jsonl", Heard)
        self.away = Window()  # the shop's sidecar, from its kill until all is as before
        self.stopped = -1  # its exit code at the planned stop
        self.began = 0.0

    @property
    def url(self) -> str:
        return f"zookeeper://{self.address}"

    def write(self) -> None:
        shutil.rmtree(self.mesh.parent, ignore_errors=True)  # of a run before
        for directory in (self.mesh, self.records, self.states):
            directory.mkdir(parents=True)
        write(self.mesh / "rules.yaml", policy.RULES)
        for one in self.seats.values():
            write(self.sidecars / f"{one.instance.file}.yaml", policy.sidecar(one, self.url, self.options.loop))

    # --- processes

    async def begin(self) -> None:
        self.show.title(f"Starting a registry, {len(START)} applications in Python and {len(START)} sidecars")
        listen, record = f"tcp://{self.address}", str(self.records / "registry.jsonl")
        module = "meshfast.demo.registry.zookeeper"
        registry = await self.children.start("registry", module, "--listen", listen, "--record", record)
        await self.children.ready(registry, int(self.address.rpartition(":")[2]))
        for one in START:
            await self._sidecar(one)
        await asyncio.gather(*(self._sidecar_ready(one) for one in START))
        await asyncio.gather(*(self._app(one) for one in (BASE, DEV)))
        await asyncio.gather(*(self._listed(one) for one in (BASE, DEV)))
        await self._app(CALLER)
        await self._listed(CALLER)
        await self._until("the shop makes calls", lambda: bool(self._modes()))
        self.report.registry = await self._ls()
        self.began = self.shop.all[0].at if isinstance(self.shop.all[0], Mode) else time.monotonic()

    async def stop_all(self) -> dict[str, int]:
        """Applications leave by their sidecars, and those by the registry."""
        codes: dict[str, int] = {}
        for last in ("app", "sidecar", "registry"):
            codes |= await self.children.stop_these([c for c in self.children.all if c.name.endswith(last)])
        return codes

    async def sidecar(self, one: Instance) -> None:
        """Starts the one beside an instance again."""
        await self._sidecar(one)
        await self._sidecar_ready(one)

    async def _sidecar(self, one: Instance) -> None:
        self.running[f"{one.file}-sidecar"] = await self.start_sidecar(one.file)

    async def _sidecar_ready(self, one: Instance) -> None:
        await self.sidecar_ready(self.running[f"{one.file}-sidecar"], self.seats[one].admin)

    async def _app(self, one: Instance) -> None:
        seat = self.seats[one]
        if one.app == SHOP:
            more: tuple[str, ...] = (
                "--every",
                str(self.options.interval),
                "--record",
                str(self.records / "shop.jsonl"),
            )
        else:
            more = ("--env", one.env, "--work", str(WORK))
        app = await self.children.start(
            f"{one.file}-app", f"meshfast.demo.registry.{one.app}", *topology.options(seat),
            "--record", str(self.records / f"{one.app}.jsonl"), *more,
        )  # fmt: skip
        self.running[f"{one.file}-app"] = app
        await self.children.ready(app, seat.app)

    async def _ls(self) -> Offers:
        """What the command line says of the registry."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "meshfast", "registry", "ls", self.url, "-o", "json",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, complaint = await process.communicate()
        if process.returncode != 0:
            raise DemoError(f"meshfast registry ls {self.url} ends with {process.returncode}: {complaint.decode()}")
        return msgspec.json.decode(out, type=list[dict[str, object]])

    # --- what is waited for

    async def _until(self, what: str, seen: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SEE_TIMEOUT
        while True:
            self.shop.read()
            if seen():
                return
            self.children.check()
            if time.monotonic() > deadline:
                raise DemoError(f"not seen in {SEE_TIMEOUT:.0f} s: {what}; see {self.children.logs}")
            await asyncio.sleep(POLL)

    def _modes(self) -> list[Mode]:
        return [one for one in self.shop.all if isinstance(one, Mode)]

    def _calls(self) -> list[Call]:
        return [one for one in self.shop.all if isinstance(one, Call)]

    async def _mode(self, mode: str, since: float) -> float:
        """Until the shop's calls go that way; when they began to."""

        def found() -> list[float]:
            return [one.at for one in self._modes() if one.at >= since and one.mode == mode]

        await self._until(f"the shop's calls go the {mode} way", lambda: bool(found()))
        return found()[0]

    async def _answered(self, mode: str, since: float) -> None:
        """Until so many of each kind have been answered that were made since, this way."""

        def enough() -> bool:
            calls = [one for one in self._calls() if one.sent >= since and one.mode == mode and not one.error]
            return all(sum((c.label, c.idempotent) == (kind.label, kind.idempotent) for c in calls) >= ENOUGH
                       for kind in KINDS)  # fmt: skip

        await self._until(f"calls of each kind are answered, the {mode} way", enough)

    async def _by(self, who: str, since: float) -> float:
        """Until a call with a label that was made since was answered by this instance; when that was."""

        def found() -> list[float]:
            calls = (one for one in self._calls() if one.sent >= since and one.label)
            return [one.ended for one in calls if one.value == who]

        await self._until(f"stock({who}) answers a call labelled {DEV.env}", lambda: bool(found()))
        return min(found())

    def _nodes(self, one: Instance) -> list[Heard]:
        """What the registry told of this instance."""
        address = self.seats[one].address.replace(":", "%3A")
        return [heard for heard in self.told.read() if f"{address}%2F" in heard.path]

    async def _listed(self, one: Instance, what: str = "created", since: float = 0.0) -> float:
        """Until the registry has it; or has it no more. When that began."""

        def found() -> list[float]:
            return [heard.at for heard in self._nodes(one) if heard.what == what and heard.at >= since]

        await self._until(f"{one} is {what} in the registry", lambda: bool(found()))
        return found()[0]

    async def _registered(self, one: Instance) -> None:
        """Until its sidecar says that it stands in the registry, by the application's word."""
        while True:
            page = msgspec.json.decode(await admin.page(self.seats[one].admin, "/registries"))
            states = [where["state"] for said in page["registrations"] for where in said["registries"].values()]
            if states == ["registered"]:
                return
            self.children.check()
            await asyncio.sleep(POLL)

    async def _kept(self) -> None:
        """Until the snapshot of the shop's sidecar has both instances of stock."""
        both = {self.seats[one].address for one in (BASE, DEV)}

        def has() -> bool:
            try:
                mesh = snapshot.read(self.seats[CALLER].state, SHOP).mesh
            except SourceError:
                return False
            return {at.address for cluster in mesh.clusters.values() for at in cluster.endpoints} == both

        await self._until("the snapshot has both instances of stock", has)

    # --- what happens

    def moment(self, text: str, at: float | None = None) -> None:
        one = Moment((time.monotonic() if at is None else at) - self.began, text)
        self.report.moments.append(one)
        self.show.moment(one)

    async def story(self) -> None:
        self.show.title("Calls of the shop, along the time")
        await self._answered("thin", self.began)
        await self._kept()
        await asyncio.sleep(self.options.settle)
        await self._kill()
        await self._die()
        await self._plan()
        await asyncio.sleep(self.options.settle)
        self.running["shop-base-app"].process.send_signal(signal.SIGUSR1)
        await self._until("the shop has made its last call", lambda: isinstance(self.shop.all[-1], Ended))
        self.children.check()

    async def _kill(self) -> None:
        """The shop's sidecar is killed, and comes back."""
        window = self.times.killed = Window(time.monotonic())
        self.moment("the shop's sidecar is killed (SIGKILL)", window.begin)
        await self.children.kill(self.running["shop-base-sidecar"])
        window.end = await self._mode("fat", window.begin)
        self._changed("the sidecar is killed: calls go by the engine", window)
        self.moment("calls go by the engine in the application, fed by the snapshot", window.end)
        await self._answered("fat", window.end)
        await asyncio.sleep(self.options.settle)
        again = time.monotonic()
        self.moment("the sidecar starts again", again)
        await self.sidecar(CALLER)
        ready = time.monotonic()
        back = Window(ready, await self._mode("thin", again))
        self._changed("the sidecar is ready again: calls go by it", back)
        self.moment("calls go by the sidecar again", back.end)
        await self._answered("thin", back.end)
        await self._registered(CALLER)
        self.away = Window(window.begin, time.monotonic())
        changes = sum(self.away.has(one.at) for one in self.told.read())
        self.moment(f"the registry was told of {changes} changes meanwhile", self.away.end)

    async def _die(self) -> None:
        """The instance with the label is killed, and comes back; its sidecar stays."""
        died = self.times.died = Window(time.monotonic())
        gone = self.times.gone = Window(died.begin)
        self.moment(f"{DEV} is killed (SIGKILL)", died.begin)
        await self.children.kill(self.running["stock-dev1-app"])
        died.end = await self._listed(DEV, "deleted", died.begin)
        self._changed(f"{DEV} is killed: it is out of the registry", died)
        self.moment("its sidecar has taken it out of the registry", died.end)
        await self._by("base", died.end)
        self.moment(f"calls labelled {DEV.env} go to {BASE}")
        await asyncio.sleep(self.options.settle)
        again = time.monotonic()
        await self._app(DEV)
        self.moment(f"{DEV} has started again")
        listed = await self._listed(DEV, since=again)
        self.moment("it is in the registry", listed)
        gone.end = await self._by(DEV.env, listed)
        self.moment(f"calls labelled {DEV.env} go to it", gone.end)

    async def _plan(self) -> None:
        """The shop's sidecar is restarted, as for an upgrade."""
        await self._kept()
        window = self.times.planned = Window(time.monotonic())
        self.moment("the shop's sidecar is told to stop (SIGTERM)", window.begin)
        self.stopped = await self.children.stop(self.running["shop-base-sidecar"])
        fat = await self._mode("fat", window.begin)
        self.moment("it asks for no more calls: they go by the engine", fat)
        self.moment(f"it has ended with exit code {self.stopped}")
        await self._answered("fat", fat)
        await self.sidecar(CALLER)
        ready = time.monotonic()
        window.end = await self._mode("thin", fat)
        self._changed("the restarted sidecar is ready: calls go by it", Window(ready, window.end))
        self.moment("it was started again, and calls go by it", window.end)
        await self._answered("thin", window.end)

    def _changed(self, what: str, window: Window) -> None:
        self.report.changes[what] = max(window.end - window.begin, 0.0)

    # --- judgement

    def judge(self) -> None:
        report, calls, times = self.report, self._calls(), self.times
        load = report.load = verdict(calls, self.stock.read(), times)
        ended = self.shop.all[-1]
        report.counters = ended.counters if isinstance(ended, Ended) else {}
        report.bar = bar(calls)
        self._check_registry()
        by = {mode: sum(n for (one, _, _), n in load.ways.items() if one == mode) for mode in ("thin", "fat")}
        self.check("calls go on without the sidecar, and come back to it", self._modes_are() and all(by.values()),
                   f"{by['thin']} answered by the sidecar, {by['fat']} by the engine; "
                   f"{report.counters.get('falls', 0)} falls, {report.counters.get('returns', 0)} returns")  # fmt: skip
        failed = [sum(one.idempotent is may for one in load.failed) for may in (True, False)]
        self.check("no call fails that may be repeated", not failed[0],
                   f"{failed[0]} did, {report.counters.get('resent', 0)} were sent once more")  # fmt: skip
        self.check("others fail only if they were under way as somebody was killed", not failed[1],
                   f"{len(load.cut)} of these did, {failed[1]} besides")  # fmt: skip
        self.check("none is executed twice that must not be", not load.twice,
                   f"{len(load.twice)}; of those that may be, {load.repeated} were")  # fmt: skip
        self.check("who answers has executed the call", not load.unexecuted, f"{len(load.unexecuted)} have not")
        self.check("labels lead where they should, both ways", not load.elsewhere and self._led(),
                   f"{len(load.elsewhere)} of {load.answered} elsewhere")  # fmt: skip
        planned = [one for one in (*load.failed, *load.cut) if times.planned.meets(one)]
        self.check("a planned restart costs no call", not planned and load.planned > 0 and self.stopped == 0,
                   f"{len(planned)} of {load.planned} lost; exit code {self.stopped}")  # fmt: skip

    def _check_registry(self) -> None:
        found = {
            (offer["service"], one["address"], one["parameters"].get("env", ""))
            for offer in self.report.registry for one in offer["instances"] if one["parameters"].get("meshfast") == "1"
        }  # fmt: skip
        wanted = {(SERVICES[one.app], seat.address, one.env) for one, seat in self.seats.items()}
        self.check("the sidecars have registered all, and nobody else did", found == wanted and
                   sum(len(offer["instances"]) for offer in self.report.registry) == len(wanted),
                   f"{len(found)} of {len(wanted)} instances")  # fmt: skip
        changes = [one for one in self.told.read() if self.away.has(one.at)]
        self.check("the registry sees nothing of the sidecar's death", not changes,
                   f"{len(changes)} changes of nodes in {self.away.end - self.away.begin:.1f} s")  # fmt: skip
        nodes = [one.what for one in self._nodes(DEV) if self.times.died.begin <= one.at <= self.times.gone.end]
        self.check(f"{DEV} leaves the registry as it dies, and is back", nodes == ["deleted", "created"],
                   ", ".join(nodes))  # fmt: skip

    def _modes_are(self) -> bool:
        return [one.mode for one in self._modes()] == ["thin", "fat", "thin", "fat", "thin"]

    def _led(self) -> bool:
        """Each kind was answered, both ways, by whom it should."""
        ways = self.report.load.ways
        return all(ways[mode, kind, kind.label or "base"] for mode in ("thin", "fat") for kind in KINDS)

    # --- what is shown

    def picture(self) -> None:
        self.show.seats(self.seats.values(), self.url)
        self.show.listed(self.report.registry, {one.address: str(one.instance) for one in self.seats.values()})
        self.show.line(f"policy: {self.mesh}   logs: {self.children.logs}")

    def summary(self) -> None:
        self.show.end(self.report)

    def hints(self) -> Iterable[str]:
        yield f"try: meshfast registry watch {self.url}"
        yield f"or: meshfast registry get {self.url} {SERVICES[STOCK]}"
        caller = self.seats[CALLER]
        where = f"MESHFAST_SDK={caller.door} MESHFAST_API={caller.api} MESHFAST_STATE={caller.state}"
        call = f"print(mesh.service('{SERVICES[STOCK]}').call('take', 'by-hand'))"
        yield f"or: {where} python -ic \"from meshfast import sdk; mesh = sdk.Blocking('{SHOP}').__enter__(); {call}\""
