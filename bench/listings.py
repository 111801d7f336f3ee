"""What following a registry costs: 10,000 instances of 1,000 services, told at once, and then changes of one service.

``python -m bench.listings [SERVICES [INSTANCES]]`` prints times and memory. Nothing is decided by them.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path

from meshfast.model import RegistrySpec
from meshfast.registry import Instance, Listing, Offer, State, Tell
from meshfast.routing import Table
from meshfast.source import Event, Good, Moved
from meshfast.source.file import FileSource
from meshfast.source.registries import Registries
from meshfast.source.registry import QUIET, RegistrySource

ROUNDS = 20
POLICY = """
apiVersion: meshfast.io/v1
kind: Sidecar
spec:
  state: {state}
  registries: [{{name: main, address: "zookeeper://127.0.0.1:2181", services: ["*"]}}]
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


def resident() -> float:
    """MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def offer(number: int, instances: int, turn: int = 0) -> Listing:
    """As Dubbo 3.3 writes its URLs, and a few parameters of one's own."""
    service = f"com.x.shop.Service{number}"
    shared = {
        "application": f"app{number % 50}", "deprecated": "false", "dubbo": "2.0.2", "dynamic": "true",
        "generic": "false", "interface": service, "methods": "add,get,list,remove", "prefer.serialization":
        "hessian2,fastjson2", "release": "3.3.6", "service-name-mapping": "true", "side": "provider",
        "version": "1.0.0", "region": "sh", "zone": f"z{number % 3}", "team": f"t{number % 7}",
    }  # fmt: skip
    made = [
        Instance(f"10.{number >> 8}.{number & 255}.{i + 1}:20880", "dubbo", shared["application"],
                 shared | {"timestamp": f"{1795418694000 + i}", "pid": str(i), "env": "ab"[(i + turn) % 2]})
        for i in range(instances)
    ]  # fmt: skip
    return (Offer(service, "", "1.0.0", tuple(made)),)


class Fake:
    """A registry that says all at once."""

    def __init__(self, spec: RegistrySpec, tell: Tell, says: dict[str, Listing]) -> None:
        self.name, self.state, self.tell, self._says = spec.name, State(True, time.monotonic(), 1), tell, says

    def want(self, services: Collection[str]) -> None: ...

    def start(self) -> None:
        for service, listing in self._says.items():
            self.tell(service, listing)

    async def close(self) -> None: ...


async def run(services: int, instances: int) -> None:
    registries, table = Registries(), Table()
    before = resident()
    says = {one[0].service: one for one in (offer(i, instances // services) for i in range(services))}
    print(f"{services} services, {services * (instances // services)} instances")
    print(f"what the registry says   {resident() - before:8.1f} MiB")
    made: list[Fake] = []

    def factory(spec: RegistrySpec, tell: Tell) -> Fake:
        made.append(Fake(spec, tell, says))
        return made[-1]

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mesh.yaml")
        path.write_text(POLICY.format(state=Path(folder, "state")))
        source = RegistrySource(FileSource([path]), registries, factory=factory)
        events, before, began = aiter(source), resident(), time.perf_counter()
        event = await anext(events)
        assert isinstance(event, Good), event
        listed = time.perf_counter() - began
        table.publish(event.mesh)
        took = time.perf_counter() - began
        print(f"first mesh               {1000 * listed:8.1f} ms, of which {1000 * QUIET:.0f} are to see if more comes")
        print(f"with its tables          {1000 * took:8.1f} ms, {resident() - before:.1f} MiB")
        await changes(events, table, made[0], instances // services, services)
        await events.aclose()  # type: ignore[attr-defined]
        print(f"last good                {Path(folder, 'state', 'mesh.json').stat().st_size / (1 << 20):8.1f} MiB")


async def changes(events: AsyncIterator[Event], table: Table, registry: Fake, instances: int, services: int) -> None:
    times, cpu = [], time.process_time()
    for turn in range(1, ROUNDS + 1):
        began = time.perf_counter()
        (one,) = offer(turn % services, instances, 1)
        registry.tell(one.service, (one,))
        event = await anext(events)
        assert isinstance(event, Moved)
        applied = table.publish(event.mesh)
        assert applied.published == 1
        times.append(1000 * (time.perf_counter() - began))
    spent = 1000 * (time.process_time() - cpu) / ROUNDS
    usual = statistics.median(times)
    print(f"a change of one service  {usual:8.1f} ms, at most {max(times):.1f}; {spent:.1f} ms of CPU")


if __name__ == "__main__":
    sizes = [*map(int, sys.argv[1:3])]
    asyncio.run(run(*(sizes + [1000, 10_000][len(sizes) :])))
