"""What a call costs an unmodified consumer of Dubbo for Java 3.3 beside 200 providers: by the registry, by its sidecar.

    python -m bench.consumer [--providers 200] [--rounds 5] [--seconds 10]

Two JVMs of the same program: one finds all providers in a real ZooKeeper and connects to each, one has its sidecar for
a registry and connects to that alone. Windows take turns; a window's figure is the CPU of the JVM over the calls that
were answered rightly in it. What the sidecar spends on a call is told beside it. Nothing is decided by it. The peers
are those that ``make peers`` builds.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from meshfast import dubbo
from meshfast.registry.url import URL, encode
from meshfast.sdk.codec import HEAD
from meshfast.sdk.invocation import read

E2E = Path(__file__).parents[1] / "tests" / "e2e"
ROOT = "consumer"


class Answering(asyncio.Protocol):
    """A provider: a name, a bar and the question."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.rest = transport, b""

    def data_received(self, data: bytes) -> None:
        data, at, out = self.rest + data, 0, []
        while len(data) - at >= HEAD.size:
            _, flags, _, number, length = HEAD.unpack_from(data, at)
            following = at + HEAD.size + length
            if following > len(data):
                break
            if flags & 0x20:
                out.append(HEAD.pack(0xDABB, 0x22, 20, number, 1) + b"N" if flags & 0x40 else b"")
            else:
                out.append(dubbo.encode_response(number, f"P|{read(data[at:following], len(data)).arguments[0]}"))
            at = following
        self.rest = data[at:]
        self.transport.write(b"".join(out))


async def provide(count: int) -> None:
    """On all addresses: Dubbo for Java calls its machine's own where it is told 127.0.0.1."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Answering, "0.0.0.0", 0) for _ in range(count)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


def listed(service: str, port: int) -> str:
    return encode(str(URL("dubbo", "", "", "127.0.0.1", port, service, {
        "application": "answering", "dubbo": "2.0.2", "interface": service, "methods": "ask,whoami", "side": "provider",
        "prefer.serialization": "hessian2", "release": "3.3.6", "timestamp": f"{1795418694000 + port}",
    })))  # fmt: skip


def answered(java: Any) -> bool:
    from harness.driver import PeerError

    try:
        return bool(java.call("ref", "ask", "x"))
    except PeerError:  # it has not found all it is to find
        return False


def spent(process: psutil.Process) -> float:
    found = process.cpu_times()
    return float(found.user + found.system)


def window(java: Any, beside: psutil.Process, seconds: float) -> tuple[float, float, int]:
    """Microseconds of CPU for a call, of the JVM and of the sidecar; and calls."""
    from harness.load import loaded
    from harness.process import until

    own = psutil.Process(java.child.pid)
    with loaded(java, "ref", threads=8, pause=5) as report:
        until("calls", lambda: report()["good"] > 100)
        before, cpu, side = report()["good"], spent(own), spent(beside)
        time.sleep(seconds)
        after, cpu, side = report()["good"], spent(own) - cpu, spent(beside) - side
        told = report(end=True)
    if told["wrong"] or told["failed"]:
        raise SystemExit(f"calls failed: {told}")
    calls = after - before
    return 1e6 * cpu / calls, 1e6 * side / calls, calls


def run(providers: int, rounds: int, seconds: float) -> None:
    from harness import mesh
    from harness.java import SERVICE
    from harness.process import ANY, HOST, free_port, until
    from harness.registered import Registered, registry
    from harness.sidecar import Sidecar
    from harness.zookeeper import ZooKeeper

    command = [sys.executable, "-m", "bench.consumer", "--serve", f"{providers}"]
    ends: list[Any] = []
    provider = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert provider.stdout is not None
        ports = [*map(int, provider.stdout.readline().split())]
        ends.append(server := ZooKeeper())
        for port in ports:
            server.kazoo.create(f"/{ROOT}/{SERVICE}/providers/{listed(SERVICE, port)}", b"", makepath=True)
        shown, out = free_port(), free_port()
        door = mesh.outbound(f"tcp://{ANY}:{out}")
        more = {
            "endpoint": {"zookeeper": f"tcp://{HOST}:{shown}"},
            "registries": [registry(server.address, root=f"/{ROOT}")],
        }
        ends.append(sidecar := Sidecar("auto", [], [door], more=more))
        addresses = {"by the registry": server.taking(root=ROOT), "by the sidecar": f"zookeeper://{HOST}:{shown}"}
        consumers: dict[str, Any] = {}
        for name, address in addresses.items():
            consumers[name] = java = Registered("java-3.3", name.replace(" ", "-"))
            ends.append(java)
            java.refer("ref", registry=address, timeout=5000)
            until("an answer", lambda: answered(java))  # noqa: B023
        beside = psutil.Process(sidecar.child.pid)
        found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in consumers}
        for turn in range(rounds + 1):
            for name, java in consumers.items():
                one = window(java, beside, seconds)
                if turn:  # the first is for the JVM to compile what it needs
                    found[name].append(one)
        show(found, {name: facts(java.child.pid, ports, out) for name, java in consumers.items()}, providers)
    finally:
        for one in reversed(ends):
            one.close()
        provider.kill()
        provider.wait()


def facts(pid: int, ports: list[int], out: int) -> str:
    process = psutil.Process(pid)
    ends = {*ports, out}
    mine = sum(one.raddr != () and one.raddr.port in ends for one in process.net_connections("tcp"))
    return f"{mine:4} connections, {process.memory_info().rss / (1 << 20):.0f} MiB, {process.num_threads()} threads"


def show(found: dict[str, list[tuple[float, float, int]]], more: dict[str, str], providers: int) -> None:
    print(f"{providers} providers; CPU us a call, medians of {len(next(iter(found.values())))} windows")
    for name, windows in found.items():
        own, side, calls = zip(*windows, strict=True)
        extent = f"{min(own):.0f} to {max(own):.0f}"
        print(f"{name:16}{statistics.median(own):8.1f}  {extent:12} sidecar {statistics.median(side):6.1f}"
              f"  {sum(calls)} calls; {more[name]}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.consumer", description="CPU of a Java consumer's call")
    parser.add_argument("--providers", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        asyncio.run(provide(asked.serve))
    else:
        sys.path.insert(0, str(E2E))
        run(asked.providers, asked.rounds, asked.seconds)


if __name__ == "__main__":
    main()
