"""What changes while calls run: the policy once a second, ten instances at each change, providers that crash and come
back, and one client that sends what no client should."""

from __future__ import annotations

import itertools
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from calls.programs import HOST, SERVICE, Answerer, Document, Proxy, endpoint, entry

from soak.grpc import Grpc

LABEL = "env"
VALUES = ("dev0", "dev1", "dev2", "dev3")
PROVIDERS = 12
LEAST = 4  # instances that stay
CHANGES = 10  # instances that come, go or are labelled anew at each change
CHANGE_EVERY = 1.0
CRASH_EVERY = 2.0
DELAY_MS = 40


class Providers:
    """The providers of one proxy: processes that crash and come back at the same port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._all = [Answerer(f"answer{i}", folder, delay=DELAY_MS) for i in range(PROVIDERS)]
        self.crashes = 0

    def ports(self) -> list[int]:
        return [one.port for one in self._all]

    def crash(self) -> None:
        """Kills one, and starts it anew."""
        at = random.randrange(PROVIDERS)
        one = self._all[at]
        one.kill()
        one.close()
        self._all[at] = Answerer(one.name, self._folder, port=one.port, delay=DELAY_MS)
        self.crashes += 1

    def close(self) -> None:
        for one in self._all:
            one.close()


class Policy:
    """A mesh that is another one each time it is asked for."""

    def __init__(self, ports: list[int], stays: Document) -> None:
        self._ports = ports
        self._stays = stays  # the instances of another service
        self._in: dict[int, str | None] = {port: VALUES[i % 8] if i % 8 < 4 else None for i, port in enumerate(ports)}
        self._numbers = itertools.count(1)
        self.changes = 0

    def change(self) -> None:
        """Ten instances come, go, or are labelled anew; those without a label never all go."""
        for port in random.sample(self._ports, CHANGES):
            if port not in self._in:
                self._in[port] = random.choice((*VALUES, None, None, None, None))
            elif random.random() < 0.5 and len(self._in) > LEAST and self._spare(port):
                del self._in[port]
            elif self._spare(port):
                self._in[port] = random.choice((*VALUES, None, None, None, None))
            self.changes += 1

    def _spare(self, port: int) -> bool:
        return any(label is None for other, label in self._in.items() if other != port)

    def documents(self) -> list[Document]:
        number = next(self._numbers)
        endpoints = [endpoint(port, **({LABEL: label} if label else {})) for port, label in self._in.items()]
        route: list[Document] = [{"destination": {"subset": f"${LABEL}"}}]
        policy: list[Document] = [
            {
                "apiVersion": "istio.alibabacloud.com/v1beta1",
                "kind": "TrafficLabel",
                "metadata": {"name": "label"},
                "spec": {"rules": [{"labels": [{"name": LABEL, "valueFrom": ["$getContext(x-request-id)"]}]}]},
            },
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "VirtualService",
                "metadata": {"name": "by-label"},
                "spec": {
                    "hosts": [SERVICE],
                    "http": [{"name": f"by-label-{number % 7}", "timeout": f"{20 + number % 5}s", "route": route}],
                },
            },
        ]
        # Services that nobody calls come and go as well: whole tables are made and retired.
        others = [
            entry([endpoint(port) for port in self._ports[:3]], f"other{i}", f"org.meshfast.calls.Other{i}")
            for i in range(number % 50)
        ]
        return [entry(endpoints), self._stays, *policy, *others]


def _frame(flags: int, length: int, body: bytes) -> bytes:
    return struct.pack(">HBBQi", 0xDABB, flags, 0, 1, length) + body


def _nonsense() -> Iterator[bytes]:
    """Bytes that no client should send, over and over."""
    while True:
        yield random.randbytes(200)
        yield _frame(0xC2, 100, b"short")  # and then it hangs up
        yield _frame(0xC2, -1, b"")
        yield _frame(0xC2, 1 << 30, b"x" * 1000)
        yield _frame(0xC2, 40, b"\x05" + random.randbytes(39))
        yield _frame(0xDF, 40, random.randbytes(40))  # a serialization that there is not
        yield _frame(0x02, 8, b"\x91answer.")  # an answer to nothing
        yield b"\xda"
        yield _frame(0xC2, 6, b"HHHHHH") * 50


class Nuisance(threading.Thread):
    """The bad client: a connection of nonsense ten times a second, each read to see whether anything comes back."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._end = threading.Event()
        self.sent = 0

    def run(self) -> None:
        bytes_of = _nonsense()
        while not self._end.wait(0.1):
            try:
                with socket.create_connection((HOST, self._port), 5) as to:
                    to.settimeout(0.05)
                    to.sendall(next(bytes_of))
                    to.recv(4096)
            except OSError:
                pass  # hung up on, or nothing came back: both are fine
            self.sent += 1

    def close(self) -> None:
        self._end.set()
        self.join()


class Churn(threading.Thread):
    """Changes policy and providers of one proxy until told to end."""

    def __init__(self, proxy: Proxy, policy: Policy, providers: Providers, grpc: Grpc) -> None:
        super().__init__(daemon=True)
        self._proxy, self._policy, self._providers, self._grpc = proxy, policy, providers, grpc
        self._end = threading.Event()
        self.written = 0
        self.error = ""

    def run(self) -> None:
        crash_at = time.monotonic() + CRASH_EVERY
        try:
            while not self._end.wait(CHANGE_EVERY):
                self._policy.change()
                self._proxy.write("mesh", self._policy.documents())
                self.written += 1
                self._grpc.goaway()
                if time.monotonic() >= crash_at:
                    self._providers.crash()
                    crash_at = time.monotonic() + CRASH_EVERY
        except Exception as error:  # told in the verdict: a soak without churn proves little
            self.error = f"{type(error).__name__}: {error}"

    def close(self) -> None:
        self._end.set()
        self.join()
