"""HTTP/1 peers for the tests: applications on asyncio that h11 reads for, and a caller that writes what it is told."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass, field

import h11
from proxies import PATIENCE

POLICY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: shop}}
spec:
  hosts: [cart.shop, com.x.Cart]
  ports: [{{number: 80, name: web, protocol: HTTP}}, {{number: 1, name: dubbo, protocol: DUBBO}}]
  endpoints:
{endpoints}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: by-label}}
spec:
  hosts: ["*"]
  http:
  - match:
    - {{uri: {{prefix: /kept/}}, method: {{exact: GET}}, scheme: {{exact: http}}, authority: {{exact: "cart.shop:81"}},
       queryParams: {{a: {{exact: "1"}}}}, headers: {{x-user: {{exact: "a,b"}}}}}}
    route: [{{destination: {{subset: none}}}}]
  - route: [{{destination: {{subset: $env}}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: shop}}
spec:
  host: shop
  subsets: [{{name: none, labels: {{no: such}}}}]
---
apiVersion: istio.alibabacloud.com/v1
kind: TrafficLabel
metadata: {{name: env}}
spec:
  rules: [{{labels: [{{name: env, valueFrom: ["$getContext(x-request-id)"]}}]}}]
"""


def shop(*endpoints: tuple[int, str]) -> str:
    """Policy that routes cart.shop and com.x.Cart to these ports by the label env; Dubbo would go where nobody is."""
    lines = [
        f"  - {{address: 127.0.0.1, ports: {{web: {port}, dubbo: {i}}}, labels: {{{f'env: {env}' if env else ''}}}}}"
        for i, (port, env) in enumerate(endpoints, 1)
    ]
    return POLICY.format(endpoints="\n".join(lines))


@dataclass
class Asked:
    """One request as the application had it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class App:
    """Answers each request with its own name, and `GET /bytes/n` with n bytes."""

    name: str
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    ended: int = 0
    port: int = 0

    async def __aenter__(self) -> App:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        peer = h11.Connection(h11.SERVER)
        try:
            while await self._one(peer, reader, writer):
                peer.start_next_cycle()
        except (ConnectionError, h11.ProtocolError):
            pass
        finally:
            self.ended += 1
            writer.close()

    async def _one(self, peer: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """True while another request may come."""
        request, body = None, b""
        while True:
            event = peer.next_event()
            if event is h11.NEED_DATA:
                if peer.they_are_waiting_for_100_continue:
                    writer.write(peer.send(h11.InformationalResponse(status_code=100, headers=[])))
                peer.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            else:  # ConnectionClosed
                return False
        assert request
        target = request.target.decode()
        headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        self.asked.append(Asked(request.method.decode(), target, headers, body))
        answer = b"x" * int(target.rpartition("/")[2]) if target.startswith("/bytes/") else self.name.encode()
        length = [("content-length", str(len(answer)))]
        writer.write(peer.send(h11.Response(status_code=200, headers=length)))
        if request.method != b"HEAD":
            writer.write(peer.send(h11.Data(data=answer)))
        writer.write(peer.send(h11.EndOfMessage()))
        await writer.drain()
        return peer.our_state is h11.DONE and peer.their_state is h11.DONE


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str


def read(raw: bytes, method: str = "GET") -> Answer:
    """The one answer that these bytes are, as h11 reads them."""
    ours = h11.Connection(h11.CLIENT)
    ours.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    ours.send(h11.EndOfMessage())
    ours.receive_data(raw)
    answer = ours.next_event()
    assert isinstance(answer, h11.Response), (raw, answer)
    ours.receive_data(b"")
    body = b""
    while isinstance(event := ours.next_event(), h11.Data):
        body += bytes(event.data)
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Answer(answer.status_code, headers, body.decode())


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def say(address: str, *pieces: bytes, end: bool = False, method: str = "GET") -> Answer:
    """The answer to these pieces, written one after the other, and (``end``) a FIN."""
    return read(await heard(address, *pieces, end=end), method)


async def heard(address: str, *pieces: bytes, end: bool = False) -> bytes:
    """All that is said to them until the other side ends."""
    reader, writer = await connect(address)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if end:
            writer.write_eof()
        return await asyncio.wait_for(reader.read(), PATIENCE)
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


def get(host: str, target: str = "/", *fields: str) -> bytes:
    """A request that is its connection's last."""
    return "\r\n".join([f"GET {target} HTTP/1.1", f"Host: {host}", "Connection: close", *fields, "", ""]).encode()


def unused() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])
