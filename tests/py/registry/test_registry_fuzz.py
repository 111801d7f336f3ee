"""Whatever stands in a registry: a value or Refused, in steps that grow with its length."""

from __future__ import annotations

import json
import random
import sys

import pytest
from test_registry_instance import curator, metadata_info, service
from test_registry_url import NODE

from meshfast.registry import Instance
from meshfast.registry.instance import applications, info, info_of, node, providers
from meshfast.registry.url import URL, Provider, Refused, address, decode, encode, provider

ROUNDS = 1500
SPICE = [
    "%",
    "%3A%2F%2F",
    "%3F",
    "%26",
    "%3D",
    "%00",
    "+",
    "://",
    "?",
    "&",
    "=",
    "@",
    ":",
    "[",
    "]",
    "/",
    "\ud800",
    "é",
    "9" * 30,
]
JSON = [
    "{",
    "}",
    "[",
    "]",
    '"',
    ",",
    ":",
    "null",
    "-1",
    "1e999",
    "1" * 40,
    '"\\ud800"',
    "true",
    "\x00",
    "\xff",
    "{}" * 3,
]


def mutants(seeds, spice, n, seed):
    """Texts near the seeds: cut, doubled, spiced, shuffled."""
    dice = random.Random(seed)
    for _ in range(n):
        text = dice.choice(seeds)
        for _ in range(dice.randint(1, 8)):
            at, to = sorted(dice.randint(0, len(text)) for _ in range(2))
            match dice.randrange(5):
                case 0:
                    text = text[:at] + text[to:]
                case 1:
                    text = text[:to] + text[at:to] + text[to:]
                case 2:
                    text = text[:at] + dice.choice(spice) + text[at:]
                case 3:
                    text = text[:at] + chr(dice.choice([*range(128), 0xFF, 0x2028, 0x1F600])) + text[at + 1 :]
                case _:
                    text = text[at:to] + text[:at] + text[to:]
        yield text[:5000]


def test_any_node_gives_a_provider_or_is_refused():
    seeds = [
        NODE,
        decode(NODE),
        encode("tri://[::1]:50051?service=x"),
        encode("override://u:p@0.0.0.0/x?category=routers"),
    ]
    found = 0
    for text in mutants(seeds, SPICE, ROUNDS, 1):
        for own in ("", "com.x.Cart"):
            try:
                one = provider(text, own)
            except Refused as error:
                assert error.reason.isidentifier()
                continue
            assert one is None or isinstance(one, Provider)
            if one is not None:
                found += 1
                assert not own or one.service == own
                host, _, port = one.instance.address.rpartition(":")
                assert address(host, int(port)) == one.instance.address
                assert all(isinstance(k, str) and isinstance(v, str) for k, v in one.instance.parameters.items())
    assert found > 50  # else nothing was tried


def test_a_provider_that_was_read_is_read_again_from_what_is_written():
    found = 0
    for text in mutants([decode(NODE), "tri://u:p@[::1]:1/x?y=z"], SPICE, ROUNDS, 2):
        try:
            once = provider(text)
        except Refused:
            continue
        if once is not None:
            found += 1
            host, _, port = once.instance.address.rpartition(":")
            url = URL(once.instance.protocol, "", "", host, int(port), once.service, once.instance.parameters)
            again = provider(url.encoded(), once.service)
            assert (again.service, again.instance.address) == (once.service, once.instance.address)
    assert found > 50


def test_any_data_of_an_instance_gives_one_or_is_refused():
    known = info_of(metadata_info(service(), service(protocol="tri")))
    for text in mutants([curator().decode(), curator(enabled=True).decode()], JSON, ROUNDS, 3):
        try:
            found = node(text.encode(errors="surrogatepass"))
        except Refused as error:
            assert error.reason.isidentifier()
            continue
        if found is not None:
            assert all(isinstance(each.instance, Instance) for each in providers(found, known, "com.x.Cart"))


def test_any_metadata_gives_one_or_is_refused():
    whole = json.dumps(metadata_info(service(port=1, params={"a": "b"}), service("com.x.Other", "tri", group="g")))
    for text in mutants([whole], JSON, ROUNDS, 4):
        data = text.encode(errors="surrogatepass")
        try:
            found = info(data)
            assert all(found.services.values())
        except Refused as error:
            assert error.reason.isidentifier()
        try:
            applications(data)
        except Refused as error:
            assert error.reason.isidentifier()


def test_any_bytes():
    dice = random.Random(5)
    for _ in range(ROUNDS):
        data = dice.randbytes(dice.randrange(200))
        for read in (node, info, applications, lambda data: provider(data.decode("latin-1"), "x")):
            try:
                read(data)
            except Refused:
                continue


def junk(dice, depth, above):
    """A value as Hessian2 may give: any type, deep, holding what holds it."""
    match dice.randrange(9 if depth else 6):
        case 0:
            return dice.choice([None, True, -1, 2.5, float("nan"), 10**30, b"x", 20880])
        case 1 | 2:
            return dice.choice(["", "com.x.Cart", "dubbo", "tri", "a b", "\ud800"])
        case 3:
            return dice.choice(above) if above else 0
        case 4 | 5:
            return dice.randint(-5, 70000)
        case 6:
            out: list = []
            out += [junk(dice, depth - 1, [*above, out]) for _ in range(dice.randrange(4))]
            return out
    found: dict = {}
    for name in ("app", "revision", "services", "name", "protocol", "path", "port", "params", 7):
        if dice.random() < 0.7:
            found[name] = junk(dice, depth - 1, [*above, found])
    return found


def test_any_value_gives_metadata_or_is_refused():
    dice = random.Random(6)
    for _ in range(ROUNDS):
        try:
            info_of({"services": {0: junk(dice, 4, []), 1: junk(dice, 4, [])}, "revision": junk(dice, 1, [])})
        except Refused as error:
            assert error.reason.isidentifier()


def steps(call) -> int:
    """Python lines and calls that it took: counted, not timed."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += 1
        return trace

    sys.settrace(trace)
    try:
        call()
    except Refused:
        pass
    finally:
        sys.settrace(None)
    return count


@pytest.mark.parametrize("piece", ["%3A", "&a=b", "=", "+", "@", ":", "[", "default.", "%26default.a%3Db", "//", "."])
def test_a_node_twice_as_long_takes_twice_the_steps(piece):
    one, two = (steps(lambda n=n: provider("dubbo://h:1/p?" + piece * n, "p")) for n in (100, 200))
    assert two <= 2 * one + 200
    one, two = (steps(lambda n=n: provider(f"dubbo://{piece * n}:1/p", "p")) for n in (100, 200))
    assert two <= 2 * one + 200
