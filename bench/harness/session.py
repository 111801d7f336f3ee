"""One run of a suite, from its plan to the result that is written."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.harness import profile, syscalls
from bench.harness.facts import machine_facts
from bench.harness.idle import Measure, Memory, measure
from bench.harness.instructions import count as count_instructions
from bench.harness.measure import Plan, Point, Sample, start_backend, take_all
from bench.harness.process import BenchError, free_port
from bench.harness.rival import Place, Rival
from bench.harness.startup import Startup
from bench.harness.suites import Suite

FORMAT = 2  # 1: samples alone, without suite, measures, notes and failures
CALLGRIND = (  # valgrind runs these
    "meshfast-epoll", "engine-epoll", "engine-label", "relay", "nginx", "haproxy",
    "meshfast-h2-epoll", "direct", "nghttpx", "haproxy-h2", "nginx-h2",
)  # fmt: skip
INSTRUCTION_POINTS = ("1x1", "64x16", "64x10")
COPY_S = 1.0  # of a profile


@dataclass
class Session:
    """``count``: which of "syscalls", "instructions", "profile" to take beside the samples; ``quick``: for a moment,
    to see that all runs."""

    suite: Suite
    plan: Plan
    count: frozenset[str] = frozenset()
    quick: bool = False
    measures: list[Measure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def run(self, on_sample: Callable[[Sample], None]) -> dict[str, Any]:
        """The result, as it is written to a file."""
        facts = machine_facts()
        versions = {rival.name: rival.version() for rival in self.plan.rivals}
        samples: list[Sample] = []
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            if self.suite.kind == "memory":
                self._apart(Memory(self.plan, Path(directory), *(((50, 100), 1) if self.quick else ())))
            elif self.suite.kind == "startup":
                self._apart(Startup(self.plan, Path(directory), *((2, 50) if self.quick else ())))
            else:
                samples = take_all(self.plan, Path(directory), on_sample)
                if "syscalls" in self.count:
                    self._syscalls(Path(directory))
                if "instructions" in self.count:
                    self._instructions(Path(directory))
                if "profile" in self.count:
                    self._profiles(Path(directory))
        if self.quick:
            self.notes.append("A smoke run: its figures mean nothing.")
        return {
            "format": FORMAT,
            "suite": self.suite.name,
            "facts": facts,
            "versions": versions,
            "options": self.plan.options(),
            "samples": samples,
            "measures": self.measures,
            "notes": self.notes,
            "failures": self.failures,
        }

    def _apart(self, what: Memory | Startup) -> None:
        what.run()
        self.measures += what.measures
        self.failures += what.failures

    def _syscalls(self, directory: Path) -> None:
        if not syscalls.method():
            self.notes.append("System calls were not counted: neither perf nor strace is there and allowed.")
            return
        self.notes.append(f"System calls were counted by {syscalls.method()}, apart from the windows.")
        for rival in self.plan.rivals:
            with ExitStack() as stack:
                try:
                    backend = stack.enter_context(start_backend(self.plan, directory, rival.backend))
                    place = Place(free_port(), backend.address, directory / rival.name)
                    proxy = stack.enter_context(rival.start(place, self.plan.proxy_cpu))
                    for point in self.plan.points:
                        value = syscalls.count(self.plan, point, proxy, directory)
                        self.measures.append(measure(rival.name, "system calls a call", "", [value], str(point)))
                except (BenchError, OSError) as error:
                    self._count_failed(f"{rival.name}, system calls: {error}")

    def _instructions(self, directory: Path) -> None:
        points = [point for point in self.plan.points if str(point) in INSTRUCTION_POINTS]
        self.notes.append(
            "Instructions are of user space, by callgrind, apart from the windows; it runs no io_uring, and under it "
            "more calls arrive together."
        )
        for rival in self.plan.rivals:
            for point in points if rival.name in CALLGRIND else ():
                try:
                    value = count_instructions(self.plan, rival, point, 300 if self.quick else 5000, directory)
                    self.measures.append(measure(rival.name, "instructions a call", "", [value], str(point)))
                except BenchError as error:
                    self._count_failed(f"{rival.name} at {point}, instructions: {error}")

    def _count_failed(self, text: str) -> None:
        """Of a moment there may be too little to count."""
        (self.notes if self.quick else self.failures).append(text)

    def _profiles(self, directory: Path) -> None:
        if not shutil.which("perf"):
            self.notes.append("No profile was taken: perf is not there.")
            return
        for rival in self._ours():
            for point in self.plan.points:
                try:
                    found = self._profile(rival, point, directory)
                except (BenchError, OSError) as error:
                    self._count_failed(f"{rival.name} at {point}, profile: {error}")
                    continue
                what = "user-space copying, share of CPU"
                self.measures.append(measure(rival.name, what, "", [found.copying], str(point)))
                top = ", ".join(f"{name} {share:.1%}" for name, share in found.user[:6])
                self.notes.append(f"{rival.name} at {point}, user space, of all CPU: {top}.")

    def _profile(self, rival: Rival, point: Point, directory: Path) -> profile.Profile:
        seconds = self.plan.seconds if self.quick else COPY_S
        return profile.take(replace(self.plan, seconds=seconds), rival, point, directory)

    def _ours(self) -> list[Rival]:
        return [rival for rival in self.plan.rivals if rival.name.startswith("meshfast")]
