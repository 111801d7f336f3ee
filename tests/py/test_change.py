"""Requests and answers that a rule changes, over Dubbo2, gRPC and HTTP/2: what goes on, and that nothing else does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from changing import CART, Doc, policy, stage, to
from engines import BACKENDS, PATIENCE, play
from peers import until
from retry_world import NO_LIMITS
from webs import unused
from webs2 import GRPC, Fields

from meshfast import config, dubbo, hessian


def by(x: str, **more: Any) -> Doc:
    return {"match": [{"headers": {"by": {"exact": x}}}], "route": [to()]} | more


def ops(**request: Any) -> Doc:
    return {"request": request}


def of(fields: Fields, *names: bytes) -> list[tuple[bytes, bytes]]:
    return sorted((name, value) for name, value in fields if name in names)


HEADERS = [
    by("set", headers=ops(set={"X-A": "1", "b": "50%%"})),
    by("add", headers=ops(add={"x-a": "more"})),
    by("remove", headers=ops(remove=["X-A"])),
    by("both", headers=ops(remove=["x-a"], set={"x-a": "set"}, add={"x-a": "add"})),
    by("one", headers=ops(set={"x-a": "route"}), route=[to(headers=ops(set={"x-a": "destination"}))]),
    by("taken", headers=ops(set={"x-a": "route"}), route=[to(headers=ops(remove=["x-a"]))]),
    by("two", headers=ops(set={"x-a": "route"}), route=[
        to("a", weight=100, headers=ops(set={"x-a": "a", "x-b": "a"})),
        to("b", weight=0, headers=ops(set={"x-b": "b"})),
    ]),
    by("none", route=[to("a", weight=100), to("b", weight=0, headers=ops(set={"x-a": "b"}))]),
    {"route": [to()]},
]  # fmt: skip
CHANGED = {
    "set": [b"1"], "add": [b"mine", b"more"], "remove": [], "both": [b"add", b"set"], "one": [b"destination"],
    "taken": [b"route"], "two": [b"route"], "none": [b"mine"], "other": [b"mine"],
}  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
def test_fields_of_requests(backend: str) -> None:
    """Each case often, by turns, so that what is recalled of one is never another's."""

    async def story() -> None:
        async with stage(backend, *HEADERS) as it:
            for _ in range(4):
                for x, want in CHANGED.items():
                    for grpc in (False, True):
                        said = ((b"by", x.encode()), (b"x-a", b"mine"))
                        got = await (it.grpc(*said) if grpc else it.http("/p?q", *said, body=b"b"))
                        assert got.get(b":status") == b"200"
                        assert [value for _, value in of(it.seen(), b"x-a")] == want, x
                        assert dict(it.seen())[b"by"] == x.encode()
                        assert [v for _, v in of(it.seen(), b"x-b")] == ([b"a"] if x == "two" else [])
                        assert dict(it.seen())[b":path"] == (f"/{CART}/hi".encode() if grpc else b"/p?q")
            assert dict(of(it.seen(), b"b")) == {}
            assert it.side.count("calls_changed") == 4 * 2 * (len(CHANGED) - 2)
            await it.http("/", (b"by", b"set"))
            assert dict(it.seen())[b"b"] == b"50%"

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_attachments_of_requests(backend: str) -> None:
    """A map has one value of a name: what is added is set. Names are compared as they are."""

    async def story() -> None:
        async with stage(backend, *HEADERS) as it:
            for x, name, want in (
                ("set", "X-A", "1"), ("set", "x-a", "mine"), ("add", "x-a", "more"), ("remove", "x-a", "mine"),
                ("both", "x-a", "add"), ("one", "x-a", "destination"), ("taken", "x-a", "route"),
                ("two", "x-a", "route"), ("two", "x-b", "a"), ("none", "x-a", "mine"), ("other", "x-a", "mine"),
            ):  # fmt: skip
                answer = await it.dubbo(**{"by": x, "x-a": "mine", "z": {"k": [1, "v"]}})
                assert answer.value == "p:x"
                seen = it.seen_dubbo()
                assert (seen[name], seen["by"]) == (want, x), x
                assert hessian.encode({"k": [1, "v"]}) in it.provider.requests[-1].raw
            await it.dubbo(**{"by": "remove", "X-A": "gone", "x-a": "stays"})
            assert "X-A" not in it.seen_dubbo()
            assert it.seen_dubbo()["x-a"] == "stays"
            await it.dubbo(**{"by": "remove", "X-A": {"a": "map"}})
            assert it.provider.requests[-1].raw.endswith(hessian.encode("X-A") + b"NZ")

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_long_requests_of_dubbo(backend: str) -> None:
    async def story() -> None:
        async with stage(backend, {"headers": ops(set={"x": "v" * 4000}, remove=["y"]), "route": [to()]}) as it:
            long = "l" * 300_000
            answer = await asyncio.wait_for(it.caller.ask(CART, attachments={"y": "1", "long": long}), PATIENCE)
            assert answer.value == "p:x"
            raw = it.provider.requests[-1].raw
            assert hessian.encode("long") + hessian.encode(long) in raw
            assert raw.endswith(hessian.encode("x") + hessian.encode("v" * 4000) + b"Z")
            assert "y" not in it.seen_dubbo()

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_fields_of_answers(backend: str) -> None:
    async def story() -> None:
        def answers(**response: Any) -> Doc:
            return {"response": response}

        rules = [
            by("set", headers=answers(set={"x-own": "2", "x-new": "n"})),
            by("add", headers=answers(add={"x-own": "2"})),
            by("remove", headers=answers(remove=["X-Own"])),
            by("two", headers=answers(set={"x-own": "route"}), route=[
                to("a", weight=100, headers=answers(set={"x-own": "a"})), to("b", weight=0)]),
            {"route": [to()]},
        ]  # fmt: skip
        async with stage(backend, *rules) as it:
            for _ in range(4):
                for x, want in (
                    ("set", [b"2"]), ("add", [b"1", b"2"]), ("remove", []), ("two", [b"route"]), ("-", [b"1"]),
                ):  # fmt: skip
                    for got in (await it.http("/x", (b"by", x.encode())), await it.grpc((b"by", x.encode()))):
                        assert [value for _, value in of(got.fields, b"x-own")] == want, x
                        assert [value for _, value in of(got.fields, b"x-new")] == ([b"n"] if x == "set" else [])
                    assert got.get(b"grpc-status") == b"0"
            assert (await it.dubbo(by="set")).value == "p:x"

    play(story)


REWRITES = [
    {"match": [{"uri": {"prefix": "/old"}}], "rewrite": {"uri": "/new"}, "route": [to()]},
    {"match": [{"uri": {"exact": "/e"}}, {"uri": {"regex": "/r[0-9]+"}}, {"uri": {"prefix": "/pre"}}],
     "rewrite": {"uri": "/f"}, "route": [to()]},
    {"match": [{"uri": {"prefix": "/CASE"}, "ignoreUriCase": True}], "rewrite": {"uri": "/case", "authority": "o.ex:1"},
     "route": [to("a", weight=1), to("b", weight=1)]},
    {"match": [{"uri": {"prefix": "/regex"}}], "route": [to()],
     "rewrite": {"uriRegexRewrite": {"match": "/([a-z]+)/([0-9]+)", "rewrite": r"/\2/\1"}}},
    {"match": [{"uri": {"prefix": "/host"}}], "headers": ops(set={"host": "set.ex"}), "route": [to()]},
    {"match": [{"uri": {"prefix": "/none"}}], "route": [to()]},
    {"match": [{"uri": {"prefix": "/dot"}}], "rewrite": {"uri": "/a/"}, "route": [to()]},
    {"rewrite": {"uri": "/all"}, "route": [to()]},
]  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
def test_paths_and_authorities(backend: str) -> None:
    async def story() -> None:
        async with stage(backend, *REWRITES) as it:
            for _ in range(3):
                for path, want, authority in (
                    (b"/old/x?y=1", b"/new/x?y=1", b"cart"), (b"/oldies", b"/newies", b"cart"),
                    (b"/e?q", b"/f?q", b"cart"), (b"/r12", b"/f", b"cart"),
                    (b"/prefix", b"/ffix", b"cart"), (b"/cAsE/X", b"/case/X", b"o.ex:1"),
                    (b"/regex/1/b/2?a/3", b"/1/regex/2/b?a/3", b"cart"), (b"/host/x", b"/host/x", b"set.ex"),
                    (b"/any", b"/allany", b"cart"), (b"/none", b"/none", b"cart"),
                ):  # fmt: skip
                    got = await it.http(path.decode(), body=b"b")
                    assert got.get(b":status") == b"200", path
                    seen = dict(it.seen())
                    assert (seen[b":path"], seen[b":authority"]) == (want, authority)
                    assert seen.get(b"x-envoy-original-path") == (None if want == path else path)
            # What its tail and the rule make together is looked at, too.
            assert (await it.http("/dot../etc")).get(b":status") == b"400"
            assert (await it.http("/dotx")).get(b":status") == b"200"
            assert it.side.count("changes_refused") == 1

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_another_method_of_grpc(backend: str) -> None:
    async def story() -> None:
        rules = [{"match": [{"uri": {"exact": f"/{CART}/hi"}}], "rewrite": {"uri": "/a.B/bye"}, "route": [to()]},
                 {"rewrite": {"uri": "/"}, "route": [to()]}]  # fmt: skip
        async with stage(backend, *rules) as it:
            assert (await it.grpc(body=b"kept")).get(b"grpc-status") == b"0"
            assert dict(it.seen())[b":path"] == b"/a.B/bye"
            assert (await it.dubbo()).value == "p:x"  # what Dubbo calls stays
            # /com.x.Cart/no is what it was, as the prefix / became itself
            await it.grpc(path=f"/{CART}/no")
            assert dict(it.seen())[b":path"] == f"/{CART}/no".encode()

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_waits_or_is_sent_again_is_changed_then(backend: str) -> None:
    """While a connection is made, after a delay, and where the first instance is gone."""

    async def story() -> None:
        rule = {"headers": ops(set={"x-a": "set"}, remove=["x-b"]), "rewrite": {"uri": "/"}, "route": [to()],
                "match": [{"headers": {"x-a": {"exact": "mine"}}}],
                "fault": {"delay": {"fixedDelay": "20ms", "percentage": {"value": 100}}}}  # fmt: skip
        async with stage(backend, rule) as it:
            both = [it.http("/p", (b"x-a", b"mine"), (b"x-b", b"1")) for _ in range(5)]
            both += [it.grpc((b"x-a", b"mine"), (b"x-b", b"1"), (b"grpc-timeout", b"20S")) for _ in range(5)]
            assert all(got.get(b":status") == b"200" for got in await asyncio.gather(*both))
            for peer in it.server.peers:
                for stream in peer.streams.values():
                    assert of(stream.fields, b"x-a", b"x-b") == [(b"x-a", b"set")]
                    assert dict(stream.fields).get(b"grpc-timeout", b"20S") != b"20S" or GRPC not in stream.fields
            answers = await asyncio.gather(*(it.dubbo(**{"x-a": "mine", "x-b": "1"}) for _ in range(5)))
            assert [one.value for one in answers] == ["p:x"] * 5
            assert (it.seen_dubbo()["x-a"], "x-b" in it.seen_dubbo()) == ("set", False)
            assert it.side.count("calls_delayed") == 15

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_another_rule_holds_for_what_still_waits(backend: str) -> None:
    """A call is looked up by what it came with, and changed by the rule that holds when it is sent."""

    async def story() -> None:
        slow = {"fault": {"delay": {"fixedDelay": "300ms", "percentage": {"value": 100}}}, "route": [to()]}
        async with stage(backend, slow | {"headers": ops(set={"x-a": "first"})}) as it:
            waits = [it.http("/p", (b"x-a", b"mine")), it.grpc((b"x-a", b"mine")), it.dubbo(**{"x-a": "mine"})]
            tasks = [asyncio.ensure_future(one) for one in waits]
            await it.side.reaches("calls_delayed", 3)
            text = policy([by("nobody"), {"route": [to()]}], it.provider, it.server)
            it.side.table.publish(config.load_texts([("mesh.yaml", text.encode())]))
            await asyncio.gather(*tasks)
            told = [v for stream in it.server.peers[-1].streams.values() for _, v in of(stream.fields, b"x-a")]
            assert (told, it.seen_dubbo()["x-a"]) == ([b"mine", b"mine"], "mine")

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_where_the_first_instance_is_gone(backend: str) -> None:
    """Nobody is there at one address: the call goes on to the other, and is changed once."""

    async def story() -> None:
        dead = {"address": "127.0.0.1", "ports": {"dubbo": unused(), "grpc": unused()}, "labels": {"a": "1"}}
        rule = {"headers": ops(add={"x-a": "more"}), "rewrite": {"uri": "/all"}, "route": [to("a")]}
        async with stage(backend, rule, also=dead) as it:
            for i in range(6):
                got = await it.http(f"/{i}", (b"x-a", b"mine"))
                assert got.get(b":status") == b"200"
                assert [value for _, value in of(it.seen(), b"x-a")] == [b"mine", b"more"]
                assert dict(it.seen())[b":path"] == f"/all{i}".encode()
                assert (await it.dubbo(**{"x-a": "mine"})).value == "p:x"
                assert it.seen_dubbo()["x-a"] == "more"
            assert it.side.count("upstream_connect_failed") > 0

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_try_is_changed_anew(backend: str) -> None:
    """An instance answers that it failed: the next try has the same changes, once."""

    async def story() -> None:
        rule = {"headers": ops(add={"x-a": "more"}, remove=["x-b"]), "rewrite": {"uri": "/all"}, "route": [to()],
                "retries": {"attempts": 2, "retryOn": "5xx"}}  # fmt: skip
        async with stage(backend, rule, limits=NO_LIMITS) as it:
            await it.http("/good")
            got = await it.http("/fail", (b"x-a", b"mine"), (b"x-b", b"1"), (b"x-fail", b"503"), body=b"kept")
            assert got.get(b":status") == b"503"
            seen = [stream for peer in it.server.peers for stream in peer.streams.values()]
            assert len(seen) == 4
            for stream in seen[1:]:
                assert of(stream.fields, b"x-a", b"x-b") == [(b"x-a", b"mine"), (b"x-a", b"more")]
                assert (dict(stream.fields)[b":path"], bytes(stream.body)) == (b"/allfail", b"kept")

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_copy_has_the_changes_too(backend: str) -> None:
    """What is mirrored is what goes on, by the rule's operations."""

    async def story() -> None:
        rule = {"headers": ops(set={"x-a": "set"}, remove=["x-b"]), "rewrite": {"uri": "/all"}, "route": [to()],
                "mirror": {"host": "cart"}}  # fmt: skip
        async with stage(backend, rule) as it:
            said = ((b"x-a", b"mine"), (b"x-b", b"1"))
            for n in range(1, 4):
                assert (await it.http("/p?q", *said, body=b"kept")).get(b":status") == b"200"
                assert (await it.dubbo(**{"x-a": "mine", "x-b": "1"})).value == "p:x"
                await until(lambda n=n: it.asked == 4 * n, PATIENCE)
            for peer in it.server.peers:
                for stream in peer.streams.values():
                    await asyncio.wait_for(stream.ended.wait(), PATIENCE)
                    assert of(stream.fields, b"x-a", b"x-b") == [(b"x-a", b"set")]
                    assert (dict(stream.fields)[b":path"], bytes(stream.body)) == (b"/allp?q", b"kept")
            for request in it.provider.requests:
                attachments = dubbo.parse_request(request.raw).attachments
                assert (attachments["x-a"], "x-b" in attachments) == ("set", False)

    play(story)
