"""What the demonstration prints, and the same as plain data for ``-o json``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from meshfast.demo.app import ARROW
from meshfast.demo.judge import Call, Tally
from meshfast.demo.topology import APPS, HOST, Gateway, Instance, Place
from meshfast.demo.wire import PROTOCOLS


def label_text(label: str) -> str:
    return label or "no label"


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of a path: who answered, who the sidecar before it says it chose, and why not the label's own."""

    instance: Instance
    reason: str = ""
    agrees: bool = True

    def __str__(self) -> str:
        if not self.reason:
            return str(self.instance)
        return f"{self.instance.app}({self.instance.env or 'base'}: {self.reason})"


@dataclass(frozen=True, slots=True)
class Walk:
    """A call made by hand, explained. ``inside``: the instance whose sidecar it left by; None: from outside."""

    call: Call
    hops: tuple[Hop, ...]
    right: bool
    inside: Instance | None = None

    @property
    def path(self) -> str:
        return ARROW.join(map(str, self.hops)) or self.call.error or self.call.value

    def __str__(self) -> str:
        beside = f", from beside {self.inside}" if self.inside else ""
        return f"{self.call.protocol}  {label_text(self.call.label)}{beside}: {self.path}"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold."""

    name: str
    good: bool
    detail: str = ""


@dataclass(slots=True)
class Findings(ABC):
    """All that a demonstration found."""

    directory: Path
    changes: dict[str, float] = field(default_factory=dict)  # what changed -> seconds until it was in force
    checks: list[Check] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return bool(self.checks) and all(check.good for check in self.checks)

    @abstractmethod
    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""

    def checks_json(self) -> list[dict[str, Any]]:
        return [{"name": c.name, "good": c.good, "detail": c.detail} for c in self.checks]


@dataclass(slots=True)
class Report(Findings):
    """What the one of labels found."""

    walks: list[Walk] = field(default_factory=list)
    load: Tally = field(default_factory=Tally)

    def as_json(self) -> dict[str, Any]:
        """Times: ``ms`` milliseconds, ``changes`` seconds."""
        load = self.load
        return {
            "good": self.good,
            "directory": str(self.directory),
            "calls": [
                {
                    "protocol": w.call.protocol, "label": w.call.label, "from": str(w.inside or ""), "path": w.path,
                    "ms": w.call.milliseconds, "good": w.right,
                }
                for w in self.walks
            ],
            "changes": self.changes,
            "load": {
                "sent": load.sent, "answered": load.answered, "lost": len(load.lost),
                "elsewhere": len(load.elsewhere), "slowest_ms": load.slowest,
                "paths": [
                    {"protocol": protocol, "label": label, "path": path, "calls": n}
                    for (protocol, label, path), n in load.paths.items()
                ],
            },
            "checks": self.checks_json(),
        }  # fmt: skip


class Show:
    """Prints as things happen. Lines are plain when the console is not a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.box = box.ROUNDED if console.is_terminal else box.ASCII

    def title(self, text: str) -> None:
        self.console.print()
        self.console.print(Text(text, "bold"))

    def line(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style), soft_wrap=True)

    def topology(self, places: Iterable[Place], gateway: Gateway, directory: Path) -> None:
        """Environments down, applications across; every box is a process beside its sidecar's three addresses."""
        by = {place.instance: place for place in places}
        table = Table(box=self.box, show_lines=True)
        table.add_column("environment", style="bold")
        for app in APPS:
            table.add_column(app)
        for env in sorted({instance.env for instance in by}):
            cells = (_cell(by.get(Instance(app, env))) for app in APPS)
            table.add_row(env or "base", *cells)
        self.title(f"Who runs where (ports of {HOST})")
        self.console.print(table)
        self.line(
            f"calls come in at the gateway's sidecar: {HOST}:{gateway.outbound}, admin http://{HOST}:{gateway.admin}"
        )
        self.line(f"policy: {directory / 'mesh' / 'mesh.yaml'}")
        self.line(f"sidecars: {directory / 'sidecars'}   logs: {directory / 'logs'}")

    def walk(self, walk: Walk) -> None:
        style = "" if walk.right else "red"
        self.line(f"  {walk}   ({walk.call.milliseconds:.1f} ms){'' if walk.right else '   WRONG'}", style)

    def paths(self, load: Tally) -> None:
        """Where the calls in the background went."""
        table = Table(box=self.box)
        table.add_column("label")
        table.add_column("path")
        for protocol in PROTOCOLS:
            table.add_column(protocol, justify="right")
        for label, path in sorted({(label, path) for _, label, path in load.paths}):
            counts = (load.paths[protocol, label, path] for protocol in PROTOCOLS)
            table.add_row(label_text(label), path, *map(str, counts))
        self.console.print(table)

    def checks(self, report: Findings) -> None:
        self.title("Checks")
        table = Table(box=self.box)
        table.add_column("")
        table.add_column("check")
        table.add_column("found")
        for check in report.checks:
            table.add_row(Text("pass", "green") if check.good else Text("FAIL", "bold red"), check.name, check.detail)
        self.console.print(table)

    def summary(self, report: Report) -> None:
        self.checks(report)
        load = report.load
        self.line(
            f"calls in the background: {load.sent} sent, {load.answered} answered, {len(load.lost)} lost, "
            f"{len(load.elsewhere)} elsewhere; slowest {load.slowest:.0f} ms"
        )
        self.wrong(load)

    def wrong(self, load: Tally, shown: int = 5) -> None:
        """The first few calls of each kind that went wrong."""
        kinds: Sequence[tuple[str, list[Call]]] = (
            ("lost", load.lost), ("went elsewhere", load.elsewhere), ("got the answer to another", load.strayed),
        )  # fmt: skip
        for what, calls in kinds:
            for call in calls[:shown]:
                one = f"{call.protocol}, {label_text(call.label)}: {call.error or call.value}"
                self.line(f"  {what}: {one}", "red")


def _cell(place: Place | None) -> str:
    if place is None:
        return "-"
    return f"app     {place.app}\nin      {place.inbound}\nout     {place.outbound}\nadmin   {place.admin}"
