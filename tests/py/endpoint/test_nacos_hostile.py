"""Clients of Nacos, and of gRPC, that say anything at all: who else is there gets what they always get, and nothing is
left behind."""

from __future__ import annotations

import random
from typing import Any

import pytest
from grpcs import Raw
from nacosclients import Client, Played, packed
from test_endpoint import until
from test_endpoint_dubbo import offer
from test_nacos import HELLO, PROVIDER

from meshfast import http2
from meshfast.endpoint.limits import Limits
from meshfast.endpoint.nacos import OFFSET, REQUEST, STREAM
from meshfast.endpoint.nacosrequests import KINDS
from meshfast.http2 import Flag
from meshfast.serving.wire import Limits as Wires

NAMES = [
    HELLO, "providers:x.Hello:1:g", "providers:::", "providers:", "consumers:x::", "meshfast.x.Hello", "meshfast.",
    "shop", "", "a" * 700, "x.Hello", "ü", ":::::", "providers:*:*:*",
]  # fmt: skip
GROUPS = ["DEFAULT_GROUP", "mapping", "dubbo", "", "0" * 32, "g"]


def value(rand: random.Random, depth: int = 0) -> Any:
    match rand.randrange(9):
        case 0:
            return None
        case 1:
            return rand.choice([True, False])
        case 2:
            return rand.choice([0, -1, 1 << 31, 1 << 70, 1.5])
        case 3 if depth < 3:
            return [value(rand, depth + 1) for _ in range(rand.randrange(3))]
        case 4 if depth < 3:
            return {rand.choice(NAMES): value(rand, depth + 1) for _ in range(rand.randrange(3))}
        case _:
            return rand.choice(NAMES)


def instance(rand: random.Random) -> Any:
    metadata = {**PROVIDER, rand.choice(["group", "version", "protocol", "path", "interface"]): rand.choice(NAMES)}
    return {
        "ip": rand.choice(["10.0.0.9", "::1", "", "x y", "0.0.0.0", "a/b"]), "port": rand.choice([1, 0, -1, 70_000]),
        "metadata": metadata, "enabled": rand.random() < 0.9,
    }  # fmt: skip


def fields(rand: random.Random) -> dict[str, Any]:
    """Of any request: mostly what it has, now and then what it has not."""
    found = {
        "serviceName": rand.choice(NAMES), "groupName": rand.choice(GROUPS), "dataId": rand.choice(NAMES),
        "group": rand.choice(GROUPS), "tenant": rand.choice(["", "t"]), "subscribe": rand.random() < 0.7,
        "type": rand.choice(["registerInstance", "deregisterInstance", "batchRegisterInstance"]),
        "instance": instance(rand), "instances": [instance(rand) for _ in range(rand.randrange(3))],
        "content": rand.choice(["", "{}", "x" * 300, '{"app":"a","revision":"r","services":{}}']),
        "pageNo": rand.choice([1, 0, -5, 1 << 31]), "pageSize": rand.choice([0, 10, -1, 1 << 31]),
        "configListenContexts": [{"dataId": rand.choice(NAMES), "group": rand.choice(GROUPS), "md5": "x"}],
        "listen": rand.random() < 0.7,
    }  # fmt: skip
    if "Query" in (kind := rand.choice(list(KINDS))) or rand.random() < 0.3:
        del found["instance"]
    if rand.random() < 0.2:
        found[rand.choice(list(found))] = value(rand)
    return {"kind": kind if rand.random() < 0.95 else rand.choice(NAMES), **found}


def small() -> Played:
    limits = Limits(sessions=8, watches=60, nodes=20, bytes=20_000, registrations=20, services=20)
    return Played(limits, Wires(connections=16, streams=20, message=5000, bytes=20_000, output=1 << 20))


def query(client: Client) -> Any:
    return client.good("ServiceQueryRequest", serviceName=HELLO, groupName="DEFAULT_GROUP")["serviceInfo"]["hosts"]


def at_rest(played: Played, quiet: Client) -> None:
    """Nobody but who was there before is, and nothing of the others."""
    until("them to be gone", lambda: played.do(lambda: len(played.server.shared.connections)) == 1)
    assert played.do(lambda: played.server.shared.held) == 0
    whole = played.whole
    for session in played.do(lambda: list(whole._away)):
        played.do(lambda: whole.end(session))  # noqa: B023
    mine = {one.session for one in played.do(lambda: list(whole.wanted.values()))}
    assert mine == {session.id for session in played.do(lambda: list(whole._sessions.values()))}
    assert played.do(lambda: whole.used.now["watches"]) == 1
    assert +played.shown.interests == {"x.Hello": 1} and quiet.told == []


@pytest.mark.parametrize("seed", range(6))
def test_any_requests(seed):
    rand = random.Random(seed)
    played = small()
    played.shown.is_connected = False
    played.list("x.Hello", offer("x.Hello", {}))
    quiet = Client(played)
    shown = quiet.subscribe(HELLO)
    quiet.register("providers:quiet::", **{**PROVIDER, "interface": "quiet", "path": "quiet"})
    for _ in range(8):
        until("one to be alone", lambda: played.do(lambda: len(played.server.shared.connections)) == 1)
        client = Client(played, set_up=rand.random() < 0.9)
        for _ in range(60):
            asked = fields(rand)
            _, found = client.ask(**asked)
            assert found["resultCode"] == 200 or found["errorCode"] in (300, 301, 302, 400, 403, 500, 503), found
        assert query(quiet) == shown
        client.close()
    at_rest(played, quiet)
    quiet.close()
    played.close()


def frame(rand: random.Random, client: Raw) -> bytes:
    """What a client may send, or nearly."""
    id = rand.choice([0, 1, 1, 3, client.next, client.next + 2, 2, 1 << 30])
    flags = rand.choice([0, Flag.END_STREAM, Flag.END_HEADERS, Flag.END_STREAM | Flag.END_HEADERS])
    match rand.randrange(12):
        case 0 | 1 | 2:
            client.next += 2
            block = client.head(rand.choice([REQUEST, STREAM, "/x"]))
            made: http2.Frame = http2.Headers(client.next - 2, Flag.END_HEADERS | flags, block)
        case 3 | 4 | 5:
            asked = fields(rand)
            message = packed(**asked, requestId=rand.choice(["1", None, 5]))
            made = http2.Data(max(1, client.next - 2), flags & 1, b"\0" + len(message).to_bytes(4, "big") + message)
        case 6:
            made = http2.Data(max(1, id), flags & 1, rand.randbytes(rand.randrange(60)))
        case 7:
            made = http2.Settings(settings=((rand.choice([1, 3, 4, 5, 6, 9]), rand.choice([0, 100, 20_000])),))
        case 8:
            made = http2.WindowUpdate(id, increment=rand.choice([1, 1000, 1 << 20]))
        case 9:
            made = http2.RstStream(max(1, id))
        case 10:
            made = http2.Ping()
        case _:
            made = rand.choice([
                http2.GoAway(), http2.PriorityFrame(max(1, id)), http2.Unknown(id, 0, 77, b"x"),
                http2.Headers(max(1, id), 0, b"\x82"), http2.Continuation(max(1, id), flags & 4, b""),
            ])  # fmt: skip
    data = bytearray(made.encode())
    if rand.random() < 0.02:
        data[rand.randrange(len(data))] = rand.randrange(256)
    return bytes(data)


@pytest.mark.parametrize("seed", range(6))
def test_any_frames(seed):
    rand = random.Random(seed)
    played = small()
    played.shown.is_connected = False
    played.list("x.Hello", offer("x.Hello", {}))
    quiet = Client(played)
    shown = quiet.subscribe(HELLO)
    quiet.register("providers:quiet::", **{**PROVIDER, "interface": "quiet", "path": "quiet"})
    for _ in range(20):
        client = Raw(played.port + OFFSET, begin=False)
        stream = b"".join(frame(rand, client) for _ in range(100))
        try:
            client.greet()
            while stream:
                cut = rand.choice([1, 7, 1000, 30_000])
                client.write(stream[:cut])
                stream = stream[cut:]
        except OSError:  # it was not listened to any longer
            pass
        client.close()
        assert query(quiet) == shown
    at_rest(played, quiet)
    quiet.close()
    played.close()


@pytest.mark.parametrize("seed", range(3))
def test_any_bytes(seed):
    rand = random.Random(seed)
    played = small()
    for _ in range(60):
        client = Raw(played.port + OFFSET, begin=False)
        try:
            if rand.random() < 0.5:
                client.greet()
            client.write(rand.randbytes(rand.randrange(1, 200)))
        except OSError:
            pass
        client.close()
    until("them to be gone", lambda: not played.do(lambda: played.server.shared.connections))
    client = Client(played)
    client.good("HealthCheckRequest")
    client.close()
    played.close()


def test_who_does_not_read_what_it_is_told():
    """It is ended, and counted; who reads hears all of it."""
    played = Played(wires=Wires(output=200_000))
    quiet, slow = Client(played), Client(played)
    slow.credit = False
    services = [f"x.S{n}" for n in range(50)]
    for name in services:
        played.list(name, offer(name, {}))
        for one in (quiet, slow):
            one.subscribe(f"providers:{name}::")
    for round in range(30):
        for name in services:
            played.list(name, offer(name, {"round": str(round)}))
        assert len(quiet.told) == len(services)
    until("it to be ended", lambda: played.refused().get("output") == 1)
    slow.ends()
    assert len(quiet.subscribe("providers:x.S0::")) == 1
    slow.close()
    quiet.close()
    played.close()
