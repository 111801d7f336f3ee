"""Calls stay near while enough is well there, and go on to the next region where it is not: Dubbo2 and gRPC alike."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from engines import BACKENDS, play, running
from peers import Provider, until
from places import CALLS, Box, boxes, die, document, failover, own, policy, settles, spread
from webs2 import Server

from meshfast import config
from meshfast.errors import ConfigError
from meshfast.explain import explain
from meshfast.localities import Localities
from meshfast.routing import Table
from meshfast.shares import shares

NO_REST_ENDS = {"peerBackoff": 60_000, "peerBackoffMax": 60_000}
HZ1, HZ2 = "hz/a/1", "hz/b/1"
SH, BJ = "sh/a/1", "bj/a/1"


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_nearest_that_are_well(backend):
    async def story() -> None:
        async with boxes(Box("same", HZ1), Box("zone", HZ2), Box("sh", SH), Box("bj", BJ)) as found:
            text = policy(found, own(HZ1), trafficPolicy=failover(failover=[{"from": "hz", "to": "sh"}]))
            with running(backend, policy=text) as engine:
                for one, expected in zip(found, ("same", "zone", "sh", "bj"), strict=True):
                    for counts in await spread(engine.address):
                        assert counts == {expected: CALLS}
                    await die(one, engine)  # the next call finds it gone, and is not lost

    play(story)


def test_half_a_level_is_left_to_the_next():
    async def story() -> None:
        wanted = [Box(f"hz{i}", HZ1) for i in range(4)] + [Box("sh", SH)]
        async with boxes(*wanted) as found:
            text = policy(found, own(HZ1), trafficPolicy=failover())
            with running("epoll", policy=text, limits=NO_REST_ENDS) as engine:
                for one in found[:2]:
                    await die(one, engine)
                await spread(engine.address)  # some find out
                await until(lambda: engine.table.levels("cart")[0].well == 2)
                levels = engine.table.levels("cart")
                for counts in await spread(engine.address, 400):
                    assert not counts.keys() & {"hz0", "hz1"}
                    assert 0 < counts["sh"] < 400 * 0.45  # 30 % of them
                assert [(one.well, one.members) for one in levels] == [(2, 4), (1, 1)]

    play(story)


def test_without_outlier_detection_all_are_one_pool():
    async def story() -> None:
        async with boxes(Box("hz", HZ1), Box("sh", SH)) as found:
            setting = {"loadBalancer": {"localityLbSetting": {"failover": [{"from": "hz", "to": "sh"}]}}}
            with running("epoll", policy=policy(found, own(HZ1), trafficPolicy=setting)) as engine:
                for counts in await spread(engine.address):
                    assert counts.keys() == {"hz", "sh"}

    play(story)


def test_distribute():
    async def story() -> None:
        async with boxes(Box("same", HZ1), Box("zone", HZ2), Box("sh", SH), Box("bj", BJ)) as found:
            setting = {"distribute": [{"from": "hz/a/*", "to": {"hz/a/*": 80, "sh": 20}}]}
            policy_ = {"loadBalancer": {"localityLbSetting": setting}}
            with running("epoll", policy=policy(found, own(HZ1), trafficPolicy=policy_)) as engine:
                for counts in await spread(engine.address, 1000):
                    assert counts.keys() == {"same", "sh"}
                    assert 120 < counts["sh"] < 280
                await die(found[0], engine)
                await die(found[2], engine)
                for counts in await spread(engine.address):
                    assert counts.keys() <= {"zone", "bj"}  # better there than nowhere

    play(story)


def by_env(case: str) -> dict[str, object]:
    to = {"destination": {"subset": "dev1"}, "weight": 100, "fallback": {"target": "base", "case": case}}
    return document("VirtualService", "env", {"hosts": ["com.x.Cart"], "http": [{"route": [to]}]})


SUBSETS = [{"name": name, "labels": {"env": name}} for name in ("dev1", "base")]


@pytest.mark.parametrize(("case", "expected"), [("noavailabled", "dev1-sh"), ("nolocal", "base-hz")])
def test_an_environment_comes_before_the_place(case, expected):
    """Unless its rule says that it should not."""

    async def story() -> None:
        wanted = Box("dev1-sh", SH, {"env": "dev1"}), Box("base-hz", HZ1, {"env": "base"}), Box("other", HZ1)
        async with boxes(*wanted) as found:
            text = policy(found, own(HZ1), by_env(case), trafficPolicy=failover(), subsets=SUBSETS)
            with running("epoll", policy=text) as engine:
                for counts in await spread(engine.address):
                    assert counts == {expected: CALLS}
                await die(found[1], engine)
                for counts in await spread(engine.address):
                    assert counts == {"dev1-sh": CALLS}  # in another region, and nobody else is there

    play(story)


def test_nolocal_needs_no_other_policy_and_follows_health():
    async def story() -> None:
        dev1, base = {"env": "dev1"}, {"env": "base"}
        async with boxes(Box("dev1-hz", HZ1, dev1), Box("dev1-sh", SH, dev1), Box("base", SH, base)) as found:
            text = policy(found, own(HZ1), by_env("nolocal"), subsets=SUBSETS)
            with running("epoll", policy=text, limits=NO_REST_ENDS) as engine:
                for counts in await spread(engine.address):
                    assert counts.keys() == {"dev1-hz", "dev1-sh"}
                await die(found[0], engine)
                await settles(engine.address, lambda counts: counts == {"base": CALLS})

    play(story)


@pytest.mark.parametrize("percent", [100, 30])
def test_a_switch_moves_one_application(percent):
    async def story() -> None:
        async with boxes(Box("hz", HZ1), Box("sh", SH), Box("bj", BJ)) as found:
            text = policy(found, own(HZ1), trafficPolicy=failover())
            switch = document("RegionSwitch", "away", {"app": "cart", "from": "hz", "to": "sh", "percent": percent})
            with running("epoll", policy=text) as engine:
                for counts in await spread(engine.address):
                    assert counts == {"hz": CALLS}
                engine.publish(policy(found, own(HZ1), switch, trafficPolicy=failover()))
                told = shares(engine.table, "cart")
                assert {one["region"]: one["share"] for one in told["regions"]} == {
                    "hz": 100 - percent, "sh": percent, "bj": 0,
                }  # fmt: skip
                assert told["why"][0] == f"RegionSwitch away moves {percent} % from hz to sh"
                for counts in await spread(engine.address, 1000):
                    assert counts.keys() == ({"sh"} if percent == 100 else {"hz", "sh"})
                    assert abs(counts["sh"] - 10 * percent) < 70
                engine.publish(text)
                for counts in await spread(engine.address):
                    assert counts == {"hz": CALLS}

    play(story)


def test_who_stands_in_and_dies_gives_back():
    async def story() -> None:
        async with boxes(Box("hz", HZ1), Box("sh", SH)) as found:
            switch = document("RegionSwitch", "away", {"app": "cart", "from": "hz", "to": "sh"})
            with running("epoll", policy=policy(found, own(HZ1), switch)) as engine:
                for counts in await spread(engine.address):
                    assert counts == {"sh": CALLS}
                await die(found[1], engine)
                for counts in await spread(engine.address):
                    assert counts == Counter(hz=CALLS)

    play(story)


def test_calls_are_counted_by_locality_over_changes() -> None:
    async def story() -> None:
        async with boxes(Box("hz", HZ1), Box("sh", SH)) as found:
            seen = Localities()
            with running("epoll", policy=policy(found, own(HZ1), trafficPolicy=failover())) as engine:

                def figures() -> dict[str, list[str]]:
                    return {metric.name: sum(lines, []) for metric, lines in seen.families(engine.table)}

                await spread(engine.address)
                calls = f'meshfast_locality_calls_total{{host="cart",locality="{HZ1}"}} {2 * CALLS}\n'
                await until(lambda: calls in figures()["meshfast_locality_calls_total"], 15)
                assert f'meshfast_locality_share{{host="cart",locality="{HZ1}",protocol="http"}} 100\n' in (
                    figures()["meshfast_locality_share"]
                )
                seen.look(engine.table)
                engine.publish(policy(found[1:], own(HZ1)))
                assert figures()["meshfast_locality_calls_total"][0] == calls
                assert figures()["meshfast_locality_well"] == []

    play(story)


POLICY = """
apiVersion: meshfast.io/v1
kind: Sidecar
spec: {workload: {labels: {topology.kubernetes.io/region: hz, topology.kubernetes.io/zone: a}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: cart}
spec:
  hosts: [com.x.Cart]
  ports: [{number: 1, name: dubbo, protocol: DUBBO}]
  endpoints:
  - {address: 10.1.0.1, labels: {istio-locality: hz.a, env: dev1}}
  - {address: 10.1.0.2, locality: hz/b}
  - {address: 10.2.0.1, locality: sh/a, labels: {env: dev1}, weight: 3}
"""
RULE = """
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart}
spec:
  host: cart
  trafficPolicy: {outlierDetection: {}}
  subsets:
  - {name: dev1, labels: {env: dev1}}
  - {name: flat, labels: {env: dev1}, trafficPolicy: {loadBalancer: {localityLbSetting: {enabled: false}}}}
"""


def asked(policy: str, app: str = "cart") -> dict[str, Any]:
    table = Table()
    table.publish(config.load_texts([("mesh.yaml", policy.encode())]))
    return shares(table, app)


def by_region(group: dict[str, Any]) -> dict[str, float]:
    return {one["region"]: one["share"] for one in group["regions"]}


def test_shares_of_all_and_of_subsets() -> None:
    told = asked(POLICY + RULE, "com.x.Cart")
    assert told["app"] == "cart" and told["from"] == "hz/a"
    assert {one["subset"]: by_region(one) for one in told["groups"]} == {
        "": {"hz": 100, "sh": 0}, "dev1": {"hz": 100, "sh": 0}, "flat": {"sh": 75, "hz": 25},
    }  # fmt: skip
    assert [(one["level"], one["locality"], one["load"]) for one in told["groups"][0]["levels"]] == [
        (1, "hz/a", 100), (2, "hz/b", 0), (3, "sh/a", 0)
    ]  # fmt: skip


def test_shares_without_policy_and_of_nobody() -> None:
    told = asked(POLICY)
    assert by_region(told) == {"sh": 60, "hz": 40} and "one pool" in told["why"][0]
    assert asked(POLICY, "cars") | {"from": ""} == {
        "app": "cars", "error": "there is no application cars", "hint": "did you mean cart?", "from": "", "why": [],
        "regions": [], "groups": [],
    }  # fmt: skip


def test_a_second_switch_of_an_application_is_refused() -> None:
    one, two = (
        f"---\napiVersion: meshfast.io/v1\nkind: RegionSwitch\nmetadata: {{name: {name}}}\n"
        "spec: {app: cart, from: hz, to: sh, percent: 10}\n"
        for name in ("one", "two")
    )
    assert by_region(asked(POLICY + RULE + one)) == {"hz": 90, "sh": 10}
    with pytest.raises(ConfigError, match="switched by RegionSwitch one"):
        asked(POLICY + RULE + one + two)
    with pytest.raises(ConfigError, match="places in common"):
        asked(POLICY + RULE + one.replace("to: sh", "to: hz/b"))


def test_places_that_nobody_is_in_are_warned_of(tmp_path: Path) -> None:
    nobody = "---\napiVersion: meshfast.io/v1\nkind: RegionSwitch\nmetadata: {name: a}\n"
    nobody += "spec: {app: cart, from: hz, to: gz}\n"
    rule = RULE.replace("{outlierDetection: {}}", "{outlierDetection: {}, loadBalancer: {localityLbSetting: " + SETTING)
    (tmp_path / "mesh.yaml").write_text(POLICY.replace("labels: {topology", "labels: {x-topology") + rule + nobody)
    messages = [one.message for one in config.check([tmp_path])[1]]
    for expected in (
        "no instance of cart is in gz",
        "no instance of cart is in nj",
        "where this workload is, is not known: localities are not told apart",
    ):
        assert expected in messages


def test_explain_tells_of_the_way_past_other_regions() -> None:
    def steps(*found: Box) -> list[str]:
        table = Table()
        text = policy(found, own(HZ1), by_env("nolocal"), subsets=SUBSETS)
        table.publish(config.load_texts([("mesh.yaml", text.encode())]))
        return [one["text"] for one in explain(table, "com.x.Cart")["steps"] if one["about"] == "target"]

    def box(name: str, where: str, env: str, port: int) -> Box:
        made = Box(name, where, {"env": env})
        made.dubbo, made.http = Provider(name, address=f"127.0.0.1:{port}"), Server()
        made.http.address = f"127.0.0.1:{port + 1}"
        return made

    far = "no available instance of cart in subset dev1 in this region"
    dev1 = box("dev1", SH, "dev1", 1)
    assert steps(dev1, box("base", HZ1, "base", 3))[1:] == [far, "cart: subset base", "instance 127.0.0.1:3"]
    assert steps(dev1)[1:] == [
        far, "cart: subset base", "no instance of cart in subset base", "no further fallback",
        "none in any fallback: instances of other regions, too", "cart: subset dev1", "instance 127.0.0.1:1",
    ]  # fmt: skip


SETTING = "{failover: [{from: hz, to: nj}]}}}"
