"""``loadBalancer``: what each form of it says, and what is refused or warned of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from config_mesh import Doc, entry, load, rule, sidecar, to, virtual

from meshfast import config
from meshfast.balance import FULL, STEPS, Balancer, By, Kind
from meshfast.config import balancer, read, resource
from meshfast.config.document import Report, Text
from meshfast.errors import ConfigError

ONE = [{"address": "10.0.0.1", "weight": 1}, {"address": "10.0.0.2", "weight": 1}]
SHOP = entry(ports=[{"number": 20880}], endpoints=ONE)


def having(load_balancer: Doc) -> Doc:
    document = rule("shop")
    document["spec"]["trafficPolicy"] = {"loadBalancer": load_balancer}
    return document


def warned(tmp_path: Path, load_balancer: Doc) -> list[str]:
    (tmp_path / "f.yaml").write_text(yaml.safe_dump_all([SHOP, having(load_balancer)], sort_keys=False))
    return [warning.message for warning in config.check([tmp_path], config.Report(warn=True))[1]]


def built(load_balancer: Doc) -> Balancer | None:
    text = yaml.safe_dump(having(load_balancer))
    report = Report()
    (found,) = read.resources(Text("f.yaml", text.encode()), report)
    assert not report.problems
    spec: resource.DestinationRule = found.spec
    assert spec.traffic_policy is not None
    return balancer.said(balancer.build(spec.traffic_policy.load_balancer))


@pytest.mark.parametrize(
    ("block", "made"),
    [
        ({}, None),
        ({"simple": "RANDOM"}, Balancer(Kind.RANDOM)),
        ({"simple": "ROUND_ROBIN"}, Balancer(Kind.ROUND_ROBIN)),
        ({"simple": "LEAST_REQUEST"}, Balancer(Kind.LEAST_REQUEST)),
        ({"simple": "LEAST_CONN"}, Balancer(Kind.LEAST_REQUEST)),
        ({"simple": "UNSPECIFIED"}, Balancer(Kind.LEAST_REQUEST)),
        ({"warmup": {"duration": "10s"}}, Balancer(warmup_ms=10_000)),
        ({"warmupDurationSecs": "90s", "simple": "ROUND_ROBIN"}, Balancer(Kind.ROUND_ROBIN, warmup_ms=90_000)),
        (
            {"simple": "LEAST_REQUEST", "warmup": {"duration": "1m", "minimumPercent": 20.5, "aggression": 2}},
            Balancer(Kind.LEAST_REQUEST, warmup_ms=60_000, least=20.5, aggression=2),
        ),
        ({"simple": "RANDOM", "warmup": {"duration": "10s"}}, Balancer(Kind.RANDOM)),
        ({"consistentHash": {"httpHeaderName": "x-user"}}, Balancer(Kind.HASH, By.HEADER, "x-user")),
        ({"consistentHash": {"useSourceIp": True}}, Balancer(Kind.HASH, By.SOURCE)),
        ({"consistentHash": {"dubboArgument": 0}}, Balancer(Kind.HASH, By.ARGUMENT)),
        ({"consistentHash": {"dubboArgument": 2}}, Balancer(Kind.HASH, By.ARGUMENT, argument=2)),
        (
            {"consistentHash": {"httpQueryParameterName": "q", "maglev": {"tableSize": 101}}},
            Balancer(Kind.HASH, By.PARAM, "q", places=101),
        ),
        (
            {"consistentHash": {"httpCookie": {"name": "sid"}, "useSourceIp": False, "maglev": {}}},
            Balancer(Kind.HASH, By.COOKIE, "sid"),
        ),
    ],
)
def test_what_it_says(block: Doc, made: Balancer | None) -> None:
    assert built(block) == made


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ({"simple": "RANDOM", "consistentHash": {"useSourceIp": True}}, "simple and consistentHash exclude each other"),
        ({"consistentHash": {}}, "does not say what is hashed"),
        ({"consistentHash": {"useSourceIp": False}}, "does not say what is hashed"),
        ({"consistentHash": {"useSourceIp": True, "httpHeaderName": "a"}}, "exclude each other"),
        ({"consistentHash": {"useSourceIp": True, "maglev": {"tableSize": 100}}}, "100 is not a prime"),
        ({"consistentHash": {"useSourceIp": True, "maglev": {"tableSize": 5000011}}}, "is not a prime below 5000011"),
        ({"consistentHash": {"useSourceIp": True, "maglev": {}, "ringHash": {}}}, "exclude each other"),
        ({"consistentHash": {"httpCookie": {"path": "/"}}}, "name is missing"),
        ({"consistentHash": {"httpCookie": {"name": "a b", "ttl": "1s"}}}, "cannot have that name"),
        ({"consistentHash": {"httpCookie": {"name": "a", "path": "/;x"}}}, "is no path of a cookie"),
        ({"warmup": {}}, "duration is missing"),
        ({"warmup": {"duration": "1s", "aggression": 0.5}}, "is not a number from 1 to 1000"),
        ({"warmup": {"duration": "1s", "minimumPercent": 101}}, "is not a number from 0 to 100"),
        ({"warmup": {"duration": "1s", "minimumPercent": "nan"}}, "is not a number from 0 to 100"),
        ({"warmup": {"duration": "1s"}, "warmupDurationSecs": "1s"}, "warmup is written twice"),
    ],
)
def test_what_is_refused(block: Doc, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        load(SHOP, having(block))


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({"simple": "LEAST_REQUEST"}, []),
        ({"simple": "RANDOM", "warmup": {"duration": "1s"}}, ["warmup does nothing here"]),
        (
            {"consistentHash": {"useSourceIp": True}, "warmupDurationSecs": "1s"},
            ["warmupDurationSecs does nothing here"],
        ),
        (
            {"consistentHash": {"useSourceIp": True, "ringHash": {"minimumRingSize": 4}}},
            ["ringHash is done by Maglev's table"],
        ),
        (
            {"consistentHash": {"useSourceIp": True, "minimumRingSize": 4}},
            ["minimumRingSize is done by Maglev's table"],
        ),
        ({"consistentHash": {"useSourceIp": True, "maglev": {"tableSize": 65537}}}, []),
        ({"consistentHash": {"httpCookie": {"name": "a", "path": "/"}}}, []),
        ({"consistentHash": {"httpCookie": {"name": "a", "ttl": "0s"}}}, []),
        ({"consistentHash": {"useSourceIp": True, "maglev": {"tableSize": 655373}}}, ["a large table"]),
    ],
)
def test_what_is_warned_of(tmp_path: Path, block: Doc, said: list[str]) -> None:
    assert warned(tmp_path, block) == said


def test_weights_that_do_nothing(tmp_path: Path) -> None:
    uneven = entry(ports=[{"number": 20880}], endpoints=[{**one, "weight": i + 1} for i, one in enumerate(ONE)])

    def said(*documents: Doc) -> list[str]:
        (tmp_path / "f.yaml").write_text(yaml.safe_dump_all(documents, sort_keys=False))
        return [warning.message for warning in config.check([tmp_path], config.Report(warn=True))[1]]

    assert said(SHOP, having({"simple": "RANDOM"})) == []
    assert said(uneven, having({"simple": "LEAST_REQUEST"})) == []
    assert said(uneven, having({"simple": "RANDOM"})) == ["weights of shop do nothing with RANDOM"]
    subset = rule("shop", "v1")
    subset["spec"]["subsets"][0] |= {"labels": {}, "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}
    assert said(uneven, subset) == ["weights of shop do nothing with RANDOM"]


def test_whose_it_is() -> None:
    """A subset's block is before the host's, whole; one that says nothing of it is by weight."""
    document = having({"simple": "ROUND_ROBIN"})
    blocks: list[Doc] = [{}, {"loadBalancer": {"simple": "RANDOM"}}, {"loadBalancer": {}}]
    document["spec"]["subsets"] = [
        {"name": f"v{i}", "labels": {}, "trafficPolicy": block} for i, block in enumerate(blocks)
    ]
    document["spec"]["trafficPolicy"]["portLevelSettings"] = [
        {"port": {"number": 9}, "loadBalancer": {"simple": "RANDOM"}}
    ]
    cluster = load(SHOP, document).clusters["shop"]
    kinds = [each.policy and each.policy.balancer and each.policy.balancer.kind for each in (cluster, *cluster.subsets)]
    assert kinds == [Kind.ROUND_ROBIN, Kind.ROUND_ROBIN, Kind.RANDOM, None]


def test_where_they_were_dialled() -> None:
    through = sidecar(listeners=[{"name": "out", "bind": "tcp://127.0.0.1:0", "transparent": True}])
    bare = sidecar(listeners=[{"name": "out", "bind": "tcp://127.0.0.1:0"}])
    mesh = load(SHOP, having({"simple": "PASSTHROUGH"}), through)
    assert mesh.services == ()
    assert [s.name for s in load(SHOP, having({"simple": "RANDOM"}), through).services] == ["a.Cart"]
    with pytest.raises(ConfigError, match="which the listener out does not know"):
        load(SHOP, having({"simple": "PASSTHROUGH"}), bare)
    with pytest.raises(ConfigError, match="calls of shop go where they were dialled, not to instances"):
        load(SHOP, having({"simple": "PASSTHROUGH"}), virtual(["a.Cart"], {"route": [to(host="shop")]}), through)
    for document in (rule("shop", "v1"), having({})):
        block = {"loadBalancer": {"simple": "PASSTHROUGH"}}
        if document["spec"]["subsets"]:
            document["spec"]["subsets"][0]["trafficPolicy"] = block
        else:
            document["spec"]["trafficPolicy"] = {"portLevelSettings": [{"port": {"number": 9}, **block}]}
        with pytest.raises(ConfigError, match="PASSTHROUGH is not supported for a subset or a port"):
            load(SHOP, document, through)


def test_the_share_of_who_is_new() -> None:
    def at(part: float, **fields: Any) -> float:
        return memoryview(Balancer(warmup_ms=1, **fields).warmth()).cast("H")[int(part * STEPS)] / FULL

    assert at(0) == pytest.approx(0.1, abs=0.01)
    assert at(0.5) == pytest.approx(0.5, abs=0.01)
    assert at(0.99) == pytest.approx(1, abs=0.01)
    assert at(0.25, aggression=2) == pytest.approx(0.5, abs=0.01)
    assert at(0, least=0) == pytest.approx(0, abs=0.01)


def test_it_is_told_in_words() -> None:
    assert Balancer(Kind.ROUND_ROBIN, warmup_ms=1500).words() == "in turn, warming up for 1.5 s"
    assert Balancer(Kind.HASH, By.ARGUMENT, argument=1).words() == "by the hash of argument 1"
