"""Clients that say anything at all: who else is there gets what they always get, and nothing is left behind."""

from __future__ import annotations

import random

import pytest
from test_endpoint import until
from test_endpoint_dubbo import Played, client_of, offer, providers, url
from test_jute import made
from zookeepers import Raw, served

from meshfast.endpoint import jute
from meshfast.endpoint.jute import REQUESTS, Op
from meshfast.endpoint.limits import Limits

NAMES = [
    "dubbo", "x.Hello", "providers", "consumers", "mapping", "config", "services", "a", url(), "%zz", "%3A%2F%2F", "..",
    "",
]  # fmt: skip


def said(rand: random.Random) -> bytes:
    """A request, or what is left of one."""
    op = rand.choice([*REQUESTS, *REQUESTS, 14, 0, -10, 1 << 30])
    kind = REQUESTS.get(op, jute.Nothing)
    record = made(rand, kind)
    if "path" in kind._fields and rand.random() < 0.9:
        path = "/" + "/".join(rand.choice(NAMES) for _ in range(rand.randrange(6)))
        record = record._replace(path=path)
    if kind is jute.Create and rand.random() < 0.8:
        record = record._replace(acl=jute.ANYONE, flags=rand.randrange(5))
    packet = bytearray(jute.packed(jute.Header(rand.randrange(-9, 9), op), record))
    if rand.random() < 0.1:
        packet[rand.randrange(4 if rand.random() < 0.7 else 0, len(packet))] = rand.randrange(256)
    return bytes(packet)


@pytest.mark.parametrize("seed", range(6))
def test_any_requests(seed):
    rand = random.Random(seed)
    played = Played(Limits(nodes=200, watches=100, services=20, sessions=8, connections=16))
    played.list("x.Hello", offer("x.Hello", {}))
    quiet = client_of(played)
    shown = providers(quiet, "x.Hello")
    assert quiet.create("/quiet", flags=1)[0] == 0
    for _ in range(12):
        client = Raw(played.port)
        if rand.random() < 0.8:
            client.sock.sendall(jute.packed(jute.Connect(0, 0, rand.choice([-1, 5000, 1 << 30]), 0, b"")))
        stream = b"".join(said(rand) for _ in range(200))
        try:
            while stream:
                cut = rand.choice([1, 7, 1000, 30_000])
                client.sock.sendall(stream[:cut])
                stream = stream[cut:]
        except OSError:  # it was not listened to any longer
            pass
        client.close()
        assert providers(quiet, "x.Hello") == shown
        assert quiet.ask(Op.EXISTS, jute.Exists("/quiet", False))[0] == 0
        quiet.events = []
    until("them to be gone", lambda: played.do(lambda: len(played.server.connections)) == 1)
    used = played.do(lambda: dict(played.server.used.now))
    assert used["nodes"] <= 200 and not used.get("watches") and played.do(lambda: len(played.whole._folders)) <= 20
    quiet.ask(Op.CLOSE)
    quiet.close()
    played.do(lambda: [played.server.sessions.end(one) for one in list(played.server.sessions)])
    assert all(one.session == 0 for one in played.whole.wanted.values())
    assert not played.whole._folders and played.shown.interests.total() == 0
    nodes = played.do(lambda: list(played.server.tree.paths()))
    empty = [path for path, node in nodes if node.ours and not node.children and not node.unlisted]
    assert all(path.startswith("/zookeeper/") for path in empty), empty
    played.close()


@pytest.mark.parametrize("seed", range(4))
def test_any_bytes(seed):
    rand = random.Random(seed)
    with served() as endpoint:
        for _ in range(60):
            client = Raw(endpoint.port)
            if rand.random() < 0.5:
                client.greet()
            client.sock.sendall(rand.randbytes(rand.randrange(1, 60)))
            client.close()
        client = client_of(endpoint)
        assert client.create("/a")[0] == 0
        client.close()
        until("them to be gone", lambda: endpoint.do(lambda: not endpoint.server.connections))
