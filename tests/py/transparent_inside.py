"""The story of test_transparent.py, in a network namespace of its own: python transparent_inside.py TOOL BACKEND.

TOOL is nft or iptables. What is to be redirected is told by who owns the socket, as in a pod where the sidecar has a
user of its own; where only one user is mapped, by a mark on the callers' sockets. Exit code 77: skipped, and why.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from peers import Frame, Provider, closing, read_frame

from meshfast import dubbo

ROOT = Path(__file__).parents[2]
SKIPPED = 77

#: Which dialled ports are redirected to which of the sidecar's: of IPv4, of both, of plain TCP, and of inbound calls.
FOUR, BOTH, FIRST, INBOUND = 15001, 15002, 15003, 15006
DUBBO, TCP, NOBODY, MAPPED, SERVED, SPEAKS = 20880, 20881, 20882, 20883, 20884, 20885
V4, OTHER, V6 = "10.9.8.7", "10.9.8.8", "fd00:9::7"
HERE, THERE = "10.9.7.1", "10.9.7.2"  # a second namespace, whose calls come in from outside

OPAQUE, JAVA = 22, 3
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


# --- the world


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
            line = (await asyncio.wait_for(process.stderr.readline(), 15)).decode()
            if not line:
                if backend == "io_uring" and "io_uring" in log:
                    skip(f"this kernel: {log}")
                raise AssertionError(log)
            log += line
        rest = asyncio.ensure_future(process.stderr.read())
        yield Metrics(str(admin))
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0, log + (await rest).decode()
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


# --- those who speak


def raw_answer(request: Frame, name: str) -> bytes:
    """An answer in the request's own serialization: its body says who answered, and what was asked."""
    body = name.encode() + b"|" + request.raw[dubbo.HEAD_LENGTH :]
    head = bytes((0xDA, 0xBB, request.head.serialization, 20)) + request.raw[4:12]
    return head + len(body).to_bytes(4, "big") + body


async def answer(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
    if frame.head.serialization == dubbo.HESSIAN2:
        writer.write(provider.answer(frame))
    else:
        writer.write(raw_answer(frame, provider.name))


async def provider(name: str, host: str, port: int = 0) -> Provider:
    return await Provider(name, answer, host).start(port)


async def echo_server(name: str, host: str, port: int) -> asyncio.Server:
    """Sends its name at once, then what it was sent, and ends when its caller does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(name.encode() + b"|")
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    return await asyncio.start_server(serve, host, port)


class Dialled:
    """A connection to where the caller believes that its provider is."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, host: str, port: int, made: socket.socket | None = None) -> Dialled:
        made = made or callers_socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        await asyncio.get_running_loop().sock_connect(made, (host, port))
        return cls(*await asyncio.open_connection(sock=made))

    async def ask(self, raw: bytes) -> Frame | None:
        self.writer.write(raw)
        return await asyncio.wait_for(read_frame(self.reader), 5)

    async def say(self, data: bytes) -> bytes:
        """All that comes back, to the end; a reset is an end."""
        self.writer.write(data)
        self.writer.write_eof()
        try:
            return await asyncio.wait_for(self.reader.read(), 5)
        except ConnectionError:
            return b""

    def close(self) -> None:
        self.writer.transport.abort()


def opaque(request_id: int, body: bytes = b"\x00not for us\xff", serialization: int = OPAQUE) -> bytes:
    head = bytes((0xDA, 0xBB, 0xC0 | serialization, 0)) + request_id.to_bytes(8, "big")
    return head + len(body).to_bytes(4, "big") + body


def java(name: str = "java-3.3-java", service: bytes = b"") -> bytes:
    """A recorded request in Java's own serialization; `service` takes the place of its interface, at equal length."""
    for line in (ROOT / "tests" / "wire" / f"{name}.txt").read_text().splitlines():
        if line.startswith("request-echo "):
            raw = bytes.fromhex(line.split()[1])
            return raw.replace(b"meshfast.peer.PeerService", service) if service else raw
    raise AssertionError(name)


# --- the story


async def calls(metric: Metrics, host: str, port: int, name: str) -> None:
    """Everything but what the table can route goes to the address that was dialled."""
    there = await Dialled.to(host, port)
    try:
        hessian = dubbo.encode_request(1, "meshfast.peer.PeerService", "echo", ("x",))
        frame = await there.ask(hessian)
        assert frame and dubbo.decode_response(frame.raw).value == "routed:x"

        before = await metric("calls_opaque_total")
        for number, raw in enumerate((opaque(7), java(), java(service=b"meshfast.peer.Absent00000")), 1):
            frame = await there.ask(raw)
            assert frame and frame.raw == raw_answer(Frame(frame.head, raw), name), (host, port, number, frame)
        assert await metric("calls_opaque_total") == before + 3

        absent = dubbo.encode_request(9, "com.x.Absent", "echo", ("x",))
        frame = await there.ask(absent)  # it can be read, so the table says, wherever it was dialled
        assert frame and frame.head.status == dubbo.Status.SERVICE_NOT_FOUND, frame
        assert "not in the mesh" in str(dubbo.decode_response(frame.raw).exception)
    finally:
        there.close()


async def plain(metric: Metrics, host: str, port: int, name: str) -> None:
    before = await metric("opaque_connections_total")
    there = await Dialled.to(host, port)
    data = b"*1\r\n$4\r\nPING\r\n" * 20000
    assert await there.say(data) == name.encode() + b"|" + data
    there.close()
    assert await metric("opaque_connections_total") == before + 1


async def server_first() -> None:
    """A server that greets its caller, on a listener that does not wait for the caller's first byte."""
    there = await Dialled.to(V4, SPEAKS)
    assert await asyncio.wait_for(there.reader.readexactly(6), 5) == b"first|"
    assert await there.say(b"thanks") == b"thanks"
    there.close()


async def two_at_once(ways: dict[str, str]) -> None:
    """Callers that dialled different addresses share the sidecar, never a provider."""
    dialled = {name: await Dialled.to(host, DUBBO) for name, host in ways.items()}
    try:
        for turn in range(50):
            raw = opaque(turn)  # the same id on each connection
            frames = await asyncio.gather(*(one.ask(raw) for one in dialled.values()))
            for name, frame in zip(dialled, frames, strict=True):
                assert frame and frame.raw == raw_answer(Frame(frame.head, raw), name)
    finally:
        for one in dialled.values():
            one.close()


async def nobody_there(host: str) -> None:
    there = await Dialled.to(host, NOBODY)
    frame = await there.ask(opaque(3))
    assert frame and frame.id == 3 and frame.head.status == dubbo.Status.SERVER_ERROR, frame
    there.close()
    there = await Dialled.to(host, NOBODY)
    assert await there.say(b"hello\r\n") == b""
    there.close()


async def not_redirected(metric: Metrics, host: str, port: int) -> None:
    """Who dials the listener itself has named no destination. It must never be taken for one: that would be a loop."""
    before, made = await metric("downstream_connections_total"), await metric("upstream_connections_total")
    for to in (opaque(4), java(service=b"meshfast.peer.Absent00000")):
        there = await Dialled.to(host, port)
        frame = await there.ask(to)
        assert frame and frame.head.status == dubbo.Status.SERVICE_NOT_FOUND, (host, port, frame)
        there.close()
    there = await Dialled.to(host, port)
    assert await there.say(b"hello\r\n") == b""
    there.close()
    assert await metric("downstream_connections_total") == before + 3
    assert await metric("upstream_connections_total") == made


async def from_outside(outside: Outside) -> None:
    """Calls that come in from another machine reach the application that they were sent to."""
    served = await provider("served", HERE, SERVED)
    async with closing(served):
        there = await Dialled.to(HERE, SERVED, outside.socket())
        frame = await there.ask(opaque(5))
        assert frame and frame.raw == raw_answer(Frame(frame.head, opaque(5)), "served")
        frame = await there.ask(dubbo.encode_request(6, "com.x.Mine", "hi", ("y",)))
        assert frame and dubbo.decode_response(frame.raw).value == "served:y"
        assert served.writers[0].get_extra_info("peername")[0] == HERE  # by way of the sidecar, not from THERE
        there.close()


async def story(tool: str, backend: str) -> dict[str, object]:
    with_v6 = addresses()
    outside = Outside()
    redirect(tool, with_v6)
    hosts = {"four": V4, "other": OTHER} | ({"six": V6} if with_v6 else {})
    routed = await provider("routed", "127.0.0.1")
    dialled = [await provider(name, host, DUBBO) for name, host in hosts.items()]
    dialled.append(await provider("mapped", V4, MAPPED))
    echoes = [await echo_server(name, host, TCP) for name, host in hosts.items()]
    echoes.append(await echo_server("first", V4, SPEAKS))
    try:
        with tempfile.TemporaryDirectory(prefix="mf-edge-") as folder:
            async with closing(routed, *dialled), sidecar(Path(folder), backend, routed.port) as metric:
                steps: list[Callable[[], Awaitable[None]]] = []
                for name, host in hosts.items():
                    steps.append(lambda host=host, name=name: calls(metric, host, DUBBO, name))
                    steps.append(lambda host=host, name=name: plain(metric, host, TCP, name))
                    steps.append(lambda host=host: nobody_there(host))
                steps.append(lambda: calls(metric, V4, MAPPED, "mapped"))
                steps.append(server_first)
                steps.append(lambda: two_at_once(hosts))
                for host, port in ((V4, FOUR), ("127.0.0.1", FOUR), (V4, BOTH), ("127.0.0.1", BOTH)):
                    steps.append(lambda host=host, port=port: not_redirected(metric, host, port))
                if with_v6:
                    steps.append(lambda: not_redirected(metric, "::1", BOTH))
                steps.append(lambda: from_outside(outside))
                for step in steps:
                    await asyncio.wait_for(step(), 20)
                for one in dialled:  # each got its own calls through one shared connection, and no other's
                    assert len(one.writers) == 1, one.name
                return {"v6": with_v6, "one_user": one_user()}
    finally:
        for server in echoes:
            server.close()
        outside.close()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(story(sys.argv[1], sys.argv[2]))))
