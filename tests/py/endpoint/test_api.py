"""What SDKs say to their sidecar over a UNIX socket: what holds, and for how long."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import closing
from pathlib import Path

import pytest
from api_world import CART, GOOD, SIDE, World, play
from peers import until
from proxies import BACKENDS

from meshfast import serve
from meshfast.doors import families, page
from meshfast.endpoint.http import Limits, Word
from meshfast.model import Sidecar
from meshfast.pretty import pretty
from meshfast.registry import Instance, Offer


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_offered_is_registered_for_as_long_as_its_connection_lasts(tmp_path: Path, backend: str) -> None:
    async def story(world: World) -> None:
        talk = await world.talk()
        more = {"group": "g", "version": "1.0.0", "parameters": {"methods": "left", "timeout": "500"}}
        answer = await talk.ask("POST", "/v1/register", GOOD | more)
        assert answer == (200, {"address": "10.0.0.7:20880", "registries": ["main"]})
        (one,) = world.wanted.values()
        assert (one.service, one.group, one.version, one.protocol) == (CART, "g", "1.0.0", "dubbo")
        assert (one.address, one.behind) == ("10.0.0.7:20880", "127.0.0.1:20881")
        assert dict(one.parameters) == {"methods": "left", "timeout": "500", "application": "shop"}
        other = await world.talk()
        assert (await other.ask("POST", "/v1/register", GOOD | {"service": "com.x.Stock"}))[0] == 200
        assert world.services == [CART, "com.x.Stock"]
        talk.close()
        await until(lambda: world.services == ["com.x.Stock"])
        other.close()
        await until(lambda: not world.wanted and not world.api.wanted)

    play(tmp_path, story, backend)


def test_offers_of_one_connection_are_taken_back_one_by_one(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        with closing(await world.talk()) as talk, closing(await world.talk()) as other:
            for name in ("A", "B", "C"):
                assert (await talk.ask("POST", "/v1/register", GOOD | {"service": name}))[0] == 200
            assert (await other.ask("POST", "/v1/register", GOOD | {"service": "A"}))[0] == 200
            again = GOOD | {"service": "B", "parameters": {"weight": "50"}}
            assert (await talk.ask("POST", "/v1/register", again))[0] == 200  # in its place
            assert world.services == ["A", "A", "B", "C"]
            assert {one.parameters.get("weight") for one in world.wanted.values() if one.service == "B"} == {"50"}
            assert await talk.ask("DELETE", "/v1/register", GOOD | {"service": "A"}) == (200, {"removed": 1})
            await until(lambda: world.services == ["A", "B", "C"])
            status, told = await talk.ask("DELETE", "/v1/register", GOOD | {"service": "A"})
            assert status == 404 and "not registered" in told["error"] and "on the connection" in told["hint"]
            assert await talk.ask("DELETE", "/v1/register") == (200, {"removed": 2})
            await until(lambda: world.services == ["A"])
            assert (await talk.ask("DELETE", "/v1/register"))[0] == 404

    play(tmp_path, story)


def test_what_has_no_place_is_told(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        with closing(await world.talk()) as talk:
            status, told = await talk.ask("POST", "/v1/register", GOOD | {"port": 9})
            why = "no inbound listener forwards to that port"
            assert status == 409 and told["error"] == f"{CART} is not registered: {why}"
            assert told["hint"].startswith("inbound listeners forward to port 20881, 20883: serve there")
            assert not world.api.wanted and world.api.refused["unplaced"] == 1
            assert (await talk.ask("POST", "/v1/register", GOOD))[0] == 200  # the connection goes on

    play(tmp_path, story)

    async def nowhere(world: World) -> None:
        with closing(await world.talk()) as talk:
            for port, bound in ((20881, "0.0.0.0:20880"), (20883, "127.0.0.1:20882")):
                status, told = await talk.ask("POST", "/v1/register", GOOD | {"port": port})
                assert status == 409 and f"{bound} is not where others reach this machine" in told["error"]
                assert "advertise.address" in told["hint"]

    play(tmp_path, nowhere, side=Sidecar(listeners=SIDE.listeners))

    async def nobody(world: World) -> None:
        with closing(await world.talk()) as talk:
            answer = await talk.ask("POST", "/v1/register", GOOD)
            assert answer == (200, {"address": "0.0.0.0:20880", "registries": []})

    play(tmp_path, nobody, takes=False)


def test_where_it_forwards_to(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        with closing(await world.talk()) as talk:
            status, told = await talk.ask("GET", "/v1/inbound")
            rows = [("127.0.0.1:20881", "0.0.0.0:20880"), ("127.0.0.1:20883", "127.0.0.1:20882")]
            assert (status, [(one["forward"], one["address"]) for one in told["inbound"]]) == (200, rows)

    play(tmp_path, story)


def listing(service: str) -> tuple[Offer, ...]:
    return (Offer(service, "", "", (Instance("10.0.0.8:20880"),)),)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_called_is_followed_for_as_long_as_its_connection_lasts(tmp_path: Path, backend: str) -> None:
    async def story(world: World) -> None:
        shown = world.shown
        shown.listings.update({"A": listing("A"), "B": ()})
        talk, other = await world.talk(), await world.talk()
        told = await talk.ask("POST", "/v1/consume", {"services": ["A", "B", "A"]})
        assert told == (200, {"known": ["A"], "nobody": ["B"], "unanswered": []})
        assert (await other.ask("POST", "/v1/consume", {"services": ["B"]}))[0] == 200
        assert (await talk.ask("POST", "/v1/consume", {"services": ["A"]}))[0] == 200  # no second interest
        assert shown.interests == {"A": 1, "B": 2} and world.api.consumed == {"A", "B"}
        talk.close()
        await until(lambda: shown.interests["A"] == 0 and shown.interests["B"] == 1)
        assert world.api.consumed == {"B"}
        other.close()
        await until(lambda: not world.api.consumed and not +shown.interests)

    play(tmp_path, story, backend)


def test_first_answers_are_waited_for(tmp_path: Path) -> None:
    """As long as a test takes, here: an answer that does not come would hold it up."""

    async def story(world: World) -> None:
        shown = world.shown
        shown.listings["A"] = listing("A")
        with closing(await world.talk()) as talk:
            asked = asyncio.ensure_future(talk.ask("POST", "/v1/consume", {"services": ["A", "B", "C"]}))
            await until(lambda: world.api._wakes)  # type: ignore[arg-type, return-value]
            for name, found in (("B", listing("B")), ("C", ())):
                assert not asked.done()
                shown.listings[name] = found
                world.api.changed(name)
            assert await asked == (200, {"known": ["A", "B"], "nobody": ["C"], "unanswered": []})
            shown.is_connected = False
            told = await talk.ask("POST", "/v1/consume", {"services": ["D"]})
            assert told == (200, {"known": [], "nobody": [], "unanswered": ["D"]})

    play(tmp_path, story, limits=Limits(wait=600))

    async def in_vain(world: World) -> None:
        with closing(await world.talk()) as talk:
            told = await talk.ask("POST", "/v1/consume", {"services": ["D"]})
            assert told == (200, {"known": [], "nobody": [], "unanswered": ["D"]}) and not world.api._wakes

    play(tmp_path, in_vain, limits=Limits(wait=0.05))


@pytest.mark.parametrize("backend", BACKENDS)
def test_watchers_are_told_at_once_and_of_each_change(tmp_path: Path, backend: str) -> None:
    async def story(world: World) -> None:
        talk = await world.talk()
        talk.send("GET", "/v1/watch")
        assert await talk.line() == {"snapshot": 0, "ready": False, "draining": False}
        for word in (Word(1), Word(1, True), Word(2, True), Word(2, True, True)):
            world.api.tell(word)
            assert await talk.line() == {"snapshot": word.snapshot, "ready": word.ready, "draining": word.draining}
        assert world.api.watchers == 1
        late = await world.talk()
        late.send("GET", "/v1/watch")
        assert (await late.line())["snapshot"] == 2
        talk.close()
        await until(lambda: world.api.watchers == 1)
        late.writer.write(b"x")  # whatever is said there ends it
        await late.ended()
        late.close()
        await until(lambda: world.api.watchers == 0 and world.api.used.connections == 0)

    play(tmp_path, story, backend)


def test_a_watcher_that_does_not_read_is_dropped_and_holds_up_nobody(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        slow = socket.socket(socket.AF_UNIX)
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(world.address.removeprefix("unix://"))
        slow.sendall(b"GET /v1/watch HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await until(lambda: world.api.watchers == 1)
        with closing(await world.talk()) as talk, slow:
            talk.send("GET", "/v1/watch")
            await talk.line()
            number = 0
            while not world.api.refused["slow reader"]:
                number += 1
                assert number < 100_000
                world.api.tell(Word(number))
                assert (await talk.line())["snapshot"] == number
            await until(lambda: world.api.watchers == 1)

    play(tmp_path, story, limits=Limits(http=serve.Limits(write_timeout=0.05)))


def test_it_is_shown(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.shown.is_connected = False
        with closing(await world.talk()) as talk:
            await talk.ask("POST", "/v1/register", GOOD)
            await talk.ask("POST", "/v1/consume", {"services": ["A"]})
            await talk.ask("POST", "/v1/consume", b"")
            shown = json.loads(b"".join(pretty(page(None, world.api))))["http"]
            assert shown["services"] == ["A"] and shown["wanted"][0]["service"] == CART
            text = "\n".join(line for _, pages in families(None, world.api) for lines in pages for line in lines)
            assert "meshfast_endpoint_http_connections 1" in text
            assert "meshfast_endpoint_http_registrations 1" in text
            assert 'meshfast_endpoint_http_operations_total{op="POST /v1/consume"} 2' in text
            assert 'meshfast_endpoint_http_refused_total{reason="malformed"} 1' in text

    play(tmp_path, story)
