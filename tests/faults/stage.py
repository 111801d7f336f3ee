"""What every row is played on: providers, relays, one sidecar, callers in mass and a neighbour that must not notice.

A row has phases: `before` (all is well), `eve` (still, but its calls may be in flight when the fault begins), `during`
(the fault), `settle` (the fault is over, calls that it hit end), and `after` (all is well again). Calls are counted in
the phase in which they began.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from signal import SIGTERM
from typing import Any

from faults.process import BIN, Program, RowError, wait_for
from faults.sidecar import BUSY, OUT, QUIET, Document, Sidecar, as_grpc, entry, inbound, sidecar_document
from faults.verdict import Row

DELAY_MS = 20  # of the busy service: 8 x 50 in flight are then 20,000 calls a second
NEIGHBOUR = ("--connections", "2", "--inflight", "4", "--rest", "1000")
CALM_S, GRPC_CALM_S = 1.0, 0.5
EVE_S = 0.3
SETTLED_S = 0.3  # so long without an error is well again
RECOVERS_S = 20.0

#: grpc-status in the place of Dubbo's: timed out, lost with its connection, nobody there, too much
GRPC = {31: 4, 35: 14, 80: 14, 100: 8}


class Stage:
    """A context manager; ends everything that it started."""

    def __init__(self, row: Row, directory: Path, *, workers: int = 1, grpc: bool = False) -> None:
        self.row = row
        self.grpc = grpc
        self.directory = directory
        self.logs = directory / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.workers = workers
        self._stack = ExitStack()
        self.sidecar: Sidecar
        self.load: Program
        self.neighbour: Program
        self._first: dict[str, float] = {}

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    # --- programs

    def enter(self, program: Program) -> Program:
        """Starts it; it ends with the row."""
        self._stack.enter_context(program)
        return program

    def _start(self, name: str, *argv: str | Path, announces: bool = False) -> Program:
        return self.enter(Program(name, argv, self.logs, announces=announces))

    def provider(
        self, name: str, *, delay: int = DELAY_MS, listen: str = "127.0.0.1:0", named: bool = False, answer: int = 0,
        most: int = 0, streams: int = 0, rate: int = 0,
    ) -> Program:  # fmt: skip
        argv: list[str | Path] = [BIN / self._of("provider"), "--listen", listen, "--delay", str(delay)]
        argv += ["--name", name] if named else []
        argv += ["--answer", str(answer)] if answer else []
        argv += ["--most", str(most)] if most else []
        argv += ["--streams", str(streams)] if streams else []
        argv += ["--rate", str(rate)] if rate else []
        return self._start(f"provider-{name}", *argv, announces=True)

    @property
    def calm(self) -> float:
        return GRPC_CALM_S if self.grpc else CALM_S

    def _of(self, program: str) -> str:
        return f"grpc_{program}" if self.grpc else program

    def backend(self, fault: str) -> Program:
        """The benchmark's provider, which can be told to answer wrongly."""
        argv = (BIN.parent / "bench" / ("h2_backend" if self.grpc else "dubbo_backend"), "--fault", fault)
        return self._start(f"backend-{fault.partition(':')[0]}", *argv, announces=True)

    def relay(self, name: str, to: str) -> Program:
        return self._start(f"relay-{name}", BIN / "relay", "--to", to, announces=True)

    def crowd(self, how: str, count: int, *more: str, connect: str = "") -> Program:
        argv = ["--connect", connect or self.sidecar.out, "--how", how, "--count", str(count), *more]
        return self._start(f"crowd-{how}", BIN / "crowd", *argv)

    def caller(self, name: str, *options: str, connect: str = "") -> Program:
        return self._start(name, BIN / self._of("load"), "--connect", connect or self.sidecar.out, *options)

    def flood(self, how: str) -> Program:
        """Attackers who speak HTTP/2."""
        return self._start(f"flood-{how}", BIN / "grpc_flood", "--connect", self.sidecar.out, "--how", how)

    def another(self, name: str, documents: Sequence[Document]) -> Sidecar:
        """A sidecar beside the one under load, with logs and a policy of its own."""
        directory = self.directory / name
        logs = directory / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        return self._stack.enter_context(Sidecar(directory, logs, self.row.loop, documents))

    def beside(self, name: str, application: str) -> Sidecar:
        """The sidecar of the application at this address: its calls come in by `into`."""
        return self.another(name, [sidecar_document({}, self.workers, [inbound(application)])])

    # --- a row's life

    def begin(
        self,
        addresses: Sequence[str],
        *,
        limits: Mapping[str, int | str] | None = None,
        documents: Sequence[Document] = (),
        busy: Document | None = None,
        load: Sequence[str] = (),
        neighbour: Sequence[str] = NEIGHBOUR,
        listeners: Sequence[Document] = (),
        through: Callable[[str], str] | None = None,
        where: str = "",
        **sidecar: Any,
    ) -> None:
        """Starts the sidecar with these instances of the busy service, and the callers; then the calm before.
        ``through`` gets the sidecar's address and returns the one that the busy callers dial; ``where``: its
        locality."""
        quiet = self.provider("quiet", delay=0)
        all_documents = [
            sidecar_document(limits or {}, self.workers, (OUT, *listeners), where),
            busy or entry(BUSY, addresses),
            entry(QUIET, [quiet.address]),
            *documents,
        ]
        if self.grpc:
            all_documents = [as_grpc(one) for one in all_documents]
        loop = self.row.loop
        self.sidecar = self._stack.enter_context(
            Sidecar(self.directory, self.logs, loop, all_documents, **sidecar)
        )
        connect = through(self.sidecar.out) if through else self.sidecar.out
        self.load = self.caller("load", "--service", BUSY, *load, connect=connect)
        self.neighbour = self.caller("neighbour", "--service", QUIET, *neighbour)
        self.phase("before")
        for caller in (self.load, self.neighbour):
            caller.ask("resume")
        wait_for("calls are answered", lambda: self.load.ask("count")[1] > 0 and self.neighbour.ask("count")[1] > 0)
        self.last(self.calm)
        self.row.rss_before = self.sidecar.rss
        self.phase("eve")  # whose calls the fault may find in flight; those of `before` have ended by then
        self.last(EVE_S)
        self._first = self.sidecar.counters()
        self.phase("during")

    def told(self, *statuses: int) -> tuple[int, ...]:
        """What callers see in the place of these statuses of Dubbo."""
        return tuple(sorted({GRPC[one] for one in statuses})) if self.grpc else statuses

    def phase(self, name: str) -> None:
        for caller in (self.load, self.neighbour):
            caller.ask(f"phase {name}")

    def last(self, seconds: float) -> None:
        """The fault lasts; whoever must not die meanwhile is watched."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
            if not self.sidecar.program.running:
                raise RowError(f"the sidecar has ended: {self.sidecar.program.tail()}")

    def moved(self, name: str) -> int:
        """By how much a counter of the sidecar went up since the fault began."""
        return int(self.sidecar.counters()[name] - self._first[name])

    def settle(self, *, within: float = RECOVERS_S) -> float:
        """The fault is over: returns after how many seconds calls were answered again, without an error."""
        self.row.rss_peak = max(self.row.rss_peak, self.sidecar.rss)
        self.phase("settle")
        began = time.monotonic()
        right, errors, since = 0, -1, began
        while True:
            time.sleep(0.02)
            _, now_right, now_errors, cut, lost = self.load.ask("count")
            now = time.monotonic()
            if now_errors + cut + lost != errors or now_right == right == 0:
                errors, since, right = now_errors + cut + lost, now, now_right
            if now_right > right and now - since > SETTLED_S:
                self.row.check("calls are answered again", True, f"after {since - began:.2f} s")
                return since - began
            if now - began > within:
                self.row.check("calls are answered again", False, f"not within {within:g} s")
                return now - began

    def finish(self) -> None:
        """The calm after; the counts; the sidecar's end. Judges what every row must meet."""
        self.phase("after")
        sent = [(one, one.ask("count")[0]) for one in (self.load, self.neighbour)]
        until = time.monotonic() + RECOVERS_S
        self.last(self.calm)
        while time.monotonic() < until and not all(sum(one.ask("count")[1:]) > before for one, before in sent):
            self.last(0.1)  # a busy machine: calls of before are still on their way
        self.row.rss_after = self.sidecar.rss
        self.collect()
        code = self.sidecar.program.end(SIGTERM)
        self.row.check("the sidecar ends with code 0", code == 0, code)
        self.row.judge()

    def collect(self) -> None:
        """Ends the callers and takes their counts."""
        for caller in (self.load, self.neighbour):
            caller.tell("quit")
        counts = counts_of(self.load)
        self.row.phases = [phase for phase in counts if phase["phase"] != "also"]
        self.row.also = [phase for phase in counts if phase["phase"] == "also"]
        self.row.neighbour = counts_of(self.neighbour)


def counts_of(caller: Program) -> list[dict[str, Any]]:
    """Its phases, but the empty ones."""
    phases: list[dict[str, Any]] = json.loads(caller.line())
    return [phase for phase in phases if phase["sent"] or phase["phase"] != "start"]
