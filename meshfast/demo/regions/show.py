"""What the demonstration of data centres prints, and the same as plain data for ``-o json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table
from rich.text import Text

from meshfast.demo.judge import Call
from meshfast.demo.regions.judge import Verdict
from meshfast.demo.regions.topology import APPS, MOVED, OTHER, REGIONS, Stand, region
from meshfast.demo.show import Findings, Show
from meshfast.demo.topology import HOST, Gateway, Place
from meshfast.demo.wire import PROTOCOLS

Told = Mapping[str, Any]  # what a sidecar's explain page says of an application


def by_region(told: Told) -> dict[str, Mapping[str, Any]]:
    return {one["region"]: one for one in told["regions"]}


@dataclass(frozen=True, slots=True)
class Step:
    """One stand: what the callers' sidecar said of each application, and where its calls were answered meanwhile."""

    stand: Stand
    told: Mapping[str, Told]
    calls: Counter[tuple[str, str, str]]  # by application, protocol and data centre

    def total(self, app: str) -> int:
        return sum(n for (called, _, _), n in self.calls.items() if called == app)

    def count(self, app: str, where: str) -> int:
        return sum(self.calls[app, protocol, where] for protocol in PROTOCOLS)

    def as_json(self) -> dict[str, Any]:
        apps = {
            app: {
                "why": told["why"],
                "regions": [
                    {**one, "calls": {p: self.calls[app, p, one["region"]] for p in PROTOCOLS}}
                    for one in told["regions"]
                ],
            }
            for app, told in self.told.items()
        }  # fmt: skip
        return {"name": self.stand.name, "apps": apps}


@dataclass(slots=True)
class Report(Findings):
    """What was found."""

    steps: list[Step] = field(default_factory=list)
    load: Verdict = field(default_factory=Verdict)

    def as_json(self) -> dict[str, Any]:
        """Times: ``ms`` milliseconds, ``changes`` seconds."""
        load = self.load
        return {
            "good": self.good,
            "directory": str(self.directory),
            "steps": [step.as_json() for step in self.steps],
            "changes": self.changes,
            "load": {
                "sent": load.sent, "answered": load.answered, "in_flight": load.in_flight, "cut": len(load.cut),
                "lost": len(load.lost), "elsewhere": len(load.elsewhere), "slowest_ms": load.slowest,
            },
            "checks": self.checks_json(),
        }  # fmt: skip


class RegionsShow(Show):
    """Prints as things happen."""

    def centres(self, places: Iterable[Place], caller: Gateway) -> None:
        """Who runs in which data centre."""
        listed = list(places)
        table = Table(box=self.box, show_lines=True)
        for name in ("data centre", *APPS):
            table.add_column(name)
        for where in REGIONS:
            here = [place for place in listed if region(place.instance) == where]
            cells = ("\n".join(_line(p) for p in here if p.instance.app == app) for app in APPS)
            table.add_row(where, *cells)
        self.title(f"Who runs where (ports of {HOST})")
        self.console.print(table)
        self.line(f"calls come in beside {REGIONS[0]}'s callers: {HOST}:{caller.outbound}")

    def step(self, step: Step) -> None:
        """Each data centre's share now, by the word of the callers' sidecar, and the calls that it answered."""
        table = Table(box=self.box)
        table.add_column("data centre", style="bold")
        for app in APPS:
            table.add_column(f"{app}: share", justify="right")
            table.add_column("well", justify="right")
            for protocol in PROTOCOLS:
                table.add_column(protocol, justify="right")
        for where in REGIONS:
            row = [Text(where)]
            for app in APPS:
                one = by_region(step.told[app])[where]
                row += [
                    Text(f"{one['share']:g} %", "bold green" if one["share"] else "dim"),
                    Text(f"{one['well']} of {one['instances']}", "" if one["well"] == one["instances"] else "red"),
                    *(Text(str(step.calls[app, protocol, where])) for protocol in PROTOCOLS),
                ]
            table.add_row(*row)
        self.console.print(table)
        for app in (MOVED, OTHER):
            self.line(f"  {app}: {'; '.join(step.told[app]['why'])}")

    def end(self, report: Report) -> None:
        self.checks(report)
        load = report.load
        self.line(
            f"calls: {load.sent} sent, {load.answered} answered, {len(load.cut)} cut as {REGIONS[0]} died, "
            f"{len(load.lost)} lost besides, {len(load.elsewhere)} elsewhere; slowest {load.slowest:.0f} ms"
        )
        for what, calls in (("lost", load.lost), ("went elsewhere", load.elsewhere), ("strayed", load.strayed)):
            self._some(what, calls)
        bad = [check.name for check in report.checks if not check.good]
        if bad:
            self.line(f"did not hold: {'; '.join(bad)}", "bold red")
        else:
            self.line("all held", "bold green")

    def _some(self, what: str, calls: list[Call]) -> None:
        for call in calls[:5]:
            self.line(f"  {what}: {call.protocol}, {call.app}: {call.error or call.value}", "red")


def _line(place: Place) -> str:
    return f"{place.instance.env}  app {place.app}  in {place.inbound}  admin {place.admin}"
