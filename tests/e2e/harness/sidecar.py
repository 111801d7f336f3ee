"""``meshfast proxy`` as a process, with a generated folder of documents."""

from __future__ import annotations

import http.client
import itertools
import re
import shutil
import sys
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from . import mesh
from .process import HOST, PROJECT, RUN, Process, free_port, need

_numbers = itertools.count(1)
SAMPLE = re.compile(r"^(?P<name>[a-z0-9_]+)(?:\{[^}]*\})? (?P<value>[0-9.e+]+)$", re.MULTILINE)


class Sidecar(Process):
    """One sidecar; ready when its admin address says so."""

    def __init__(
        self,
        loop: str,
        documents: Iterable[mesh.Document],
        listeners: Iterable[mesh.Document],
        limits: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
        workers: int = 1,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        need((PROJECT / "meshfast" / "commands" / "proxy.py").exists(), "the proxy")
        name = f"sidecar-{loop}-{next(_numbers)}"
        self.folder: Path = RUN / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.admin = free_port()
        self.write("sidecar", [mesh.sidecar(loop, self.admin, listeners, limits or {}, labels or {}, workers, more)])
        self.write("mesh", documents)
        self._run(name)

    def again(self) -> None:
        """Start it anew after it was killed, with the configuration and the ports that it had."""
        self._run(self.name)

    def take_over(self) -> int:
        """Another process takes over; the exit code of the one before."""
        before = self.child
        self._run(self.name, "--takeover")
        return before.wait(60)

    def _run(self, name: str, *args: str) -> None:
        command = [sys.executable, "-m", "meshfast", "proxy", *args, str(self.folder)]
        super().__init__(name, command, env={"PYTHONPATH": str(PROJECT)})
        try:
            self.ready(f"{name}: /ready", self.is_ready)
        except BaseException:
            self.close()
            raise

    def write(self, name: str, documents: Iterable[mesh.Document]) -> None:
        """Replace one file of the configuration, as an editor does: beside it, then renamed."""
        target = self.folder / f"{name}.yaml"
        draft = target.with_suffix(".draft")
        # A file without a document is refused; one with a comment is not.
        draft.write_text("# made by a test\n" + yaml.safe_dump_all(list(documents), sort_keys=False))
        draft.rename(target)

    def get(self, path: str) -> str:
        """A page of the admin address; ``OSError`` when it does not give one."""
        with urllib.request.urlopen(f"http://{HOST}:{self.admin}{path}", timeout=5) as page:
            text: bytes = page.read()
            return text.decode()

    def is_ready(self) -> bool:
        """Whether it takes calls."""
        try:
            self.get("/ready")
        except (OSError, http.client.HTTPException):  # the latter of a socket that is connected with itself
            return False
        return True

    def count(self, counter: str) -> int:
        """A counter of ``csrc/call/counters.h``, over all workers."""
        found = 0.0
        for sample in SAMPLE.finditer(self.get("/stats/prometheus")):
            if sample["name"] in (f"meshfast_{counter}", f"meshfast_{counter}_total"):
                found += float(sample["value"])
        return int(found)
