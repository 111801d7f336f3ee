"""One client of Nacos that follows thousands of names: what it costs, and what is left of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, cast

from apis import Shown
from nacosclients import OUT, Client, Played
from test_endpoint_dubbo import offer

from meshfast.endpoint.instances import Written
from meshfast.endpoint.limits import Limits, Used
from meshfast.endpoint.nacosanswers import Answers, Session
from meshfast.endpoint.nacoskept import Book
from meshfast.endpoint.nacosrequests import Context, Listen
from meshfast.endpoint.naming import MAPPING, Looker, Naming


def steps(call: Callable[[], Any]) -> int:
    """Python lines and calls that it took: counted, not timed."""
    count = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def listening(count: int) -> Callable[[], Any]:
    """One request that listens to so many mappings, at a server that nobody has asked yet."""
    used, stream = Used(Limits()), cast(Any, None)
    answers = Answers(used, Book(used, Written(), lambda: None), Naming(Shown(), OUT, {}, used), None)
    sessions = [Session(n, stream, 0.0, Looker()) for n in range(3)]
    answers.sessions.update(dict(zip(map(str, range(3)), sessions, strict=True)))  # type: ignore[arg-type]
    asked = Listen(config_listen_contexts=[Context(f"x.S{i}", MAPPING) for i in range(count)])
    return lambda: [answers.answer(one, "ConfigBatchListenRequest", asked) for one in sessions]


def test_twice_as_many_mappings_take_twice_the_steps():
    one, two = (steps(listening(count)) for count in (100, 200))
    assert two <= 2.2 * one


def test_what_is_not_followed_any_more_is_forgotten():
    played = Played()
    try:
        client, other = Client(played), Client(played)
        for i in range(5):
            name = f"providers:x.S{i}:1:"
            client.subscribe(name, on=False)  # which it never did
            client.subscribe(name)
            client.subscribe(name, on=False)
        for on in (True, False, False):
            names = [{"dataId": f"x.S{i}", "group": MAPPING, "tenant": ""} for i in range(5)]
            client.good("ConfigBatchListenRequest", listen=on, configListenContexts=names)
        sessions = played.do(lambda: list(played.whole._sessions.values()))
        assert [(one.told, one.listens, one.mappings) for one in sessions] == [({}, {}, {})] * 2
        assert played.do(lambda: played.whole.used.now["watches"]) == 0
        client.close()
        other.close()
    finally:
        played.close()


def test_who_listens_in_two_namespaces_is_told_in_both():
    played = Played()
    try:
        client = Client(played)
        both = [{"dataId": "x.Hello", "group": MAPPING, "tenant": tenant} for tenant in ("", "t")]
        client.good("ConfigBatchListenRequest", listen=True, configListenContexts=both)
        client.good("ConfigBatchListenRequest", listen=False, configListenContexts=both[:1])
        client.good("ConfigBatchListenRequest", listen=True, configListenContexts=both[:1])
        assert client.told == []
        played.list("x.Hello", offer("x.Hello", {}))
        assert sorted((kind, found["tenant"]) for kind, found in client.told) == [
            ("ConfigChangeNotifyRequest", ""), ("ConfigChangeNotifyRequest", "t")
        ]  # fmt: skip
        client.close()
    finally:
        played.close()
