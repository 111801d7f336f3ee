"""What a call costs an application in Python: CPU of its own process, by the SDK and by others in the same run.

    python -m bench.sdk [--rounds 5] [--seconds 2] [--rivals PYTHON]

One call is one string of 100 characters there and back, over TCP on this machine, straight to a server in another
process. ``tri``: by Triple, else by Dubbo2; ``codec`` is the SDK's own writing and reading of Dubbo2 alone, without a
connection; grpcio and apache-dubbo are given bytes that are encoded already, so that theirs is not counted.
``--rivals``: an interpreter that has apache-dubbo and grpcio (``make bench-sdk`` makes one); without it they are left
out, and said so.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.sdk_rivals import HOST, METHOD, SERVICE, THREADS, measured, measured_async
from bench.sdk_rivals import ROWS as THEIRS
from meshfast import dubbo, hessian, http2, protobuf, sdk
from meshfast.sdk.codec import HEAD, Target, answered

TEXT = "x" * 100
TIMING = sdk.Timing(silent=60, lost=60)
#: Asked of the SDK's rows: CPU against the codec's, and against each other SDK's with as many calls at a time.
CODEC, LESS = 1.3, 3.0
RIVALS = Path(__file__).with_name("sdk_rivals.py")


def codec(port: int, seconds: float) -> tuple[int, float]:
    target = Target(SERVICE)
    answer = dubbo.encode_response(1, TEXT)[HEAD.size :]

    def one() -> None:
        target.request(1, METHOD, (TEXT,), None, None, 30_000)
        assert answered((dubbo.HESSIAN2, 20, answer)) == TEXT

    return measured(one, seconds)


def waiting(port: int, seconds: float, tasks: int, protocol: str = "dubbo") -> tuple[int, float]:
    async def story() -> tuple[int, float]:
        async with sdk.connect("bench", address=f"tcp://{HOST}:{port}", timing=TIMING, timeout=30) as mesh:
            service = mesh.service(SERVICE, protocol=protocol)

            async def one() -> None:
                assert await service.call(METHOD, TEXT) == TEXT

            return await measured_async(one, seconds, tasks)

    return asyncio.run(story())


def blocking(port: int, seconds: float, threads: int, protocol: str = "dubbo") -> tuple[int, float]:
    with sdk.Blocking("bench", address=f"tcp://{HOST}:{port}", timing=TIMING, timeout=30) as mesh:
        service = mesh.service(SERVICE, protocol=protocol)

        def one() -> None:
            assert service.call(METHOD, TEXT) == TEXT

        return measured(one, seconds, threads)


OURS: dict[str, Callable[[int, float], tuple[int, float]]] = {
    "codec": codec,
    "meshfast async, 1": lambda port, seconds: waiting(port, seconds, 1),
    "meshfast async, 64": lambda port, seconds: waiting(port, seconds, 64),
    "meshfast blocking, 1": lambda port, seconds: blocking(port, seconds, 1),
    "meshfast blocking, 16": lambda port, seconds: blocking(port, seconds, THREADS),
    "meshfast tri async, 1": lambda port, seconds: waiting(port, seconds, 1, "tri"),
    "meshfast tri async, 64": lambda port, seconds: waiting(port, seconds, 64, "tri"),
    "meshfast tri blocking, 16": lambda port, seconds: blocking(port, seconds, THREADS, "tri"),
}


class Echo(asyncio.Protocol):
    """A provider that reads heads alone: what it costs is not counted, and is to hold nobody up."""

    body = dubbo.encode_response(1, TEXT)[HEAD.size :]
    is_http2: bool | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.rest = transport, b""

    def data_received(self, data: bytes) -> None:
        data, at, out = self.rest + data, 0, []
        if self.is_http2 is None and len(data) >= len(http2.PREFACE):
            self.is_http2 = data.startswith(http2.PREFACE)
            if self.is_http2:
                data = data[len(http2.PREFACE) :]
                out.append(http2.Settings().encode())
        if self.is_http2:
            self.streams(data, out)
            return
        while len(data) - at >= HEAD.size:
            _, flags, _, number, length = HEAD.unpack_from(data, at)
            if len(data) - at - HEAD.size < length:
                break
            if flags & 0x20:
                out.append(HEAD.pack(0xDABB, 0x22, 20, number, 1) + b"N")
            else:
                out.append(HEAD.pack(0xDABB, 2, 20, number, len(self.body)) + self.body)
            at += HEAD.size + length
        self.rest = data[at:]
        self.transport.write(b"".join(out))


    def streams(self, data: bytes, out: list[bytes]) -> None:
        """The same of HTTP/2: heads of frames alone, and windows as wide as they come."""
        at = 0
        while len(data) - at >= 9:
            length, kind, flags = int.from_bytes(data[at : at + 3], "big"), data[at + 3], data[at + 4]
            if len(data) - at - 9 < length:
                break
            stream = data[at + 5 : at + 9]
            if kind == 6 and not flags:
                out.append(data[at : at + 4] + b"\1" + data[at + 5 : at + 9 + length])
            elif kind == 0 and flags & 1:
                out += (piece.replace(b"\0\0\0\1", stream, 1) for piece in ANSWER)
                self.taken += length
            at += 9 + length
        self.rest = data[at:]
        if self.taken > 30_000:
            out.append(http2.WindowUpdate(increment=self.taken).encode())
            self.taken = 0
        self.transport.write(b"".join(out))

    taken = 0


def _answer() -> tuple[bytes, bytes, bytes]:
    """The frames of an answer of Triple, on stream 1; their blocks need no table."""
    encoder = http2.HeaderEncoder(max_table_size=0)
    head = encoder.encode([(b":status", b"200"), (b"content-type", b"application/grpc+proto")])
    tail = encoder.encode([(b"grpc-status", b"0")])
    kind, value, java = b"hessian4", hessian.encode(TEXT), b"java.lang.String"
    message = protobuf.field(1, kind) + protobuf.field(2, value) + protobuf.field(3, java)
    content = b"\0" + len(message).to_bytes(4, "big") + message
    last = http2.Flag.END_HEADERS | http2.Flag.END_STREAM
    return (
        http2.Headers(1, http2.Flag.END_HEADERS, head).encode(), http2.Data(1, 0, content).encode(),
        http2.Headers(1, last, tail).encode(),
    )  # fmt: skip


ANSWER = _answer()


async def provide(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Echo, HOST, port)
    await server.serve_forever()


@contextmanager
def server(command: list[str]) -> Iterator[int]:
    """Starts one and waits until it listens; its port."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = int(free.getsockname()[1])
    process = subprocess.Popen([*command, f"{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex((HOST, port)) == 0:
                    break
            if process.poll() is not None:
                raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def take(row: str, port: int, seconds: float, python: str) -> float:
    """Microseconds of CPU for a call, by a process of its own."""
    own = row in OURS
    command = [sys.executable, "-m", "bench.sdk", "--row", row] if own else [python, str(RIVALS), row]
    out = subprocess.run([*command, f"{port}", f"{seconds}"], capture_output=True, text=True, timeout=60 + 10 * seconds)
    if out.returncode:
        raise SystemExit(f"{row} failed:\n{out.stderr[-2000:]}")
    return float(out.stdout.split()[-1])


def run(rounds: int, seconds: float, python: str) -> dict[str, list[float]]:
    rows = [*OURS, *(THEIRS if python else ())]
    found: dict[str, list[float]] = {row: [] for row in rows}
    with server([sys.executable, "-m", "bench.sdk", "--serve"]) as ours:
        if not python:
            print("grpcio and apache-dubbo are left out: say --rivals PYTHON, or run make bench-sdk", flush=True)
            sample(rows, {"meshfast": ours}, found, rounds, seconds, python)
            return found
        serve = [python, str(RIVALS), "serve"]
        with server([*serve, "grpc"]) as grpc, server([*serve, "dubbo"]) as apache:
            ports = {"meshfast": ours, "grpcio": grpc, "apache-dubbo": apache}
            sample(rows, ports, found, rounds, seconds, python)
    return found


def sample(
    rows: list[str], ports: dict[str, int], found: dict[str, list[float]], rounds: int, seconds: float, python: str
) -> None:  # fmt: skip
    for turn in range(rounds):
        for row in rows[turn % len(rows) :] + rows[: turn % len(rows)]:
            port = next((port for name, port in ports.items() if row.startswith(name)), 0)
            found[row].append(take(row, port, seconds, python))


def show(found: dict[str, list[float]]) -> None:
    medians = {row: statistics.median(values) for row, values in found.items()}
    print(f"{'':26}{'CPU us/call':>12}{'least to most':>18}{'of codec':>10}")
    for row, values in found.items():
        ratio = "" if row == "codec" else f"{medians[row] / medians['codec']:9.2f}"
        print(f"{row:26}{medians[row]:12.1f}{f'{min(values):.1f} to {max(values):.1f}':>18}{ratio:>10}")
    print()
    for row in (one for one in OURS if one != "codec"):
        face, many = row.removeprefix("meshfast ").removeprefix("tri ").split(", ")
        share = medians[row] / medians["codec"]
        verdicts = [(f"at most {CODEC} of codec", share, share <= CODEC)]
        if " tri " in row:  # that is the codec of Dubbo2
            verdicts.clear()
        for rival in (f"grpcio {face}, {many}", f"apache-dubbo, {many}"):
            if rival in medians:
                factor = medians[rival] / medians[row]
                verdicts.append((f"{LESS:g} times less than {rival}", factor, factor >= LESS))
        for wanted, reached, good in verdicts:
            print(f"{row:26}{wanted:42}{reached:8.2f}  {'' if good else 'not reached'}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sdk", description="CPU of a call of the SDK and of others")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rivals", default="", help="an interpreter with apache-dubbo and grpcio")
    parser.add_argument("--row", nargs=3, metavar=("ROW", "PORT", "SECONDS"), help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        asyncio.run(provide(asked.serve))
    elif asked.row:
        print(*OURS[asked.row[0]](int(asked.row[1]), float(asked.row[2])))
    else:
        show(run(asked.rounds, asked.seconds, asked.rivals))


if __name__ == "__main__":
    main()
