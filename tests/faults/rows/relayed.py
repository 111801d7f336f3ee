"""Plain TCP that is passed on: all of it arrives, or its end can be told from the end of all."""

from __future__ import annotations

import hashlib
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from faults.process import wait_for
from faults.rows import fault
from faults.stage import Stage

SIZE = 4_000_000
PAYLOAD = random.Random(1).randbytes(SIZE)
DIGEST = hashlib.sha256(PAYLOAD).digest()
FRAME_MS = 1000  # so long may nothing move
HELD = 2 << 20  # what is left to go when the server has sent all
SMALL = 4096
EACH = 4
TAKES_S = 6.0  # for all of it, by a slow reader
STOPS_S = 2.5 * FRAME_MS / 1000


@dataclass
class Reader:
    """One connection, and how it ended: by FIN, by RST, or not yet."""

    port: int
    stops: float = 0.0
    got: int = 0
    end: str = ""
    whole: bool = False

    def read(self) -> None:
        digest = hashlib.sha256()
        with socket.socket() as conn:
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            conn.settimeout(30.0)
            conn.connect(("127.0.0.1", self.port))
            conn.sendall(b"GET /all\r\n")
            conn.shutdown(socket.SHUT_WR)
            began = time.monotonic()
            while not self.end:
                if self.stops and self.got > SIZE // 2:
                    time.sleep(self.stops)
                    self.stops = 0.0
                try:
                    data = conn.recv(32768)
                except ConnectionResetError:
                    self.end = "RST"
                    break
                except TimeoutError:
                    self.end = "nothing"
                    break
                digest.update(data)
                self.got += len(data)
                self.end = "" if data else "FIN"
                time.sleep(max(0.0, began + TAKES_S * self.got / SIZE - time.monotonic()))
        self.whole = digest.digest() == DIGEST


@contextmanager
def server(size: int, *, hard: bool = False) -> Iterator[str]:
    """Sends so much to whom it lets in, and ends: by FIN, or `hard` by RST."""

    def serve(conn: socket.socket) -> None:
        with conn, suppress(OSError):
            conn.recv(100)
            conn.sendall(PAYLOAD[:size])
            if hard:
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield "{}:{}".format(*listener.getsockname())
        listener.shutdown(socket.SHUT_RDWR)


def _listener(name: str, forward: str) -> dict[str, Any]:
    return {"name": name, "bind": "tcp://127.0.0.1:0", "protocol": "tcp", "forward": f"tcp://{forward}"}


def _read_all(readers: list[Reader]) -> None:
    threads = [threading.Thread(target=one.read, daemon=True) for one in readers]
    for thread in threads:
        thread.start()
    wait_for("the readers are through", lambda: not any(thread.is_alive() for thread in threads), 60.0)


def _told(readers: list[Reader]) -> str:
    return ", ".join(f"{one.got / 1e6:.2f} MB and {one.end}" for one in readers)


@fault("relayed", f"{SIZE // 10**6} MB of plain TCP to readers that take {TAKES_S:g} s, stop, or are cut off")
def relayed(stage: Stage) -> None:
    with server(SIZE) as whole, server(SIZE // 4, hard=True) as torn:
        stage.begin(
            [stage.provider("a").address],
            listeners=[_listener("whole", whole), _listener("torn", torn)],
            limits={"frameTimeout": FRAME_MS, "outputHigh": HELD},
            load=("--connections", "4", "--inflight", "8", "--rest", "20000"),
        )
        ports = {name: int(stage.sidecar.addresses[name].rpartition(":")[2]) for name in ("whole", "torn")}
        slow = [Reader(ports["whole"]) for _ in range(EACH)]
        stopping = [Reader(ports["whole"], stops=STOPS_S) for _ in range(EACH)]
        cut = [Reader(ports["torn"]) for _ in range(EACH)]
        _read_all(slow + stopping + cut)
        stage.settle()
        stage.finish()
    check = stage.row.check
    check("slow readers: all bytes, then FIN", all(one.whole and one.end == "FIN" for one in slow), _told(slow))
    check("who stops: all bytes, or RST", all(one.whole or one.end == "RST" for one in stopping), _told(stopping))
    check("a reset is passed on as one", all(one.end == "RST" for one in cut), _told(cut))
