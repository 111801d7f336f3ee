"""Dubbo's URLs and the providers that nodes are named after."""

from __future__ import annotations

import pytest

from meshfast.registry.url import LONGEST_URL, MOST_PARAMETERS, URL, Refused, address, decode, encode, provider

NODE = (
    "dubbo%3A%2F%2F10.0.0.7%3A20880%2Fcom.x.Cart%3Fanyhost%3Dtrue%26application%3Dshop%26deprecated%3Dfalse"
    "%26dubbo%3D2.0.2%26dubbo.tag%3Dgray%26dynamic%3Dtrue%26generic%3Dfalse%26group%3Dred%26interface%3Dcom.x.Cart"
    "%26methods%3Dadd%2Cremove%26prefer.serialization%3Dhessian2%2Cfastjson2%26release%3D3.3.6%26side%3Dprovider"
    "%26timestamp%3D1700000000000%26version%3D1.0.0%26weight%3D50"
)


def node(text: str) -> str:
    return encode(text)


def reason(text: str, service: str = "com.x.Cart") -> str:
    with pytest.raises(Refused) as caught:
        provider(node(text), service)
    return caught.value.reason


def test_a_providers_node_tells_what_it_offers():
    found = provider(NODE, "com.x.Cart")
    assert found[:3] == ("com.x.Cart", "red", "1.0.0")
    assert (found.instance.address, found.instance.protocol, found.instance.application) == (
        "10.0.0.7:20880",
        "dubbo",
        "shop",
    )
    parameters = found.instance.parameters
    assert parameters["methods"] == "add,remove" and parameters["dubbo.tag"] == "gray" and parameters["weight"] == "50"


@pytest.mark.parametrize(
    "text, protocol, user, password, host, port, path, parameters",
    [
        ("dubbo://h:1/p?a=b", "dubbo", "", "", "h", 1, "p", {"a": "b"}),
        (" dubbo://h:1/p ", "dubbo", "", "", "h", 1, "p", {}),
        ("dubbo://u:s@h:1/p", "dubbo", "u", "s", "h", 1, "p", {}),
        ("dubbo://u@h/p", "dubbo", "u", "", "h", 0, "p", {}),
        ("dubbo://u:s:t@h", "dubbo", "u", "s:t", "h", 0, "", {}),
        ("dubbo://[::1]:20880/p", "dubbo", "", "", "[::1]", 20880, "p", {}),
        ("dubbo://[::1]/p", "dubbo", "", "", "[::1]", 0, "p", {}),
        ("dubbo://fe80::1:20880/p", "dubbo", "", "", "fe80::1", 20880, "p", {}),
        (
            "dubbo://fe80:0:0:0:894:aeec:f37d:23e1%en0/p",
            "dubbo",
            "",
            "",
            "fe80:0:0:0:894:aeec:f37d:23e1%en0",
            0,
            "p",
            {},
        ),
        ("h:1/a/b?x=1&y", "", "", "", "h", 1, "a/b", {"x": "1", "y": ""}),
        ("h", "", "", "", "h", 0, "", {}),
        ("file:/a/b", "file", "", "", "", 0, "a/b", {}),
        ("dubbo://h:1?a=b=c&&=d=e;f=g&h=", "dubbo", "", "", "h", 1, "", {"a": "b=c", "d": "e", "f": "g", "h": ""}),
        ("dubbo://h:1/p?q=a?b://c/d@e:2", "dubbo", "", "", "h", 1, "p", {"q": "a?b://c/d@e:2"}),
        ("", "", "", "", "", 0, "", {}),
    ],
)
def test_the_parts_of_a_url(text, protocol, user, password, host, port, path, parameters):
    assert URL.parse(text) == URL(protocol, user, password, host, port, path, parameters)


@pytest.mark.parametrize(
    "text",
    [
        "dubbo://h:1/p?a=b&c=d",
        "dubbo://u:s@h:1/p",
        "tri://[::1]:20880/a/b?x=",
        "dubbo://u@h",
        "h:1/p",
        "override://0.0.0.0/x",
    ],
)
def test_a_url_is_written_as_it_was_read(text):
    assert str(URL.parse(text)) == text and decode(URL.parse(text).encoded()) == text


def test_parameters_are_written_in_order_and_trimmed():
    assert str(URL("dubbo", host="h", port=1, parameters={"b": " 2 ", "a": "1", "": "x"})) == "dubbo://h:1?a=1&b=2"


def test_the_last_of_two_that_are_named_alike_wins():
    assert URL.parse("h?a=1&a=2").parameters == {"a": "2"}


def test_what_holds_for_all_methods_yields_to_what_is_said_plainly():
    parameters = URL.parse("h?default.timeout=5&timeout=7&default.retries=1&default.retries=2&default.=x").parameters
    assert parameters == {"timeout": "7", "retries": "1", "default.": "x"}


def test_escapes_are_those_of_java():
    assert encode("a b~c*d-e_f.g/é+%😀") == "a+b%7Ec*d-e_f.g%2F%C3%A9%2B%25%F0%9F%98%80"
    assert encode("\ud800") == "%3F"
    assert decode("a+b%7ec%2B%C3%A9") == "a b~c+é" and decode("%ff") == "\ufffd"
    for broken in ("%", "a%2", "%zz", "%%41"):
        with pytest.raises(Refused, match="escape"):
            decode(broken)


@pytest.mark.parametrize("more", ["", "&interface=com.x.Cart", "&interface=*"])
def test_the_service_is_the_interface_before_the_path(more):
    found = provider(
        node(f"dubbo://10.0.0.7:20880/{'other' if 'Cart' in more else 'com.x.Cart'}?a=b{more}"), "com.x.Cart"
    )
    assert found.service == "com.x.Cart"
    assert found.instance.parameters.get("path") == ("other" if "Cart" in more else None)


def test_one_that_says_neither_is_its_nodes():
    found = provider(node("tri://10.0.0.7:50051?service=com.x.Cart"), "com.x.Cart")
    assert (found.service, found.instance.protocol) == ("com.x.Cart", "tri")
    assert provider(node("tri://10.0.0.7:50051"), "com.x.Cart").service == "com.x.Cart"
    assert provider(node("tri://10.0.0.7:50051?service=com.x.Cart")).service == "com.x.Cart"


def test_no_version_is_none():
    assert provider(node("dubbo://10.0.0.7:1/x.Y?version=0.0.0&group="))[:3] == ("x.Y", "", "")


@pytest.mark.parametrize(
    "text",
    [
        "override://0.0.0.0/com.x.Cart?category=configurators&dynamic=false&weight=3",
        "dubbo://10.0.0.7:1/com.x.Cart?category=configurators",
        "consumer://10.0.0.7/com.x.Cart?side=consumer",
        "empty://10.0.0.7/com.x.Cart",
        "dubbo://10.0.0.7:1/com.x.Cart?disabled=true",
        "dubbo://10.0.0.7:1/com.x.Cart?enabled=false",
        "dubbo://10.0.0.7:1/com.x.Cart?enabled=no",
    ],
)
def test_what_is_no_provider_or_not_enabled_is_passed_over(text):
    assert provider(node(text), "com.x.Cart") is None


@pytest.mark.parametrize(
    "more", ["dynamic=false", "anyhost=true", "enabled=TRUE", "enabled=", "disabled=false", "category="]
)
def test_what_does_not_matter_is_listed(more):
    assert provider(node(f"dubbo://10.0.0.7:1/com.x.Cart?{more}"), "com.x.Cart") is not None


@pytest.mark.parametrize(
    "text, why",
    [
        ("rmi://10.0.0.7:1/com.x.Cart", "protocol"),
        ("10.0.0.7:1/com.x.Cart", "protocol"),
        ("://10.0.0.7:1/com.x.Cart", "no_protocol"),
        ("dubbo://10.0.0.7:1/com.x.Other", "other_service"),
        ("dubbo://10.0.0.7:1/com.x.Cart?interface=com.x.Other", "other_service"),
        ("dubbo://10.0.0.7/com.x.Cart", "port"),
        ("dubbo://10.0.0.7:0/com.x.Cart", "port"),
        ("dubbo://10.0.0.7:65536/com.x.Cart", "port"),
        ("dubbo://10.0.0.7:-1/com.x.Cart", "port"),
        ("dubbo://10.0.0.7:１/com.x.Cart", "port"),
        ("dubbo://10.0.0.7:" + "9" * 5000 + "/com.x.Cart", "port"),
        ("dubbo://0.0.0.0:1/com.x.Cart", "host"),
        ("dubbo://[::]:1/com.x.Cart", "host"),
        ("dubbo://224.0.0.1:1/com.x.Cart", "host"),
        ("dubbo://[fe80::1%eth0]:1/com.x.Cart", "host"),
        ("dubbo://a b:1/com.x.Cart", "host"),
        ("dubbo://1.2.3:1/com.x.Cart", "host"),
        ("dubbo://:1/com.x.Cart", "host"),
        ("dubbo://a..b:1/com.x.Cart", "host"),
        ("dubbo://10.0.0.7:1/com.x.Cart?" + "x" * LONGEST_URL, "too_long"),
        ("dubbo://10.0.0.7:1/com.x.Cart?" + "&".join(f"k{i}=v" for i in range(MOST_PARAMETERS + 1)), "parameters"),
        ("dubbo://10.0.0.7:1/com.x.Cart?" + "&" * 9999, "parameters"),
    ],
)
def test_what_cannot_be_read_says_why(text, why):
    assert reason(text) == why


@pytest.mark.parametrize("name", ["a b", "a/b", "a*", "a?b", "a\x00b", "a\nb", "x" * 513])
def test_a_service_has_a_name(name):
    assert reason(f"dubbo://10.0.0.7:1?interface={name}", "") == "service"


def test_a_broken_escape_is_refused():
    with pytest.raises(Refused, match="escape"):
        provider(NODE + "%", "com.x.Cart")


@pytest.mark.parametrize(
    "host, shown",
    [("10.0.0.7", "10.0.0.7:1"), ("::1", "[::1]:1"), ("[0:0::1]", "[::1]:1"), ("db-1.svc", "db-1.svc:1"), ("h", "h:1")],
)
def test_addresses_are_written_in_one_way(host, shown):
    assert address(host, 1) == shown


def test_texts_are_kept_once():
    share: dict[str, str] = {}
    one, two = (provider(NODE, "com.x.Cart", share).instance.parameters for _ in range(2))
    assert one == two and all(a is b for a, b in zip(one.values(), two.values(), strict=True))
