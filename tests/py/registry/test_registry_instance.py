"""Instances of applications, and what their MetadataInfo says that they offer."""

from __future__ import annotations

import json

import pytest

from meshfast import hessian
from meshfast.registry.instance import (
    LONGEST_INSTANCE,
    MOST_APPLICATIONS,
    MOST_SERVICES,
    applications,
    info,
    info_of,
    node,
    providers,
)
from meshfast.registry.url import Refused

METADATA = {
    "dubbo.metadata.revision": "f525c54a",
    "dubbo.endpoints": '[{"port":20880,"protocol":"dubbo"},{"port":50051,"protocol":"tri"}]',
    "dubbo.metadata.storage-type": "local",
    "dubbo.metadata-service.url-params": '{"version":"1.0.0","dubbo":"2.0.2","port":"20881","protocol":"dubbo"}',
    "meta-v": "1.0.0",
    "timestamp": "1700000000000",
    "dubbo.tag": "gray",
    "weight": "50",
}


def curator(metadata=METADATA, **more) -> bytes:
    payload = {"@class": "org.apache.dubbo.registry.zookeeper.ZookeeperInstance", "id": "i", "name": "shop"}
    found = {"name": "shop", "id": "10.0.0.7:20880", "address": "10.0.0.7", "port": 20880, "sslPort": None}
    found |= {"payload": payload | {"metadata": metadata}, "serviceType": "DYNAMIC", "uriSpec": None}
    return json.dumps(found | more).encode()


def service(name="com.x.Cart", protocol="dubbo", **more) -> dict:
    return {"name": name, "protocol": protocol, "path": name} | more


def metadata_info(*services, **more) -> dict:
    return {"app": "shop", "revision": "f525c54a", "services": {str(i): each for i, each in enumerate(services)}} | more


def offers(*services, name="com.x.Cart", data=None) -> list:
    return list(providers(node(data or curator()), info(json.dumps(metadata_info(*services))), name))


def test_an_instance_as_curator_writes_it():
    found = node(curator())
    assert (found.application, found.host, found.port, found.revision) == ("shop", "10.0.0.7", 20880, "f525c54a")
    assert not found.remote and found.asked == ("dubbo", 20881)
    assert found.endpoints == {"dubbo": 20880, "tri": 50051}
    assert found.parameters == {"timestamp": "1700000000000", "dubbo.tag": "gray", "weight": "50"}


def test_where_its_metadata_is():
    assert node(curator(METADATA | {"dubbo.metadata.storage-type": "remote"})).remote
    del (plain := dict(METADATA))["dubbo.metadata-service.url-params"]
    assert node(curator(plain)).asked == ("dubbo", 20880)


@pytest.mark.parametrize(
    "data",
    [
        curator(enabled=False),
        curator(METADATA | {"dubbo.metadata.revision": "0"}),
        curator(METADATA | {"enabled": "false"}),
        curator(METADATA | {"disabled": "true"}),
    ],
)
def test_what_offers_nothing_is_passed_over(data):
    assert node(data) is None


@pytest.mark.parametrize(
    "data, why",
    [
        (b"", "json"),
        (b"10.0.0.7", "json"),
        (b"\xff\xfe", "json"),
        (b"[" * 100_000, "json"),
        (b"[]", "shape"),
        (curator(payload=[1]), "shape"),
        (curator({"x": "y"}), "no_revision"),
        (curator(payload=None), "no_revision"),
        (curator(METADATA | {"dubbo.metadata.revision": "../../x"}), "revision"),
        (curator(name=""), "service"),
        (curator(address="0.0.0.0"), "host"),
        (curator(address=None), "host"),
        (curator(METADATA | {"dubbo.endpoints": "nonsense"}), "json"),
        (curator(METADATA | {"dubbo.metadata-service.url-params": "[]"}), "shape"),
        (curator(dict.fromkeys(map(str, range(300)), "x")), "parameters"),
        (b" " * (LONGEST_INSTANCE + 1), "too_long"),
    ],
)
def test_an_instance_that_cannot_be_read_says_why(data, why):
    with pytest.raises(Refused) as caught:
        node(data)
    assert caught.value.reason == why


def test_a_service_is_offered_with_the_instances_parameters_below_its_own():
    [found] = offers(service(group="red", version="1.0.0", port=20880, params={"weight": "7", "timeout": "500"}))
    assert found[:3] == ("com.x.Cart", "red", "1.0.0")
    instance = found.instance
    assert (instance.address, instance.protocol, instance.application) == ("10.0.0.7:20880", "dubbo", "shop")
    assert instance.parameters == {"timestamp": "1700000000000", "dubbo.tag": "gray", "weight": "7", "timeout": "500"}


def test_the_port_is_the_services_before_that_of_its_protocol_before_the_instances():
    assert [each.instance.address for each in offers(service(port=9), service(protocol="tri"), service())] == [
        "10.0.0.7:9",
        "10.0.0.7:50051",
        "10.0.0.7:20880",
    ]
    assert (
        offers(service(port=-1), data=curator(METADATA | {"dubbo.endpoints": ""}))[0].instance.address[-5:] == "20880"
    )


def test_no_version_and_no_group_are_none():
    assert offers(service(version="0.0.0", group=None))[0][:3] == ("com.x.Cart", "", "")


def test_a_path_of_its_own_is_kept():
    assert offers(service(path="cart/v1"))[0].instance.parameters["path"] == "cart/v1"


def test_what_is_not_enabled_is_not_offered():
    assert offers(service(params={"enabled": "false"}), service(group="b"))[0].group == "b"


def test_a_service_that_cannot_be_read_takes_no_other_along():
    found = info_of(metadata_info(service(), 7, service(protocol="rest"), service(name="a b"), service(params=3)))
    assert list(found.services) == ["com.x.Cart"]
    assert found.refused == {"shape": 2, "protocol": 1, "service": 1}


def test_values_of_hessian_are_read_alike():
    written = metadata_info(service(port=20880, params={"timeout": "500"}))
    assert info_of(hessian.decode(hessian.encode(written))[0]) == info(json.dumps(written))


def test_a_value_that_holds_itself_ends():
    loop: dict = {"app": "shop", "revision": "1"}
    loop["services"] = {"a": loop, "b": service(params=loop)}
    assert not info_of(loop).refused.keys() - {"protocol"}


@pytest.mark.parametrize(
    "value, why",
    [
        ([], "shape"),
        ("", "shape"),
        ({"services": []}, "shape"),
        ({"services": dict.fromkeys(range(MOST_SERVICES + 1))}, "services"),
    ],
)
def test_metadata_that_cannot_be_read_says_why(value, why):
    with pytest.raises(Refused) as caught:
        info_of(value)
    assert caught.value.reason == why


def test_metadata_of_nothing_offers_nothing():
    assert not info(b'{"app":"shop","revision":"0"}').services


def test_the_applications_of_a_mapping():
    assert applications(b"shop, cart,,shop") == ("shop", "cart") and applications(b"") == ()
    with pytest.raises(Refused, match="applications"):
        applications(",".join(map(str, range(MOST_APPLICATIONS + 1))).encode())
    with pytest.raises(Refused, match="too_long"):
        applications(b"x" * 300_000)
