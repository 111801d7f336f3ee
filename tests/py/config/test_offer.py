"""One service that several applications offer: a call goes by its group and version."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from config_mesh import Doc, entry, load, rule, to, virtual

from meshfast import config
from meshfast.config.document import Report, Text
from meshfast.errors import ConfigError, StateError
from meshfast.explain import explain
from meshfast.routing import Table

META = "org.apache.dubbo.metadata.MetadataService"


def app(name: str, number: int, labels: dict[str, str] | None = None, **annotations: str) -> Doc:
    endpoints = [{"address": f"10.0.{number}.{i}", "labels": {"v": f"v{i}", **(labels or {})}} for i in (1, 2)]
    out = entry(name, (META, f"{name}.Own"), ports=[{"number": 1}], endpoints=endpoints)
    out["metadata"]["annotations"] = annotations
    return out


def where(*documents: Doc, service: str = META, **headers: str) -> str:
    """The application that a call goes to; "" nowhere."""
    table = Table()
    table.publish(load(*documents))
    try:
        return table.lookup(service, headers).address.split(".")[2]
    except StateError:
        return ""


SHOP, CART = app("shop", 1, group="shop", version="1.0.0"), app("cart", 2, group="cart", version="1.0.0")


@pytest.mark.parametrize(
    ("headers", "number"),
    [
        ({"group": "shop", "version": "1.0.0"}, "1"),
        ({"group": "cart", "version": "1.0.0"}, "2"),
        ({"group": "cart", "version": "9"}, "2"),  # the version is the same for both: it tells nothing apart
        ({"group": "other"}, ""),
        ({}, ""),
    ],
)
def test_by_group(headers: dict[str, str], number: str) -> None:
    assert where(SHOP, CART, **headers) == where(CART, SHOP, **headers) == number


@pytest.mark.parametrize(
    ("headers", "number"),
    [
        ({"version": "2.0.0"}, "2"), ({"version": "0.0.0"}, "1"), ({"version": ""}, "1"), ({}, "1"),
        ({"version": "3.0.0"}, ""),
    ],
)  # fmt: skip
def test_by_version_and_without_one(headers: dict[str, str], number: str) -> None:
    assert where(app("old", 1), app("new", 2, version="2.0.0"), **headers) == number


def test_any_group_comes_last() -> None:
    documents = app("every", 1, group="*"), app("cart", 2, group="cart")
    assert [where(*documents, group=g) for g in ("cart", "x", "")] == ["2", "1", "1"]


def test_the_label_of_all_instances_is_the_group() -> None:
    documents = app("a", 1, {"group": "a"}), app("b", 2, {"group": "b"}), app("c", 3, {"group": "b"}, group="c")
    assert [where(*documents, group=g) for g in "abc"] == ["1", "2", "3"]


def test_one_alone_takes_every_call() -> None:
    assert where(SHOP, group="other") == where(SHOP, CART, service="shop.Own") == "1"


def test_a_virtual_service_applies_within_each_application() -> None:
    by_version = virtual(
        [META],
        {"match": [{"headers": {"new": {}}}], "route": [to("v2", host=META)]},
        {"route": [to("v1")]},
    )
    table = Table()
    table.publish(load(SHOP, CART, rule(META, "v1", "v2"), by_version))
    for group, number in (("shop", 1), ("cart", 2)):
        for headers, instance in (({}, 1), ({"new": "1"}, 2)):
            route = table.lookup(META, {"group": group, "version": "1.0.0", **headers})
            assert route.address == f"10.0.{number}.{instance}:1"
    with pytest.raises(StateError, match="no rule"):
        table.lookup(META, {"group": "other"})


def test_a_virtual_service_of_one_application() -> None:
    own = virtual(["cart/*"], {"route": [to("v2")]})
    table = Table()
    table.publish(load(SHOP, CART, rule("cart", "v2"), own))
    assert {table.lookup(META, {"group": "cart"}).address for _ in range(50)} == {"10.0.2.2:1"}
    assert len({table.lookup(META, {"group": "shop"}).address for _ in range(50)}) == 2


@pytest.mark.parametrize("annotations", [{}, {"group": "shop"}, {"group": "shop", "version": "1.0.0"}])
def test_two_that_nothing_tells_apart(annotations: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="offered twice") as caught:
        load(app("shop", 1, **annotations), app("cart", 2, **annotations))
    assert "annotations group and version" in caught.value.problems[0].hint


def test_a_host_that_means_several() -> None:
    elsewhere = virtual(["third.Own"], {"route": [to(host=META)]})
    third = entry("third", ("third.Own",), ports=[{"number": 1}])
    with pytest.raises(ConfigError, match="offered by shop and cart: which one is meant") as caught:
        load(SHOP, CART, third, elsewhere)
    assert caught.value.problems[0].hint == "name the application: host: shop"
    assert len(load(SHOP, CART, third, virtual(["third.Own"], {"route": [to(host="cart")]})).services) == 4


def test_an_annotation_that_is_no_text() -> None:
    with pytest.raises(ConfigError, match="found a number") as caught:
        config.load_texts([("f", yaml.safe_dump(SHOP).replace("version: 1.0.0", "version: 1.0").encode())])
    assert caught.value.problems[0].path == "metadata.annotations.version"


def test_what_did_not_change_is_the_same_object() -> None:
    def texts(*documents: Doc) -> list[Text]:
        return [Text(d["metadata"]["name"], yaml.safe_dump(d).encode()) for d in documents]

    def services(mesh: Any) -> dict[str, Any]:
        return {one.name: one for one in mesh.services}

    loader = config.Loader()
    first = services(loader.build(texts(SHOP, CART), Report()))
    again = services(loader.build(texts(SHOP, CART), Report()))
    assert all(again[name] is first[name] for name in first)
    changed = services(loader.build(texts(SHOP, app("cart", 3, group="cart", version="2")), Report()))
    assert changed["shop.Own"] is first["shop.Own"] and changed[META] is not first[META]
    fresh = services(config.Loader().build(texts(SHOP, app("cart", 3, group="cart", version="2")), Report()))
    assert changed[META] == fresh[META]


def test_what_is_said_of_it() -> None:
    table = Table()
    table.publish(load(app("shop", 1, group="shop"), app("cart", 2)))
    said = [step["text"] for step in explain(table, META, headers={"group": "nope"})["steps"]]
    assert said[1:] == [
        "rule 1: header group is nope, not shop",
        "rule 2: header group is nope, and there must be none",
    ]
    assert "rule 2: no group" in [step["text"] for step in explain(table, META)["steps"]]
