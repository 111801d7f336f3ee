"""The world of transparent_inside.py: addresses, redirection, users, a second namespace, the sidecar, its metrics."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
SKIPPED = 77

#: Which dialled ports are redirected to which of the sidecar's: of IPv4, of both, of plain TCP, and of inbound calls.
FOUR, BOTH, FIRST, INBOUND = 15001, 15002, 15003, 15006
DUBBO, TCP, NOBODY, MAPPED, SERVED, SPEAKS = 20880, 20881, 20882, 20883, 20884, 20885
V4, OTHER, V6 = "10.9.8.7", "10.9.8.8", "fd00:9::7"
HERE, THERE = "10.9.7.1", "10.9.7.2"  # a second namespace, whose calls come in from outside

OPAQUE = 22
APPLICATION = 65534  # the user of the callers' sockets, where users are mapped
MARK = 0x4D46

CONFIG = """
apiVersion: meshfast.io/v1
kind: Sidecar
metadata: {{name: edge}}
spec:
  admin: "unix://{admin}"
  listeners:
  - {{name: four, bind: "tcp://0.0.0.0:{FOUR}", transparent: true}}
  - {{name: both, bind: "tcp://[::]:{BOTH}", transparent: true}}
  - {{name: first, bind: "tcp://127.0.0.1:{FIRST}", transparent: true, protocol: tcp}}
  - {{name: in, bind: "tcp://0.0.0.0:{INBOUND}", direction: inbound, transparent: true}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: peer}}
spec:
  hosts: [meshfast.peer.PeerService]
  ports: [{{number: {routed}, name: dubbo, protocol: TCP}}]
  endpoints: [{{address: 127.0.0.1}}]
"""

NFT = """
table inet edge {{
  chain out {{
    type nat hook output priority -100; policy accept;
    {whose} ip daddr {{ {V4}, {OTHER} }} tcp dport {{ {DUBBO}, {TCP}, {NOBODY} }} redirect to :{FOUR}
    {whose} ip daddr {V4} tcp dport {MAPPED} redirect to :{BOTH}
    {whose} ip daddr {V4} tcp dport {SPEAKS} redirect to :{FIRST}
    {whose} ip6 daddr {V6} tcp dport {{ {DUBBO}, {TCP}, {NOBODY} }} redirect to :{BOTH}
  }}
  chain in {{
    type nat hook prerouting priority -100; policy accept;
    iifname "edge0" tcp dport {SERVED} redirect to :{INBOUND}
  }}
}}
"""


def run(*command: str, given: str | None = None) -> None:
    done = subprocess.run(command, input=given, capture_output=True, text=True)
    if done.returncode:
        print(f"{' '.join(command)}: {done.stderr.strip()}")
        raise SystemExit(SKIPPED)


def skip(why: str) -> None:
    print(why)
    raise SystemExit(SKIPPED)


@contextmanager
def applications_user() -> Iterator[None]:
    """Sockets made inside are the application's, not the sidecar's."""
    if one_user():
        yield
        return
    os.seteuid(APPLICATION)
    try:
        yield
    finally:
        os.seteuid(0)


def one_user() -> bool:
    return sum(int(line.split()[2]) for line in Path("/proc/self/uid_map").read_text().splitlines()) <= APPLICATION


def callers_socket(family: int) -> socket.socket:
    with applications_user():
        made = socket.socket(family, socket.SOCK_STREAM)
    if one_user():
        made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
    made.setblocking(False)
    return made


def addresses() -> bool:
    """Brings them up; whether IPv6 is there."""
    run("ip", "link", "set", "lo", "up")
    for one in (V4, OTHER):
        run("ip", "address", "add", f"{one}/32", "dev", "lo")
    if not Path("/proc/net/if_inet6").exists():
        return False
    run("ip", "-6", "address", "add", f"{V6}/128", "dev", "lo", "nodad")
    return True


def redirect(tool: str, with_v6: bool) -> None:
    if tool == "nft":
        whose = f"meta mark {MARK}" if one_user() else f"meta skuid {APPLICATION}"
        text = NFT.format(whose=whose, **globals())
        if not with_v6:
            text = "\n".join(line for line in text.splitlines() if "ip6" not in line)
        run("nft", "-f", "-", given=text)
        return
    whose = f"-m mark --mark {MARK}" if one_user() else f"-m owner --uid-owner {APPLICATION}"
    for command, to, ports, port in (
        ("iptables", f"{V4},{OTHER}", f"{DUBBO},{TCP},{NOBODY}", FOUR),
        ("iptables", V4, f"{MAPPED}", BOTH),
        ("iptables", V4, f"{SPEAKS}", FIRST),
        ("ip6tables", V6, f"{DUBBO},{TCP},{NOBODY}", BOTH),
    ):
        if command == "iptables" or with_v6:
            rule = f"-A OUTPUT -p tcp -d {to} {whose} -m multiport --dports {ports} -j REDIRECT --to-ports {port}"
            run(command, "-w", "-t", "nat", *rule.split())
    rule = f"-A PREROUTING -i edge0 -p tcp --dport {SERVED} -j REDIRECT --to-ports {INBOUND}"
    run("iptables", "-w", "-t", "nat", *rule.split())


class Outside:
    """A second namespace, joined to this one by a pair of devices; its sockets are made here."""

    def __init__(self) -> None:
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.keeper = subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.keeper.stdin and self.keeper.stdout
        self.keeper.stdin.write(b"\n")
        self.keeper.stdin.flush()
        self.keeper.stdout.readline()  # it is there when cat answers
        pid = str(self.keeper.pid)
        run("ip", "link", "add", "edge0", "type", "veth", "peer", "name", "edge1", "netns", pid)
        run("ip", "address", "add", f"{HERE}/24", "dev", "edge0")
        run("ip", "link", "set", "edge0", "up")
        enter = ("nsenter", "-t", pid, "-n")
        run(*enter, "ip", "address", "add", f"{THERE}/24", "dev", "edge1")
        run(*enter, "ip", "link", "set", "edge1", "up")

    def socket(self) -> socket.socket:
        there = os.open(f"/proc/{self.keeper.pid}/ns/net", os.O_RDONLY)
        try:
            self._enter(there)
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            made.setblocking(False)
            return made
        finally:
            self._enter(self.home)
            os.close(there)

    def _enter(self, namespace: int) -> None:
        if self.libc.setns(namespace, 0x40000000):  # CLONE_NEWNET
            raise OSError(ctypes.get_errno(), "setns")

    def close(self) -> None:
        assert self.keeper.stdin and self.keeper.stdout
        self.keeper.stdin.close()
        self.keeper.wait()
        self.keeper.stdout.close()
        os.close(self.home)


@asynccontextmanager
async def sidecar(folder: Path, backend: str, routed: int):
    admin = folder / "admin.sock"
    (folder / "edge.yaml").write_text(CONFIG.format(admin=admin, routed=routed, **globals()))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "meshfast", "proxy", "--loop", backend, str(folder),
        cwd=ROOT, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr
    log = ""
    try:
        while "ready:" not in log:
            line = (await asyncio.wait_for(process.stderr.readline(), 60)).decode()
            if not line:
                if backend == "io_uring" and "io_uring" in log:
                    skip(f"this kernel: {log}")
                raise AssertionError(log)
            log += line
        rest = asyncio.ensure_future(process.stderr.read())
        yield Metrics(str(admin))
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0, log + (await rest).decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Metrics:
    def __init__(self, admin: str) -> None:
        self.admin = admin

    async def __call__(self, name: str) -> float:
        reader, writer = await asyncio.open_unix_connection(self.admin)
        writer.write(b"GET /stats/prometheus HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        page = (await reader.read()).decode()
        writer.close()
        found = re.search(rf"^meshfast_{name} (\S+)$", page, re.M)
        assert found, name
        return float(found[1])
