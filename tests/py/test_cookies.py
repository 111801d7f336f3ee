"""A call that is hashed by a cookie and has none is given one, and its caller's next calls go where that one went."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from proxies import Proxy
from test_balancer import CART, Ask, World, story
from webs2 import GRPC, Stream, asks, calling

LOOPS = pytest.mark.parametrize("backend", ["epoll", "io_uring"])
MADE = re.compile(rb'sid="([0-9a-f]{16})"; Max-Age=3600; Path=/shop; HttpOnly')
TOLD = {"httpCookie": {"name": "sid", "ttl": "3600s", "path": "/shop"}}


def get(stream: Stream, name: bytes) -> list[bytes]:
    return [value for key, value in stream.fields if key == name]


def told(tmp_path: Path, said: Mapping[str, Any], tell: Any, **options: Any) -> None:
    story(tmp_path, "grpc", "abcd", {"consistentHash": said}, tell, **options)


@LOOPS
def test_a_call_without_one_is_given_one(tmp_path: Path, backend: str) -> None:
    async def tell(world: World, side: Proxy, _: Ask) -> None:
        places = set()
        for _caller in range(20):
            async with calling(side.address("out")) as peer:
                before = world.came.copy()
                first = await peer.ask(asks(f"/{CART}/hi", GRPC), b"\0\0\0\0\0")
                (cookie,) = get(first, b"set-cookie")
                made = MADE.fullmatch(cookie)
                assert made, cookie
                (place,) = world.where(before)
                places.add(place)
            async with calling(side.address("out")) as peer:
                for value in (made[1], b'"' + made[1] + b'"'):
                    before = world.came.copy()
                    again = await peer.ask(asks(f"/{CART}/hi", GRPC, (b"cookie", b"a=1; sid=" + value)), b"\0\0\0\0\0")
                    assert get(again, b"set-cookie") == []
                    assert list(world.where(before)) == [place]
        assert len(places) > 1
        assert (await side.counters())["cookies_made"] == 20

    told(tmp_path, TOLD, tell, backend=backend, workers=2)


def test_calls_beside_each_other_are_given_the_same(tmp_path: Path) -> None:
    async def tell(world: World, side: Proxy, _: Ask) -> None:
        async with calling(side.address("out")) as peer:
            answers = [await peer.ask(asks(f"/{CART}/hi", GRPC), b"\0\0\0\0\0") for _call in range(10)]
        assert len({cookie for answer in answers for cookie in get(answer, b"set-cookie")}) == 1
        assert list(world.came.values()) == [10]

    told(tmp_path, TOLD, tell)


@pytest.mark.parametrize(
    ("said", "cookie"),
    [
        ({"name": "sid", "ttl": "0s"}, rb'sid="[0-9a-f]{16}"; HttpOnly'),
        ({"name": "sid", "ttl": "90s"}, rb'sid="[0-9a-f]{16}"; Max-Age=90; HttpOnly'),
        ({"name": "sid", "path": "/x"}, None),
    ],
)
def test_what_it_says(tmp_path: Path, said: Mapping[str, Any], cookie: bytes | None) -> None:
    async def tell(world: World, side: Proxy, _: Ask) -> None:
        async with calling(side.address("out")) as peer:
            found = get(await peer.ask(asks(f"/{CART}/hi", GRPC), b"\0\0\0\0\0"), b"set-cookie")
        assert [bool(re.fullmatch(cookie, one)) for one in found] == [True] if cookie else found == []

    told(tmp_path, {"httpCookie": said}, tell)
