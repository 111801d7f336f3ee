"""``endpoint`` of a Sidecar: standbys and properties, and what is said of bad ones."""

from __future__ import annotations

import pytest
from test_registration_config import load, problems

GOOD = """
apiVersion: meshfast.io/v1
kind: Sidecar
spec:
  listeners: [{name: out, bind: "tcp://0.0.0.0:15001"}]
  endpoint: {zookeeper: "tcp://127.0.0.1:2181", standby: 2, properties: {dubbo.a: "b", dubbo.c: ""}}
"""


def test_they_are_in_the_mesh(tmp_path):
    found = load(GOOD, tmp_path).sidecar.endpoint
    assert (found.standby, found.properties) == (2, {"dubbo.a": "b", "dubbo.c": ""})


ALONE = """
apiVersion: meshfast.io/v1
kind: Sidecar
spec:
  listeners: [{name: out, bind: "unix:///run/shop.sock"}]
  endpoint: {http: "unix:///run/shop.api"}
"""


def test_an_address_for_sdks_needs_neither_a_zookeeper_nor_a_port(tmp_path):
    found = load(ALONE, tmp_path).sidecar.endpoint
    assert (found.http, found.zookeeper, found.listener) == ("unix:///run/shop.api", "", "")
    both = load(GOOD.replace("standby: 2", 'http: "unix://@shop.api"'), tmp_path).sidecar.endpoint
    assert (both.http, both.zookeeper, both.listener) == ("unix://@shop.api", "127.0.0.1:2181", "out")


@pytest.mark.parametrize(
    "old, new, texts",
    [
        ('http: "unix:///run/shop.api"', "", ["mesh.yaml:6:", "the endpoint has no address"]),
        ("unix:///run/shop.api", "tcp://127.0.0.1:80", ["mesh.yaml:6:20", "that is no UNIX socket"]),
        ("shop.api", "shop.sock", ["mesh.yaml:6:", "is taken", "by listener out at"]),
        ('shop.api"', 'shop.api", standby: 1', ["mesh.yaml:6:", "standby is of what a ZooKeeper shows"]),
        ('shop.api"', 'shop.api", properties: {dubbo.a: b}', ["properties is of what a registry shows"]),
        ('shop.api"', 'shop.api", listener: out', ["listener is of what a registry shows"]),
    ],
)
def test_bad_ones_for_sdks(tmp_path, old, new, texts):
    found = problems(ALONE.replace(old, new), tmp_path)
    assert all(text in found for text in texts), found


NACOS = GOOD.replace('zookeeper: "tcp://127.0.0.1:2181", standby: 2', 'nacos: "tcp://127.0.0.1:8848"')


def test_a_nacos_needs_no_zookeeper(tmp_path):
    found = load(NACOS, tmp_path).sidecar.endpoint
    assert (found.nacos, found.zookeeper, found.listener) == ("127.0.0.1:8848", "", "out")
    both = load(GOOD.replace("standby: 2", 'nacos: "tcp://[::1]:8848"'), tmp_path).sidecar.endpoint
    assert (both.nacos, both.zookeeper) == ("[::1]:8848", "127.0.0.1:2181")


@pytest.mark.parametrize(
    "old, new, texts",
    [
        ("127.0.0.1:8848", "10.0.0.7:8848", ["mesh.yaml:6:21", "other machines could reach it", "127.0.0.1:8848"]),
        ("127.0.0.1:8848", "127.0.0.1:64536", ["mesh.yaml:6:21", "a port that is 1000 higher"]),
        ("127.0.0.1:8848", "127.0.0.1:15001", ["mesh.yaml:6:21", "is taken", "by listener out"]),
        ("127.0.0.1:8848", "127.0.0.1:14001", ["mesh.yaml:6:21", "127.0.0.1:15001 is taken", "by listener out"]),
        ("properties", "standby: 1, properties", ["standby is of what a ZooKeeper shows", "does not tell Nacos"]),
    ],
)
def test_bad_ones_of_a_nacos(tmp_path, old, new, texts):
    found = problems(NACOS.replace(old, new), tmp_path)
    assert all(text in found for text in texts), found


@pytest.mark.parametrize(
    "old, new, text",
    [
        ("standby: 2", "standby: 9", "9 is not from 0 to 8"),
        ("standby: 2", 'standby: 2, parameters: {weight: "0"}', "one of its standbys"),
        ("dubbo.a", "other.a", '"other.a" is no property of Dubbo'),
        ('"b"', f'"{"x" * 4097}"', "4097 characters"),
        ("dubbo.a", ", ".join(f'dubbo.{n}: ""' for n in range(256)) + ", dubbo.a", "258 properties"),
    ],
)
def test_bad_ones(tmp_path, old, new, text):
    assert text in problems(GOOD.replace(old, new), tmp_path)
