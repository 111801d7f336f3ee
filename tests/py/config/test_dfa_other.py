"""Automata for what is not so."""

from __future__ import annotations

import random

import pytest
from config_mesh import conditions, entry, label, load, rules, to, virtual

from meshfast.config import dfa
from meshfast.model import Op
from meshfast.routing import Table

TEXTS = [b"", b"a", b"ab", b"abc", b"b", b"ba", b"\xff", b"ab\xff", "红".encode(), "红a".encode(), b"a\n", b"\0"]


@pytest.mark.parametrize("expression", ["", "a", "a*", "(ab|ba)*", ".*", "(?s).*", "[^a]", "红.?", "a{2,}"])
def test_complement(expression: str) -> None:
    it = dfa.compile(expression)
    other = dfa.complement(it)
    for text in TEXTS:
        assert dfa.match(other, text) is not dfa.match(it, text), text
        assert dfa.match(dfa.complement(other), text) is dfa.match(it, text), text


@pytest.mark.parametrize("prefix", [False, True])
def test_other(prefix: bool) -> None:
    pick = random.Random(3)
    for _ in range(300):
        want = bytes(pick.choice(b"ab\xff") for _ in range(pick.randrange(4)))
        text = bytes(pick.choice(b"abc\xff\0") for _ in range(pick.randrange(6)))
        has = text.startswith(want) if prefix else text == want
        assert dfa.match(dfa.other(want, prefix=prefix), text) is not has, (want, text)


@pytest.mark.parametrize(
    ("wanted", "bad"), [({"exact": "dev1"}, "dev1"), ({"prefix": "dev"}, "dev9"), ({"regex": "dev[0-9]+"}, "dev42")]
)
def test_without_a_header_of_a_value(wanted: dict[str, str], bad: str) -> None:
    """The core takes the automata, and a header that is not there is none of that value."""
    shop = entry(ports=[{"number": 1}], endpoints=[{"address": "10.0.0.1"}])
    table = Table()
    table.publish(
        load(
            shop,
            virtual(
                ["a.Cart"],
                {"match": [{"withoutHeaders": {"user": wanted, "x": {}}}], "route": [to()]},
                {"route": [to()], "timeout": "1s"},
            ),
        )
    )
    for headers, rule in (({}, 0), ({"user": ""}, 0), ({"user": "eve"}, 0), ({"user": bad}, 1), ({"x": "1"}, 1)):
        assert table.lookup("a.Cart", headers).rule == rule, headers
    mesh = load(shop, label("env"), virtual(["a.Cart"], {"match": [{"withoutHeaders": {"x": {}}}], "route": [to()]}))
    assert conditions(rules(mesh, "a.Cart")[0].matches[0]) == [("HEADER", Op.ABSENT.name, "x", "")]
