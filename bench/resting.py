"""What a sidecar costs that is followed by nobody's calls: with a registry and an endpoint, beside one without.

    python -m bench.resting [--seconds 60]

All rest at the same time, each behind an application of Python that it has registered and that looks for a service:
CPU of the whole process over those seconds, as a share of a core, and how much more memory is resident than without.
Rows: a real ZooKeeper and the endpoint that is one, with a client of kazoo; an etcd; a real ZooKeeper and the endpoint
that is a Nacos, with no client of that. Nothing is decided by it. A server that is not there is said, and left out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import sys
from pathlib import Path
from typing import Any

import psutil
from kazoo.client import KazooClient

from meshfast import sdk
from meshfast.sdk.serve import Offer, Serving

E2E = Path(__file__).parents[1] / "tests" / "e2e"
SERVICE = "com.x.Stock"
PATIENCE = 120.0
#: Asked: of a core, in percent; MiB more than without.
CPU, MIB = 1.0, 8.0


async def left(item: str) -> str:
    return f"none of {item}"


class Resting:
    """A sidecar, and where it is asked. ``door``: its endpoint beside the one for SDKs."""

    def __init__(self, name: str, registry: str = "", door: str = "") -> None:
        from harness import mesh
        from harness.process import HOST, RUN, free_port
        from harness.sidecar import Sidecar

        RUN.mkdir(parents=True, exist_ok=True)
        self.name, self.root, where = name, f"resting{name}", f"{RUN}/resting-{name}"
        shutil.rmtree(f"{where}-state", ignore_errors=True)
        self.out, self.api = f"tcp://{HOST}:{free_port()}", f"unix://{where}.api"
        listeners = [
            {"name": "out", "bind": self.out},
            mesh.inbound(f"tcp://{HOST}:{free_port()}", free_port()),
        ]
        self.port = free_port() if door else 0
        more: dict[str, Any] = {}
        if registry:
            endpoint = {"http": self.api} | ({door: f"tcp://{HOST}:{self.port}"} if door else {})
            known = {"name": "main", "address": registry, "root": f"/{self.root}", "register": True}
            more = {"registries": [known], "endpoint": endpoint, "state": f"{where}-state",
                    "advertise": {"address": HOST}}  # fmt: skip
        self.sidecar = Sidecar("auto", [], listeners, more=more)
        self.process = psutil.Process(self.sidecar.child.pid)

    async def application(self, stack: contextlib.AsyncExitStack) -> None:
        """It is registered, and reached by what it is registered as."""
        await stack.enter_async_context(Serving(self.api, Offer(SERVICE, {"left": left})))
        mesh = await stack.enter_async_context(sdk.connect("tests", address=self.out, api=self.api, timeout=5))
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(sdk.CallError):
                    assert await mesh.service(SERVICE).call("left", "book") == "none of book"
                    return
                await asyncio.sleep(0.05)

    def cpu(self) -> float:
        found = self.process.cpu_times()
        return float(found.user + found.system)

    def resident(self) -> float:
        return float(self.process.memory_info().rss) / (1 << 20)


async def rest(sidecars: list[Resting], seconds: float) -> list[tuple[float, float]]:
    """Percent of a core, and MiB, of each."""
    async with contextlib.AsyncExitStack() as stack:
        for one in sidecars[1:]:
            await one.application(stack)
            if one.name == "zookeeper":
                client = KazooClient(f"127.0.0.1:{one.port}")
                await asyncio.to_thread(client.start, PATIENCE)
                stack.push_async_callback(asyncio.to_thread, client.close)
                stack.push_async_callback(asyncio.to_thread, client.stop)
                shown = await asyncio.to_thread(client.get_children, f"/dubbo/{SERVICE}/providers", print)
                assert shown, "the endpoint shows nobody"
        before = [one.cpu() for one in sidecars]
        await asyncio.sleep(seconds)
        return [
            (100 * (one.cpu() - spent) / seconds, one.resident()) for one, spent in zip(sidecars, before, strict=True)
        ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.resting", description="idle cost of registry and endpoint")
    parser.add_argument("--seconds", type=float, default=60.0)
    seconds = parser.parse_args().seconds
    sys.path.insert(0, str(E2E))
    from harness.etcd import Etcd
    from harness.process import PeerMissing
    from harness.zookeeper import ZooKeeper

    with contextlib.ExitStack() as stack:
        servers: dict[str, str] = {}
        for name, make in (("zookeeper", ZooKeeper), ("etcd", Etcd)):
            try:
                server = make()
            except PeerMissing as missing:
                print(f"{name} is left out: {missing}")
            else:
                stack.callback(server.close)
                servers[name] = server.address
        rows = [("without", "", ""), ("zookeeper", "zookeeper", "zookeeper"), ("etcd", "etcd", ""),
                ("nacos", "zookeeper", "nacos")]  # fmt: skip
        sidecars = []
        for name, registry, door in rows:
            if not registry or registry in servers:
                sidecars.append(Resting(name, servers.get(registry, ""), door))
                stack.callback(sidecars[-1].sidecar.close)
        show([one.name for one in sidecars], asyncio.run(rest(sidecars, seconds)), seconds)


def show(names: list[str], found: list[tuple[float, float]], seconds: float) -> None:
    print(f"{seconds:g} s; asked beside one without: {CPU:g} % of a core, {MIB:g} MiB")
    usual = found[0][1]
    for name, (cpu, resident) in zip(names, found, strict=True):
        missed = " not reached" if cpu > CPU or resident - usual > MIB else ""
        more = f", {resident - usual:+.1f}" if name != names[0] else ""
        print(f"{name:12}{cpu:6.2f} % {resident:8.1f} MiB{more}{missed}")


if __name__ == "__main__":
    main()
