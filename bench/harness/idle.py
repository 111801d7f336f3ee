"""Resident memory: of the idle process, and of each connection that was used once and then stays open.

Each connection sends one heartbeat, or of HTTP/2 makes a few calls, and gets its answer, so that the proxy has met its
protocol and served it; then nothing. Of HTTP/2 streams are opened then, on some of the connections, and left quiet. A
layer-4 proxy has a second connection for each, to the provider, whose memory counts as the first one's.
"""

from __future__ import annotations

import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.harness import idle_h2
from bench.harness.measure import Plan, start_backend
from bench.harness.process import BenchError, Program, free_port
from bench.harness.rival import Place, Rival
from bench.harness.rivals import LAYER4

HEARTBEAT = struct.pack(">HBBqi", 0xDABB, 0x80 | 0x40 | 0x20 | 2, 0, 1, 1) + b"N"
HEAD = 16
SPARE = 200  # descriptors beside the connections
STREAMS, STREAM_CONNECTIONS = 100, 10  # quiet streams on each of so many connections
REST_S, REST_LOOKS, REST_TRIES = 0.1, 20, 100  # memory has come to rest when so many looks in a row find the same
FEW = (*LAYER4, "haproxy-h2")  # those that need or reserve more than one descriptor for a connection
Measure = dict[str, Any]


def measure(rival: str, what: str, unit: str, values: list[float], point: str = "") -> Measure:
    """One figure that is no window's: as it goes into the result."""
    return {"rival": rival, "what": what, "point": point, "unit": unit, "values": values}


def answered(connection: socket.socket) -> bool:
    """Sends a heartbeat; False when the connection ends before its answer."""
    connection.sendall(HEARTBEAT)
    got = b""
    while len(got) < HEAD or len(got) < HEAD + struct.unpack_from(">i", got, 12)[0]:
        part = connection.recv(4096)
        if not part:
            return False
        got += part
    return got[:2] == HEARTBEAT[:2]


def resident(pid: int, looks: int = REST_LOOKS) -> int:
    """Bytes, once they no longer change: what was held for a connection in use is given back by then."""
    last, same = -1, 0
    for _ in range(REST_TRIES):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        same = same + 1 if pages == last else 0
        if same == looks:
            break
        last = pages
        time.sleep(REST_S)
    return last * resource.getpagesize()


def kernel_bytes() -> int:
    """The kernel's slabs, whoever uses them."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("Slab:"):
            return int(line.split()[1]) * 1024
    return 0


def allow_descriptors(needed: int) -> None:
    """For this process and those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise BenchError(f"{needed:,} descriptors are needed; the limit is {hard:,}")
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


@contextmanager
def connections(
    address: str, count: int, served: Callable[[socket.socket], bool] = answered
) -> Iterator[list[socket.socket]]:
    """So many, each of which had its heartbeat answered, or what ``served`` asks for."""
    host, _, port = address.rpartition(":")
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            one = stack.enter_context(socket.create_connection((host, int(port)), 10))
            found.append(one)
            if not served(one):
                raise BenchError(f"{address}: connection {len(found)} was not served")
        yield found


@dataclass
class Memory:
    """The memory suite. ``counts``: idle connections; FEW are measured with the least of them alone."""

    plan: Plan
    directory: Path
    counts: tuple[int, ...] = (1000, 10_000)
    looks: int = REST_LOOKS
    measures: list[Measure] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def run(self) -> None:
        for rival in self.plan.rivals:
            for count in self.counts if rival.name not in FEW else self.counts[:1]:
                try:
                    idle, each, kernel, streams = self._rounds(rival, count)
                except (BenchError, OSError) as error:
                    self.failures.append(f"{rival.name} with {count:,} connections: {error}")
                    continue
                if count == self.counts[0]:
                    self.measures.append(measure(rival.name, "idle", "MiB", idle))
                self.measures.append(measure(rival.name, "a connection", "KiB", each, f"{count:,}"))
                what = "a connection, kernel, both ends"
                self.measures.append(measure(rival.name, what, "KiB", kernel, f"{count:,}"))
                if self.plan.protocol == "grpc":
                    self.measures.append(measure(rival.name, "a quiet stream", "KiB", streams, f"{count:,}"))

    def _rounds(self, rival: Rival, count: int) -> tuple[list[float], list[float], list[float], list[float]]:
        allow_descriptors(2 * count + SPARE if rival.name in FEW else count + SPARE)
        rows = [self._once(rival, count) for _ in range(self.plan.rounds)]
        return tuple(map(list, zip(*rows, strict=True)))  # type: ignore[return-value]

    def _once(self, rival: Rival, count: int) -> tuple[float, float, float, float]:
        with start_backend(self.plan, self.directory, rival.backend) as backend:
            place = Place(free_port(), backend.address, self.directory / rival.name, max(8000, 3 * count))
            with rival.start(place, self.plan.proxy_cpu) as proxy:
                return self._look(proxy, count)

    def _look(self, proxy: Program, count: int) -> tuple[float, float, float, float]:
        before, kernel = resident(proxy.pid, self.looks), kernel_bytes()
        streams = 0.0
        h2 = self.plan.protocol == "grpc"
        with connections(proxy.address, count, idle_h2.answered if h2 else answered) as found:
            after, kernel_after = resident(proxy.pid, self.looks), kernel_bytes()
            for one in found[:STREAM_CONNECTIONS] if h2 else ():
                idle_h2.open_streams(one, STREAMS)
            if h2:
                streams = (resident(proxy.pid, self.looks) - after) / STREAMS / STREAM_CONNECTIONS / 1024
        return before / 2**20, (after - before) / count / 1024, (kernel_after - kernel) / count / 1024, streams
