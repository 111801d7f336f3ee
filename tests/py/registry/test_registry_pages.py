"""Lists that a server gives page by page, and lies about: how long they are, what comes next, that they are there."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor

import pytest

from meshfast.registry import nacosapi
from meshfast.registry.etcdjson import OUT_OF_RANGE, Failed, Nonsense
from meshfast.registry.etcdnodes import TRIES, Nodes
from meshfast.registry.etcdwatch import Fires
from meshfast.registry.nacosapi import Api

ENOUGH = 100


class Pages:
    """Answers by ``page``, which is given how often it was asked."""

    def __init__(self, page) -> None:
        self.page, self.asked = page, 0
        self.begins: list[bytes] = []

    def next(self) -> bytes:
        self.asked += 1
        assert self.asked < ENOUGH, "it asks without end"
        return json.dumps(self.page(self.asked)).encode()

    async def get(self, request, seconds, alone):
        return 200, self.next()

    async def post(self, path, body):
        self.begins.append(b64decode(json.loads(body)["key"]))
        return self.next()

    def names(self, path="/dubbo"):
        with ThreadPoolExecutor(1) as apart:
            return asyncio.run(Nodes(self.post, Fires(), apart).children(path, None))


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(nacosapi, "MOST_NAMES", 100)
    monkeypatch.setattr(nacosapi, "PAGE", 10)


def test_pages_of_a_nacos_that_have_more_than_they_may():
    pages = Pages(lambda n: {"count": 70, "doms": [f"s{n}.{i}" for i in range(60)]})
    names, beyond = asyncio.run(Api(pages.get, "", "G").names())
    assert (len(names), beyond, pages.asked) == (100, 20, 2)


def test_pages_of_mappings_that_have_more_than_they_may():
    pages = Pages(lambda n: {"totalCount": 70, "pageItems": [{"dataId": f"s{n}.{i}"} for i in range(60)]})
    assert (len(asyncio.run(Api(pages.get, "", "G").configs("mapping"))), pages.asked) == (100, 2)


def test_a_nacos_whose_list_is_as_long_as_it_says():
    pages = Pages(lambda n: {"count": 25, "doms": [f"s{n}.{i}" for i in range(10 if n < 3 else 5)]})
    names, beyond = asyncio.run(Api(pages.get, "", "G").names())
    assert (len(names), beyond, pages.asked) == (25, 0, 3)


def key(name):
    return {"key": b64encode(name if isinstance(name, bytes) else name.encode()).decode()}


def listed(*keys, more=False):
    return {"header": {"revision": "7"}, "kvs": keys, "more": more}


@pytest.mark.parametrize("again", ["/dubbo/a/b", "/dubbo/a", "/dubbo", "/"])
def test_an_etcd_that_lists_the_same_again(again):
    pages = Pages(lambda n: listed(key("/dubbo/b/c" if n == 1 else again), more=True))
    with pytest.raises(Nonsense):
        pages.names()
    assert pages.asked == 2


def test_an_etcd_that_goes_on():
    pages = Pages(lambda n: listed(key(f"/dubbo/{n}/c"), key(f"/dubbo/{n}ü"), more=n < 4))
    assert pages.names() == [f"{n}{more}" for n in range(1, 5) for more in ("", "ü")]


def test_an_etcd_that_always_compacts():
    def compacted(n):
        raise Failed("required revision has been compacted", OUT_OF_RANGE)

    pages = Pages(compacted)
    with pytest.raises(Failed):
        pages.names()
    assert pages.asked == TRIES


def test_an_etcd_that_compacts_now_and_then():
    def page(n):
        if n < TRIES:
            raise Failed("required revision has been compacted", OUT_OF_RANGE)
        return listed(key("/dubbo/a"))

    assert Pages(page).names() == ["a"]


def test_a_key_of_an_etcd_that_is_no_text_is_gone_on_behind():
    pages = Pages(lambda n: listed(key(b"/dubbo/\xff"), more=True) if n == 1 else listed(key(b"/dubbo/\xff\xff/x")))
    assert pages.names() == ["\ufffd", "\ufffd\ufffd"]
    assert pages.begins == [b"/dubbo/", b"/dubbo/\xff\0"]
