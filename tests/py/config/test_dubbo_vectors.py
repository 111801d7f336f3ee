"""Dubbo's own rules: what Apache Dubbo for Java 3.3.6 was seen to make of them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from dubbo_world import CART, World

from meshfast.errors import ConfigError

HZ_SH = World(
    {
        "H": ("10.1.0.1:20880", {"region": "hz", "weight": "5"}),
        "S": ("10.2.0.1:20880", {"region": "sh"}),
        "N": ("10.3.0.1:20881", {}),
    }
)
ALL = "HNS"


def conditions(*lines: str, force: bool = False, scope: str = "service", key: str = CART) -> str:
    quoted = "".join(f'- "{line}"\n' for line in lines)
    head = f"configVersion: v3.0\nscope: {scope}\nforce: {str(force).lower()}\nenabled: true\nkey: {key}\n"
    return f"{head}conditions:\n{quoted}"


def several(*lines: str, force: bool = False) -> str:
    """``when -> a 10, b 90`` each."""
    out = f"configVersion: v3.1\nscope: service\nforce: {str(force).lower()}\nkey: {CART}\nconditions:\n"
    for line in lines:
        when, _, to = line.partition("->")
        out += f'- from: {{match: "{when.strip()}"}}\n  to:\n'
        for one in to.split(","):
            match, _, weight = one.strip().partition(" ")
            out += f'  - {{match: "{match}"' + (f", weight: {weight}" if weight else "") + "}\n"
    return out


@pytest.mark.parametrize(
    ("line", "plain", "forced"),
    [
        ("method=add => region=hz", "H", "H"),
        ("method=del => region=hz", ALL, ALL),
        ("method=add =>", "", ""),
        ("true => region!=hz", "S", "S"),
        ("=> region=zz", ALL, ""),
        ("=> region=hz,sh", "HS", "HS"),
        ("=> region!=hz,sh", ALL, ""),
        ("=> address=*:20881", "N", "N"),
        ("=> host=10.1.*", "H", "H"),
        ("=> weight=1~10", "H", "H"),
        ("=> region=1~10", ALL, ""),
        ("=> region=", ALL, ""),
        ("=> region=h*z", "H", "H"),
        ("=> reg*=hz", ALL, ""),
        ("region=hz", "H", "H"),
        ("attachments[uid]=1~10 => region=hz", "H", "H"),
        ("attachments[none]!=1 => region=hz", ALL, ALL),
        ("attachments[a.b]!=1 => region=hz", "H", "H"),
        ("attachments[a.b]=1 => region=hz", ALL, ALL),
        ("arguments[0]=7 => region=hz", "H", "H"),
        ("arguments[0]=1~10 => region=hz", "H", "H"),
        ("arguments[0]=~5 => region=hz", ALL, ALL),
        ("arguments[0]=8~ => region=hz", ALL, ALL),
        ("arguments[1]=x => region=hz", ALL, ALL),
        ("arguments[5]!=x => region=hz", "H", "H"),
        ("arguments[5]=~5 => region=hz", "H", "H"),
        ("arguments[5]=* => region=hz", "H", "H"),
        ("arguments[5]!=* => region=hz", "HNS", "HNS"),
        ("attachments[a.b]=* => region=hz", "H", "H"),
        ("host=10.9.9.9 => region=hz", "H", "H"),
        ("host!=10.9.* => region=hz", ALL, ALL),
        ("application=web & method=a* => region=sh", "S", "S"),
        ("application=other => region=sh", ALL, ALL),
        ("consumer.method=add => provider.region=hz", "H", "H"),
        ("arguments[0]=5~ => region=hz", ALL, ALL),
        ("arguments[0]!=5~ => region=hz", "H", "H"),
        ("attachments[name]=~5 => region=hz", "H", "H"),
        ("attachments[name]=1~5 => region=hz", ALL, ALL),
        ("=> region=~5", "HS", "HS"),
        ("=> region=5~", "HS", "HS"),
        ("=> region!=5~", ALL, ""),
    ],
)
def test_one_condition(line, plain, forced):
    said = {"name": "abc"}
    assert HZ_SH.ask(conditions(line)).one("add", said) == plain
    assert HZ_SH.ask(conditions(line, force=True)).one("add", said) == forced


def test_what_a_consumer_says_of_itself():
    own = World(HZ_SH.instances, labels={"region": "hz"})
    assert own.ask(conditions("=> region=$region")).one() == "H"
    assert HZ_SH.ask(conditions("=> region=$region")).one() == ALL
    assert HZ_SH.ask(conditions("=> region=$region", force=True)).one() == ""


def test_one_condition_after_another():
    lines = "=> region=hz", "=> region=sh"
    assert HZ_SH.ask(conditions(*lines)).one() == "H"
    assert HZ_SH.ask(conditions(*lines, force=True)).one() == ""
    mixed = HZ_SH.ask(conditions("method=add => region=hz,sh", "attachments[uid]=2 => region=sh"))
    assert [mixed.one(), mixed.one("add", {"uid": "2"}), mixed.one("del", {"uid": "2"}), mixed.one("del")] == [
        "HS", "S", "S", ALL,
    ]  # fmt: skip
    assert HZ_SH.ask("# none\n" + conditions("=> region=hz").replace("enabled: true", "enabled: false")).one() == ALL


def test_shares():
    half = Fraction(1, 100)
    assert HZ_SH.ask(several("-> region=hz 50, region=sh 50"))() == {"H": 51 * half, "S": 49 * half}
    assert HZ_SH.ask(several("-> region=hz 10, region=sh 90"))() == {"H": 11 * half, "S": 89 * half}
    assert HZ_SH.ask(several("-> region=hz 1, region=sh 1"))() == {"H": Fraction(1)}
    three = HZ_SH.ask(several("-> region=hz, region=sh, port=20881"))()
    assert three == {"H": Fraction(101, 300), "S": Fraction(1, 3), "N": Fraction(99, 300)}
    assert HZ_SH.ask(several("-> region=zz 90, region=sh 10"))() == {"S": Fraction(1)}
    assert HZ_SH.ask(several("-> region=zz 90"))() == {ALL: Fraction(1)}
    assert HZ_SH.ask(several("-> region=zz 90", force=True))() == {"": Fraction(1)}
    assert HZ_SH.ask(several("method=del -> region=hz"))() == {ALL: Fraction(1)}


TAGS = World(
    {
        "A": ("10.0.0.1:20880", {}),
        "B": ("10.0.0.2:20880", {"dubbo.tag": "gray"}),
        "C": ("10.0.0.3:20880", {"env": "dev1"}),
        "D": ("10.0.0.4:20880", {"dubbo.tag": "blue"}),
    }
)
RULE = """configVersion: v3.0
scope: application
enabled: %s
force: %s
key: cart
tags:
- name: gray
  addresses: ["%s"]
- name: dev1
  match:
  - key: env
    value: {exact: dev1}
"""


def tag(name: str, forced: str = "") -> dict[str, str]:
    return ({"dubbo.tag": name} if name else {}) | ({"dubbo.force.tag": forced} if forced else {})


def test_tags():
    plain = TAGS.ask(RULE % ("false", "false", "10.0.0.1:20880"))
    assert [plain.one("add", tag(name)) for name in ("", "gray", "red")] == ["AC", "B", "AC"]
    assert plain.one("add", tag("red", "true")) == ""
    ruled = TAGS.ask(RULE % ("true", "false", "10.0.0.1:20880"))
    asked = "", "gray", "dev1", "blue", "red", "gray|t1"
    assert [ruled.one("add", tag(name)) for name in asked] == ["", "A", "C", "D", "", "A"]
    assert ruled.one("add", tag("gray"), http=True) == "A"
    assert ruled.one("add", tag("gray|t1", "true")) == ""
    for off in ("enabled: false", "valid: false"):
        none = TAGS.ask(conditions("=> env=zz").replace("enabled: true", off))
        assert [none.one("add", tag(name)) for name in ("", "gray")] == ["ABCD", "ABCD"]
    ruled = TAGS.ask(conditions("=> address=*"))
    assert [ruled.one("add", tag(name)) for name in ("", "gray", "red")] == ["AC", "B", "AC"]
    assert ruled.one("add", tag("red", "true")) == ""
    dead = TAGS.ask(RULE % ("true", "false", "10.0.0.99:20880"))
    assert dead.one("add", tag("gray")) == "A"
    assert dead.one("add", tag("gray", "true")) == ""
    assert TAGS.ask(RULE % ("true", "true", "10.0.0.99:20880")).one("add", tag("gray")) == ""
    assert TAGS.ask(RULE % ("true", "false", "10.0.0.0/31")).one("add", tag("gray")) == "A"


def test_affinity():
    own = World(HZ_SH.instances, labels={"region": "hz", "zone": "z9"})

    def ask(ratio: int, key: str = "region") -> str:
        rule = f"configVersion: v3.1\nscope: service\nkey: {CART}\nenabled: true\n"
        return own.ask(f"{rule}affinityAware: {{key: {key}, ratio: {ratio}}}\n").one()

    assert [ask(33), ask(34), ask(1, "zone"), ask(0, "zone"), ask(0, "none"), ask(101)] == ["H", ALL, ALL, "", ALL, ALL]


MESH = """apiVersion: service.dubbo.apache.org/v1alpha1
kind: DestinationRule
metadata: {name: cart-subsets}
spec:
  host: cart
  subsets:
  - {name: hz, labels: {region: hz}}
  - {name: sh, labels: {region: sh}}
  - {name: n, labels: {region: n}}
---
apiVersion: service.dubbo.apache.org/v1alpha1
kind: VirtualService
metadata: {name: cart-routes}
spec:
  hosts: [cart]
  dubbo:
  - name: first
    services: [%s]
    routedetail:
    - name: detail
      match: [%s]
      route: [%s]
"""


def mesh(match: str, *to: str, services: str = "") -> str:
    routes = []
    for one in to:
        subset, _, rest = one.partition(" ")
        weight, _, fallback = rest.partition(" ")
        back = f", fallback: {{destination: {{host: cart, subset: {fallback}}}}}" if fallback else ""
        routes.append(f"{{destination: {{host: cart, subset: {subset}{back}}}, weight: {weight or 1}}}")
    return MESH % (services, match, ", ".join(routes))


@pytest.mark.parametrize(
    ("match", "services", "wanted"),
    [
        ("{method: {name_match: {exact: add}}}", "", "H"),
        ("{method: {name_match: {exact: add}}}, {method: {name_match: {exact: del}}}", "", ALL),
        ("", "{wildcard: com.x.*}", ALL),
        ("", "{wildcard: '*'}", "H"),
        ("", "{regex: com}", ALL),
        ("", "{regex: 'com.*'}", "H"),
        ("{attachments: {dubboContext: {uid: {exact: '1'}}}}", "", "H"),
        ("{attachments: {dubboContext: {none: {empty: ''}}}}", "", "H"),
        ("{attachments: {dubboContext: {none: {noempty: ''}}}}", "", ALL),
        ("{attachments: {dubboContext: {uid: {noempty: ''}, none: {exact: a}}}}", "", ALL),
        ("{sourceLabels: {region: hz}}", "", ALL),
        ("{method: {args: [{index: 0, num_value: {oneof: [{exact: 7.0}]}}]}}", "", "H"),
        ("{method: {args: [{index: 0, num_value: {oneof: [{range: {start: 1.0, end: 7.0}}]}}]}}", "", ALL),
        ("{method: {args: [{index: 0, num_value: {oneof: [{range: {start: 6.5, end: 7.5}}]}}]}}", "", "H"),
    ],
)
def test_mesh_rules(match, services, wanted):
    assert HZ_SH.ask(mesh(match, "hz", services=services)).one() == wanted


def test_a_mesh_rule_with_a_dot_in_its_name_is_another_router_s():
    rule = mesh("", "hz").replace("name: cart", "name: cart.other")
    assert HZ_SH.ask(rule).one() == "HNS"
    assert any("cart.other-routes has a dot" in one.message for one in HZ_SH.warnings(rule))


def test_shares_of_mesh_rules():
    def ask(*to: str) -> dict[str, Fraction]:
        return HZ_SH.ask(mesh("", *to))()

    assert ask("hz 50", "sh 50") == {"H": Fraction(51, 100), "S": Fraction(49, 100)}
    assert ask("hz 10", "sh 90") == {"H": Fraction(11, 100), "S": Fraction(89, 100)}
    assert ask("hz 0", "sh 0") == {"H": Fraction(1)}
    assert ask("hz 1", "sh 1", "hz 1") == {"H": Fraction(2, 3), "S": Fraction(1, 3)}
    assert ask("n 90", "sh 10") == {"S": Fraction(1)}
    assert ask("n 90 hz", "sh 10") == {"H": Fraction(91, 100), "S": Fraction(9, 100)}
    assert ask("n 1") == {ALL: Fraction(1)}


CONFIG = "configVersion: v3.0\nscope: %s\nkey: %s\nenabled: true\nconfigs:\n- %s\n"


def test_configurators():
    def ask(config: str, scope: str = "service", key: str = CART) -> int:
        return HZ_SH.ask(CONFIG % (scope, key, config)).timeout()

    assert ask("{side: consumer, parameters: {timeout: 500}}") == 500
    assert ask("{side: consumer, parameters: {timeout: 500}}", key=f"g/{CART}:1.0") == 0
    grouped = HZ_SH.ask(CONFIG % ("service", f"g/{CART}:1.0", "{side: consumer, parameters: {timeout: 500}}"))
    assert grouped.timeout(group="g", version="1.0") == 500
    assert ask("{parameters: {timeout: 500}}") == ask("{side: provider, parameters: {timeout: 500}}") == 0
    assert ask("{side: consumer, parameters: {timeout: 1}}\n- {side: consumer, parameters: {timeout: 2}}") == 2
    off = "{side: consumer, parameters: {timeout: 3}, enabled: false%s}"
    assert [ask(off % more) for more in ("", ", type: general", ", type: weight")] == [3, 3, 0]
    named = "{side: consumer, addresses: [10.9.9.9], parameters: {timeout: 1}}"
    assert ask(named + "\n- {side: consumer, parameters: {timeout: 2}}") == 1
    assert ask("{side: consumer, parameters: {timeout: 700}}", "application", "web") == 700
    assert ask("{side: consumer, parameters: {timeout: 700}}", "application", "cart") == 0
    assert ask("{side: consumer, addresses: [10.77.0.1], parameters: {timeout: 700}}") == 0
    assert ask("{side: consumer, addresses: [10.9.9.9], parameters: {timeout: 700}}") == 700
    method = HZ_SH.ask(CONFIG % ("service", CART, "{side: consumer, parameters: {timeout: 9, add.timeout: 500}}"))
    assert [method.timeout(), method.timeout(method="del")] == [500, 9]


def test_weights():
    match = "match: {providerAddress: {wildcard: '10.1.0.1:*'}}"
    rule = CONFIG % ("service", CART, f"{{side: consumer, {match}, parameters: {{weight: 50}}}}")
    world = World(HZ_SH.instances, hosts=(CART, "com.x.Other"))
    asked = world.ask(rule)
    other, cart = (next(s for s in asked.mesh.services if s.name == name) for name in ("com.x.Other", CART))
    (weighed, plain) = (asked.mesh.clusters[s.rules[0].targets[0].cluster] for s in (cart, other))
    assert [one.weight for one in weighed.endpoints] == [50, 1, 1]
    assert [one.weight for one in plain.endpoints] == [1, 1, 1]
    assert asked.one() == ALL
    found = [asked.table.lookup(CART).address for _ in range(300)]
    assert found.count("10.1.0.1:20880") > 250


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        (conditions("method=add,,del => region=hz"), "has no meaning in a condition"),
        (conditions("=> method=add"), "method is of the call, not of an instance"),
        (RULE % ("true", "false", "10.0.0"), "is no address"),
        (mesh("{method: {argc: 1}}", "hz"), "argc and argp are not supported"),
        (mesh("{method: {args: [{num_value: {oneof: [{exact: 1.5}]}}]}}", "hz"), "is no whole number"),
        (CONFIG % ("service", CART, "{side: consumer, parameters: {timeout: soon}}"), 'timeout is "soon"'),
        (
            CONFIG % ("service", CART, "{side: consumer, providerAddresses: [10.1.0.1], parameters: {timeout: 5}}"),
            "a timeout for some instances only",
        ),
    ],
)
def test_refused(rule, what):
    with pytest.raises(ConfigError) as refused:
        HZ_SH.mesh(rule)
    (problem,) = refused.value.problems
    assert what in problem.message
    assert problem.hint
    assert problem.origin.file == "0.yaml" and problem.origin.line > 1


def test_the_own_address_must_be_known_where_a_rule_asks_for_it():
    unknown = World(HZ_SH.instances, host="")
    with pytest.raises(ConfigError, match="the address of this workload is not known"):
        unknown.mesh(conditions("host=10.9.* => region=hz"))
    assert unknown.ask(conditions("=> host=10.1.*")).one() == "H"


def test_what_no_instance_meets_is_warned_of():
    def said(*lines: str) -> list[tuple[str, str]]:
        found = HZ_SH.warnings(conditions(*lines))
        return [(one.message, one.hint) for one in found if "no instance" in one.message]

    assert said("method=add => regin=hz", "=> region=hz") == [
        ('no instance meets "regin=hz"', "as if the condition were not there")
    ]
    assert said("=> region=hz") == []


def test_instances_that_are_known_by_a_name():
    names = {"A": ("a.example:20880", {"region": "hz"}), "B": ("b.example:20880", {"region": "sh"})}
    rules = conditions("=> region=hz"), conditions("=> host=b.*", scope="application", key="cart")
    mesh = World(names, resolution="DNS").mesh(*rules)
    (cart,) = mesh.clusters.values()
    subsets = {one.name: one.members for one in cart.subsets if one.members}
    assert subsets == {"region=hz": {"a.example:20880"}, "host=b.*": {"b.example:20880"}}


def test_a_name_is_what_can_be_shown():
    asked = HZ_SH.ask(conditions("=> region!=\\0"))
    assert asked.one() == "HS"
    assert {one.name for one in asked.mesh.clusters["cart"].subsets if one.members} == {"region!=?"}
