"""The two ends of the gRPC comparison must be honest HTTP/2, and notice every wrong, crossed or missing answer."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.harness import idle, idle_h2
from bench.harness.measure import Plan, Point, default_cpus, take_all
from bench.harness.process import BenchError, Program
from bench.harness.rival import BUILD, ROOT
from bench.harness.rivals import RIVALS
from bench.harness.suites import SUITES, verdicts
from bench.run import _of_one_protocol
from meshfast import http2

CPU = min(os.sched_getaffinity(0))
FIELDS = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a.B/C"), (b":authority", b"a"),
          (b"te", b"trailers"), (b"content-type", b"application/grpc"))  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    if not shutil.which("make") or not (shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("no compiler for the load generator")
    subprocess.run(["make", "-s", "bench-tools"], cwd=ROOT, check=True)


def backend(directory: Path, *options: str) -> Program:
    argv = [str(BUILD / "h2_backend"), *options]
    return Program("backend", argv, cpu=CPU, log=directory / "backend.log", announces=True)


def command(address: str, *options: str) -> list[str]:
    return [str(BUILD / "h2_load"), "--connect", address, *options]


def load(address: str, *options: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(command(address, *options), capture_output=True, text=True, timeout=60)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Program]:
    with backend(tmp_path) as program:
        yield program


@pytest.mark.parametrize(
    "options",
    [
        ("--calls", "500"),
        ("--calls", "500", "--connections", "4", "--inflight", "30"),
        ("--calls", "500", "--payload", "21", "--trace", "once"),
        ("--calls", "20", "--payload", "1000000", "--inflight", "5"),
        ("--calls", "500", "--trace", "indexed", "--header", "x-stage=beta", "--inflight", "3"),
        ("--calls", "5", "--messages", "5000", "--payload", "1024", "--inflight", "3"),
    ],
)
def test_right_answers(echo: Program, options: tuple[str, ...]) -> None:
    code, report = load(echo.address, *options, "--stall", "30000", "--watch", str(echo.pid))
    assert (code, report["errors"], report["first_error"]) == (0, 0, "")
    assert report["calls"] == int(options[1]) * max(report["messages"], 1)
    assert 0 < report["latency_us"]["p50"] <= report["latency_us"]["max"]


@pytest.mark.parametrize("options", [(), ("--messages", "20"), ("--payload", "70000", "--trace", "indexed")])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("http", "status"), ("status", "status"), ("trailers", "status"), ("body", "body"), ("call", "body"),
        ("reset", "reset"), ("drop", "stall"), ("close", "closed"),
    ],
)  # fmt: skip
def test_wrong_answers_are_seen(tmp_path: Path, fault: str, kind: str, options: tuple[str, ...]) -> None:
    with backend(tmp_path, "--fault", f"{fault}:20") as program:
        some = ("--calls", "200", "--connections", "2", "--inflight", "4", "--stall", "500")
        code, report = load(program.address, *some, *options)
    assert code == 1
    assert report["wrong"][kind] > 0
    assert report["first_error"]


def test_field_that_the_backend_wants(tmp_path: Path) -> None:
    with backend(tmp_path, "--want", "env=dev1") as program:
        assert load(program.address, "--calls", "10", "--header", "env=dev1")[0] == 0
        code, report = load(program.address, "--calls", "10", "--header", "env=dev2")
    assert code == 1
    assert "grpc-status (3)" in report["first_error"]


def test_open_loop_keeps_its_rate(echo: Program) -> None:
    code, report = load(echo.address, "--connections", "2", "--inflight", "64", "--rate", "1000", "--warmup", "0",
                        "--seconds", "0.5")  # fmt: skip
    assert code == 0
    assert report["calls"] + report["unsent"] == pytest.approx(500, abs=25)


class Peer:
    """The other end of a connection, by the codec of meshfast."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.held = connection, b""
        self.encoder, self.decoder = http2.HeaderEncoder(), http2.HeaderDecoder()
        connection.settimeout(30)

    def send(self, *frames: http2.Frame) -> None:
        self.connection.sendall(b"".join(frame.encode() for frame in frames))

    def next(self) -> http2.Frame:
        while (found := http2.parse_frame(self.held)) is None:
            part = self.connection.recv(65536)
            assert part, "closed"
            self.held += part
        frame, length = found
        self.held = self.held[length:]
        return frame

    def until(self, wanted: Callable[[http2.Frame], bool]) -> list[http2.Frame]:
        """All frames that come, up to one that is wanted."""
        frames = [self.next()]
        while not wanted(frames[-1]):
            frames.append(self.next())
        return frames


@pytest.fixture
def client(echo: Program) -> Iterator[Peer]:
    host, _, port = echo.address.rpartition(":")
    with socket.create_connection((host, int(port)), 30) as connection:
        peer = Peer(connection)
        connection.sendall(http2.PREFACE)
        peer.send(http2.Settings(0, 0, ((1, 0), (4, 50))))
        yield peer


def ping(frame: http2.Frame) -> bool:
    return isinstance(frame, http2.Ping) and frame.is_ack


def message(size: int) -> bytes:
    body = b"0123456789abcdef" + bytes(97 + i % 26 for i in range(21, size))
    return b"\0" + len(body).to_bytes(4, "big") + body


def body_of(frames: list[http2.Frame]) -> bytes:
    return b"".join(frame.data for frame in frames if isinstance(frame, http2.Data))


def test_backend_heeds_windows_and_answers_pings(client: Peer) -> None:
    block = client.encoder.encode(FIELDS)
    client.send(
        http2.Headers(1, 0, block[:3], pad=7, priority=http2.Priority(0)),
        http2.Continuation(1, 0, block[3:9]),
        http2.Continuation(1, http2.Flag.END_HEADERS, block[9:]),
        http2.Data(1, 0, message(100)[:30], pad=3),
        http2.Data(1, http2.Flag.END_STREAM, message(100)[30:]),
        http2.Unknown(0, 0, 99, b"?"),
        http2.Ping(0, 0, b"12345678"),
    )
    frames = client.until(ping)
    assert [frame.settings for frame in frames if isinstance(frame, http2.Settings) and not frame.is_ack]
    assert any(frame.is_ack for frame in frames if isinstance(frame, http2.Settings))
    assert frames[-1] == http2.Ping(0, http2.Flag.ACK, b"12345678")
    (headers,) = (frame for frame in frames if isinstance(frame, http2.Headers))
    limited = http2.HeaderDecoder(0)
    assert limited.decode(headers.block) == [(b":status", b"200"), (b"content-type", b"application/grpc")]
    assert body_of(frames) == message(100)[:50]
    client.send(http2.WindowUpdate(1, 0, 1000))
    frames = client.until(lambda frame: frame.is_last)
    assert body_of(frames) == message(100)[50:]
    assert isinstance(frames[-1], http2.Headers)
    assert limited.decode(frames[-1].block) == [(b"grpc-status", b"0")]


@pytest.mark.parametrize(
    "sent",
    [
        http2.Data(0, 0, b"").encode(),
        http2.Continuation(1, 0, b"").encode(),
        http2.Headers(2, http2.Flag.END_HEADERS, b"\x82").encode(),
        http2.Headers(1, http2.Flag.END_HEADERS, b"\xff\xff").encode(),
        http2.Headers(1, 0, b"\x82").encode() + http2.Ping().encode(),
        b"\xff\xff\xff" + bytes(6),
        b"\0\0\5\6" + bytes(10),
    ],
)
def test_backend_says_what_is_no_http2(client: Peer, sent: bytes) -> None:
    client.connection.sendall(sent)
    last = client.until(lambda frame: isinstance(frame, http2.GoAway))[-1]
    assert isinstance(last, http2.GoAway)
    assert last.code == http2.ErrorCode.PROTOCOL_ERROR


def test_backend_says_that_a_request_is_over(client: Peer) -> None:
    end = http2.Data(1, http2.Flag.END_STREAM, message(100))
    client.send(http2.Headers(1, http2.Flag.END_HEADERS, client.encoder.encode(FIELDS)), end, end)
    assert body_of(client.until(lambda frame: isinstance(frame, http2.GoAway))) == message(100)[:50]


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (FIELDS, message(100)[:-1] + b"?"),
        (FIELDS, message(100)[:-1]),
        (FIELDS, message(100) + b"?"),
        (FIELDS[:-1], message(100)),
        ((*FIELDS[:2], (b":path", b"/"), *FIELDS[3:]), message(100)),
    ],
)
def test_backend_refuses_another_request(client: Peer, fields: tuple[tuple[bytes, bytes], ...], body: bytes) -> None:
    client.send(
        http2.Headers(1, http2.Flag.END_HEADERS, client.encoder.encode(fields)),
        http2.Data(1, http2.Flag.END_STREAM, body),
    )
    last = client.until(lambda frame: frame.is_last)[-1]
    assert isinstance(last, http2.Headers)
    assert (b"grpc-status", b"3") in http2.HeaderDecoder(0).decode(last.block)


def test_generator_heeds_windows_streams_and_pings() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        argv = command(address, "--inflight", "9", "--stall", "30000", "--seconds", "60")
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as program, listener.accept()[0] as connection:
            peer = Peer(connection)
            while len(peer.held) < len(http2.PREFACE):
                peer.held += connection.recv(65536)
            assert peer.held.startswith(http2.PREFACE)
            peer.held = peer.held[len(http2.PREFACE) :]
            assert isinstance(peer.next(), http2.Settings)
            peer.send(http2.Settings(0, 0, ((3, 3), (4, 10))), http2.Ping())
            frames = peer.until(ping)
            while sum(isinstance(frame, http2.Data) for frame in frames) < 3:
                frames.append(peer.next())
            peer.send(http2.Ping(), http2.WindowUpdate(3, 0, 90))
            frames += peer.until(lambda frame: frame.is_last)
            began = [frame for frame in frames if isinstance(frame, http2.Headers)]
            assert [frame.stream for frame in began] == [1, 3, 5]
            lists = [peer.decoder.decode(frame.block) for frame in began]
            assert lists[0] == lists[1] == lists[2]
            assert len(lists[0]) == 10
            assert [len(f.data) for f in frames if isinstance(f, http2.Data)] == [10, 10, 10, 90]
            assert frames[-1].stream == 3
            peer.send(http2.GoAway(0, 0, 5))
            assert program.stdout is not None
            assert "GOAWAY, last stream 5" in json.loads(program.stdout.read())["first_error"]


@pytest.fixture
def plan() -> Plan:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("the comparison needs two cores")
    proxy_cpu, load_cpu = default_cpus()
    options = SUITES["grpc"].options
    points = (Point(2, 3), Point(1, 2, 200))
    return Plan((RIVALS["direct"], RIVALS["relay"]), points, 1, 0.1, 0.1, tries=10, proxy_cpu=proxy_cpu,
                load_cpu=load_cpu, **options)  # fmt: skip


def test_samples_are_taken(plan: Plan, tmp_path: Path) -> None:
    samples = take_all(plan, tmp_path, lambda sample: None)
    assert [sample.get("error") for sample in samples] == [None] * 4
    assert all(sample["raw"]["header_bytes"] < 20 for sample in samples)


def test_memory_of_a_stream_is_seen(plan: Plan, tmp_path: Path) -> None:
    memory = idle.Memory(plan, tmp_path, counts=(20,), looks=1)
    memory.run()
    assert memory.failures == []
    found = {one["what"]: one["values"] for one in memory.measures if one["rival"] == "direct"}
    assert found["a connection"][0] > 0
    assert 0 < found["a quiet stream"][0] < 20


def test_connection_that_answers_wrongly_is_not_idle(tmp_path: Path) -> None:
    with backend(tmp_path, "--fault", "call") as program:
        with pytest.raises(BenchError, match="not served"), idle.connections(program.address, 1, idle_h2.answered):
            pass
        host, _, port = program.address.rpartition(":")
        with socket.create_connection((host, int(port)), 30) as connection:
            connection.sendall(http2.PREFACE + http2.Settings().encode() + http2.Headers(0, 4, b"").encode())
            with pytest.raises(BenchError, match="left open|ended"):
                idle_h2.open_streams(connection, 2)


def test_proxies_of_another_protocol_are_refused(plan: Plan) -> None:
    with pytest.raises(BenchError, match="mosn: not for grpc calls"):
        _of_one_protocol(Plan((RIVALS["mosn"],), plan.points, protocol="grpc"))


def test_what_is_asked_is_judged() -> None:
    costs = {"meshfast-h2-epoll": 1.0, "nghttpx": 5.2, "haproxy-h2": 9.0, "envoy-h2": 24.0}
    samples = [
        {"rival": name, "point": "64x10", "cpu_us": cost + n / 1000, "calls_per_s": 1e6 / cost, "p99_us": cost}
        for name, cost in costs.items()
        for n in range(3)
    ]
    options = {"rivals": list(costs), "points": ["64x10"], "rounds": 3}
    judged = {suite: verdicts({"suite": suite, "samples": samples, "options": options})
              for suite in ("grpc", "grpc-trace", "grpc-rates", "grpc-large")}  # fmt: skip
    assert [one.met for one in judged["grpc"]] == [True, False]
    assert [one.what for one in judged["grpc"]] == [
        "64x10: CPU a call, meshfast-h2-epoll / nghttpx", "64x10: CPU a call, meshfast-h2-epoll / envoy-h2",
    ]  # fmt: skip
    assert [one.met for one in judged["grpc-trace"]] == [True, True]
    assert [one.met for one in judged["grpc-rates"]] == [True]
    assert [one.met for one in judged["grpc-large"]] == [True]
