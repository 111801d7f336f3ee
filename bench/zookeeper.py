"""How long a sidecar takes to learn of 10,000 instances of 1,000 services from a real ZooKeeper, at either level.

    python -m bench.zookeeper [--services 1000] [--instances 10000] [--together 1] [--rounds 3]

``--together``: services that one application offers. Each sample is a process of its own, which has all its modules
loaded when the time begins: from its first connection until a table has every instance. Nothing is decided by it. The
server is the one that ``make peers`` fetches.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from meshfast.registry import application as app
from meshfast.registry.url import URL, encode
from meshfast.routing import Table
from meshfast.source import Good, Moved
from meshfast.source.file import FileSource
from meshfast.source.registries import Registries
from meshfast.source.registry import RegistrySource

E2E = Path(__file__).parents[1] / "tests" / "e2e"
LEVELS = ("interface", "application")
#: Asked of each, in seconds and MiB.
SECONDS, MIB = 5.0, 60.0
POLICY = """
apiVersion: meshfast.io/v1
kind: Sidecar
spec:
  registries: [{{name: main, address: "{address}", root: /{root}, services: ["*"]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: all}}
spec: {{hosts: ["*"], http: [{{route: [{{destination: {{subset: $env}}}}]}}]}}
---
apiVersion: istio.alibabacloud.com/v1
kind: TrafficLabel
metadata: {{name: env}}
spec: {{rules: [{{labels: [{{name: env}}]}}]}}
"""


def urls(number: int, together: int, instances: int) -> list[URL]:
    """The providers of a service as Dubbo 3.3 writes them."""
    service, owner = f"com.x.shop.Service{number}", number // together
    shared = {
        "application": f"app{owner}", "deprecated": "false", "dubbo": "2.0.2", "dynamic": "true", "generic": "false",
        "interface": service, "methods": "add,get,list,remove", "prefer.serialization": "hessian2,fastjson2",
        "release": "3.3.6", "service-name-mapping": "true", "side": "provider", "version": "1.0.0",
    }  # fmt: skip
    return [
        URL("dubbo", "", "", f"10.{owner >> 8}.{owner & 255}.{i + 1}", 20880, service,
            shared | {"timestamp": f"{1795418694000 + i}", "pid": str(i), "env": "ab"[i % 2]})
        for i in range(instances)
    ]  # fmt: skip


def nodes(level: str, services: int, together: int, instances: int) -> Iterator[tuple[str, bytes]]:
    """All that stands in the registry for a level, whose name is that of Dubbo's root."""
    for number in range(services):
        offered = urls(number, together, instances)
        service = offered[0].path
        if level == "interface":
            for one in offered:
                yield f"/interface/{service}/providers/{encode(str(one))}", one.host.encode()
            continue
        name = offered[0].parameters["application"]
        yield f"/application/mapping/{service}", name.encode()
        if number % together:
            continue
        of_one = [urls(each, together, 1)[0] for each in range(number, min(number + together, services))]
        made = app.metadata(name, of_one)
        yield f"/application/metadata/{name}/{made.revision}", made.data
        for one in offered:
            place = app.Place(name, f"{one.host}:{one.port}")
            marks = {"env": one.parameters["env"]}
            data = app.instance(place, ["dubbo"], made.revision, marks, one.parameters["timestamp"])
            yield f"/services/{name}/{place.address}", data


def fill(kazoo: Any, level: str, services: int, together: int, instances: int) -> None:
    asked = []
    for path, data in nodes(level, services, together, instances):
        asked.append(kazoo.create_async(path, data, makepath=True))
        if len(asked) == 1000:
            for each in asked:
                each.get(60)
            asked.clear()
    for each in asked:
        each.get(60)


async def follow(address: str, level: str, wanted: int) -> tuple[float, float, float]:
    """Seconds until all are there, seconds of CPU and MiB of it."""
    import kazoo.client  # noqa: F401  what is loaded once is no instance's
    import kazoo.handlers.threading  # noqa: F401
    import kazoo.security  # noqa: F401

    import meshfast.registry.zookeeper  # noqa: F401

    registries, table = Registries(), Table()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mesh.yaml")
        path.write_text(POLICY.format(address=address, root=level))
        source = RegistrySource(FileSource([path]), registries)
        before, cpu, began = resident(), time.process_time(), time.perf_counter()
        events = aiter(source)
        async for event in events:
            assert isinstance(event, Good | Moved), event
            table.publish(event.mesh)
            if sum(len(one.endpoints) for one in event.mesh.clusters.values()) >= wanted:
                break
        took = time.perf_counter() - began, time.process_time() - cpu, resident() - before
        await events.aclose()  # type: ignore[attr-defined]
    return took


def resident() -> float:
    """MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def run(services: int, instances: int, together: int, rounds: int) -> None:
    sys.path.insert(0, str(E2E))
    from harness.zookeeper import ZooKeeper

    each = instances // services
    print(f"{services} services, {services * each} instances, {together} service(s) an application; {rounds} samples")
    server = ZooKeeper()
    try:
        for level in LEVELS:
            fill(server.kazoo, level, services, together, each)
            command = [sys.executable, "-m", "bench.zookeeper", "--once", server.address, level, f"{services * each}"]
            told = [
                [*map(float, subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split())]
                for _ in range(rounds)
            ]
            show(level, told)
    finally:
        server.close()


def show(level: str, told: list[list[float]]) -> None:
    rows = (("all there", "s", SECONDS), ("CPU", "s", None), ("memory", "MiB", MIB))
    for (name, unit, most), found in zip(rows, zip(*told, strict=True), strict=True):
        usual, extent = statistics.median(found), f"{min(found):.2f} to {max(found):.2f}"
        asked = "" if most is None else f"asked at most {most:g}" + ("" if usual <= most else ": not reached")
        print(f"{level:12}{name:10}{usual:8.2f} {unit:4}{extent:18}{asked}".rstrip())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.zookeeper", description="reading a real ZooKeeper")
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--together", type=int, default=1, help="services that one application offers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--once", nargs=3, metavar=("ADDRESS", "LEVEL", "INSTANCES"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.once:
        print(*asyncio.run(follow(asked.once[0], asked.once[1], int(asked.once[2]))))
    else:
        run(asked.services, asked.instances, asked.together, asked.rounds)


if __name__ == "__main__":
    main()
