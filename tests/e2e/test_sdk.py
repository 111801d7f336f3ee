"""The SDK for Python calls Apache Dubbo for Java through a sidecar, and goes on while that is away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from conftest import Peers
from harness import mesh
from harness.java import SERVICE
from harness.process import until
from harness.pysdk import PATIENT, STEADY, Load, Order, PeerService, Worlds, comes_and_goes
from harness.way import LOOPS

from meshfast import sdk

PortOf = Callable[..., int]
VERSIONS = ("java-3.3", "java-2.7")


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("version", VERSIONS)
def test_values(worlds: Worlds, port_of: PortOf, loop: str, version: str) -> None:
    """Every type comes back as it went, nested and empty, and what is thrown comes with its class."""
    world = worlds(loop, mesh.entry([mesh.endpoint(port_of(version))]))
    with world.blocking(PATIENT) as found:
        peer = found.stub(PeerService, SERVICE)  # type: ignore[type-abstract]
        assert peer.whoami() == "A"
        for text in ("", "book", "Größe 😀 \U0001f600" * 50, "x" * 100_000):
            assert peer.echo(text) == text
        assert peer.slow(1, "x") == "A|x"
        assert peer.nothing() is None
        data = bytes(number % 251 for number in range(100_000))
        assert peer.produce(100_000) == data
        assert peer.checksum(b"123456789") == 0xCBF43926
        at = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC) + timedelta(milliseconds=7)
        part = Order(2, "part", 0.5, True, at)
        notes = {"text": "café € 😀", "count": 7, "none": None, "list": [1, 2.5, "x"], "map": {"k": -(1 << 62)}}
        order = Order(1 << 40, "all", 1 / 8, False, at, [part, part, Order(3, None, -1e300, False)], notes)
        assert peer.order(order) == order
        assert peer.order(None) is None
        thrown = {peer.fail: "java.lang.IllegalStateException", peer.fail_checked: "meshfast.peer.PeerException"}
        for call, kind in thrown.items():
            with pytest.raises(sdk.RemoteError, match="sold out") as error:
                call("sold out")
            assert (error.value.kind, error.value.message, error.value.may_have_run) == (kind, "sold out", True)
        assert world.sidecar.count("calls") >= 13 and found.counters["falls"] == 0


@pytest.mark.parametrize("loop", LOOPS)
def test_labels_and_time(worlds: Worlds, peers: Peers, port_of: PortOf, loop: str) -> None:
    """A label leads where it says, what goes along is seen, and so is how long the caller waits."""
    base, dev = port_of("java-3.3"), peers.fresh("java-3.3").export("dev")
    entry = mesh.entry([mesh.endpoint(base), mesh.endpoint(dev, env="dev1")])
    world = worlds(loop, entry, *mesh.label_policy())
    with world.blocking() as found:
        peer, service = found.stub(PeerService, SERVICE), found.service(SERVICE)  # type: ignore[type-abstract]
        assert {peer.whoami() for _ in range(8)} == {"A"}
        with sdk.labelled(env="dev1"):
            assert {peer.whoami() for _ in range(8)} == {"dev"}
        reply = service.reply("attachments", attachments={"reply": "yes", "user": "ü"}, timeout=7.0)
        assert reply.value["user"] == "ü" and reply.attachments["replied"] == "yes"
        assert service.call("left", types=()) == -1 or service.call("left") <= 20_000
        with pytest.raises(sdk.CallTimeout):
            service.call("slow", 20_000, "x", types=("int", "java.lang.String"), timeout=0.2)
        service.tell("record", "one way")
        until("recorded", lambda: "one way" in peer.recorded())
        with pytest.raises(sdk.NoRoute):
            found.service("com.x.None").call("hi")


@pytest.mark.parametrize("idempotent", [False, True], ids=["once", "idempotent"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_sidecar_comes_and_goes_under_load(worlds: Worlds, peers: Peers, loop: str, idempotent: bool) -> None:
    provider = peers.fresh("java-3.3").export("counting")
    world = worlds(loop, mesh.entry([mesh.endpoint(provider)]))
    with world.blocking() as found:
        load = Load(found.service(SERVICE), idempotent, f"{loop}-{idempotent}")
        peer = found.stub(PeerService, SERVICE)  # type: ignore[type-abstract]
        comes_and_goes(world, load, peer.recorded)


@pytest.mark.parametrize("loop", LOOPS)
def test_the_other_face(worlds: Worlds, port_of: PortOf, loop: str) -> None:
    """Many calls at a time on one connection, each with its own answer."""
    world = worlds(loop, mesh.entry([mesh.endpoint(port_of("java-3.3"))]))

    async def story() -> None:
        async with sdk.connect("tests", timeout=30.0, timing=STEADY, **world.where) as found:
            peer = found.service(SERVICE)
            for begun in range(0, 3000, 100):  # Dubbo for Java has 200 threads, and refuses what is over them
                numbers = range(begun, begun + 100)
                answers = await asyncio.gather(*(peer.call("ask", f"{number}") for number in numbers))
                assert answers == [f"A|{number}" for number in numbers]
            assert await peer.call("order", Order(1, "x", 2.0, True)) == Order(1, "x", 2.0, True)

    asyncio.run(asyncio.wait_for(story(), 120))
