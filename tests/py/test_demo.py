"""The demonstration's own parts: what it expects, what it writes, how it judges. The whole of it is `make demo`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import socket
from pathlib import Path

import pytest

from meshfast import config
from meshfast.demo import load, policy
from meshfast.demo.app import Application
from meshfast.demo.documents import write
from meshfast.demo.explain import Why, why
from meshfast.demo.judge import Call, Timeline, tally
from meshfast.demo.process import Children, DemoError
from meshfast.demo.protocols import consumer, server
from meshfast.demo.topology import (
    HOST,
    LATE,
    START,
    Gateway,
    Instance,
    Ports,
    following,
    path,
    path_parse,
    path_text,
    place,
    service,
)
from meshfast.demo.wire import DUBBO, PROTOCOLS, Asked
from meshfast.explain import explain
from meshfast.model import Http, LabelKind, TargetKind
from meshfast.routing import Table

OLD = "A(dev1) -> B(dev1) -> C(base)"
NEW = "A(dev1) -> B(dev1) -> C(dev1)"
BASE = "A(base) -> B(base) -> C(base)"


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("dev1", OLD),
        ("dev2", "A(base) -> B(dev2) -> C(dev2)"),
        ("", BASE),
        ("dev9", BASE),
    ],
)
def test_path(label: str, expected: str) -> None:
    assert path_text(path(label, START)) == expected


def test_path_with_the_late_one() -> None:
    assert path_text(path("dev1", (*START, LATE))) == NEW
    assert path_text(path("", (*START, LATE))) == BASE
    assert path_text(path("dev1", START, "B")) == "B(dev1) -> C(base)"


def test_path_text_is_read_back() -> None:
    hops = path("dev1", START)
    assert path_parse(path_text(hops)) == hops


@pytest.mark.parametrize("text", ["", "A(dev1) -> [demo.B: status 80, no peer]", "D(base)", "A", "A(base"])
def test_a_failure_is_no_path(text: str) -> None:
    assert path_parse(text) is None


def test_each_application_calls_the_next() -> None:
    assert [following(app) for app in "ABC"] == ["B", "C", ""]


# --- judgement


def changed() -> Timeline:
    """LATE arrives from 10 to 11 and leaves from 20 to 21."""
    timeline = Timeline(START)
    timeline.begin_change((*START, LATE), 10)
    timeline.end_change(11)
    timeline.begin_change(START, 20)
    timeline.end_change(21)
    return timeline


@pytest.mark.parametrize(
    ("sent", "answered", "allowed"),
    [
        (1, 2, {OLD}),
        (9, 9.9, {OLD}),
        (9, 10.5, {OLD, NEW}),  # began before, met the change on its way
        (10.2, 10.3, {OLD, NEW}),
        (10.9, 12, {OLD, NEW}),
        (11.1, 12, {NEW}),
        (12, 19.9, {NEW}),
        (19, 20.5, {OLD, NEW}),
        (20.5, 22, {OLD, NEW}),
        (21.1, 22, {OLD}),
        (9, 22, {OLD, NEW}),
    ],
)
def test_what_is_allowed_while_the_mesh_changes(sent: float, answered: float, allowed: set[str]) -> None:
    assert changed().allowed("dev1", sent, answered) == allowed
    assert changed().allowed("", sent, answered) == {BASE}


def test_tally_finds_what_went_wrong() -> None:
    late, early = Call(DUBBO, "dev1", 5, 6, NEW), Call(DUBBO, "dev1", 15, 16, OLD)
    lost, failed = Call(DUBBO, "dev2", 5, 6, error="TimeoutError"), Call(DUBBO, "", 5, 6, "A(base) -> [demo.B: 80]")
    leaked = Call(DUBBO, "", 5, 6, "A(base) -> B(dev2) -> C(base)")
    strayed = Call(DUBBO, "", 5, 6.5, BASE, strayed=True)
    good = Call(DUBBO, "dev1", 15, 15.5, NEW)
    found = tally([late, early, lost, failed, leaked, strayed, good], changed())
    assert (found.sent, found.answered) == (7, 5)
    assert found.lost == [lost, failed]
    assert found.elsewhere == [late, early, leaked]
    assert found.leaked == [leaked]
    assert found.strayed == [strayed]
    assert found.paths[DUBBO, "dev1", NEW] == 2
    assert found.slowest == 1500


# --- policy


def test_ports_stay_reserved() -> None:
    ports = Ports()
    try:
        taken = [ports.take() for _ in range(20)]
        assert len(set(taken)) == 20
        with socket.socket() as other, pytest.raises(OSError):
            other.bind((HOST, taken[0]))
        with socket.create_server((HOST, taken[0])), socket.create_connection((HOST, taken[0])):
            pass
    finally:
        ports.close()


@pytest.mark.parametrize("running", [START, (*START, LATE)], ids=["start", "late"])
def test_policy_is_good(tmp_path: Path, running: tuple[Instance, ...]) -> None:
    numbers = itertools.count(20000)

    class Numbers(Ports):
        def take(self) -> int:
            return next(numbers)

    places = [place(instance, Numbers()) for instance in running]
    shared, own = tmp_path / "mesh", tmp_path / "own.yaml"
    shared.mkdir()
    write(shared / "mesh.yaml", policy.mesh(places))
    for one in places:
        write(own, policy.sidecar(one, "epoll"))
        mesh = config.load([str(shared), str(own)])
        assert {name: len(cluster.endpoints) for name, cluster in mesh.clusters.items()} == {
            app.lower(): sum(i.app == app for i in running) for app in "ABC"
        }
        assert {s.name for s in mesh.services} >= {service(app) for app in "ABC"}
        kinds = {tuple(t.kind for t in rule.targets) for s in mesh.services for rule in s.rules}
        assert kinds == {(TargetKind.LABEL, TargetKind.BASELINE)}
        (label,) = mesh.labels
        local = [source.text for source in label.sources if source.kind is LabelKind.LOCAL]
        assert local == ([one.instance.env] if one.instance.env else [])
        assert [listener.direction for listener in mesh.sidecar.listeners] == ["inbound", "outbound"]
        assert mesh.sidecar.loop == "epoll"
    write(own, policy.gateway(Gateway(1, 2), "auto"))
    assert len(config.load([str(shared), str(own)]).sidecar.listeners) == 1
    assert [file.name for file in shared.iterdir()] == ["mesh.yaml"]


@pytest.mark.parametrize(("label", "reason"), [("dev2", ""), ("dev1", "no instance labelled dev1"), ("", "no label")])
def test_why(tmp_path: Path, label: str, reason: str) -> None:
    """The words of the explain page, for the demonstration's own mesh."""
    ports = Ports()
    places = {instance: place(instance, ports) for instance in START}
    ports.close()
    write(tmp_path / "mesh.yaml", policy.mesh(places.values()))
    table = Table()
    table.publish(config.load([str(tmp_path)]))
    chosen = places[Instance("C", "" if reason else label)]
    for asked in ({"service": "demo.C"}, {"http": Http("POST", "http", "", "/demo.C/walk")}):
        page = explain(table, labels={"trafficLabel": label} if label else {}, **asked)
        assert why(page, "C") == Why(f"{HOST}:{chosen.inbound}", reason)


# --- applications


def test_applications_in_a_row_without_sidecars() -> None:
    """A -> B -> C, each dialling the next: the path comes back, with the trace id and no label, by one protocol all the
    way."""
    seen: list[Asked] = []

    class Watched(Application):
        async def answer(self, asked: Asked) -> str:
            seen.append(asked)
            return await super().answer(asked)

    async def scene() -> list[Call]:
        ports = Ports()
        numbers = {app: ports.take() for app in "ABC"}
        servers, applications = [], []
        for app in "ABC":
            after = following(app)
            sidecar = (HOST, numbers[after]) if after else (HOST, 0)
            application = Watched(app, "dev1" if app == "B" else "", sidecar, service(after) if after else "")
            servers.append(server(application.answer))
            await servers[-1].start((HOST, numbers[app]))
            applications.append(application)
        clients = {protocol: consumer(protocol, (HOST, numbers["A"])) for protocol in PROTOCOLS}
        work = [load.call(client, p, label) for label in ["dev1", ""] * 20 for p, client in clients.items()]
        calls = await asyncio.gather(*work)
        for end in (*clients.values(), *applications):
            await end.close()
        for one in servers:
            await one.stop(1)
        ports.close()
        return list(calls)

    calls = asyncio.run(scene())
    assert {call.value for call in calls} == {"A(base) -> B(dev1) -> C(base)"}
    assert not any(call.strayed or call.error for call in calls)
    at_a = [asked for asked in seen if {"trafficLabel", "trafficlabel"} & set(asked.headers)]
    assert len(seen) == 240 and len(at_a) == 40
    assert len({asked.trace for asked in seen}) == 80
    assert [sum(asked.protocol == p for asked in seen) for p in PROTOCOLS] == [120, 120]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_application_says_why_it_has_no_answer(protocol: str) -> None:
    async def scene() -> Call:
        ports = Ports()
        dead, own = ports.take(), ports.take()
        application = Application("A", "", (HOST, dead), "demo.B")
        serving = server(application.answer)
        await serving.start((HOST, own))
        client = consumer(protocol, (HOST, own))
        one = await load.call(client, protocol, "dev1")
        for end in (client, application):
            await end.close()
        await serving.stop(1)
        ports.close()
        return one

    one = asyncio.run(scene())
    assert one.value.startswith("A(base) -> [demo.B: ")
    assert one.hops is None


@pytest.mark.filterwarnings("ignore:.*unclosed")  # asyncio of 3.11 drops one that it has just accepted
@pytest.mark.parametrize("turns", range(8))
def test_a_connection_that_comes_as_the_server_stops_is_ended(turns: int) -> None:
    """However far the loop has got with it: `turns` of the loop after it came."""
    complaints: list[str] = []

    async def scene() -> socket.socket:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
        ports = Ports()
        port = ports.take()
        serving = server(Application("C", "", (HOST, port), "").answer)
        await serving.start((HOST, port))
        caller = socket.create_connection((HOST, port), 10)
        for _ in range(turns):
            await asyncio.sleep(0)
        await serving.stop(10)
        ports.close()
        return caller

    with asyncio.run(scene()) as caller:
        gc.collect()
        with contextlib.suppress(ConnectionResetError):
            assert caller.recv(1) == b""
    assert complaints == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_calls_fail_when_the_connection_ends(protocol: str) -> None:
    async def scene() -> Call:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(16)
            writer.close()

        hangs_up = await asyncio.start_server(hang_up, HOST, 0)
        client = consumer(protocol, (HOST, hangs_up.sockets[0].getsockname()[1]))
        one = await load.call(client, protocol, "")
        await client.close()
        hangs_up.close()
        return one

    assert asyncio.run(scene()).error


# --- processes


def test_a_program_that_ends_by_itself_is_noticed(tmp_path: Path) -> None:
    async def scene() -> None:
        children = Children(tmp_path)
        child = await children.start("version", "this")
        with pytest.raises(DemoError, match="version ended by itself with 0; .*\n(.*\n)*.*Namespaces"):
            await children.ready(child, 1)
        assert await children.stop(child) == 0

    asyncio.run(scene())


def test_stop_ends_a_program(tmp_path: Path) -> None:
    async def scene() -> int:
        children = Children(tmp_path)
        ports = Ports()
        port = ports.take()
        child = await children.start(
            "app", "meshfast.demo.app", "--name", "C", "--listen", f"{HOST}:{port}", "--sidecar", f"{HOST}:1"
        )
        await children.ready(child, port)
        codes = await children.stop_these(children.all)
        ports.close()
        children.check()
        assert "C(base) serves demo.C" in child.tail()
        assert "Traceback" not in child.tail(100)
        return codes["app"]

    assert asyncio.run(scene()) == 0
