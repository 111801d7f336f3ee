"""Dubbo's groups and versions: tried in an order, and told apart among applications; by Dubbo2 and Triple alike."""

from __future__ import annotations

import yaml
from engines import play, running
from places import CALLS, CART, Box, boxes, die, document, policy, spread

from meshfast import dubbo

GROUPS = ("gold", "silver", "bronze")
SUBSETS = [{"name": name, "labels": {"group": name}} for name in GROUPS]


def asked(group: str, version: str = "") -> dict[str, str]:
    return {"group": group} | ({"version": version} if version else {})


def by_triple(group: str, version: str = "") -> dict[str, str]:
    return {"tri-service-group": group} | ({"tri-service-version": version} if version else {})


def test_a_list_of_groups_is_tried_in_order():
    """gold, else silver, else bronze; who asks for bronze gets no other."""
    chain = [
        {"destination": {"subset": "gold"}, "weight": 100, "fallback": {"target": "silver"}},
        {"destination": {"subset": "silver"}, "weight": 0, "fallback": {"target": "bronze"}},
    ]
    rules = [
        {"match": [{"headers": {"group": {"exact": "gold"}}}], "route": chain},
        {"match": [{"headers": {"group": {"exact": "bronze"}}}], "route": [{"destination": {"subset": "bronze"}}]},
    ]

    async def story() -> None:
        async with boxes(*(Box(name, "hz", {"group": name}) for name in GROUPS)) as found:
            rule = document("VirtualService", "groups", {"hosts": [CART], "http": rules})
            text = policy(found, rule, subsets=SUBSETS)
            with running("epoll", policy=text) as engine:
                for at, expected in enumerate(GROUPS):
                    for group in ("gold", "bronze"):
                        wanted = expected if group == "gold" else "bronze"
                        for counts in await spread(engine.address, triple=by_triple(group), **asked(group)):
                            assert counts == {wanted: CALLS}
                    if at < 2:
                        await die(found[at], engine)

    play(story)


def test_who_stands_in_is_asked_under_its_own_group():
    """As an instance of Dubbo refuses who asks for another."""
    changed = {"request": {"set": {"group": "silver", "tri-service-group": "silver"}}}
    chain = [
        {"destination": {"subset": "gold"}, "weight": 100, "fallback": {"target": "silver"}},
        {"destination": {"subset": "silver"}, "weight": 0, "headers": changed},
    ]

    async def story() -> None:
        async with boxes(*(Box(name, "hz", {"group": name}) for name in GROUPS[:2])) as found:
            rule = document("VirtualService", "groups", {"hosts": [CART], "http": [{"route": chain}]})
            with running("epoll", policy=policy(found, rule, subsets=SUBSETS)) as engine:
                for at, group in enumerate(GROUPS[:2]):
                    for counts in await spread(engine.address, triple=by_triple("gold"), **asked("gold")):
                        assert counts == {group: CALLS}
                    came = [dubbo.parse_request(frame.raw) for frame in found[at].dubbo.requests]
                    assert {dict(one.attachments)["group"] for one in came} == {group}
                    assert {one.get(b"tri-service-group") for one in found[at].streams} == {group.encode()}
                    if at == 0:
                        await die(found[0], engine)

    play(story)


def test_an_interface_of_several_applications():
    """Each call goes to the application of its group and version, and from one to another where a rule says so."""
    on = {"destination": {"host": "new"}, "weight": 100, "fallback": {"target": {"host": "old"}}}
    back = document("VirtualService", "new", {"hosts": ["new"], "http": [{"route": [on]}]})

    async def story() -> None:
        async with boxes(Box("old", "hz"), Box("new", "hz"), Box("other", "hz")) as found:
            entries = []
            for one, group, version in zip(found, ("a", "a", "b"), ("1.0", "2.0", "1.0"), strict=True):
                [entry, _] = yaml.safe_load_all(policy([one], name=one.name))
                entry["metadata"]["annotations"] = {"group": group, "version": version}
                entries.append(entry)
            with running("epoll", policy=yaml.safe_dump_all([*entries, back])) as engine:
                for group, version, expected in (("a", "1.0", "old"), ("a", "2.0", "new"), ("b", "1.0", "other")):
                    for counts in await spread(
                        engine.address, triple=by_triple(group, version), **asked(group, version)
                    ):
                        assert counts == {expected: CALLS}
                await die(found[1], engine)
                for counts in await spread(engine.address, triple=by_triple("a", "2.0"), **asked("a", "2.0")):
                    assert counts == {"old": CALLS}

    play(story)
