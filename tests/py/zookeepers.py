"""A ZooKeeper client made of bytes, an endpoint to ask, and scripts whose every answer can be compared."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

from meshfast.endpoint import jute
from meshfast.endpoint.jute import Op
from meshfast.endpoint.limits import Limits
from meshfast.endpoint.node import CONTAINER
from meshfast.endpoint.view import View
from meshfast.endpoint.zookeeper import Server

PATIENCE = 30.0
ANSWERS: dict[int, type[Any]] = {
    Op.CREATE: jute.Created, Op.CREATE2: jute.Created2, Op.CREATE_CONTAINER: jute.Created2, Op.EXISTS: jute.StatReply,
    Op.GET_DATA: jute.Data, Op.SET_DATA: jute.StatReply, Op.GET_ACL: jute.AclReply, Op.GET_CHILDREN: jute.Children,
    Op.GET_CHILDREN2: jute.Children2, Op.SYNC: jute.Synced, Op.ADD_WATCH: jute.Code, Op.WHO_AM_I: jute.Identities,
}  # fmt: skip


class Raw:
    """One connection. What comes before the answer that is waited for is kept in ``events``."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.sock.settimeout(PATIENCE)
        self.events: list[tuple[jute.ReplyHeader, jute.Event]] = []
        self.xid = 0
        self.zxid = 0

    def greet(self, timeout: int = 30_000, session: int = 0, password: bytes = bytes(16), zxid: int = 0) -> Any:
        self.sock.sendall(jute.sized(jute.write(jute.Connect(0, zxid, timeout, session, password)) + b"\0"))
        packet = self.packet()
        assert packet is not None
        self.session = jute.read(jute.ConnectReply, packet)[0]
        return self.session

    def packet(self) -> bytes | None:
        """The next one, None at the end."""
        head = self.exactly(4)
        return None if head is None else self.exactly(struct.unpack(">i", head)[0])

    def exactly(self, count: int) -> bytes | None:
        data = b""
        while len(data) < count:
            try:
                more = self.sock.recv(count - len(data))
            except ConnectionError:
                return None
            if not more:
                return None
            data += more
        return data

    def send(self, op: int, record: Any = jute.Nothing(), xid: int | None = None) -> int:  # noqa: B008
        self.xid += 1
        xid = self.xid if xid is None else xid
        self.sock.sendall(jute.packed(jute.Header(xid, op), record))
        return xid

    def answer(self, xid: int, op: int) -> tuple[int, Any]:
        """The code and the record of an answer; the code is None where the connection ended."""
        while (packet := self.packet()) is not None:
            header, at = jute.read(jute.ReplyHeader, packet)
            if header.xid == -1:
                self.events.append((header, jute.read(jute.Event, packet, at)[0]))
                continue
            assert header.xid == xid, header
            self.zxid = header.zxid
            kind = ANSWERS.get(op)
            return header.error, jute.read(kind, packet, at)[0] if kind and not header.error else packet[at:]
        return None, None

    def ask(self, op: int, record: Any = jute.Nothing(), xid: int | None = None) -> tuple[int, Any]:  # noqa: B008
        return self.answer(self.send(op, record, xid), op)

    def create(self, path: str, data: bytes = b"", flags: int = 0, op: int = Op.CREATE) -> tuple[int, Any]:
        return self.ask(op, jute.Create(path, data, jute.ANYONE, flags))

    def told(self) -> list[tuple[jute.ReplyHeader, jute.Event]]:
        """Events until now: a ping's answer follows all of them."""
        self.answer(-2 if self.send(Op.PING, xid=-2) else 0, Op.PING)
        events, self.events = self.events, []
        return events

    def ended(self) -> bool:
        """Whether the connection ends, whatever comes before."""
        while self.packet() is not None:
            pass
        return True

    def close(self) -> None:
        self.sock.close()


class Served:
    """An endpoint in a thread of its own. ``do`` runs a function in its loop; ``make``: another than a bare server."""

    def __init__(
        self, limits: Limits | None = None, view: View | None = None, make: Any = None, loop: Any = None,
        **clocks: Callable[[], float],
    ) -> None:  # fmt: skip
        self.loop = loop or asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="endpoint", daemon=True)
        self.thread.start()
        self.whole: Any = self.do(make) if make else None
        self.server: Server = self.whole.server if make else self.do(lambda: Server(limits, view, **clocks))
        self.address: str = self.wait(self.whole.start() if make else self.server.start("tcp://127.0.0.1:0"))
        self.port = int(self.address.rpartition(":")[2])

    def wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)

    def do(self, function: Callable[[], Any]) -> Any:
        async def call() -> Any:
            return function()

        return self.wait(call())

    def close(self) -> None:
        async def turns() -> None:
            for _ in range(3):
                await asyncio.sleep(0)

        self.wait((self.whole or self.server).stop())
        self.wait(turns())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(PATIENCE)
        self.loop.close()


@contextlib.contextmanager
def served(*args: Any, **named: Any) -> Iterator[Served]:
    one = Served(*args, **named)
    try:
        yield one
    finally:
        one.close()


#: Below the folder of a script, but for the last.
PLAIN = ["/d", "/d/a", "/d/a/b", "/d/a/b/c", "/d/e", "/d/q-", "/d/ä", "/e"]
ODD = [
    "/", "/d/", "/d//x", "/d/.", "/d/../x", "/d/...", "/d/\U0001f600", "/d/\0", "/d/\x1f", "/d/\ufffd", "/n/a",
]  # fmt: skip
ROOT = ["", "/", "//", "d", "d/a", "/zookeeper/config"]


class Script:
    """Drives three clients of one server by a seed, and notes all that they are told in a form that does not depend on
    the server: transactions counted from the first, times by their order, sessions by their number."""

    def __init__(self, port: int, seed: int | str, clients: int = 3) -> None:
        self.port, self.random = port, random.Random(seed)
        self.notes: list[Any] = []
        self.clients = [Raw(port) for _ in range(clients)]
        for client in self.clients:
            client.greet(10_000)
        self.sessions = {client.session.session: index for index, client in enumerate(self.clients)}
        self.clients[0].told()
        self.folder = f"/script-{seed}"
        self.clients[0].create(self.folder)
        self.base = self.clients[0].zxid

    def close(self) -> None:
        """Ends the sessions too, so that none of them expires while another script counts transactions."""
        for client in self.clients:
            client.ask(Op.CLOSE)
            client.close()

    def run(self, steps: int) -> list[Any]:
        for _ in range(steps):
            index = self.random.randrange(3)
            if self.random.random() < 0.03:
                self.again(index)
            else:
                op, record = self.question()
                self.step(index, op, record)
        last = self.clients.pop()
        for client in self.clients:
            client.told()
        last.ask(Op.CLOSE)
        self.notes.append(("own", sorted(event for _, event in last.events)))
        last.close()
        for index, client in enumerate(self.clients):  # in which order the nodes of a session go is not said
            self.notes.append((index, sorted((self.moment(header.zxid), event) for header, event in client.told())))
        return self.notes

    def again_as(self, lines: list[str]) -> list[Any]:
        """What was recorded: a client's number, an operation and its record on each line."""
        for line in lines:
            index, op, record = line.split()
            request, _ = jute.read(jute.REQUESTS[int(op)], bytes.fromhex(record))
            if not request.path.startswith("/zookeeper"):
                request = request._replace(path=self.folder + request.path)
            self.step(int(index), int(op), request)
        return self.notes

    def step(self, index: int, op: int, record: Any) -> None:
        client = self.clients[index]
        code, body = client.ask(op, record)
        self.note(index, op, record, code, body)
        for other, one in enumerate(self.clients):
            events = client.events if one is client else one.told()
            if one is client:
                client.events = []
            self.notes += [(other, self.moment(header.zxid), event) for header, event in events]

    def again(self, index: int) -> None:
        """The connection is lost, something may come to pass, and the session goes on with its watches."""
        old = self.clients[index]
        old.told()
        old.close()
        for _ in range(self.random.randrange(3)):
            op, record = self.question()
            if op not in (Op.SET_WATCHES, Op.SET_WATCHES2):
                self.quiet((index + 1) % 3, op, record)
        client = self.clients[index] = Raw(self.port)
        reply = client.greet(10_000, old.session.session, old.session.password, old.zxid)
        self.notes.append((index, "again", self.sessions.get(reply.session), reply.timeout))
        lists = [
            tuple(self.folder + path for path in self.random.sample(PLAIN, self.random.randrange(4))) for _ in range(5)
        ]
        op, kind = (
            (Op.SET_WATCHES, jute.SetWatches) if self.random.random() < 0.5 else (Op.SET_WATCHES2, jute.SetWatches2)
        )
        if kind is jute.SetWatches:
            lists = lists[:3]
        code, _ = client.ask(op, kind(old.zxid, *lists), -8)
        self.notes.append((index, "watches", code, [(self.moment(h.zxid), e) for h, e in client.events]))
        client.events = []

    def quiet(self, index: int, op: int, record: Any) -> None:
        client = self.clients[index]
        code, body = client.ask(op, record)
        self.note(index, op, record, code, body)
        for other in ((index + 1) % 3, index):
            if self.clients[other].sock.fileno() >= 0:
                events = self.clients[other].told()
                self.notes += [(other, self.moment(header.zxid), event) for header, event in events]

    def note(self, index: int, op: int, record: Any, code: int, body: Any) -> None:
        body = None if record[0] in ROOT else self.plain(body)  # others may have changed the root
        self.notes.append((index, op, record, code, body, self.moment(self.clients[index].zxid)))

    def question(self) -> tuple[int, Any]:
        rand = self.random
        path = self.folder + (rand.choice(ODD) if rand.random() < 0.2 else rand.choice(PLAIN))
        if rand.random() < 0.05:
            path = rand.choice(ROOT)
        data = rand.choice([b"", None, b"x", b"y" * 100])
        version = rand.choice([-1, -1, 0, 1, 2, 7])
        kind = rand.randrange(15)
        if kind < 5:
            op = rand.choice([Op.CREATE, Op.CREATE2, Op.CREATE_CONTAINER])
            flags = rand.choice([0, 0, 0, 0, 1, 2, 3, 4, 9])
            if path in ROOT:
                flags = 0
            acl = jute.ANYONE if rand.random() < 0.9 else rand.choice([(), (jute.Acl(31, "world", "you"),)])
            return op, jute.Create(path, data, acl, flags)
        if kind < 7:
            return Op.DELETE, jute.Delete(path, version)
        if kind == 7:
            return Op.SET_DATA, jute.SetData(path if path != "/" else "", data, version)
        watch = rand.random() < 0.5
        return [
            (Op.EXISTS, jute.Exists(path, watch)),
            (Op.GET_DATA, jute.GetData(path, watch)),
            (Op.GET_CHILDREN, jute.GetChildren(path, watch)),
            (Op.GET_CHILDREN2, jute.GetChildren2(path, watch)),
            (Op.ADD_WATCH, jute.AddWatch(path, rand.choice([0, 1, 1, 2]))),
            (Op.CHECK_WATCHES, jute.CheckWatches(path, rand.randrange(8))),
            rand.choice([
                (Op.REMOVE_WATCHES, jute.RemoveWatches(path, rand.randrange(8))),
                (Op.SYNC, jute.Sync(rand.choice(PLAIN))),
                (Op.GET_ACL, jute.GetAcl(path)),
            ]),
        ][kind - 8]  # fmt: skip

    def moment(self, zxid: int) -> int:
        return zxid if zxid in (0, -1) else max(zxid - self.base, -1)

    def plain(self, value: Any) -> Any:
        if isinstance(value, jute.Stat):
            owner = value.owner if value.owner in (0, CONTAINER) else self.sessions.get(value.owner, "?")
            times = (value.mtime >= value.ctime,)
            zxids = tuple(map(self.moment, (value.czxid, value.mzxid, value.pzxid)))
            rest = (value.version, value.cversion, value.aversion, owner, value.length, value.children)
            return zxids + times + rest
        if isinstance(value, jute.Children | jute.Children2):
            return (sorted(value.names), *map(self.plain, value[1:]))
        if isinstance(value, tuple):
            return tuple(map(self.plain, value))
        return value
