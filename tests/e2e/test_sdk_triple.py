"""The SDK for Python calls Dubbo for Java by Triple, and servers of gRPC, while the sidecar comes and goes."""

from __future__ import annotations

import asyncio
import json
import zlib
from datetime import UTC, datetime, timedelta

import pytest
from conftest import GrpcPeers, Offers, Triple, obtain
from harness import mesh
from harness.grpc import SERVICE as ECHO
from harness.java import SERVICE
from harness.pysdk import PATIENT, STEADY, Load, Order, PeerService, Worlds, comes_and_goes
from harness.triple import TEXTS, TripleJava, endpoint, entry
from harness.way import LOOPS

from meshfast import protobuf, sdk


class StringValue:
    """google.protobuf.StringValue, with what any message of protobuf has."""

    def __init__(self, value: str = "") -> None:
        self.value = value

    def SerializeToString(self) -> bytes:
        return protobuf.field(1, self.value.encode()) if self.value else b""

    @classmethod
    def FromString(cls, data: bytes) -> StringValue:
        texts = [value for number, value in protobuf.fields(data) if number == 1 and isinstance(value, bytes)]
        return cls(texts[-1].decode() if texts else "")


class Texts:
    """Of Texts.java what answers once."""

    def ask(self, text: StringValue) -> StringValue:
        raise NotImplementedError

    def fail(self, text: StringValue) -> StringValue:
        raise NotImplementedError


@pytest.mark.parametrize("loop", LOOPS)
def test_values(worlds: Worlds, triple: Triple, loop: str) -> None:
    """Every type comes back as it went, nested and empty, and what is thrown comes with its class."""
    world = worlds(loop, entry([endpoint(triple.port())]))
    with world.blocking(PATIENT) as found:
        peer = found.stub(PeerService, SERVICE, protocol="tri")  # type: ignore[type-abstract]
        assert peer.whoami() == "A"
        for text in ("", "book", "Größe \U0001f600" * 50, "x" * 100_000):
            assert peer.echo(text) == text
        assert peer.slow(1, "x") == "A|x"
        assert peer.nothing() is None
        data = bytes(number % 251 for number in range(3_000_000))
        assert peer.produce(len(data)) == data
        assert peer.checksum(b"123456789") == 0xCBF43926
        assert peer.checksum(data) == zlib.crc32(data)
        at = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC) + timedelta(milliseconds=7)
        part = Order(2, "part", 0.5, True, at)
        notes = {"text": "café € \U0001f600", "count": 7, "none": None, "list": [1, 2.5, "x"], "map": {"k": -(1 << 62)}}
        order = Order(1 << 40, "all", 1 / 8, False, at, [part, part, Order(3, None, -1e300, False)], notes)
        assert peer.order(order) == order
        assert peer.order(None) is None
        thrown = {peer.fail: "java.lang.IllegalStateException", peer.fail_checked: "meshfast.peer.PeerException"}
        for call, kind in thrown.items():
            with pytest.raises(sdk.RemoteError, match="sold out") as error:
                call("sold out")
            assert (error.value.kind, error.value.message, error.value.may_have_run) == (kind, "sold out", True)
        texts = found.stub(Texts, TEXTS, protocol="tri")
        assert texts.ask(StringValue("Größe")).value == "A|Größe" and texts.ask(StringValue()).value == "A|"
        with pytest.raises(sdk.StatusError, match="boo") as failed:
            texts.fail(StringValue("boo"))
        assert (failed.value.status, failed.value.is_grpc) == (2, True)
        assert world.sidecar.count("calls") >= 16 and found.counters["falls"] == 0


@pytest.mark.parametrize("loop", LOOPS)
def test_labels_and_time(worlds: Worlds, triple: Triple, loop: str) -> None:
    """A label leads where it says, what goes along is seen, and so is how long the caller waits."""
    ends = endpoint(triple.port()), endpoint(triple.port("dev"), env="dev1")
    world = worlds(loop, entry(ends), *mesh.label_policy())
    with world.blocking() as found:
        peer = found.stub(PeerService, SERVICE, protocol="tri")  # type: ignore[type-abstract]
        service = found.service(SERVICE, protocol="tri")
        assert {peer.whoami() for _ in range(8)} == {"A"}
        with sdk.labelled(env="dev1"):
            assert {peer.whoami() for _ in range(8)} == {"dev"}
        reply = service.reply("attachments", attachments={"reply": "yes", "userName": "ü", "n": 7}, timeout=7.0)
        assert (reply.value["userName"], reply.value["n"], reply.value["remote.application"]) == ("ü", "7", "tests")
        assert reply.attachments["replied"] == "yes" and reply.attachments["from"] == "A"
        assert 0 < service.call("left", timeout=15.0) <= 15_000
        with pytest.raises(sdk.CallTimeout):
            service.call("slow", 20_000, "x", types=("int", "java.lang.String"), timeout=0.2)
        with pytest.raises(sdk.NoRoute):
            found.service("com.x.None", protocol="tri").call("hi")
        with pytest.raises(ValueError, match="Latin-1"):
            service.call("attachments", attachments={"user": "€"})


@pytest.mark.parametrize("idempotent", [False, True], ids=["once", "idempotent"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_sidecar_comes_and_goes_under_load(worlds: Worlds, loop: str, idempotent: bool) -> None:
    java = obtain(lambda: TripleJava(f"counting-{loop}-{idempotent}"))
    world = worlds(loop, entry([endpoint(java.export("counting"))]))
    try:
        with world.blocking() as found:
            service = found.service(SERVICE, protocol="tri")
            load = Load(service, idempotent, f"{loop}-{idempotent}")
            comes_and_goes(world, load, lambda: service.call("recorded"))
    finally:
        java.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_the_other_face(worlds: Worlds, triple: Triple, loop: str) -> None:
    """Many calls at a time on one connection, each with its own answer."""
    world = worlds(loop, entry([endpoint(triple.port())]))

    async def story() -> None:
        async with sdk.connect("tests", timeout=30.0, timing=STEADY, **world.where) as found:
            peer = found.service(SERVICE, protocol="tri")
            for begun in range(0, 3000, 100):
                numbers = range(begun, begun + 100)
                answers = await asyncio.gather(*(peer.call("ask", f"{number}") for number in numbers))
                assert answers == [f"A|{number}" for number in numbers]
            assert await peer.call("order", Order(1, "x", 2.0, True)) == Order(1, "x", 2.0, True)

    asyncio.run(asyncio.wait_for(story(), 120))


@pytest.mark.parametrize("loop", LOOPS)
def test_grpc(worlds: Worlds, grpc_peers: GrpcPeers, offering: str, loop: str) -> None:
    """Servers that know nothing of Dubbo, called with bytes: what goes along, what comes back, and how calls fail."""
    _, port = grpc_peers.instance(offering)
    world = worlds(loop, mesh.entry([mesh.endpoint(port)], hosts=[SERVICE, ECHO]))
    with world.blocking() as found:
        echo = found.service(ECHO, protocol="grpc")
        assert echo.call("ask", b"") == b"A|" and echo.call("ask", b"x" * 200_000) == b"A|" + b"x" * 200_000
        body = json.dumps({"trailing": [["later", "yes"]]}).encode()
        reply = echo.reply("told", body, attachments={"env": "x", "blob": b"\xff\0"}, timeout=9.0)
        told = json.loads(reply.value)
        metadata = dict(told["metadata"])
        assert metadata["env"] == "x" and metadata["blob-bin"] == "/wA=" and 0 < told["left"] <= 9000
        assert reply.attachments["later"] == "yes"
        assert not any(name.startswith("tri-") for name in metadata)
        with pytest.raises(sdk.StatusError, match="sold out") as error:
            echo.call("fail", json.dumps({"code": 9, "message": "sold out"}).encode())
        assert (error.value.status, error.value.is_grpc) == (9, True)
        with pytest.raises(sdk.StatusError) as unknown:
            echo.call("none", b"")
        assert unknown.value.status == 12
        with pytest.raises(sdk.CallTimeout):
            echo.call("slow", b"20000", timeout=0.2)


@pytest.mark.parametrize("loop", LOOPS)
def test_dubbo_go(worlds: Worlds, offers: Offers, loop: str) -> None:
    """dubbo-go by Triple: what it throws is a status."""
    _, port = offers("A", protocol="tri")
    world = worlds(loop, entry([endpoint(port)]))
    with world.blocking() as found:
        service = found.service(SERVICE, protocol="tri")
        assert service.call("whoami") == "A"
        texts = ["", "Größe", "x" * 100_000]
        assert [service.call("echo", text) for text in texts] == texts
        with pytest.raises(sdk.StatusError, match="sold out") as error:
            service.call("fail", "sold out")
        assert (error.value.status, error.value.is_grpc) == (2, True)
        reply = service.reply("attachments", attachments={"env": "dev1"})
        assert "dev1" in reply.value["env"] and reply.attachments == {"env": "dev1"}
        assert found.service(TEXTS, protocol="grpc").call("ask", protobuf.field(1, b"q")) == protobuf.field(1, b"A|q")
