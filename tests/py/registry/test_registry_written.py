"""An instance of an application as its sidecar writes it, key by key as Dubbo for Java 3.3 does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from written import CART, PLACE, alone, offer, world

from meshfast.registry.application import Place, besides, joined, marked, metadata, place, place_of, stamp_of
from meshfast.registry.instance import LONGEST_MAPPING, info, node, offered
from meshfast.registry.registered import url
from meshfast.registry.url import Refused


@pytest.mark.parametrize("told", ["java-3.3-instance-remote-told", "java-3.3-instance-remote-tri"])
def test_the_keys_are_those_of_a_direct_provider(told):
    """But for marks, and for what the application says of itself in the registration."""
    nodes = json.loads(Path(__file__).with_name("recorded").joinpath(f"{told}.json").read_text())["nodes"]
    [theirs] = [json.loads(one["data"]) for path, one in nodes.items() if path.startswith("/services/peer/")]
    [(path, said)] = [(path, json.loads(one["data"])) for path, one in nodes.items() if "/metadata/peer/" in path]
    [(key, service)] = said["services"].items()
    one = offer(
        service["name"], address="10.0.0.7:20880", group=service.get("group", ""), version=service.get("version", ""),
        protocol=service["protocol"], parameters={**service["params"], "application": "peer", "timestamp": "17"},
    )  # fmt: skip
    made = metadata("peer", map(url, [one]))
    ours = json.loads(made.data)
    assert ours.keys() == said.keys() and ours["services"].keys() == {key}
    mine = ours["services"][key]
    assert mine.keys() == service.keys() and {**mine, "params": 0} == {**service, "params": 0}
    assert mine["params"] == {**service["params"], "meshfast": "1", "meshfast.behind": "20881"}

    @world
    async def run(w):
        w.registry.start()
        await w.put(alone("com.x.Any", protocol=one.protocol, parameters={"application": "peer"}))
        [ours] = [json.loads(data) for path, data in w.zoo.nodes.items() if path == "/services/peer/10.0.0.7:20880"]
        assert list(ours) == list(theirs) and ours.keys() == theirs.keys()
        payloads = ours.pop("payload"), theirs.pop("payload")
        assert payloads[0].keys() == payloads[1].keys()
        told = payloads[0].pop("metadata"), payloads[1].pop("metadata")
        assert told[0].keys() == told[1].keys() | {"meshfast", "meshfast.behind"}
        same = ("dubbo.endpoints", "dubbo.metadata.storage-type", "meta-v")
        assert [told[0][each] for each in same] == [told[1][each] for each in same]
        assert payloads[0] == payloads[1]
        assert {**ours, "registrationTimeUTC": 0} == {**theirs, "registrationTimeUTC": 0}

    run()


def test_it_is_read_as_it_is_meant():
    one = alone(group="g", version="1.0", protocol="tri", parameters={"weight": "5", "path": "api/cart"})
    told = info(metadata("shop", map(url, [one])).data)
    [service] = told.services[CART]
    assert (service.group, service.version, service.protocol, service.port) == ("g", "1.0", "tri", 20880)
    assert service.parameters["weight"] == "5" and service.parameters["path"] == "api/cart"


def test_a_revision_says_what_is_offered_and_nothing_else():
    one, two = alone(), alone("com.x.Other")
    made = metadata("shop", map(url, [one, two]))
    assert made == metadata("shop", map(url, [two, alone(parameters={"timestamp": "5"})]))
    of = {"shop": [one], "pos": [one, two], "shop ": [one, alone("com.x.Else")]}
    others = [metadata(name.strip(), map(url, each)) for name, each in of.items()]
    assert len({made.revision, *(other.revision for other in others)}) == 4


@pytest.mark.parametrize(("path", "found"), [
    (PLACE, Place("shop", "10.0.0.7:20880")), ("/dubbo/shop/[::1]:1", Place("shop", "[::1]:1")),
    ("/services/shop/x", None), ("/services/shop/10.0.0.7:0", None), ("10.0.0.7:1", None), ("", None),
    ("/services/shop/10.0.0.7:99999", None),
])  # fmt: skip
def test_whose_node_it_is(path, found):
    assert place_of(path) == found


@pytest.mark.parametrize("name", ["", "a/b", "..", "a,b", "a b"])
def test_names_that_no_node_may_have(name):
    with pytest.raises(Refused):
        place(alone(parameters={"application": name}))
    if name:
        with pytest.raises(Refused):
            place(alone(name))


def test_a_mapping_has_one_more():
    assert joined(b"", "shop") == b"shop" and joined(b"a, b", "shop") == b"a,b,shop"
    assert joined(b"a,shop", "shop") is None
    with pytest.raises(Refused):
        joined(b"a" * LONGEST_MAPPING, "shop")


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"payload":1}', b'{"payload":{"metadata":[]}}', b"\xff"])
def test_what_no_sidecar_wrote(data):
    assert not marked(data) and stamp_of(data) == ""


def test_the_application_itself_besides():
    names = ["10.0.0.7:20880", "10.0.0.7:20881", "10.0.0.8:20881", "127.0.0.1:20881", "x"]
    assert besides(names, alone()) == ["10.0.0.7:20881", "127.0.0.1:20881"]


def test_what_an_instance_offers_is_the_sidecars():
    @world
    async def run(w):
        w.registry.start()
        await w.put(alone())
        found = node(w.zoo.nodes[PLACE])
        [service] = info(w.zoo.nodes[f"/dubbo/metadata/shop/{found.revision}"]).services[CART]
        one = offered(found, service).instance
        assert one.address == "10.0.0.7:20880"
        assert (one.parameters["meshfast"], one.parameters["meshfast.behind"]) == ("1", "20881")
        assert one.parameters["timestamp"] == stamp_of(w.zoo.nodes[PLACE])

    run()


@pytest.mark.parametrize("stamp", ["²", "9" * 5000, "-1", "soon"])
def test_a_service_that_says_no_time_keeps_none_of_the_others_away(stamp):
    @world
    async def run(w):
        w.registry.start()
        await w.put(alone(parameters={"timestamp": "17"}))
        await w.put(alone("com.x.Stock", parameters={"timestamp": stamp}))
        found = json.loads(w.zoo.nodes[PLACE])
        assert found["registrationTimeUTC"] == 17
        revision = found["payload"]["metadata"]["dubbo.metadata.revision"]
        assert set(info(w.zoo.nodes[f"/dubbo/metadata/shop/{revision}"]).services) == {CART, "com.x.Stock"}

    run()
