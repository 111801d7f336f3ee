"""Pictures of meshes: values that say something in every field of every class, and meshes that are drawn by a seed."""

from __future__ import annotations

import copy
import itertools
import random
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from config_mesh import entry, label, load, rule, sidecar, to, virtual

from meshfast import config
from meshfast.errors import ConfigError
from meshfast.model import Match, Mesh, Origin
from meshfast.plain import LEFT_OUT
from meshfast.policies import Limit

ROOT = Path(__file__).parents[2]
SERVICES = [
    "com.a.Cart", "com.a.Stock", "com.a.CartOther", "com.b.Cart", "com.b.Stock", "com.b.CartOther", "api.shop.example",
    "x.shop.example",
]  # fmt: skip
ENVS = ("", "dev1", "dev2", "none")


def every(hint: Any, number: itertools.count[int] | None = None) -> Any:
    """A value of a type in which no field is as it is by default, as far as its classes can tell."""
    number = number if number is not None else itertools.count(1)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is bool:
        return True
    if hint is bytes:
        return bytes([0, 255, next(number) % 256])
    if hint in (int, float):
        return hint(next(number))
    if hint is str:
        return f"text{next(number)} \u2028\N{GRINNING FACE}"
    if arguments and type(None) in arguments:
        return every(next(one for one in arguments if one is not type(None)), number)
    if arguments == (str, bytes):
        return every(arguments[next(number) % 2], number)
    if origin is tuple and arguments[-1] is not Ellipsis:
        return tuple(every(one, number) for one in arguments)
    if origin is tuple:
        return (every(arguments[0], number), every(arguments[0], number))
    if origin is frozenset:
        return frozenset((every(arguments[0], number), every(arguments[0], number)))
    if origin is not None and issubclass(origin, Mapping):
        return {every(arguments[0], number): every(arguments[1], number) for _ in range(2)}
    if is_dataclass(hint):
        return record(hint, number)  # type: ignore[arg-type]
    if issubclass(hint, Enum):
        return [*hint][-1]
    hints = typing.get_type_hints(hint)  # a named tuple
    return hint(**{name: every(one, number) for name, one in hints.items()})


def record(kind: type, number: itertools.count[int], **given: Any) -> Any:
    hints = typing.get_type_hints(kind)
    made = dict(given)
    for one in fields(kind):
        if one.name in LEFT_OUT or one.name in given:
            continue
        held = tuple[Match, ...] if (kind, one.name) == (Limit, "matches") else hints[one.name]
        made[one.name] = every(held, number)
    return kind(**made)


def bare(value: Any) -> Any:
    """A value without what is left out of its plain form."""
    if is_dataclass(value) and not isinstance(value, type):
        kept = {one.name: bare(getattr(value, one.name)) for one in fields(value) if one.name not in LEFT_OUT}
        return type(value)(**kept)
    if isinstance(value, Mapping):
        return {bare(k): bare(v) for k, v in value.items()}
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(map(bare, value))
    assert not isinstance(value, Origin)
    return value


def documents(page: str) -> list[list[Any]]:
    """The documents of a page's examples."""
    found = (ROOT / "docs" / page).read_text().split("```yaml\n")[1:]
    made = [[*yaml.safe_load_all(one.partition("```")[0])] for one in found]
    return [one for one in made if one and isinstance(one[0], dict) and "apiVersion" in one[0]]


def drawn(seed: int) -> Mesh:
    """A mesh of some services that rules of many kinds name, drawn."""
    pick = random.Random(seed)
    while True:
        try:
            return load(*_documents(pick))
        except ConfigError:
            continue  # what was drawn contradicts itself: another


def _documents(pick: random.Random) -> list[Any]:
    made = [
        sidecar(workload={"app": "shop", "labels": {"env": pick.choice(ENVS) or "own"}, "locality": "hz/a"}),
        label("env", value_from=tuple(pick.sample(("$(localLabel)", "$getContext(x-request-id)"), pick.randrange(3)))),
    ]
    hosts = pick.sample(SERVICES, 6)
    for i, group in enumerate((hosts[:2], hosts[2:3], hosts[3:4], ["*.shop.example"])):
        made.append(entry(f"app{i}", tuple(group), ports=_ports(pick), endpoints=_endpoints(pick, i)))
        made.append(rule(f"app{i}", "v1", "v2"))
        if pick.random() < 0.5:
            made[-1]["spec"]["trafficPolicy"] = copy.deepcopy(pick.choice(POLICIES))
    patterns = ["*", "com.a.*", "com.*", "com.b.*", "*.shop.example", *hosts]
    for i, host in enumerate(dict.fromkeys(pick.choices(patterns, k=5))):
        made.append(virtual([host], *(_route(pick, i) for i in range(pick.randrange(1, 4))), name=f"vs{i}"))
    if pick.random() < 0.5:
        made.append(copy.deepcopy(RATE))
        made[-1]["spec"]["hosts"] = [pick.choice(hosts)]
    return made


def _ports(pick: random.Random) -> list[Any]:
    dubbo, grpc = (
        {"name": one, "number": 20880 + i, "protocol": one.upper()} for i, one in enumerate(("dubbo", "grpc"))
    )
    return pick.choice([[dubbo, grpc], [dubbo], [{"name": "any", "number": 20880, "protocol": "TCP"}]])


def _endpoints(pick: random.Random, app: int) -> list[Any]:
    return [
        {
            "address": f"10.0.{app}.{i}", "locality": pick.choice(("hz/a", "hz/b", "sh/a")),
            "labels": {"v": pick.choice(("v1", "v2"))} | ({"env": env} if (env := pick.choice(ENVS[:3])) else {}),
            **({"weight": pick.randrange(1, 9)} if pick.random() < 0.3 else {}),
        }
        for i in range(1, pick.randrange(2, 7))
    ]  # fmt: skip


def _route(pick: random.Random, number: int) -> Any:
    host = f"app{pick.randrange(3)}"
    subset = pick.choice(("$env", "v1", ""))
    back = {"fallback": {"target": "v2", "case": pick.choice(("noinstances", "noavailable"))}} if subset == "v1" else {}
    route: dict[str, Any] = {"name": f"r{number}", "route": [{**to(subset, host=host), **back}]}
    if pick.random() < 0.4:
        route["route"] = [{**one, "weight": 50} for one in (to("v1", host=host), to("v2", host=host))]
    if pick.random() < 0.6:
        value = pick.choice(({"exact": "a"}, {"prefix": "a"}, {"regex": "a[bc]+"}))
        route["match"] = [{"headers": {"user": value}}]
        if pick.random() < 0.3:
            route["match"].append({"sourceLabels": {"env": "own"}, "headers": {"user": {"exact": "z"}}})
    if pick.random() < 0.3:
        route |= {"timeout": "3s", "retries": {"attempts": 2, "perTryTimeout": "1s", "retryOn": "5xx,reset"}}
    if pick.random() < 0.2:
        route["mirror"] = {"host": f"app{pick.randrange(3)}"}
    if pick.random() < 0.2:
        route["headers"] = {"request": {"set": {"x": "1"}}}
    return route


POLICIES: list[Any] = [
    {"loadBalancer": {"simple": "LEAST_REQUEST"}},
    {"loadBalancer": {"simple": "RANDOM", "localityLbSetting": {"failover": [{"from": "hz", "to": "sh"}]}},
     "outlierDetection": {"consecutive5xxErrors": 3}},
    {"loadBalancer": {"consistentHash": {"httpHeaderName": "user"}}},
    {"connectionPool": {"http": {"http2MaxRequests": 7}, "tcp": {"connectTimeout": "1s"}}},
]  # fmt: skip
RATE = {
    "apiVersion": "meshfast.io/v1", "kind": "RateLimit", "metadata": {"name": "few"},
    "spec": {"requests": 5, "unit": "minute", "match": [{"headers": {"user": {"exact": "a"}}}]},
}  # fmt: skip


def of_documents(made: list[Any]) -> Mesh:
    return config.load_texts([("f", yaml.safe_dump_all(made, sort_keys=False).encode())])
