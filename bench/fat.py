"""How long an application takes to go on without its sidecar: from a snapshot on disk to the first answer.

``python -m bench.fat [SERVICES [INSTANCES]]`` prints medians, and what writing such a snapshot costs the sidecar. Each
start is in a process of its own that has all modules loaded. Nothing is decided by it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from meshfast import config, dubbo, snapshot
from meshfast.model import Mesh
from meshfast.sdk.fat import Fat
from meshfast.snapshot import Snapshot
from meshfast.statedir import StateDir

ROUNDS = 20
ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: app{number}}}
spec:
  hosts: [com.x.shop.Service{number}]
  ports: [{{name: dubbo, number: 20880, protocol: DUBBO}}]
  endpoints:
{endpoints}
---
"""
RULES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: all}
spec: {hosts: ["*"], http: [{route: [{destination: {subset: $env}}]}]}
---
apiVersion: istio.alibabacloud.com/v1
kind: TrafficLabel
metadata: {name: env}
spec: {rules: [{labels: [{name: env}]}]}
"""


def mesh(services: int, instances: int, port: int) -> Mesh:
    """The first service has one instance that carries no label, which is here, at ``port``."""
    made = []
    for number in range(services):
        lines = [
            f"  - {{address: 10.{number >> 8}.{number & 255}.{i + 1}, labels: {{application: app{number % 50}, "
            f"zone: z{i % 3}{', env: b' if not number or i % 2 else ''}}}}}"
            for i in range(instances)
        ]
        if not number:
            lines[0] = f"  - {{address: 127.0.0.1, ports: {{dubbo: {port}}}}}"
        made.append(ENTRY.format(number=number, endpoints="\n".join(lines)))
    return config.load_texts([("mesh.yaml", ("".join(made) + RULES).encode())])


def serve(listener: socket.socket) -> None:
    """A provider: answers each request with a text."""
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=_answer, args=(sock,), daemon=True).start()


def _answer(sock: socket.socket) -> None:
    with sock, sock.makefile("rb") as stream:
        while len(head := stream.read(16)) == 16:
            stream.read(int.from_bytes(head[12:], "big"))
            sock.sendall(dubbo.encode_response(int.from_bytes(head[4:12], "big"), "well"))


def once(path: str) -> None:
    """In a process of its own: prints ms to an address, to the first answer and to the end, MiB, and ms of CPU."""
    before, cpu, began = _resident(), time.process_time(), time.perf_counter()
    fat = Fat(path, "shop")
    address = fat.start()
    made = time.perf_counter()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect("\0" + address.removeprefix("unix://@"))
        sock.sendall(dubbo.encode_request(1, "com.x.shop.Service0", "hi", ("a",)))
        answer = sock.recv(4096)
    answered, cpu = time.perf_counter(), time.process_time() - cpu
    assert answer[3] == 20, answer
    took, closing = _resident() - before, time.perf_counter()
    assert fat.close()
    print(1000 * (made - began), 1000 * (answered - began), 1000 * (time.perf_counter() - closing), took, 1000 * cpu)


def _resident() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


async def writing(directory: StateDir, whole: Mesh, names: list[str]) -> tuple[float, float, int]:
    """CPU of writing one, in ms; how long the loop beside it stood still at most, in ms; its bytes."""
    longest, ended = 0.0, False

    async def watch() -> None:
        nonlocal longest
        while not ended:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - began - 0.001)

    def write() -> int:
        part = snapshot.only(whole, names)
        return snapshot.put(directory, Snapshot("shop", 1, time.time(), part), snapshot.pack(part))

    watching = asyncio.create_task(watch())
    cpu = time.process_time()
    size = await asyncio.to_thread(write)
    cpu, ended = time.process_time() - cpu, True
    await watching
    return 1000 * cpu, 1000 * longest, size


def main(services: int = 100, instances: int = 20) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    whole = mesh(services, instances, listener.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        directory = StateDir(f"{folder}/state")
        names = [one.name for one in whole.services]
        wrote = [asyncio.run(writing(directory, whole, names)) for _ in range(ROUNDS)]
        command = [sys.executable, "-m", "bench.fat", "once", directory.path]
        told = [
            [*map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())]
            for _ in range(ROUNDS)
        ]
        directory.close()
    made, answered, closed, took, spent = (statistics.median(column) for column in zip(*told, strict=True))
    print(f"{services} services of {instances} instances, {wrote[0][2] / (1 << 20):.2f} MiB; median of {ROUNDS}")
    most = max(one[1] for one in told)
    print(f"to an address            {made:8.1f} ms")
    print(f"to the first answer      {answered:8.1f} ms, at most {most:.1f}; {spent:.1f} ms of CPU, {took:.1f} MiB")
    print(f"to its end               {closed:8.1f} ms")
    cpu, longest = statistics.median(one[0] for one in wrote), statistics.median(one[1] for one in wrote)
    print(f"writing it               {cpu:8.1f} ms of CPU; the loop beside it stood still for {longest:.1f} ms")


if __name__ == "__main__":
    if sys.argv[1:2] == ["once"]:
        once(sys.argv[2])
    else:
        main(*map(int, sys.argv[1:3]))
