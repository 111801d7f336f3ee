"""Generated cases for the judge: small alphabets, so that rules meet, exclude each other and leave nobody."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .judge import HOST, SERVICE, Call, Case, Document, Provider
from .judge_mesh import mesh_rule
from .judge_rules import affinity, condition, configurator, spread, tags, to

ADDRESSES = ("10.1.0.1:20880", "10.1.0.2:20880", "10.1.0.3:20881", "10.2.0.1:20880", "10.2.0.9:20881")
FORMS = (
    "10.1.0.1:20880", "10.1.0.2", "10.1.0.1:20881", "0.0.0.0:20880", "0.0.0.0:20881", "10.1.0.0/31", "10.1.0.0/24",
    "10.2.0.0/16", "10.1.0.*", "10.*.0.1", "10.1.0.2-3", "10.1.0.1-2:20880", "10.9.9.9:20880", "*",
)  # fmt: skip
#: Times that a call is routed by rules with weights, of which each takes 50 us.
MANY = 300
TAGS = ("gray", "blue", "gray|a")
WHEN = (
    "method=add", "method!=add", "method=add,del", "method=a*", "method=*l", "region=hz", "region!=hz", "region=h*",
    "env=dev1", "application=web", "application!=web", "attachments[uid]=1", "attachments[uid]!=1",
    "attachments[uid]=1~10", "attachments[uid]=~10", "attachments[uid]=8~", "attachments[uid]=1~10,abc",
    "attachments[user]=b*b", "attachments[none]!=1", "attachments[a.b]!=1", "arguments[0]=7", "arguments[0]!=7",
    "arguments[0]=1~10", "arguments[0]=~5", "arguments[0]=8~", "arguments[0]=true", "arguments[0]=h*",
    "host=10.9.9.9", "host!=10.9.*", "arguments[1]=x", "arguments[1]!=x", "arguments[9]!=x", "arguments[9]=x",
)  # fmt: skip
THEN = (
    "region=hz", "region=sh", "region=hz,sh", "region!=hz", "region!=hz,sh", "region=$region", "env=$env", "env=dev1",
    "env=dev*", "env!=dev1", "level=1~5", "level=~5", "level=5~", "level=10", "level!=1~5", "region=zz",
    "address=*:20881", "address=10.1.0.1:20880", "address!=10.1.0.1:20880", "host=10.1.*", "host!=10.1.*",
    "port=20880", "region=h*z", "reg*=hz", "region=*",
)  # fmt: skip
#: Of which several are mostly there.
FEW = ("region=hz", "region=sh", "region!=hz", "env=dev1", "env!=dev1", "host=10.1.*", "port=20880", "address=*:20881")
WHOLE = ("method=add =>", "=> false", "true => region=hz", "region=sh", " => env=dev1", "=> region=")


def cases(seed: int, n: int) -> list[Case]:
    """Generated ones, of each kind in turn; each by a seed of its own, so that one can be had alone."""
    return [case(seed, i) for i in range(n)]


def case(seed: int, i: int) -> Case:
    draw = random.Random(f"{seed}:{i}")
    kinds: tuple[Callable[[random.Random], Sequence[Document]], ...] = (
        _tagged, _conditional, _conditional, _spread, _affine, mesh_rule, _configured, _mixed,
    )  # fmt: skip
    kind = kinds[i % len(kinds)]
    documents = tuple(kind(draw))
    # Without a rule tags mean nothing here.
    idle = ("enabled: false", "valid: false", "name: cart.other")
    tagged = any(one.kind != "configurators" and not any(i in one.text for i in idle) for one in documents)
    params = _params(draw, {"region": ("hz", "sh", "zz"), "env": ("dev1", "dev2")})
    if draw.random() < 0.15:
        params["dubbo.tag"] = draw.choice(TAGS)
    if draw.random() < 0.1:
        params["dubbo.force.tag"] = "true"
    addresses = draw.sample(ADDRESSES, draw.choice((1, 2, 3, 3, 4, 4, 5, 5)))
    providers = [_provider(draw, one) for one in addresses]
    calls = [_call(draw) for _ in range(4)]
    if not tagged:
        params = _untagged(params)
        providers = [replace(one, params=_untagged(one.params)) for one in providers]
        calls = [replace(one, attachments=_untagged(one.attachments)) for one in calls]
    return Case(f"{seed}:{i}{kind.__name__}", tuple(providers), documents, tuple(calls), params, many=MANY)


def _untagged(params: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in params.items() if not name.startswith("dubbo.")}


def _params(draw: random.Random, values: dict[str, tuple[str, ...]], share: float = 0.7) -> dict[str, str]:
    return {name: draw.choice(some) for name, some in values.items() if draw.random() < share}


def _provider(draw: random.Random, address: str) -> Provider:
    params = _params(draw, {"region": ("hz", "hz", "sh"), "env": ("dev1", "dev2"), "level": ("1", "5", "10", "abc")})
    params |= _params(draw, {"dubbo.tag": ("gray", "blue")}, 0.25)
    return Provider(address, params | _params(draw, {"weight": ("50", "100", "200")}, 0.1))


def _call(draw: random.Random) -> Call:
    arguments: list[tuple[str, object]] = [
        ("int", 7), ("int", 3), ("long", 100), ("String", "hz"), ("String", "7"), ("String", "x"), ("boolean", True),
    ]  # fmt: skip
    count = draw.choice((0, 1, 1, 2))
    said = _params(draw, {"uid": ("1", "7", "50", "abc"), "user": ("bob", "eve"), "dubbo.tag": (*TAGS, "red")}, 0.4)
    if draw.random() < 0.1:
        said["dubbo.force.tag"] = "true"
    return Call(draw.choice(("add", "add", "del", "addAll")), tuple(draw.choices(arguments, k=count)), said)


def _flags(draw: random.Random, force: bool = True) -> dict[str, Any]:
    """What any rule may say of itself."""
    flags: dict[str, Any] = {"force": draw.random() < 0.4} if force else {}
    if draw.random() < 0.1:
        flags["enabled"] = False
    if draw.random() < 0.05:
        flags["valid"] = False
    if draw.random() < 0.2:
        flags |= {"priority": draw.randint(0, 9), "runtime": draw.random() < 0.5, "dynamic": True}
    return flags


def _text(draw: random.Random, atoms: Sequence[str], most: int) -> str:
    """Some of them, mostly one, with blanks here and there."""
    joined = draw.choice((" & ", "&")).join(draw.sample(atoms, min(most, draw.choice((1, 1, 1, 2, 3)))))
    return joined.replace("=", " = ").replace("! = ", " != ") if draw.random() < 0.15 else joined


def _line(draw: random.Random) -> str:
    if draw.random() < 0.08:
        return draw.choice(WHOLE)
    when = "" if draw.random() < 0.3 else _text(draw, WHEN, 3)
    return f"{when} => {draw.choice(('', '', '', 'provider.'))}{_text(draw, THEN, 2)}"


def _tagged(draw: random.Random) -> list[Document]:
    def group(name: str) -> dict[str, Any]:
        made: dict[str, Any] = {"name": name}
        if draw.random() < 0.6:
            made["addresses"] = draw.sample(FORMS[:-1] if draw.random() < 0.9 else FORMS, draw.randint(1, 2))
        if "addresses" not in made or draw.random() < 0.1:
            made["match"] = [_param(draw) for _ in range(draw.choice((1, 1, 2, 0)))]
        return made

    names = draw.sample((*TAGS, "dev1"), draw.randint(1, 3))
    rule = tags(*map(group, names), **_flags(draw))
    if draw.random() < 0.15:
        return []
    return [Document(rule.kind, rule.key, rule.text.replace("v3.0", draw.choice(("v3.0", "v3.0", "v3.0", "v2.7"))))]


def _param(draw: random.Random) -> dict[str, Any]:
    key = draw.choice(("region", "env", "level"))
    how = draw.choice(("exact", "exact", "prefix", "regex", "wildcard", "empty", "noempty"))
    values = {"exact": "hz", "prefix": "dev", "regex": "h.|dev1", "wildcard": draw.choice(("*", "sh")), "empty": "1"}
    value = draw.choice(("hz", "sh", "dev1", "5")) if how == "exact" else values.get(how, "1")
    return {"key": key, "value": {how: value}}


def _conditional(draw: random.Random) -> list[Document]:
    keys = draw.sample((SERVICE, SERVICE, "cart", "web"), draw.choice((1, 1, 2)))
    return [
        condition(*(_line(draw) for _ in range(draw.choice((1, 1, 2, 3)))), key=key, **_flags(draw))
        for key in dict.fromkeys(keys)
    ]


def _spread(draw: random.Random) -> list[Document]:
    def target() -> dict[str, Any]:
        match = draw.choice(FEW) if draw.random() < 0.8 else "" if draw.random() < 0.1 else _text(draw, THEN, 2)
        return to(match, draw.choice((None, 0, 1, 10, 50, 90)))

    def when() -> str | None:
        return draw.choice((None, None, "", "method=add,addAll", _text(draw, WHEN, 2)))

    made = [
        (when(), [target() for _ in range(0 if draw.random() < 0.05 else draw.choice((1, 2, 2, 3)))])
        for _ in range(draw.choice((1, 1, 2)))
    ]
    return [spread(*made, key=draw.choice((SERVICE, SERVICE, "cart", "web")), **_flags(draw))]


def _affine(draw: random.Random) -> list[Document]:
    ratio = draw.choice((1, 20, 33, 50, 66, 100, 101))
    rule = affinity(draw.choice(("region", "env")), ratio, draw.choice((SERVICE, "cart")), **_flags(draw, False))
    return [rule, *(_conditional(draw)[:1] if draw.random() < 0.3 else [])]


def _configured(draw: random.Random) -> list[Document]:
    def item() -> dict[str, Any]:
        name, value = draw.choice((("timeout", 500), ("timeout", 900), ("add.timeout", 300), ("weight", 10)))
        made: dict[str, Any] = {"side": draw.choice(("consumer",) * 4 + ("provider",)), "parameters": {name: value}}
        made |= draw.choice(({}, {}, {"addresses": [HOST]}, {"addresses": ["10.77.0.1"]}))
        if name != "weight":
            return made  # a call has one timeout, whichever provider it goes to
        made |= draw.choice(({}, {}, {"providerAddresses": [draw.choice((*ADDRESSES, "10.1.0.2", "0.0.0.0:20880"))]}))
        if draw.random() < 0.4:
            field, value = draw.choice(
                (
                    ("providerAddress", {"wildcard": draw.choice(("10.1.0.1:*", "10.*", "*"))}),
                    ("providerAddress", {"exact": ADDRESSES[0]}),
                    ("service", {"oneof": [{"exact": SERVICE}]}),
                    ("app", {"oneof": [{"exact": draw.choice(("web", "other"))}]}),
                    ("param", [_param(draw)]),
                )
            )
            made["match"] = {field: value}
        if draw.random() < 0.1:
            made |= {"type": draw.choice(("general", "weight")), "enabled": draw.random() < 0.5}
        return made

    return [
        configurator(
            *(item() for _ in range(draw.choice((1, 2, 3)))),
            key=key,
            configVersion=draw.choice(("v3.0", "v3.0", "v2.7")),
            **({"enabled": False} if draw.random() < 0.08 else {}),
        )
        for key in draw.sample((SERVICE, "web"), draw.choice((1, 1, 2)))
    ]


def _mixed(draw: random.Random) -> list[Document]:
    """Rules of several routers, one of each kind and key."""
    kinds = draw.sample((_tagged, _conditional, _spread, mesh_rule, _configured), draw.randint(2, 3))
    found = {one.path: one for kind in kinds for one in kind(draw)}
    return list(found.values())
