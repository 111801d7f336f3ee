"""``meshfast proxy`` as a whole process, with any Sidecar: what tests of signals, drains and sockets stand on."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from peers import until

from meshfast.ask import ask

BACKENDS = ["epoll", "io_uring"]
PATIENCE = 60.0  # seconds; generous: what decides is whether it happens at all
START = 90.0  # the same of a whole Python that starts, of which a busy machine runs many

Fields = Mapping[str, Any]


class Proxy:
    """A running process; ``log`` is its standard error so far."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.log = ""
        self.task = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self.process.stderr
        while line := await self.process.stderr.readline():
            self.log += line.decode()

    @property
    def ended(self) -> bool:
        return self.process.returncode is not None

    def address(self, listener: str) -> str:
        """Where the listener of that name is, with its real port; of a UNIX socket as peers dial it."""
        found = re.search(rf"ready:.*?\b{listener} ([^\s,]+)", self.log)
        assert found, self.log
        return found[1]

    async def get(self, path: str) -> bytes:
        status, body = await ask(f"unix://{self.folder / 'admin.sock'}", path, "GET")
        assert status == 200, (path, status, body)
        return body

    async def counters(self) -> dict[str, float]:
        """Every metric without labels, without `meshfast_` and `_total`."""
        page = (await self.get("/stats/prometheus")).decode()
        return {m[1].removesuffix("_total"): float(m[2]) for m in re.finditer(r"^meshfast_(\w+) (\S+)$", page, re.M)}

    def write(self, text: str) -> None:
        """Another policy, put in place by rename."""
        new = self.folder / "mesh.new"
        new.write_text(text)
        os.replace(new, self.folder / "mesh.yaml")


def document(
    folder: Path, listeners: Sequence[Fields], *, limits: Fields | None = None, workers: int = 1,
    labels: Fields | None = None, access_log: Fields | None = None, dns: Fields | None = None,
    more: Fields | None = None,
) -> str:  # fmt: skip
    """A Sidecar, as YAML (of which JSON is a part). ``labels``: its workload's; ``more``: fields as they are."""
    spec = {
        "workload": {"app": "tests", "labels": dict(labels or {})},
        "workers": workers,
        "admin": f"unix://{folder / 'admin.sock'}",
        "limits": dict(limits or {}),
        "listeners": [dict(one) for one in listeners],
    } | {name: dict(one) for name, one in (("accessLog", access_log), ("dns", dns)) if one}
    spec |= more or {}
    return json.dumps({"apiVersion": "meshfast.io/v1", "kind": "Sidecar", "metadata": {"name": "side"}, "spec": spec})


@asynccontextmanager
async def proxy(
    folder: Path, backend: str, listeners: Sequence[Fields], policy: str = "", *, ready: bool = True,
    umask: int = -1, args: Sequence[str] = (), **sidecar: Any
) -> AsyncIterator[Proxy]:  # fmt: skip
    """Starts one and waits until it is ready, or (``ready`` false) ready or ended; kills what is left of it. ``args``:
    of the command, besides."""
    folder.mkdir(exist_ok=True)
    for name, text in (("sidecar", document(folder, listeners, **sidecar)), ("mesh", policy or "# nothing\n")):
        file = folder / f"{name}.yaml"
        if not file.exists() or file.read_text() != text:  # another may run with it
            file.write_text(text)
    argv = (sys.executable, "-m", "meshfast", "proxy", "--loop", backend, *args, str(folder))
    process = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.PIPE, umask=umask)
    running = Proxy(process, folder)
    try:
        await until(lambda: "ready:" in running.log or running.ended, START)
        if running.ended:
            await running.task
            if backend == "io_uring" and "io_uring" in running.log:
                pytest.skip(f"this kernel: {running.log}")
        assert "ready:" in running.log or not ready, running.log
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await running.task


async def ends(running: Proxy, seconds: float = PATIENCE) -> int:
    """Its exit code once it has ended by itself; a TimeoutError says that it did not."""
    return await asyncio.wait_for(running.process.wait(), seconds)


def outbound(bind: str = "tcp://127.0.0.1:0", **more: Any) -> Fields:
    return {"name": "out", "bind": bind, **more}


def inbound(forward: str, bind: str = "tcp://127.0.0.1:0", **more: Any) -> Fields:
    return {"name": "in", "bind": bind, "direction": "inbound", "forward": f"tcp://{forward}", **more}
