"""Nonsense, limits and strangers at a sidecar's address for SDKs: what they are told, and that nobody else notices."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from api_world import CART, GOOD, World, play
from peers import until

from meshfast import passing, serve
from meshfast.endpoint.http import Limits

NONSENSE = [
    b"", b"x", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b'"x"', b"1", b"{}",
]  # fmt: skip


@pytest.mark.parametrize("target", ["/v1/register", "/v1/consume"])
def test_nonsense_is_told_and_goes_no_further(tmp_path: Path, target: str) -> None:
    async def story(world: World) -> None:
        with closing(await world.talk()) as talk:
            for body in NONSENSE:
                status, told = await talk.ask("POST", target, body)
                assert status == 400 and told["error"] and told["hint"].startswith("send JSON with: service"), body
            assert world.api.refused["malformed"] == len(NONSENSE)
            assert not world.api.wanted and not world.shown.interests

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"port": 0}, "0 is not a port"),
        ({"port": 65536}, "65536 is not a port"),
        ({"port": "20881"}, "Expected `int`, got `str` - at `$.port`"),
        ({"port": True}, "Expected `int`, got `bool` - at `$.port`"),
        ({"port": 10**30}, "1000000000 is not a port"),
        ({"service": ""}, "is not a service"),
        ({"service": "*"}, "is not a service"),
        ({"service": "a&b=c"}, "is not a service"),
        ({"service": "a/b"}, "is not a service"),
        ({"service": "x" * 513}, "is not a service"),
        ({"service": None}, "Expected `str`, got `null`"),
        ({"group": "a,b"}, "cannot be a group or a version"),
        ({"version": "1;2"}, "cannot be a group or a version"),
        ({"protocol": "rest"}, "Invalid enum value 'rest'"),
        ({"weight": 5}, "unknown field `weight`"),
        ({"parameters": {"a b": "1"}}, "is not the name of a parameter"),
        ({"parameters": {"group": "x"}}, "group is written by itself"),
        ({"parameters": {"meshfast": "0"}}, "meshfast is written by itself"),
        ({"parameters": {"a": "x&disabled=true"}}, "cannot be written into a URL"),
        ({"parameters": {"a": 1}}, "Expected `str`, got `int`"),
        ({"parameters": {f"p{n}": "1" for n in range(257)}}, "257 parameters"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_offer_is_told(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    async def story(world: World) -> None:
        with closing(await world.talk()) as talk:
            status, told = await talk.ask("POST", "/v1/register", GOOD | change)
            assert status == 400 and text in told["error"] and told["hint"], told
            assert not world.api.wanted
            assert (await talk.ask("POST", "/v1/register", GOOD))[0] == 200

    play(tmp_path, story)


def test_a_service_that_cannot_be_one_is_followed_by_nobody(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        with closing(await world.talk()) as talk:
            for bad in ("", "*", "a b", "a/b", "x" * 513, "a\0b"):
                status, told = await talk.ask("POST", "/v1/consume", {"services": ["good", bad]})
                assert status == 400 and "is not a service" in told["error"] and told["hint"]
            assert not world.shown.interests

    play(tmp_path, story)


def test_limits(tmp_path: Path) -> None:
    """Each is told and counted by its name; what others have stays."""

    async def story(world: World) -> None:
        world.shown.is_connected = False
        with closing(await world.talk()) as talk, closing(await world.talk()) as other:
            assert (await talk.ask("POST", "/v1/register", GOOD))[0] == 200
            for one in (talk, other):
                status, told = await one.ask("POST", "/v1/register", GOOD | {"service": "com.x.Stock"})
                assert status == 503 and told["error"] == "the limit is 1 registrations" and told["hint"]
            assert (await talk.ask("POST", "/v1/register", GOOD))[0] == 200  # it has that one already
            assert (await talk.ask("POST", "/v1/consume", {"services": ["A", "B"]}))[0] == 200
            status, told = await other.ask("POST", "/v1/consume", {"services": ["A"]})
            assert status == 503 and told["error"] == "the limit is 2 services"
            assert (await talk.ask("POST", "/v1/consume", {"services": ["B"]}))[0] == 200
            third = await world.talk()
            answer = await third.reader.read(-1)
            assert answer.startswith(b"HTTP/1.1 503 ") and b"too many connections" in answer
            third.close()
            assert (await talk.ask("POST", "/v1/register", b"[" * 20_000))[0] == 413
            await talk.ended()
            await until(lambda: not world.wanted)
        refused = {"registrations": 2, "services": 1, "connections": 1, "too long": 1}
        assert {key: world.api.refused[key] for key in refused} == refused

    play(tmp_path, story, limits=Limits(serve.Limits(connections=2, request=8192), registrations=1, services=2))


def test_who_holds_something_may_be_idle_and_others_make_room(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.shown.is_connected = False
        with closing(await world.talk()) as offers, closing(await world.talk()) as calls:
            assert (await offers.ask("POST", "/v1/register", GOOD))[0] == 200
            assert (await calls.ask("POST", "/v1/consume", {"services": ["A"]}))[0] == 200
            for _ in range(3):  # each idle one makes room for the next
                with closing(await world.talk()) as talk:
                    assert (await talk.ask("GET", "/v1/inbound"))[0] == 200
                    await talk.ended()
            await until(lambda: world.api.refused["idle"] == 3)
            assert world.services == [CART] and world.api.consumed == {"A"}

    play(tmp_path, story, limits=Limits(serve.Limits(connections=3, idle_timeout=0.05, idle_grace=0.0)))


STRANGER = """
import os, socket, sys
if os.geteuid() == 0:
    os.setuid(65534)
sock = socket.socket(socket.AF_UNIX)
sock.connect("\\0" + sys.argv[1])
sock.sendall(b"GET /v1/inbound HTTP/1.1\\r\\nhost: localhost\\r\\nconnection: close\\r\\n\\r\\n")
while data := sock.recv(65536):
    sys.stdout.buffer.write(data)
"""


def test_other_users_processes_are_not_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an abstract address, which has no mode. Who may not be another user sees that the sidecar is one."""
    if os.geteuid() != 0:
        own = os.geteuid() + 1
        monkeypatch.setattr(passing.os, "geteuid", lambda: own)
    world = World(f"unix://@meshfast-test-{os.getpid()}")

    async def story() -> None:
        await world.start()
        try:
            name = world.address.removeprefix("unix://@")
            child = await asyncio.create_subprocess_exec(sys.executable, "-c", STRANGER, name, stdout=PIPE)
            answer = (await child.communicate())[0]
        finally:
            await world.api.stop()
        assert answer.startswith(b"HTTP/1.1 403 ") and b"run it as user" in answer and world.api.refused == {"peer": 1}

    asyncio.run(story())


@pytest.mark.parametrize(("uid", "fine"), [(0, True), (1000, True), (1001, False), (65534, False)])
def test_who_the_kernel_says_it_is(uid: int, fine: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    said = (7).to_bytes(4, "little") + uid.to_bytes(4, "little") + (0).to_bytes(4, "little")
    monkeypatch.setattr(passing.os, "geteuid", lambda: 1000)
    why = passing.stranger(SimpleNamespace(getsockopt=lambda *_: said))  # type: ignore[arg-type]
    assert (why == "") is fine and (fine or f"of user {uid}" in why)


def test_pages_that_are_not_there(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        with closing(await world.talk()) as talk:
            for method, target in (("GET", "/"), ("GET", "/v1/register"), ("PUT", "/v1/consume"), ("POST", "/v2/x")):
                status, told = await talk.ask(method, target)
                assert status == 404 and "POST /v1/register" in told["hint"]

    play(tmp_path, story)
