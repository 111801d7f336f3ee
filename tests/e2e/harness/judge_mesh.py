"""Generated rules of a mesh: VirtualService and DestinationRule as Dubbo reads them."""

from __future__ import annotations

import random
from typing import Any

from .judge import SERVICE, Document
from .judge_rules import detail, meshes, route, subset

SUBSETS: dict[str, dict[str, str]] = {
    "hz": {"region": "hz"}, "sh": {"region": "sh"}, "both": {"region": "hz", "env": "dev1"}, "dev2": {"env": "dev2"},
    "all": {}, "nobody": {"region": "nobody"},
}  # fmt: skip


def mesh_rule(draw: random.Random) -> list[Document]:
    names = draw.sample(sorted(SUBSETS), draw.randint(2, 5))
    routes = []
    for _ in range(draw.choice((1, 1, 2))):
        details = [_detail(draw, names, draw.random() < 0.8) for _ in range(draw.choice((0, 1, 2)))]
        details.append(_detail(draw, names, draw.random() < 0.2))
        asked = [_text(draw, (SERVICE, SERVICE, "com.x.", "com.y.Cart")) for _ in range(draw.choice((1, 2)))]
        routes.append(route(*details, services=asked if draw.random() < 0.3 else None))
    split = draw.choice((len(routes), len(routes), 1))
    services = [one for one in (routes[:split], routes[split:]) if one]
    name = "cart.other" if draw.random() < 0.04 else ""
    return [meshes({one: SUBSETS[one] for one in names}, *services, name=name)]


def _detail(draw: random.Random, names: list[str], matches: bool) -> dict[str, Any]:
    weights = draw.random() < 0.6
    some = draw.sample(names, min(len(names), draw.choice((2, 2, 3)))) if weights else [draw.choice(names)]
    targets = [
        subset(
            name,
            draw.choice((0, 1, 10, 50, 90)) if weights else None,
            _fallback(draw, names) if draw.random() < 0.3 else None,
        )
        for name in some
    ]
    return detail(*targets, match=[_match(draw) for _ in range(draw.choice((1, 1, 2)))] if matches else None)


def _fallback(draw: random.Random, names: list[str]) -> dict[str, Any]:
    return subset(draw.choice(names), None, _fallback(draw, names) if draw.random() < 0.2 else None)


def _text(draw: random.Random, values: tuple[str, ...]) -> dict[str, str]:
    how = draw.choice(("exact", "exact", "prefix", "regex", "wildcard", "empty", "noempty"))
    value = draw.choice(values)
    regex = f"{value}|x".replace("*", ".*")
    return {how: {"prefix": value[:2], "regex": regex, "empty": "1", "noempty": "1"}.get(how, value)}


def _match(draw: random.Random) -> dict[str, Any]:
    made: dict[str, Any] = {}
    kind = draw.choice(("name", "name", "args", "args", "labels", "labels", "attachments", "attachments", "headers"))
    if kind == "name" or draw.random() < 0.2:
        made["method"] = {"name_match": _text(draw, ("add", "del", "*"))}
    if kind == "args":
        made["method"] = {"args": [_argument(draw)]}
    elif kind == "labels":
        made["sourceLabels"] = draw.choice(({"application": "web"}, {"region": "hz"}, {"region": "sh", "env": "dev1"}))
    elif kind == "attachments":
        names = draw.sample(("uid", "user", "none"), draw.choice((1, 1, 2)))
        made["attachments"] = {"dubboContext": {name: _text(draw, ("1", "bob", "50")) for name in names}}
    elif kind == "headers":
        made["headers"] = {"x": {"exact": "never"}}
    return made


def _argument(draw: random.Random) -> dict[str, Any]:
    index = 0 if draw.random() < 0.9 else 1
    numbers: tuple[dict[str, Any], ...] = (
        {"exact": 7.0}, {"range": {"start": 3.0, "end": 7.0}}, {"range": {"start": 7.0, "end": 200.0}},
        {"exact": 3.0},
    )  # fmt: skip
    return {
        "index": index,
        **draw.choice(
            (
                {"num_value": {"oneof": [draw.choice(numbers) for _ in range(draw.choice((1, 2)))]}},
                {"str_value": {"oneof": [draw.choice(({"exact": "hz"}, {"prefix": "h"}, {"regex": "x|y"}))]}},
                {"bool_value": {"exact": draw.random() < 0.7}},
            )
        ),
    }
