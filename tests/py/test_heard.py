"""What the application registers with its sidecar, and behind which listener it is registered."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from meshfast.endpoint.dubbo import Wanted
from meshfast.endpoint.instances import Written
from meshfast.heard import Heard, Said, machine
from meshfast.model import Listener, Sidecar
from meshfast.registers import Advertise
from meshfast.registry import Registration
from meshfast.registry.registered import url
from meshfast.registry.url import URL, provider

ALL, ONE = "0.0.0.0:20880", "10.0.0.7:20880"
CART = "com.x.Cart"
HERE = ("192.0.2.2",)


class Told:
    """Stands for what is registered."""

    def __init__(self) -> None:
        self.wanted: dict[Any, Registration] = {}

    def sure(self, sure: bool) -> None:
        self.known = sure

    def only(self, wanted: dict[Any, Registration], kind: type) -> None:
        assert kind is Said
        self.wanted = dict(wanted)


def node(port: int = 20881, service: str = CART, **parameters: str) -> str:
    said = {"application": "shop", "interface": service, "side": "provider", "timestamp": "17", **parameters}
    return URL("dubbo", "", "", "192.0.2.2", port, service, said).encoded()


def heard(*nodes: str, bound: str = ALL, advertise: str = "", **fields: Any) -> tuple[Heard, Told, SimpleNamespace]:
    wanted = {f"/dubbo/{CART}/providers/{one}": Wanted(1, provider(one, ""), b"") for one in nodes}
    endpoint, told = SimpleNamespace(wanted=wanted, hears=None, written=Written(), refused=Counter()), Told()
    listeners = (Listener("in", bound, "inbound", forward="127.0.0.1:20881"), Listener("out", "127.0.0.1:15001"))
    side = Sidecar(listeners=listeners, advertise=Advertise(advertise), **fields)
    addresses = {"in": bound, "out": "127.0.0.1:15001"}
    return Heard(endpoint, told, side, addresses, own=lambda: HERE), told, endpoint  # type: ignore[arg-type]


def test_behind_the_listener_that_forwards_to_it() -> None:
    _, told, _ = heard(node(version="1.0.0", group="g", methods="add,left"))
    (one,) = told.wanted.values()
    assert (one.service, one.group, one.version, one.protocol) == (CART, "g", "1.0.0", "dubbo")
    assert (one.address, one.behind) == ("192.0.2.2:20880", "127.0.0.1:20881")  # it knows its machine's address
    assert dict(one.parameters) == {"application": "shop", "timestamp": "17", "methods": "add,left"}


def test_where_it_says_that_it_is_called() -> None:
    assert [one.address for one in heard(node(), bound=ONE)[1].wanted.values()] == [ONE]
    assert [one.address for one in heard(node(), advertise="10.9.9.9")[1].wanted.values()] == ["10.9.9.9:20880"]
    assert [one.address for one in heard(node(), advertise="2001:db8::1")[1].wanted.values()] == ["[2001:db8::1]:20880"]


def test_labels_of_the_workload() -> None:
    _, told, _ = heard(node(team="own"), app="other", labels={"env": "dev1", "team": "all", "release": "1"})
    (one,) = told.wanted.values()
    assert (one.parameters["env"], one.parameters["team"], one.parameters["application"]) == ("dev1", "own", "shop")
    assert "release" not in one.parameters  # what Dubbo says by that name is no label


def test_a_port_that_nobody_forwards_to() -> None:
    it, told, endpoint = heard(node(20890), node(20881, "com.x.Stock"))
    assert [one.service for one in told.wanted.values()] == ["com.x.Stock"]
    assert it.unplaced == {"192.0.2.2:20890": "no inbound listener forwards to that port"}
    endpoint.wanted.clear()

    async def hear() -> None:
        endpoint.hears()
        await asyncio.sleep(0)

    asyncio.run(hear())
    assert not told.wanted and not it.unplaced


def test_an_instance_of_an_application_is_not_written() -> None:
    it, told, endpoint = heard()
    endpoint.wanted["/services/shop/192.0.2.2:20881"] = Wanted(1, None, b"{}")
    it.follow()
    assert not told.wanted and not it.unplaced


def test_a_name_that_says_more_than_a_name_is_not_registered() -> None:
    evil = "a&interface=com.x.Other&zz=1"
    one = provider(URL("dubbo", "", "", "192.0.2.2", 20881, "", {"application": "shop"}).encoded(), evil)
    assert one is not None
    endpoint, told = SimpleNamespace(
        wanted={"/p": Wanted(1, one, b"")}, hears=None, refused=Counter(), written=Written()
    ), Told()
    listeners = (Listener("in", ONE, "inbound", forward="127.0.0.1:20881"),)
    it = Heard(endpoint, told, Sidecar(listeners=listeners), {"in": ONE}, own=lambda: HERE)  # type: ignore[arg-type]
    it.follow()
    assert not told.wanted and endpoint.refused == {"service": 1}


def test_callers_are_told_the_path_that_the_application_answers_to() -> None:
    said = URL("dubbo", "", "", "192.0.2.2", 20881, "shop/hello", {"interface": CART, "application": "shop"})
    for path, written in (("", "shop/hello"), ("a?disabled=true", CART)):
        one = provider(said.encoded(), CART)
        assert one is not None
        if path:
            one = one._replace(instance=replace(one.instance, parameters={**one.instance.parameters, "path": path}))
        endpoint, told = SimpleNamespace(
        wanted={"/p": Wanted(1, one, b"")}, hears=None, refused=Counter(), written=Written()
    ), Told()
        listeners = (Listener("in", ONE, "inbound", forward="127.0.0.1:20881"),)
        Heard(endpoint, told, Sidecar(listeners=listeners), {"in": ONE}, own=lambda: HERE)  # type: ignore[arg-type]
        (made,) = told.wanted.values()
        assert url(made).path == written


def test_an_address_that_no_other_machine_reaches_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    heard(node(), node(20881, "com.x.Stock"), bound="127.0.0.1:20880")
    assert caplog.text.count("write advertise.address") == 1


def elsewhere(host: str, **fields: Any) -> tuple[list[str], dict[str, str]]:
    one = URL("dubbo", "", "", host, 20881, CART, {"application": "shop", "interface": CART}).encoded()
    it, told, _ = heard(one, **fields)
    return [each.address for each in told.wanted.values()], it.unplaced


def test_what_is_said_to_be_on_another_machine_is_not_registered_as_this_one() -> None:
    placed, unplaced = elsewhere("10.9.9.9")
    assert not placed and "no address of this machine" in unplaced["10.9.9.9:20881"]
    assert elsewhere("10.9.9.9", advertise="10.9.9.9") == (["10.9.9.9:20880"], {})
    assert elsewhere("192.0.2.2") == (["192.0.2.2:20880"], {})
    assert elsewhere("10.0.0.7", bound=ONE) == ([ONE], {})
    assert elsewhere("127.0.0.1", bound=ONE) == ([ONE], {})
    assert "127.0.0.1" in machine()


def test_what_would_outlive_its_application_is_not_registered() -> None:
    it, told, endpoint = heard()
    one = provider(node(), CART)
    endpoint.wanted["/p"] = Wanted(0, one, b"")
    it.follow()
    assert not told.wanted and "dynamic=false" in it.unplaced["192.0.2.2:20881"]


@pytest.mark.parametrize("alive", [True, False])
def test_a_session_ends_with_its_application(alive: bool) -> None:
    """Its connection has ended: where nobody is at its port any more, what it registered is taken back at once."""

    async def story() -> list[int]:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        if not alive:
            server.close()
            await server.wait_closed()
        ended: list[int] = []
        wanted = {"/p": Wanted(7, provider(node(port), CART), b""), "/q": Wanted(8, provider(node(1), CART), b"")}
        endpoint = SimpleNamespace(wanted=wanted, hears=None, leaves=None, end=ended.append, written=Written())
        side = Sidecar(listeners=(Listener("in", ONE, "inbound", forward=f"127.0.0.1:{port}"),))
        it = Heard(endpoint, Told(), side, {"in": ONE}, own=lambda: HERE)  # type: ignore[arg-type]
        for session in (7, 8, 9):
            endpoint.leaves(session)
        await asyncio.gather(*it._looking)
        server.close()
        return ended

    assert asyncio.run(story()) == ([] if alive else [7])
