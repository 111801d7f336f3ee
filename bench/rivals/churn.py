"""meshfast with a large table, whose services change while it serves: the whole Python way, from meshes to tables.

``python -m bench.rivals.churn LISTEN BACKEND LOOP SERVICES UPDATES``: SERVICES beside the one that is called; UPDATES
of all of them are published anew in a second, in batches: a source yields a new mesh ten times a second.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace

from bench.harness.rival import SERVICE
from meshfast.logs import logging_to_stderr
from meshfast.loop import new_event_loop
from meshfast.model import (
    Cluster,
    Condition,
    Endpoint,
    Field,
    Listener,
    Match,
    Mesh,
    Op,
    Rule,
    Service,
    Target,
    TargetKind,
)
from meshfast.model import Sidecar as Spec
from meshfast.sidecar import Sidecar
from meshfast.source import Event, Good

BATCHES = 10  # a second


def service(name: str, cluster: str, timeout_ms: int) -> Service:
    """Two rules, the first by method."""
    target = (Target(cluster, TargetKind.ALL, weight=100),)
    reads = Match((Condition(Field.METHOD, Op.PREFIX, value="get"),))
    return Service(name, (Rule("reads", (reads,), target, timeout_ms), Rule("rest", (), target)))


def mesh(listen: str, backend: str, loop: str, services: int) -> Mesh:
    """``services`` with three instances each, and the one that is called, which is the first."""
    clusters = {SERVICE: Cluster(SERVICE, (SERVICE,), (Endpoint(backend, {}),))}
    for n in range(services):
        name = f"org.meshfast.bench.other.Service{n}"
        addresses = (f"10.{i}.{n >> 8 & 255}.{n & 255}:20880" for i in (1, 2, 3))
        clusters[name] = Cluster(name, (name,), tuple(Endpoint(address, {}) for address in addresses))
    listener = Listener("dubbo", listen, protocol="dubbo")
    return Mesh(
        clusters=clusters,
        services=tuple(service(name, name, 3000) for name in clusters),
        sidecar=Spec(app="bench", loop=loop, listeners=(listener,)),
    )


class Source:
    """Yields the mesh, then a changed one with each batch. ``done`` counts the services that were changed."""

    def __init__(self, first: Mesh, updates: int) -> None:
        self.mesh, self.updates, self.done, self.start = first, updates, 0, time.monotonic()

    async def __aiter__(self) -> AsyncIterator[Event]:
        yield Good(self.mesh)
        self.start = time.monotonic()
        batch = self.updates // BATCHES
        changed = list(self.mesh.services)
        while batch:
            # The called service is in each batch; the others take turns.
            for n in (0, *((self.done + i) % (len(changed) - 1) + 1 for i in range(batch - 1))):
                changed[n] = service(changed[n].name, changed[n].name, 6003 - changed[n].rules[0].timeout_ms)
            self.done += batch
            await asyncio.sleep(max(0.0, self.start + self.done / self.updates - time.monotonic()))
            yield Good(replace(self.mesh, services=tuple(changed)))
        await asyncio.Event().wait()


def main(listen: str, backend: str, loop: str, services: int, updates: int) -> None:
    source = Source(mesh(listen, backend, loop, services), updates)
    with logging_to_stderr(logging.WARNING), asyncio.Runner(loop_factory=lambda: new_event_loop(loop)) as runner:
        runner.run(Sidecar(source).run())
    print(f"{source.done} updates in {time.monotonic() - source.start:.1f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
