"""gRPC beside Dubbo2 on the same proxy: calls that never rest, on providers that say GOAWAY all the time."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any, Self

from calls.programs import HOST, Document
from faults.process import BIN, Program, RowError
from faults.sidecar import BUSY, as_grpc, entry

LOAD = ("--connections", "4", "--inflight", "8", "--rest", "5000", "--deadline", "30000")
DELAY_MS = 20
#: What they say in turn: that they go, and that they go without the last calls.
COMMANDS = ("drain", "cut 4")
COUNTED = ("sent", "right", "errors", "crossed", "misrouted", "cut", "lost")


class Grpc:
    """Two providers and their callers; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._providers = [
            Program(f"grpc{i}", [BIN / "grpc_provider", "--delay", str(DELAY_MS)], folder, announces=True)
            for i in range(2)
        ]
        self._folder = folder
        self._turns = itertools.count()
        self._load: Program | None = None
        self.goaways = 0

    def __enter__(self) -> Self:
        for one in self._providers:
            one.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        for one in (self._load, *self._providers):
            if one:
                one.__exit__()

    def document(self) -> Document:
        return as_grpc(entry(BUSY, [one.address for one in self._providers]))

    def start(self, port: int) -> None:
        self._load = Program("grpc-load", [BIN / "grpc_load", "--connect", f"{HOST}:{port}", *LOAD], self._folder)
        self._load.__enter__()
        self._load.ask("phase soak")
        self._load.ask("resume")

    def goaway(self) -> None:
        """One of the two, and each of them in both ways."""
        turn = next(self._turns)
        self._providers[turn % 2].ask(COMMANDS[turn // 2 % 2])
        self.goaways += 1

    def check(self) -> None:
        """:raises RowError: they have ended"""
        for one in (self._load, *self._providers):
            if one and not one.running:
                raise RowError(f"{one.name} has ended: {one.tail()}")

    def finish(self) -> dict[str, Any]:
        """Ends the callers; what they counted."""
        assert self._load
        self._load.tell("quit")
        phases = json.loads(self._load.line(60.0))
        statuses: dict[str, int] = {}
        for phase in phases:
            for status, n in phase["statuses"].items():
                statuses[status] = statuses.get(status, 0) + n
        found: dict[str, Any] = {key: sum(phase[key] for phase in phases) for key in COUNTED}
        return found | {"statuses": statuses, "goaways": self.goaways}
