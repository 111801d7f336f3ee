"""How long a RegionSwitch takes to be in force: from its file on disk to the decision of a sidecar that runs."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from meshfast.sidecar import Sidecar
from meshfast.source.file import FileSource

NAMES = ("switch.live", "switch.cpu")
FILE = 100  # applications of one file
POINT = 0.0001  # seconds between questions
PATIENCE = 60.0  # seconds

SIDECAR = """apiVersion: meshfast.io/v1
kind: Sidecar
metadata: {name: own}
spec:
  workload: {app: own, locality: sh/a}
  listeners: [{name: dubbo, bind: "tcp://127.0.0.1:0", direction: outbound, protocol: dubbo}]
"""
ENTRY = """apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: app{n}}}
spec:
  hosts: [com.example.app{n}.api.Service]
  ports: [{{name: dubbo, number: 20880, protocol: TCP}}]
  endpoints:
"""
PLACE = "  - {{address: 10.{high}.{low}.{i}, locality: {where}}}\n"
RULE = """---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: app{n}}}
spec:
  host: app{n}/*
  trafficPolicy: {{loadBalancer: {{simple: LEAST_REQUEST}}, outlierDetection: {{minHealthPercent: 30}}}}
"""
SWITCH = """apiVersion: meshfast.io/v1
kind: RegionSwitch
metadata: {{name: away}}
spec: {{app: app{n}/*, from: sh, to: bj}}
"""


def measure(applications: int, rounds: int) -> list[dict[str, Any]]:
    """A row for the time and one for the CPU time of this process."""
    with tempfile.TemporaryDirectory() as folder:
        for first in range(0, applications, FILE):
            text = "---\n".join(_documents(n) for n in range(first, min(first + FILE, applications)))
            Path(folder, f"{first:06}.yaml").write_text(text)
        Path(folder, "own.yaml").write_text(SIDECAR)
        took = asyncio.run(_switch(Path(folder), applications // 2, rounds))
    return [_row(name, sorted(each)) for name, each in zip(NAMES, zip(*took, strict=True), strict=True)]


def _documents(n: int) -> str:
    where = ("sh/a",) * 4 + ("bj/a",) * 4
    places = [PLACE.format(high=n // 256, low=n % 256, i=i + 1, where=one) for i, one in enumerate(where)]
    return ENTRY.format(n=n) + "".join(places) + RULE.format(n=n)


async def _switch(folder: Path, n: int, rounds: int) -> list[tuple[float, float]]:
    """ms and ms of CPU of each: there and back again. Where in the time between two looks it comes is spread evenly."""
    sidecar = Sidecar(FileSource([folder]))
    running = asyncio.create_task(sidecar.run())
    out = []
    try:
        while not sidecar.state.ready and not running.done():
            await asyncio.sleep(0.01)
        for i in range(rounds):
            away = i % 2 == 0
            await asyncio.sleep(0.5 + 0.25 * i / rounds)
            there = folder / ".next"
            there.write_text(SWITCH.format(n=n) if away else "# nobody is moved\n")
            start, cpu = time.perf_counter(), time.process_time()
            os.replace(there, folder / "switch.yaml")
            while _moved(sidecar, n) != away:
                if running.done() or time.perf_counter() - start > PATIENCE:
                    raise RuntimeError("the switch is not in force")
                await asyncio.sleep(POINT)
            out.append(((time.perf_counter() - start) * 1e3, (time.process_time() - cpu) * 1e3))
    finally:
        sidecar.stop()
        await running
    return out


def _moved(sidecar: Sidecar, n: int) -> bool:
    """Whether a call goes to the other data centre, whose instances have the later addresses."""
    address = sidecar.table.lookup(f"com.example.app{n}.api.Service", random=1).address
    return int(address.partition(":")[0].rpartition(".")[2]) > 4


def _row(name: str, took: list[float]) -> dict[str, Any]:
    return {"name": name, "unit": "ms", "rounds": len(took), "min": took[0], "median": took[len(took) // 2],
            "max": took[-1]}  # fmt: skip
