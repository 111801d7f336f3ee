"""Subsets that are lists of instances: whoever carries what, as instances come and go, and however they are called."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from admins import Still, admin
from engines import running
from peers import Caller, Provider, closing

from meshfast.apply import Writer
from meshfast.ask import ask
from meshfast.errors import StateError
from meshfast.explain import explain
from meshfast.metrics import prometheus
from meshfast.model import (
    Cluster,
    Endpoint,
    FallbackCase,
    Family,
    Http,
    Mesh,
    Named,
    Rule,
    Service,
    Subset,
    Target,
    TargetKind,
)
from meshfast.routing import Table
from meshfast.shares import shares
from meshfast.source.lost import lost
from meshfast.source.names import Found, Names

CART = "com.x.Cart"
ODD = 'hz & dubbo.tag="gra\ny"\\'
ONE, TWO, THREE = (f"10.0.0.{i}:20880" for i in (1, 2, 3))


def members(*addresses: str, name: str = ODD) -> Subset:
    return Subset(name, {}, members=frozenset(addresses))


def cluster(*subsets: Subset, at: tuple[str, ...] = (ONE, TWO, THREE)) -> Cluster:
    return Cluster("cart", (CART,), tuple(Endpoint(one, {"env": "gray"} if one == ONE else {}) for one in at), subsets)


def mesh(one: Cluster, *more: Target, name: str = ODD) -> Mesh:
    first = Target("cart", TargetKind.SUBSET, name, 1, FallbackCase.NO_INSTANCE, 1 if more else None)
    return Mesh({"cart": one}, (Service(CART, (Rule("r", (), (first, *more)),)),))


def goes(table: Table, **more: Any) -> set[str]:
    return {table.lookup(CART, random=i * 0x9E3779B97F4A7C15 % 2**64, **more).address for i in range(40)}


def test_whatever_they_carry() -> None:
    table = Table()
    table.publish(mesh(cluster(members(ONE, THREE, "10.9.9.9:1"))))
    assert goes(table) == {ONE, THREE}


def test_instances_come_and_go() -> None:
    table = Table()
    subset = members(TWO, THREE)
    for at in ((ONE, TWO), (TWO, ONE, THREE), (THREE, ONE), (THREE,)):
        assert table.publish(mesh(cluster(subset, at=at))).published == 1
        assert goes(table) == {TWO, THREE} & {*at}
    table.publish(mesh(cluster(subset, at=(ONE,))))
    with pytest.raises(StateError, match="no instance"):
        table.lookup(CART)


def test_a_list_that_changes() -> None:
    table = Table()
    assert table.publish(mesh(cluster(members(ONE)))).published == 1
    assert table.publish(mesh(cluster(members(ONE, "10.9.9.9:1")))).published == 0  # nobody is there
    assert table.publish(mesh(cluster(members(TWO)))).published == 1
    assert goes(table) == {TWO}
    assert table.publish(mesh(cluster(Subset(ODD, {})))).published == 1
    assert goes(table) == {ONE, TWO, THREE}


def test_nobody_leads_to_the_fallback() -> None:
    table = Table()
    table.publish(mesh(cluster(members()), Target("cart", TargetKind.ALL)))
    route = table.lookup(CART)
    assert (route.fallbacks, goes(table)) == (1, {ONE, TWO, THREE})
    said = explain(table, CART)
    assert said["why"] == f"no instance of cart in subset {ODD!r}"
    table.publish(mesh(cluster(members())))
    with pytest.raises(StateError, match="no instance"):
        table.lookup(CART)


def test_by_the_address_that_an_instance_has_in_the_mesh() -> None:
    """Where HTTP alone is spoken at another one, it goes there."""
    at = (Endpoint(ONE, {}, http="10.0.0.1:50051"), Endpoint(TWO, {}, speaks=Family.HTTP), Endpoint(THREE, {}))
    table = Table()
    http = Http(path=f"/{CART}/add")
    table.publish(mesh(replace(cluster(members(ONE, TWO)), endpoints=at)))
    assert goes(table) == {ONE}
    assert goes(table, http=http) == {"10.0.0.1:50051", TWO}
    moved = (replace(at[0], address=THREE, speaks=Family.HTTP), *at[1:2])
    table.publish(mesh(replace(cluster(members(ONE, TWO)), endpoints=moved)))
    assert goes(table, http=http) == {TWO}
    back = (replace(moved[0], address=ONE), *at[1:2])  # the core sees the same addresses
    assert table.publish(mesh(replace(cluster(members(ONE, TWO)), endpoints=back))).published == 1
    assert goes(table, http=http) == {"10.0.0.1:50051", TWO}


def test_two_at_one_address_are_both_in() -> None:
    table = Table()
    table.publish(mesh(cluster(members(ONE), at=(ONE, TWO, ONE))))
    assert explain(table, CART)["branches"][0]["instances"] == 2


def test_no_label_names_it() -> None:
    table = Table()
    target = Target("cart", TargetKind.LABEL, "env", 1, FallbackCase.NO_INSTANCE)
    lists = cluster(members(TWO, name="gray"), members(THREE))
    table.publish(Mesh({"cart": lists}, (Service(CART, (Rule("r", (), (target,)),)),)))
    assert goes(table, labels={"env": "gray"}) == {ONE}
    assert explain(table, CART, labels={"env": "gray"})["branches"][0]["instances"] == 1
    with pytest.raises(StateError):
        table.lookup(CART, labels={"env": ODD})


def test_a_service_is_built_again_with_its_cluster() -> None:
    writer = Writer(Table().native)
    writer.apply(mesh(cluster(members(ONE))))
    assert writer.apply(mesh(cluster(members(ONE)))).published == 0
    assert writer.apply(mesh(cluster(members(ONE), members(TWO, name="more")))).published == 1


def test_names_mean_their_addresses() -> None:
    names = Names()
    there = Named("a.example", Endpoint("a.example:20880", {}))
    other = Named("b.example", Endpoint("b.example:20880", {}))
    one = replace(cluster(members("a.example:20880", ONE), at=(ONE, TWO)), named=(there, other))
    for name in names.want(mesh(one)):
        names.answered(name, Found(("10.1.0.1",) if name.host == "a.example" else ("10.1.0.2",), 60))
    table = Table()
    table.publish(names.resolved(mesh(one)))
    assert goes(table) == {ONE, "10.1.0.1:20880"}
    names.answered(names.known["a.example"], Found(("10.1.0.3",), 60))
    table.publish(names.resolved(mesh(one)))
    assert goes(table) == {ONE, "10.1.0.3:20880"}


def test_what_is_lost() -> None:
    full = mesh(cluster(members(ONE)))
    assert not lost(full, mesh(cluster(members(TWO))))
    for less in (members(), Subset(ODD, {}), members(ONE, name="other")):
        assert lost(full, mesh(cluster(less))) == {""}
    assert not lost(mesh(cluster(members())), mesh(cluster(members())))


# --- shown


def test_explain_and_shares() -> None:
    table = Table()
    table.publish(mesh(cluster(members(ONE, TWO), members(THREE, name="hz & dubbo.tag=gray"))))
    said = explain(table, CART)
    assert (said["subset"], said["branches"][0]["target"]) == (ODD, f"cart: subset {ODD!r}")
    assert said["branches"][0]["instances"] == 2
    groups = {one["subset"]: one["regions"][0]["instances"] for one in shares(table, "cart")["groups"]}
    assert groups == {"": 3, ODD: 2, "hz & dubbo.tag=gray": 1}


def test_pages_of_a_sidecar() -> None:
    async def story() -> None:
        one, two = await Provider("one").start(), await Provider("two").start()
        async with closing(one, two):
            with running("epoll") as side:
                policy = mesh(cluster(members(two.address), at=(one.address, two.address)))
                side.table.publish(policy)
                caller = await Caller.connect(side.address)
                async with closing(caller):
                    for i in range(10):
                        assert (await asyncio.wait_for(caller.ask(CART, f"{i}"), 15)).value == f"two:{i}"
                still = Still(table=side.table, engine=side.engine, mesh=policy)
                page = "".join(prometheus(still))
                name = r'subset="hz & dubbo.tag=\"gra\ny\"\\"'
                assert any(name in one and one.endswith(" 10") for one in page.splitlines()), page
                async with admin(still) as address:
                    status, body = await ask(address, "/clusters")
                    assert (status, json.loads(body)[0]["subsets"]) == (200, {ODD: {"members": 1}})

    asyncio.run(asyncio.wait_for(story(), 60))
