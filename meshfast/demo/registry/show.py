"""What the demonstration of a registry prints, and the same as plain data for ``-o json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table
from rich.text import Text

from meshfast.demo.registry.judge import Verdict
from meshfast.demo.registry.records import Call
from meshfast.demo.registry.topology import KINDS, Seat
from meshfast.demo.show import Findings, Show
from meshfast.demo.topology import HOST

Offers = Sequence[Mapping[str, Any]]  # what `meshfast registry ls -o json` prints

WIDTH = 96  # of the bar, in characters
LABELS = {"meshfast", "env", "application"}  # parameters that are shown


@dataclass(frozen=True, slots=True)
class Moment:
    """Something happened. ``at``: seconds since calls began."""

    at: float
    text: str


@dataclass(slots=True)
class Report(Findings):
    """What was found."""

    registry: Offers = ()
    moments: list[Moment] = field(default_factory=list)
    load: Verdict = field(default_factory=Verdict)
    counters: Mapping[str, int] = field(default_factory=dict)  # of the shop's connection to the mesh
    bar: str = ""

    def as_json(self) -> dict[str, Any]:
        """Times: seconds."""
        load = self.load
        return {
            "good": self.good,
            "directory": str(self.directory),
            "registry": list(self.registry),
            "moments": [{"at": one.at, "what": one.text} for one in self.moments],
            "changes": self.changes,
            "load": {
                "sent": load.sent, "answered": load.answered, "cut": len(load.cut), "failed": len(load.failed),
                "elsewhere": len(load.elsewhere), "twice": len(load.twice), "repeated": load.repeated,
                "planned": load.planned,
                "ways": [
                    {"mode": mode, "label": kind.label, "idempotent": kind.idempotent, "by": who, "calls": n}
                    for (mode, kind, who), n in sorted(load.ways.items(), key=str)
                ],
            },
            "counters": dict(self.counters),
            "checks": self.checks_json(),
        }  # fmt: skip


def bar(calls: Sequence[Call], width: int = WIDTH) -> str:
    """The calls along time, a mark for each while: through the sidecar "=", through the engine "#", "x" where one ended
    without a value, "." where none was sent."""
    if not calls:
        return ""
    begin, end = min(one.sent for one in calls), max(one.sent for one in calls)
    marks = ["."] * width
    for one in calls:
        at = min(int(width * (one.sent - begin) / max(end - begin, 1e-9)), width - 1)
        mark = "x" if one.error else "#" if one.mode == "fat" else "="
        marks[at] = max(marks[at], mark, key=".=#x".index)
    return "".join(marks)


class RegistryShow(Show):
    """Prints as things happen."""

    def seats(self, seats: Iterable[Seat], registry: str) -> None:
        """Who runs where."""
        table = Table(box=self.box, show_lines=True)
        for name in ("application", f"its sidecar (ports of {HOST})", "its calls go through"):
            table.add_column(name)
        for one in seats:
            ports = f"in {one.inbound} -> app {one.app}   admin {one.admin}"
            table.add_row(str(one.instance), ports, one.door)
        self.title("Who runs where")
        self.console.print(table)
        self.line(f"registry: {registry}, a small ZooKeeper; applications do not know it, their sidecars do")

    def listed(self, offers: Offers, by: Mapping[str, str]) -> None:
        """What stands in the registry. ``by``: whose sidecar has which address."""
        table = Table(box=self.box)
        for name in ("service", "address", "labels", "registered by"):
            table.add_column(name)
        for offer in offers:
            for one in offer["instances"]:
                labels = " ".join(f"{key}={text}" for key, text in one["parameters"].items() if key in LABELS)
                who = by.get(one["address"], "somebody else") if one["parameters"].get("meshfast") else "itself"
                table.add_row(offer["service"], one["address"], labels, who)
        self.title("What stands in the registry (meshfast registry ls)")
        self.console.print(table)

    def moment(self, one: Moment) -> None:
        self.line(f"  {one.at:7.2f} s  {one.text}")

    def end(self, report: Report) -> None:
        load = report.load
        self.title("Calls along the time: = by the sidecar, # by the engine in the application, x without an answer")
        self.line(f"  {report.bar}")
        self._ways(load)
        self.checks(report)
        for what, took in report.changes.items():
            self.line(f"{what}: after {took:.2f} s")
        self.line(
            f"calls: {load.sent} sent, {load.answered} answered, {len(load.cut)} cut as somebody was killed, "
            f"{report.counters.get('resent', 0)} sent once more, {len(load.failed)} failed, "
            f"{len(load.elsewhere)} elsewhere"
        )
        for what, calls in (("failed", load.failed), ("went elsewhere", load.elsewhere)):
            for call in calls[:5]:
                label = call.label or "no label"
                self.line(f"  {what}: {label}, by the {call.mode} way: {call.why or call.value}", "red")
        bad = [check.name for check in report.checks if not check.good]
        if bad:
            self.line(f"did not hold: {'; '.join(bad)}", "bold red")
        else:
            self.line("all held", "bold green")

    def _ways(self, load: Verdict) -> None:
        """Who answered which calls."""
        table = Table(box=self.box)
        table.add_column("calls")
        columns = sorted({(mode, who) for mode, _, who in load.ways}, reverse=True)
        for mode, who in columns:
            table.add_column(Text(f"{mode}, by stock({who})"), justify="right")
        for kind in KINDS:
            table.add_row(str(kind), *(str(load.ways[mode, kind, who]) for mode, who in columns))
        self.console.print(table)
