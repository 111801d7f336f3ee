"""The public table: where a request goes, and why."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from random import Random

import pytest

from meshfast import _core
from meshfast.errors import StateError
from meshfast.model import (
    Cluster,
    Condition,
    Endpoint,
    FallbackCase,
    Family,
    Field,
    Http,
    Match,
    Mesh,
    Op,
    Origin,
    Pattern,
    Rule,
    Service,
    Sidecar,
    Subset,
    Target,
    TargetKind,
)
from meshfast.routing import Table

NO_INSTANCE, NO_AVAILABLE = FallbackCase.NO_INSTANCE, FallbackCase.NO_AVAILABLE
APP = Cluster(
    "app",
    ("com.x.Cart",),
    (
        Endpoint("10.0.0.1:20880", {"env": "red"}),
        Endpoint("10.0.0.2:20880", {"env": "blue", "zone": "z"}),
        Endpoint("10.0.0.3:20880", {}),
    ),
    (Subset("canary", {"zone": "z"}), Subset("empty", {"zone": "none"})),
)


def table(*rules: Rule, name: str = "com.x.Cart", pattern: Pattern = Pattern.EXACT) -> Table:
    out = Table()
    out.publish(Mesh({"app": APP}, (Service(name, rules, pattern, Origin("m.yaml", 1, 1)),)))
    return out


def by_label(on: FallbackCase = NO_AVAILABLE) -> Rule:
    targets = (
        Target("app", TargetKind.LABEL, "env", 100, on, 1),
        Target("app", TargetKind.BASELINE, "env"),
    )
    return Rule("by-label", (), targets, timeout_ms=250)


@pytest.mark.parametrize(
    ("label", "address", "fallbacks"),
    [
        ("red", "10.0.0.1:20880", 0), ("blue", "10.0.0.2:20880", 0), ("canary", "10.0.0.2:20880", 0),
        ("", "10.0.0.3:20880", 1), ("green", "10.0.0.3:20880", 1), ("empty", "10.0.0.3:20880", 1),
    ],
)  # fmt: skip
def test_by_label(label, address, fallbacks):
    route = table(by_label()).lookup("com.x.Cart", labels={"env": label}, method="add")
    assert (route.address, route.fallbacks, route.rule, route.timeout_ms) == (address, fallbacks, 0, 250)


def test_no_labels_at_all():
    assert table(by_label()).lookup("com.x.Cart").address == "10.0.0.3:20880"
    assert table(by_label()).lookup("com.x.Cart", labels={"unknown": "red"}).address == "10.0.0.3:20880"


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ((), "no rule"),
        ((Rule("r", (), (Target("app", TargetKind.SUBSET, "empty", 1),)),), "no instance"),
        ((Rule("r", (), (Target("app", TargetKind.LABEL, "env", 1),)),), "no instance"),
        ((Rule("r", (), ()),), "no instance"),
    ],
)
def test_nowhere(rules, words):
    with pytest.raises(StateError, match=words):
        table(*rules).lookup("com.x.Cart")


def test_no_service():
    with pytest.raises(StateError, match="no such service"):
        table(by_label()).lookup("com.x.Other")
    decision = table(by_label()).explain("com.x.Other")
    assert [step.kind for step in decision.steps] == ["no_service"]
    assert (decision.route, decision.service) == (None, None)


def test_headers_and_rules_in_order():
    vip = Match((Condition(Field.HEADER, Op.EXACT, "x-user", "bob"), Condition(Field.METHOD, Op.PREFIX, "", "ad")))
    to_canary = (Target("app", TargetKind.SUBSET, "canary", 1),)
    it = table(Rule("vip", (vip,), to_canary), by_label())
    for headers in ({"x-user": "bob"}, [("x-user", "eve"), ("x-user", "bob")], iter([("x-user", "bob")])):
        assert it.lookup("com.x.Cart", headers, method="add").address == "10.0.0.2:20880"
    assert it.lookup("com.x.Cart", {"x-user": "bob"}, method="drop").rule == 1
    steps = it.explain("com.x.Cart", {"x-user": "bob"}, method="drop").steps
    assert [(s.kind, s.rule, s.match, s.condition, s.text) for s in steps[:2]] == [
        ("service", 0, 0, 0, "com.x.Cart"), ("no_match", 0, 0, 1, "drop"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "pattern", "shown"),
    [("com.x.", Pattern.PREFIX, "com.x.*"), ("", Pattern.ANY, "*"), ("com.x.Cart", Pattern.EXACT, "com.x.Cart")],
)
def test_the_service_and_rule_that_decided(name, pattern, shown):
    it = table(by_label(), name=name, pattern=pattern)
    decision = it.explain("com.x.Cart", labels={"env": "red"})
    assert decision.steps[0].text == shown
    assert decision.service is not None and decision.service.origin == Origin("m.yaml", 1, 1)
    assert it.rule(decision) is decision.service.rules[0]


def test_every_step():
    targets = (
        Target("app", TargetKind.LABEL, "env", 1, NO_INSTANCE, 1),
        Target("app", TargetKind.SUBSET, "gone", 0, NO_INSTANCE, 2),
        Target("app", TargetKind.SUBSET, "empty", 0, NO_INSTANCE, 3),
        Target("app", TargetKind.BASELINE, "env", 0, NO_INSTANCE, None),
    )
    decision = table(Rule("chain", (), targets)).explain("com.x.Cart", labels={"env": "green"})
    assert [(step.kind, step.target, step.text) for step in decision.steps[2:]] == [
        ("target", 0, "green"), ("no_subset", 0, "green"), ("target", 1, "gone"), ("no_subset", 1, "gone"),
        ("target", 2, "empty"), ("empty", 2, "empty"), ("target", 3, "baseline"), ("peer", 3, "10.0.0.3:20880"),
    ]  # fmt: skip
    assert decision.error == ""


def test_a_long_story_is_told_to_its_end():
    never = Match((Condition(Field.METHOD, Op.EXACT, "", "other"),))
    decision = table(*[Rule(f"r{i}", (never,) * 3, ()) for i in range(400)], by_label()).explain("com.x.Cart")
    assert len(decision.steps) == 1 + 3 * 400 + 5
    assert decision.steps[-1].kind == "peer" and decision.route is not None and decision.route.rule == 400


def test_random_decides():
    it = table(Rule("r", (), (Target("app", TargetKind.ALL, "", 1),)))
    draws = {it.explain("com.x.Cart", random=i * 0x9E3779B97F4A7C15 % 2**64).route.address for i in range(100)}
    assert draws == {endpoint.address for endpoint in APP.endpoints}
    assert len({it.explain("com.x.Cart", random=5).route.address for _ in range(20)}) == 1


@pytest.mark.parametrize("rules", [(by_label(),), (by_label(NO_INSTANCE),), (Rule("r", (), ()),), ()], ids=str)
def test_lookup_decides_as_explain_does(rules):
    seen = Match((Condition(Field.HEADER, Op.PREFIX, "x-user", "b"), Condition(Field.LABEL, Op.PRESENT, "env")))
    it = table(Rule("seen", (seen,), (Target("app", TargetKind.ALL, "", 1),), timeout_ms=7), *rules)
    random = Random(5)
    for i in range(500):
        service = random.choice(["com.x.Cart"] * 4 + ["com.x.Other", ""])
        headers = [(random.choice(["x-user", "X-User", "k"]), random.choice(["", "bob", "eve"])) for _ in range(i % 40)]
        labels = {name: random.choice(["", "red", "blue", "empty", "红"]) for name in ("env", "zone", "no")[: i % 4]}
        draw = random.getrandbits(64)
        decision = it.explain(service, headers, labels, method="m", random=draw)
        try:
            found, error = it.lookup(service, headers, labels, method="m", random=draw), ""
        except StateError as no:
            found, error = None, str(no)
            assert no.name.startswith("MF_EROUTE_") and no.code < 0
        assert (found, error) == (decision.route, decision.error)


def test_lookup_draws_anew():
    it = table(Rule("r", (), (Target("app", TargetKind.ALL, "", 1),)))
    assert {it.lookup("com.x.Cart").address for _ in range(200)} == {endpoint.address for endpoint in APP.endpoints}


@pytest.mark.parametrize("ask", [Table.lookup, Table.explain])
@pytest.mark.parametrize(
    ("service", "headers", "labels", "error"),
    [
        ("\ud800", (), {}, UnicodeEncodeError),
        ("s", {"k": "\ud800"}, {}, UnicodeEncodeError),
        ("s", (), {"env": "\ud800"}, UnicodeEncodeError),
        ("s", {"k": 5}, {}, TypeError),
        ("s", [("k", "v", "w")], {}, ValueError),
        ("s", (), {5: "red"}, TypeError),
        (5, (), {}, TypeError),
    ],
)
def test_what_is_no_text(ask, service, headers, labels, error):
    with pytest.raises(error):
        ask(table(by_label()), service, headers, labels)


def test_text_that_is_made_on_the_way():
    """What only the query holds is alive while the table looks at it."""
    never = Match((Condition(Field.HEADER, Op.EXACT, "k99", "v99"),))
    it = table(Rule("r", (never,), (Target("app", TargetKind.SUBSET, "canary", 1),)))
    pairs = (("".join(("k", str(i))), bytes(f"v{i}", "ascii")) for i in range(100))
    assert it.lookup("com.x.Cart", pairs).address == "10.0.0.2:20880"


def test_text_that_is_not_ascii():
    it = table(Rule("r", (Match((Condition(Field.METHOD, Op.EXACT, "", "加"),)),), by_label().targets))
    assert it.lookup("com.x.Cart", {"k": "价值"}, {"env": "红"}, method="加").address == "10.0.0.3:20880"


def vip(op: Op, value: str = "") -> Table:
    seen = Match((Condition(Field.HEADER, op, "x-user", value),))
    return table(Rule("vip", (seen,), (Target("app", TargetKind.SUBSET, "canary", 1),)), by_label())


@pytest.mark.parametrize(
    ("headers", "op", "value", "hit"),
    [
        ([("x-user", "bob"), ("x-user", "eve")], Op.EXACT, "eve", True),  # the last of a name counts
        ([("x-user", "eve"), ("X-User", "bob")], Op.EXACT, "eve", True),  # another name
        ({"X-User": "eve"}, Op.PRESENT, "", False),
        ({"x-user": None}, Op.PRESENT, "", True),  # there, and no text
        ({"x-user": None}, Op.ABSENT, "", False),
        ({"x-user": None}, Op.EXACT, "", False),
        ({"x-user": None}, Op.PREFIX, "", False),
        ({"x-user": ""}, Op.EXACT, "", True),
    ],
)
def test_headers(headers, op, value, hit):
    route = vip(op, value).lookup("com.x.Cart", headers, method="m")
    assert (route.rule == 0) == hit
    assert vip(op, value).explain("com.x.Cart", headers, method="m").route.rule == route.rule


@pytest.mark.parametrize("ask", [Table.lookup, Table.explain])
def test_none_is_no_name(ask):
    for service, headers, labels in [(None, (), {}), ("s", [(None, "v")], {}), ("s", (), {None: "v"})]:
        with pytest.raises(TypeError):
            ask(table(by_label()), service, headers, labels)
    with pytest.raises(TypeError):
        ask(table(by_label()), "com.x.Cart", (), {"env": None})


def test_stats_and_peers():
    it = table(by_label())
    assert it.peers() == {endpoint.address: True for endpoint in APP.endpoints}
    assert it.native.peers(detail=True)["10.0.0.1:20880"] == {
        "available": True, "down_for": 0.0, "listed": True,
        "calls": 0, "calls_active": 0, "connections": 0, "failures": 0, "in_flight": 0,
    }  # fmt: skip
    assert it.stats() == [] and not any(it.stats_in_pieces())  # nobody called
    names = {(s["service"], s["host"], s["subset"]) for s in it.stats(used=False)}
    assert names == {("com.x.Cart", "", "")} | {
        ("com.x.Cart", "app", name) for name in ("red", "blue", "canary", "empty", "baseline")
    }
    one = it.stats(used=False)[0]
    assert set(one["outcomes"].values()) == {0} and "no_route" in one["outcomes"]
    assert one["begun"] == 0 and list(one["status"])[-2:] == ["lost", "other"] and len(one["latency"]) == 20
    assert len(one["status"]) == 14 and one["grpc"] == one["http"] == {}
    assert one["latency"][0] == (0.00005, 0) and one["latency"][-1] == (None, 0)


def test_stats_in_pieces():
    """Told once, though others come and go between the pieces."""
    it = Table()
    services = tuple(Service(f"s{i}", (by_label(),)) for i in range(300))
    it.publish(Mesh({"app": APP}, services))
    told = []
    for n, piece in enumerate(it.stats_in_pieces(10, used=False)):
        assert len(piece) < 30
        told += [(s["service"], s["host"], s["subset"]) for s in piece]
        more = tuple(Service(f"m{n}-{i}", (by_label(),)) for i in range(20))
        it.publish(Mesh({"app": APP}, services + more))
    assert n > 100
    told = [names for names in told if names[0].startswith("s")]
    assert len(told) == len(set(told)) == 300 * 6
    assert list(it.stats_in_pieces(0, used=False))


def test_the_table_outlives_what_it_made():
    """A cluster or a prepared service that is dropped late still finds its table."""
    native = _core.Table()
    cluster = native.cluster("app", [("10.0.0.1:1", {}, 1, "")])
    prepared = native.service("s", 0, [(0, [], [(cluster, 0, "", 1, 0, None)], None)])
    del native
    gc.collect()
    del cluster
    gc.collect()
    del prepared
    gc.collect()


def test_a_service_is_published_once():
    native = _core.Table()
    prepared = native.service("s", 0, [])
    native.publish(prepared)
    with pytest.raises(ValueError, match="already"):
        native.publish(prepared)
    with pytest.raises(StateError):
        native.remove("other", 0)


def test_dropped_tables_go():
    class Mine(Table):
        pass

    it = Mine()
    it.publish(Mesh({"app": APP}, (Service("s", (by_label(),)),)))
    gone = weakref.ref(it)
    del it
    gc.collect()
    assert gone() is None


def test_trace_memory():
    memory = _core.TraceMemory(64, 10**12)
    assert memory.put("t1", 0, "red") and memory.put("t1", 0, "red")
    assert not memory.put("t1", 0, "blue", caller=5)
    assert memory.find("t1", 0) == "red"
    assert not memory.put("t1", 0, "blue", replace=True)
    assert memory.find("t1", 0) == "blue"
    assert not memory.put("t1", 0, "red", replace=True)
    assert (memory.find("t1", 0), memory.find("t1", 1), memory.find("t2", 0)) == ("red", None, None)
    with pytest.raises(_core.LimitError):
        memory.put("", 0, "red")
    with pytest.raises(_core.LimitError):
        memory.put("t", 0, "x" * 65)
    memory = _core.TraceMemory(64, 1)
    memory.put("t1", 0, "red")
    assert memory.find("t1", 0) is None  # a nanosecond later


def test_http_goes_where_it_is_spoken():
    both = Endpoint("10.0.0.1:20880", {"env": "red"}, http="10.0.0.1:50051")
    dubbo = Endpoint("10.0.0.2:20880", {"env": "blue"}, speaks=Family.DUBBO)
    http = Endpoint("10.0.0.3:50051", {}, speaks=Family.HTTP)
    service = Service("s", (by_label(),))
    it = Table()
    mesh = Mesh(clusters={"app": Cluster("app", ("s",), (both, dubbo, http))}, services=(service,))
    assert it.publish(mesh).published == 1
    asked = Http(path="/s/m?a=1")
    assert it.lookup("s", labels={"env": "red"}, http=asked).address == "10.0.0.1:50051"
    assert it.lookup("s", labels={"env": "red"}).address == "10.0.0.1:20880"
    assert it.lookup("s", labels={"env": "blue"}, http=asked).address == "10.0.0.3:50051"
    with pytest.raises(StateError) as no:
        it.lookup("s")
    assert no.value.name == "MF_EROUTE_PEER"
    assert [step.kind for step in it.explain("s").steps][-2:] == ["no_port", "end"]
    alone = replace(mesh.clusters["app"], endpoints=(replace(both, http="10.0.0.1:9"),))
    moved = replace(mesh, clusters={"app": alone})
    assert it.publish(moved).published == 1  # an address for HTTP alone is a change, too
    assert it.lookup("s", labels={"env": "red"}, http=asked).address == "10.0.0.1:9"
    assert it.publish(replace(moved, sidecar=Sidecar(app="x"))).published == 0
