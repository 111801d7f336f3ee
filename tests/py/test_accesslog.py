"""The access log of a whole sidecar, and what it counts of calls: each is told once, whatever became of it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from collections import Counter
from pathlib import Path

import pytest
from engines import play, running
from peers import Caller, Provider, closing, mesh, until
from proxies import BACKENDS, PATIENCE, Proxy, ends, inbound, outbound, proxy

from meshfast import _core, dubbo
from meshfast.record import FIELDS, Record

CALLS = 10_000


def log_to(path: Path, **more: object) -> dict[str, object]:
    return {"path": str(path), **more}


async def ask_many(address: str, calls: int, **more: object) -> None:
    """On four connections, a few hundred at once, each with an id of its own."""

    async def some(n: int) -> None:
        caller = await Caller.connect(address)
        async with closing(caller):
            for at in range(0, calls // 4, 100):
                raws = [
                    dubbo.encode_request(n * calls + at + i - calls, "com.x.Cart", "hi", ("x",), **more)
                    for i in range(min(100, calls // 4 - at))
                ]
                await asyncio.gather(*(caller.send(raw) for raw in raws))

    await asyncio.gather(*(some(n) for n in range(4)))


@pytest.mark.parametrize("form", ["json", "{request_id} {outcome} {status}"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_call_is_logged_once_or_counted(backend: str, form: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with closing(provider := Provider()):
            await provider.start()
            path = tmp_path / "calls.log"
            async with proxy(
                tmp_path / "side", backend, [outbound()], mesh((provider, "dev1")), workers=2,
                access_log=log_to(path, format=form),
            ) as side:  # fmt: skip
                await ask_many(side.address("out"), CALLS, attachments={"env": "dev1"})
                counted = await side.counters()
                side.process.terminate()
                assert await ends(side, 60) == 0
            assert counted["calls"] == CALLS
            lines = path.read_text().splitlines()
            ids = Counter(int(json.loads(line)["request_id"] if form == "json" else line.split()[0]) for line in lines)
            assert max(ids.values()) == 1
            assert len(lines) + dropped(side) == CALLS
            assert min(ids) < 0 < max(ids)
            if form == "json":
                check(json.loads(lines[0]), provider)
            else:
                assert all(line.endswith(" ok 20") for line in lines)

    play(story, 120)


def dropped(side: Proxy) -> int:
    found = re.search(r"access log: (\d+) record\(s\) dropped", side.log)
    return int(found[1]) if found else 0


def check(said: dict[str, object], provider: Provider) -> None:
    assert list(said) == list(FIELDS)
    assert (said["direction"], said["service"], said["method"]) == ("outbound", "com.x.Cart", "hi")
    assert said["peer"] == provider.address and str(said["caller"]).startswith("127.0.0.1:")
    assert said["subset"] == "dev1" and said["labels"] == {"env": "dev1"}
    assert isinstance(said["duration"], float) and 0 < said["duration"] < 60
    assert said["bytes_up"] > 16 and said["bytes_down"] > 0  # type: ignore[operator]


@pytest.mark.parametrize("backend", BACKENDS)
def test_whatever_became_of_it(backend: str) -> None:
    """By the engine alone: records, and what is counted beside them."""

    async def silent(provider: Provider, writer: asyncio.StreamWriter, frame: object) -> None:
        pass

    async def story() -> None:
        async with closing(good := Provider(), mute := Provider(handler=silent)):
            await good.start()
            await mute.start()
            limits = {"maxMethods": 1, "maxBody": 4096}
            with running(backend, (good, "dev1"), (mute, "mute"), limits=limits, access_sample=1.0) as it:
                async with closing(caller := await Caller.connect(it.address)):
                    asked = [
                        await caller.ask("com.x.Cart", attachments={"env": "dev1"}),
                        await caller.ask("com.x.Nobody"),
                        await caller.ask("com.x.Cart", attachments={"env": "mute", "timeout": "50"}),
                        await caller.send(dubbo.encode_request(90, "com.x.Cart", "big", ("x" * 5000,))),
                        await caller.send(bad_request(91)),
                    ]
                    tell = {"attachments": {"env": "dev1"}, "two_way": False}
                    caller.writer.write(dubbo.encode_request(92, "com.x.Cart", "tell", ("x",), **tell))
                    await it.reaches("calls_one_way")
                    pending = caller.ask("com.x.Cart", attachments={"env": "mute"})
                    await until(lambda: len(mute.requests) == 2, PATIENCE)
                    vanish = struct.pack("ii", 1, 0)  # what is still due is not waited for
                    caller.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, vanish)
                with pytest.raises(ConnectionResetError):
                    await asyncio.wait_for(pending, PATIENCE)
                await it.reaches("calls_abandoned")
                found = [Record(*one) for one in it.engine.access_records()]
                assert [one.status for one in asked] == [20, 60, 31, 40, 40]
                outcomes = [(one.outcome, one.status) for one in found]
                assert outcomes == [
                    ("ok", 20), ("no_route", 60), ("timeout", 31), ("too_long", 40), ("bad_request", 40),
                    ("ok", 0), ("cancelled", 0),
                ]  # fmt: skip
                assert [bool(one.peer) for one in found] == [True, False, True, False, False, True, True]
                assert it.engine.access_records() == []
                here = {name: count for name, count in it.engine.ended_here().items() if count}
                assert here == {"no_route": 1, "timeout": 1, "too_long": 1, "bad_request": 1, "cancelled": 1}
                methods = {(one["service"], one["method"]): one for one in it.engine.method_stats()}
                assert methods["com.x.Cart", "hi"]["begun"] == 3 and methods["other", "other"]["begun"] >= 2
                assert methods["com.x.Cart", "hi"]["outcomes"]["timeout"] == 1
                assert it.count("limit_max_methods") == methods["other", "other"]["begun"]

    play(story)


def bad_request(request_id: int) -> bytes:
    """A frame whose body ends within its first string."""
    raw = dubbo.encode_request(request_id, "com.x.Cart", "hi", ("x",))
    return raw[:12] + (3).to_bytes(4, "big") + b"\x05ab"


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_comes_in_is_counted_by_service(backend: str) -> None:
    async def story() -> None:
        async with closing(app := Provider()):
            await app.start()
            limits = {"maxInboundServices": 2}
            with running(backend, direction="inbound", forward=app.address, limits=limits) as it:
                async with closing(caller := await Caller.connect(it.address)):
                    for service in ("com.x.A", "com.x.B", "com.x.C", "com.x.D", "com.x.A"):
                        assert (await caller.ask(service)).status == 20
                rows = {one["service"]: one for one in it.engine.inbound_stats()}
                assert {name: one["begun"] for name, one in rows.items()} == {"com.x.A": 2, "com.x.B": 1, "other": 2}
                one = rows["com.x.A"]
                assert one["direction"] == "inbound" and one["done"] == 2 and one["status"]["20"] == 2
                assert one["outcomes"]["ok"] == 2 and sum(count for _, count in one["latency"]) == 2
                assert it.count("limit_max_inbound_services") == 2 and it.engine.access_records() == []

    play(story)


def test_a_sample_of_calls() -> None:
    async def story() -> None:
        async with closing(app := Provider()):
            await app.start()
            with running("epoll", direction="inbound", forward=app.address, access_sample=0.25) as it:
                await ask_many(it.address, 4000)
                found = []
                while some := it.engine.access_records(100):
                    found += some
                assert 800 < len(found) < 1200 and len({one[-1] for one in found}) == len(found)
                assert {Record(*one).direction for one in found} == {"inbound"}

    play(story)


def test_a_log_that_nobody_reads_is_dropped_and_counted() -> None:
    async def story() -> None:
        async with closing(app := Provider()):
            await app.start()
            limits = {"accessRecords": 16}
            with running("epoll", direction="inbound", forward=app.address, limits=limits, access_sample=1.0) as it:
                await ask_many(it.address, 400)
                assert len(it.engine.access_records()) == 16 and it.count("limit_access_records") == 384

    play(story)


def test_a_share_that_is_none() -> None:
    with pytest.raises(ValueError, match="access_sample"):
        _core.Engine(_core.Table(), access_sample=1.5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_page_and_the_instances(backend: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with closing(provider := Provider()):
            await provider.start()
            listeners = [outbound(), inbound(provider.address)]
            policy, more = mesh((provider, "dev1")), {"limits": {"maxMethods": 10}}
            async with proxy(tmp_path / "side", backend, listeners, policy, **more) as side:
                for name in ("out", "in"):
                    await ask_many(side.address(name), 40, attachments={"env": "dev1"})
                async with closing(caller := await Caller.connect(side.address("out"))):
                    assert (await caller.ask("com.x.Nobody")).status == 60
                page = (await side.get("/stats/prometheus")).decode()
                where = 'direction="{}",service="com.x.Cart",host="{}",subset="{}"'
                assert f'meshfast_service_calls_total{{{where.format("outbound", "cart", "dev1")}}} 40\n' in page
                assert f'meshfast_service_calls_total{{{where.format("inbound", "", "")}}} 40\n' in page
                assert 'meshfast_answers_local_reasons_total{reason="no_route"} 1\n' in page
                for direction in ("outbound", "inbound"):
                    labels = f'direction="{direction}",service="com.x.Cart",method="hi"'
                    assert f"meshfast_method_calls_total{{{labels}}} 40\n" in page
                    assert f'meshfast_method_ends_total{{{labels},outcome="ok"}} 40\n' in page
                assert f'meshfast_peer_connections_total{{peer="{provider.address}"}} 1\n' in page

                async def instance() -> dict[str, object]:
                    return json.loads(await side.get("/clusters"))[0]["endpoints"][0]

                async with asyncio.timeout(PATIENCE):
                    while (await instance())["calls"] != 40:  # they are told once a second
                        await asyncio.sleep(0.05)
                one = await instance()
                assert (one["state"], one["down_for"], one["failures"], one["calls_active"]) == ("up", 0, 0, 0)

    play(story)


def test_a_status_without_a_name_is_told_as_it_is() -> None:
    async def odd(provider: Provider, writer: asyncio.StreamWriter, frame: object) -> None:
        raw = bytearray(provider.answer(frame))  # type: ignore[arg-type]
        raw[3] = 77
        writer.write(raw)

    async def story() -> None:
        async with closing(app := Provider(handler=odd)):
            await app.start()
            with running("epoll", direction="inbound", forward=app.address, access_sample=1.0) as it:
                async with closing(caller := await Caller.connect(it.address)):
                    await caller.ask("com.x.Cart")
                one = Record(*it.engine.access_records()[0])
                assert (one.protocol, one.status, one.http_status, one.rule) == ("dubbo", 77, 0, -1)

    play(story)
