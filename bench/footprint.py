"""What a sidecar takes before any call: time to ready, memory idle, memory per idle connection, time to load.

``python -m bench.footprint`` prints one line a figure. Everything runs on this machine's loopback and in a temporary
folder; the proxy is the one that this Python has installed.
"""

from __future__ import annotations

import dataclasses
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STARTS = 20
CONNECTIONS = 10_000
UPDATES = 200

SIDECAR = """\
apiVersion: meshfast.io/v1
kind: Sidecar
metadata: {{name: footprint}}
spec:
  workload: {{app: footprint}}
  workers: 1
  loop: {loop}
  limits: {{maxConnections: 20000}}
  listeners:
  - {{name: dubbo, bind: "tcp://127.0.0.1:0", direction: outbound, protocol: dubbo}}
"""
APP = """\
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: app{i}}}
spec:
  hosts: [com.example.S{i}]
  ports: [{{name: dubbo, number: 20880, protocol: DUBBO}}]
  endpoints:
{endpoints}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: vs{i}}}
spec:
  hosts: [com.example.S{i}]
  http:
  - match: [{{uri: {{prefix: /com.example.S{i}/get}}}}]
    route: [{{destination: {{}}}}]
    timeout: 1.5s
"""


def policy(services: int, endpoints: int) -> str:
    """``services`` VirtualServices, each with a ServiceEntry of so many endpoints."""
    return "".join(
        APP.format(
            i=i,
            endpoints="".join(f"  - {{address: 10.{i // 250}.{i % 250}.{j + 1}}}\n" for j in range(endpoints)),
        )
        for i in range(services)
    )


@contextmanager
def proxy(config: Path) -> Iterator[tuple[int, str, float]]:
    """A running proxy: its process, its address, and the seconds from its start to its ready line."""
    start = time.perf_counter()
    command = [sys.executable, "-P", "-m", "meshfast", "proxy", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        try:
            said = ""
            for line in process.stderr:
                said += line
                if " ready: dubbo " in line:
                    yield process.pid, line.split(" ready: dubbo ")[1].split()[0], time.perf_counter() - start
                    break
            else:
                raise RuntimeError(f"the proxy ended early:\n{said}")
        finally:
            process.terminate()


def resident(pid: int) -> int:
    """KiB that are in memory for a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def starts(config: Path) -> list[float]:
    """Milliseconds to ready, each time."""
    out = []
    for _ in range(STARTS):
        with proxy(config) as (_, _, took):
            out.append(took * 1000)
    return out


def connections(config: Path) -> tuple[int, float]:
    """KiB idle, and KiB more for each of CONNECTIONS idle connections."""
    with proxy(config) as (pid, address, _):
        time.sleep(1)  # past the first reclaim
        idle = resident(pid)
        host, _, port = address.rpartition(":")
        held = [socket.create_connection((host, int(port))) for _ in range(CONNECTIONS)]
        while len(os.listdir(f"/proc/{pid}/fd")) < CONNECTIONS:
            time.sleep(0.05)
        time.sleep(0.5)
        more = (resident(pid) - idle) / CONNECTIONS
        for one in held:
            one.close()
    return idle, more


def updates() -> float:
    """Milliseconds of CPU to publish one changed service among 10,000."""
    from meshfast import config, routing

    mesh = config.load_texts([("f", policy(10_000, 1).encode())])
    table = routing.Table()
    table.publish(mesh)
    services, took = list(mesh.services), []
    for i in range(UPDATES):
        at = i * 47 % len(services)
        rules = tuple(dataclasses.replace(rule, timeout_ms=i + 1) for rule in services[at].rules)
        services[at] = dataclasses.replace(services[at], rules=rules)
        start = time.process_time()
        applied = table.publish(dataclasses.replace(mesh, services=tuple(services)))
        took.append((time.process_time() - start) * 1000)
        if applied.published != 1:
            raise RuntimeError(f"one service changed, {applied.published} were published")
    return statistics.median(took)


def main() -> None:
    """All figures, one a line."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small.yaml"), Path(folder, "large.yaml")
        small.write_text(SIDECAR.format(loop="auto"))
        took = starts(small)
        print(f"to ready: median of {STARTS} {statistics.median(took):.0f} ms ({min(took):.0f} to {max(took):.0f})")
        for loop in ("epoll", "io_uring"):
            small.write_text(SIDECAR.format(loop=loop))
            idle, more = connections(small)
            print(f"{loop}: idle {idle / 1024:.1f} MiB, {more:.2f} KiB more for each of {CONNECTIONS} idle connections")
        large.write_text(SIDECAR.format(loop="auto") + policy(1000, 10))
        with proxy(large) as (pid, _, seconds):
            print(f"1,000 services, 10,000 endpoints: ready in {seconds:.2f} s, {resident(pid) / 1024:.1f} MiB")
        start = time.perf_counter()
        subprocess.run([sys.executable, "-P", "-m", "meshfast", "check", str(large)], check=True, capture_output=True)
        print(f"meshfast check on it: {time.perf_counter() - start:.2f} s")
    print(f"one changed service among 10,000: {updates():.2f} ms of CPU to publish")


if __name__ == "__main__":
    main()
