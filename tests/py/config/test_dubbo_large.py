"""Dubbo's rules that are long, many or far too large: each is read or refused, and neither takes for ever."""

from __future__ import annotations

import pytest
from dubbo_world import CART, World

from meshfast.config import Loader, Report, Text
from meshfast.config.dubbo import asking, condition, govern
from meshfast.config.dubbo.cases import MAX_CASES, MAX_FOLLOWING
from meshfast.config.dubbo.parties import Addresses, meets_address
from meshfast.config.dubbo.wanted import AnyOf, value
from meshfast.errors import ConfigError
from meshfast.explain import explain
from meshfast.model import Field

REGION = World({"H": ("10.1.0.1:20880", {"region": "hz"}), "S": ("10.2.0.1:20880", {"region": "sh"})})
DIGITS = "9" * 5000
HEAD = f"configVersion: v3.0\nscope: service\nkey: {CART}\n"


def conditions(*lines: str, force: bool = False) -> str:
    return HEAD + f"force: {str(force).lower()}\nconditions:\n" + "".join(f'- "{line}"\n' for line in lines)


def timeout(text: str) -> str:
    return HEAD + f'configs:\n- {{side: consumer, parameters: {{timeout: "{text}"}}}}\n'


def test_conditions_that_change_nothing_are_no_cases():
    doc = conditions("=> region=hz", *(f"method=m{n} => region=hz" for n in range(300)))
    assert REGION.ask(doc).one() == "H"
    assert len(REGION.mesh(doc).services[0].rules) == 2  # a tag that nobody has, insisted on, is the other


def test_a_rule_may_have_a_thousand_conditions():
    assert REGION.ask(conditions(*["=> region=hz"] * 1000)).one() == "H"
    rules = REGION.mesh(conditions(*(f"method=m{n} => region=hz" for n in range(1000)))).services[0].rules
    assert len(rules) == 1002


def test_what_multiplies_or_goes_on_is_refused():
    many = World({f"i{n}": (f"10.1.{n // 250}.{n % 250}:1", {}) for n in range(MAX_FOLLOWING + 9)})
    each = [f"host!=10.1.{n // 250}.{n % 250}" for n in range(MAX_FOLLOWING + 2)]
    some = [f"method=m{n} => {one}" for n, one in enumerate(each[:30])]
    for ends in ((), ("=> host=10.1.0.131",)):  # with it all of them end alike
        with pytest.raises(ConfigError, match=f"more than {MAX_CASES} cases"):
            many.mesh(conditions(*some, *ends, force=True))
    with pytest.raises(ConfigError, match="sets of instances that stand in for one another"):
        many.mesh(conditions(*(f"=> {one}" for one in each)))
    with pytest.raises(ConfigError, match=f"more than {MAX_FOLLOWING} rules"):
        many.mesh(conditions(*(f"=> {one}" for one in each), force=True))
    assert len(many.ask(conditions(*(f"=> {one}" for one in each[:7]))).one()) == 2 * 10 + 3 * 90 + 4 * 37 - 7 * 2


@pytest.mark.parametrize(
    "line", [f"host={DIGITS}~ => region=hz", f"=> region=1~{DIGITS}", f"attachments[a]={DIGITS}~1 => region=hz"]
)
def test_ranges_of_very_large_numbers(line):
    assert REGION.ask(conditions(line)).one() == "HS"


def test_very_large_numbers_are_refused():
    for doc in (
        timeout(DIGITS),
        timeout("2147483648"),
        f"key: cart\ntags:\n- name: a\n  addresses: ['10.1.0.1-{DIGITS}']\n",
    ):
        with pytest.raises(ConfigError):
            REGION.mesh(doc)
    assert REGION.mesh(timeout("0002147483647")).services[0].rules[0].timeout_ms == 2**31 - 1


def test_a_very_late_argument_is_not_there():
    assert asking.place(f"arguments[{DIGITS}]") == (Field.ARGUMENT, DIGITS)
    assert asking.place("arguments[007]") == (Field.ARGUMENT, "7")
    assert asking.place("arguments[00]") == (Field.ARGUMENT, "0")
    assert REGION.ask(conditions(f"arguments[{DIGITS}]!=1 => region=hz")).one() == "H"


@pytest.mark.parametrize(
    ("key", "name"),
    [("attachments[a]", "a"), ("attachments[a]b]c", "a]b"), ("attachments[]", ""), ("attachments[]]", "]"),
     ("attachments[a", ""), ("attachments[attachments[a]", "attachments[a"), ("attachments[" * 300_000, "")],
)  # fmt: skip
def test_names_of_attachments(key, name):
    assert asking.place(key) == (Field.HEADER, name)


def test_reading_takes_one_look_at_each_character():
    blank, signs = " " * 300_000, "&=!," * 300_000
    assert list(condition.parse(f"a=1{blank}&{blank}b{blank}={blank}2{signs}")) == ["a", "b"]
    assert condition.parse(signs + blank) == {}


def test_a_second_load_makes_anew_what_changed_alone(monkeypatch):
    made: list[str] = []
    true = govern._Rule.made
    monkeypatch.setattr(govern._Rule, "made", lambda self, out: made.append(self._service.name) or true(self, out))
    hosts = [CART, *(f"com.x.S{n}" for n in range(20))]
    world = World(REGION.instances, hosts=tuple(hosts))
    tags = "key: cart\ntags: [{name: a, addresses: [10.1.0.1]}]\n"
    loader = Loader()

    def load(*rules: str) -> list[str]:
        made.clear()
        loader.build([Text(*one) for one in world.texts([tags, *rules])], Report())
        return sorted(made)

    assert load(conditions("=> region=hz")) == sorted(hosts)
    assert load(conditions("=> region=hz")) == []
    assert load(conditions("=> region=sh")) == [CART]
    assert load() == [CART]


@pytest.mark.parametrize("host", ["10.0.0.1", "10.0.0.2", "::1", "2001:db8::1", "name", "", "0.0.0.0"])
def test_many_addresses_are_each_of_them(host):
    every = ["10.0.0.1", "10.0.0.1:80", "0.0.0.0:80", "10.0.0.*", "10.0.0.1-2:81", "10.0.0.0/31", "*", "::1",
             "[::1]:80", "2001:db8:*:0:0:0:0:1", "::/0", "name", "name:80", "0.0.0.0"]  # fmt: skip
    for port in ("80", "81", ""):
        meant = {one for one in every if meets_address(one, host, port)}
        assert meant == {one for one in every if Addresses([one]).meet(host, port)}
        assert Addresses(set(every) - meant).meet(host, port) is False


def test_many_values_are_each_of_them():
    every = [value(one, {"x": "a"}.get, instance=True) for one in ("*", "a", "a*", "*b", "", "1~5", "$x", "$y", "5~")]
    for text in ("", "a", "ab", "3", "9", "*"):
        meant = [one for one in every if one.fits(text)]
        assert meant == [one for one in every if AnyOf([one]).fits(text)]
        assert AnyOf(one for one in every if one not in meant).fits(text) is False


def test_a_tag_with_thousands_of_addresses():
    there = {f"{n} ": (f"10.1.{n // 250}.{n % 250}:1", {}) for n in range(5000)}
    listed = ", ".join(address for address, _ in list(there.values())[:4000])
    world = World(there)
    doc = f"key: cart\ntags: [{{name: a, addresses: ['{listed.replace(', ', chr(39) + ', ' + chr(39))}']}}]\n"
    subsets = world.mesh(doc).clusters["cart"].subsets
    assert {one.name: len(one.members or ()) for one in subsets} == {"tag a": 4000, "no tag": 1000, "nobody": 0}


@pytest.mark.parametrize("sign", ["=", "!="])
def test_a_list_of_a_thousand_values(sign):
    listed = ",".join(str(1_000_000 + 7 * n) for n in range(1000))
    asked = REGION.ask(conditions(f"attachments[uid]{sign}{listed} => region=hz"))
    for uid in (1_000_000, 1_000_007, 1_003_500, 1_006_993):
        assert asked(attachments={"uid": str(uid)}) == asked(attachments={"uid": "1000000"})
        assert (asked.one(attachments={"uid": str(uid)}) == "H") is (sign == "=")
        assert (asked.one(attachments={"uid": str(uid + 1)}) == "H") is (sign == "!=")


def test_explain_says_what_a_rule_wants():
    doc = conditions("attachments[u]=1,2 => region=hz", "attachments[v]=a* => region=sh")
    table = REGION.ask(doc).table
    told = [step["text"] for step in explain(table, CART, "add", headers={"u": "7"})["steps"]]
    assert any(line.endswith("header u is 7, against attachments[u] of attachments[u]=1,2") for line in told)
    assert any(line.endswith("no header v, against attachments[v] of attachments[v]=a*") for line in told)
    told = [step["text"] for step in explain(table, CART, "add", headers={"u": "2"})["steps"]]
    assert not any("''" in line for line in told)
