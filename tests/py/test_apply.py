"""A mesh into native tables: only what changed is published, all of it or nothing."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from meshfast import _core, apply
from meshfast.apply import Applied, Writer
from meshfast.errors import LimitError, MeshfastError, StateError
from meshfast.model import (
    Cluster,
    Condition,
    Endpoint,
    FallbackCase,
    Field,
    Label,
    LabelKind,
    LabelSource,
    Match,
    Mesh,
    Op,
    Origin,
    Pattern,
    Rule,
    Service,
    Subset,
    Target,
    TargetKind,
)


def cluster(name: str, *addresses: str, **labels: str) -> Cluster:
    return Cluster(name, (), tuple(Endpoint(address, labels) for address in addresses))


def service(name: str, application: str, pattern: Pattern = Pattern.EXACT, *, line: int = 1) -> Service:
    origin = Origin("mesh.yaml", line, 1)
    target = Target(application, TargetKind.ALL, weight=100, origin=origin)
    return Service(name, (Rule("all", (), (target,), origin=origin),), pattern, origin)


def mesh(clusters: list[Cluster], services: list[Service], **more: object) -> Mesh:
    return Mesh({one.name: one for one in clusters}, tuple(services), **more)  # type: ignore[arg-type]


def address(table: _core.Table, name: str) -> str | int:
    """Where a plain call goes, or the error's number."""
    code, where, *_ = table.explain(name, "m", {}, {}, 1)
    return code or where


@pytest.fixture
def writer() -> Writer:
    return Writer(_core.Table())


A, B = cluster("a", "10.0.0.1:1"), cluster("b", "10.0.0.2:1")


def test_first_and_again(writer):
    picture = mesh([A, B], [service("x", "a"), service("y", "b"), service("com.", "a", Pattern.PREFIX)])
    assert writer.apply(picture) == Applied(published=3, removed=0, unchanged=0)
    assert writer.apply(picture) == Applied(published=0, removed=0, unchanged=3)
    assert [address(writer.table, name) for name in ("x", "y", "com.z")] == ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.1:1"]
    assert len(writer.table) == 3


def test_only_what_changed(writer):
    writer.apply(mesh([A, B], [service("x", "a"), service("y", "b")]))
    assert writer.apply(mesh([A, B], [service("x", "b"), service("y", "b")])) == Applied(1, 0, 1)
    assert address(writer.table, "x") == "10.0.0.2:1"


def test_lines_that_moved_change_nothing(writer):
    writer.apply(mesh([A], [service("x", "a", line=1)]))
    assert writer.apply(mesh([replace(A, origin=Origin("b.yaml", 3, 1))], [service("x", "a", line=9)])).unchanged == 1


def test_a_cluster_that_changed_takes_its_services_along(writer):
    writer.apply(mesh([A, B], [service("x", "a"), service("y", "b"), service("z", "a")]))
    more = cluster("a", "10.0.0.1:1", "10.0.0.3:1")
    assert writer.apply(mesh([more, B], [service("x", "a"), service("y", "b"), service("z", "a")])) == Applied(2, 0, 1)
    assert set(writer.table.peers()) == {"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"}
    assert writer.apply(mesh([A, B], [service("x", "a"), service("y", "b"), service("z", "a")])) == Applied(2, 0, 1)
    assert set(writer.table.peers()) == {"10.0.0.1:1", "10.0.0.2:1"} or writer.table.reclaim() == 0


@pytest.mark.parametrize(
    "changed",
    [
        replace(A, endpoints=(Endpoint("10.0.0.1:1", {"env": "red"}),)),
        replace(A, endpoints=(Endpoint("10.0.0.1:1", {}, weight=2),)),
        replace(A, subsets=(Subset("s", {"env": "red"}),)),
    ],
    ids=["labels", "weight", "subsets"],
)
def test_what_of_a_cluster_counts(writer, changed):
    writer.apply(mesh([A], [service("x", "a")]))
    assert writer.apply(mesh([changed], [service("x", "a")])).published == 1


def rich(**of_rule: object) -> Rule:
    match = Match((Condition(Field.METHOD, Op.EXACT, "", "get"), Condition(Field.HEADER, Op.PRESENT, "k")), name="m")
    targets = (Target("a", TargetKind.ALL, weight=60, fallback=1), Target("b", TargetKind.LABEL, "env", weight=40))
    return replace(Rule("r", (match,), targets, 500), **of_rule)


OTHER = Match((Condition(Field.METHOD, Op.EXACT, "", "put"), Condition(Field.HEADER, Op.PRESENT, "k")))


@pytest.mark.parametrize(
    ("rules", "published"),
    [
        ((rich(),), 0),
        ((rich(name="another", origin=Origin("f", 1, 1)),), 0),
        ((rich(matches=(replace(rich().matches[0], name="n", origin=Origin("f", 1, 1)),)),), 0),
        ((rich(timeout_ms=501),), 1),
        ((rich(), rich()), 1),
        ((), 1),
        ((rich(matches=()),), 1),
        ((rich(matches=(OTHER,)),), 1),
        ((rich(matches=(OTHER, *rich().matches)),), 1),
        ((rich(targets=rich().targets[1:]),), 1),
        *(
            ((rich(targets=(replace(rich().targets[0], **{name: value}), rich().targets[1])),), 1)
            for name, value in [
                ("cluster", "b"), ("weight", 61), ("kind", TargetKind.SUBSET), ("fallback", None), ("text", "x"),
                ("on", FallbackCase.NO_INSTANCE),
            ]
        ),
    ],
)  # fmt: skip
def test_what_of_a_service_counts(writer, rules, published):
    writer.apply(mesh([A, B], [Service("x", (rich(),)), service("y", "a")]))
    assert writer.apply(mesh([A, B], [Service("x", rules), service("y", "a")])) == Applied(published, 0, 2 - published)
    assert writer.services["x", Pattern.EXACT].rules is rules  # explain tells the new places


def test_removed(writer):
    writer.apply(mesh([A], [service("x", "a"), service("", "a", Pattern.ANY), service("c.", "a", Pattern.PREFIX)]))
    assert writer.apply(mesh([A], [service("x", "a")])) == Applied(0, 2, 1)
    assert address(writer.table, "c.x") == -5300
    assert writer.apply(mesh([], [])) == Applied(0, 1, 0)
    assert address(writer.table, "x") == -5300
    writer.table.reclaim()
    assert writer.table.peers() == {} and writer.table.stats() == []


def test_a_name_that_changes_its_pattern(writer):
    writer.apply(mesh([A], [service("c.", "a")]))
    assert writer.apply(mesh([A], [service("c.", "a", Pattern.PREFIX)])) == Applied(1, 1, 0)
    assert address(writer.table, "c.x") == "10.0.0.1:1"
    assert len(writer.table) == 1


def circle() -> Service:
    targets = tuple(Target("a", TargetKind.ALL, fallback=i, weight=1) for i in (1, 0))
    return Service("bad", (Rule("r", (), targets),))


def bad_regex() -> Service:
    match = Match((Condition(Field.METHOD, Op.REGEX, value=b"\0\1"),))
    return Service("bad", (Rule("r", (match,), ()),))


@pytest.mark.parametrize("bad", [circle(), bad_regex()], ids=["circle", "regex"])
def test_nothing_of_a_bad_mesh(writer, bad):
    good = mesh([A, B], [service("x", "a")])
    writer.apply(good)
    with pytest.raises(LimitError, match="bad"):
        writer.apply(mesh([A, B], [service("new", "b"), service("x", "b"), bad]))
    assert address(writer.table, "x") == "10.0.0.1:1"
    assert address(writer.table, "new") == -5300
    assert len(writer.table) == 1
    assert writer.apply(good) == Applied(0, 0, 1)  # the writer's own memory is as it was, too


def test_a_bad_address_is_named(writer):
    with pytest.raises(MeshfastError, match="host:80"):
        writer.apply(mesh([cluster("a", "10.0.0.1:1", "host:80")], [service("x", "a")]))
    assert len(writer.table) == 0


def test_an_unknown_cluster(writer):
    with pytest.raises(KeyError):
        writer.apply(mesh([], [service("x", "nowhere")]))


def test_too_many_labels(writer):
    names = [f"l{i}" for i in range(17)]
    labels = tuple(Label(name, (LabelSource(LabelKind.HEADER, name),)) for name in names)
    with pytest.raises(ValueError, match="16 labels"):
        writer.apply(mesh([A], [service("x", "a")], labels=labels))
    assert address(writer.table, "x") == -5300
    writer.apply(mesh([A], [service("x", "a")], labels=labels[:16]))
    writer.apply(mesh([A], [service("x", "a")], labels=labels[1:]))  # only names in force count


def by_label(name: str, label: str) -> Service:
    targets = (Target("a", TargetKind.LABEL, label, 1),)
    return Service(name, (Rule("r", (Match((Condition(Field.LABEL, Op.PRESENT, label, ""),)),), targets),))


def test_label_names_come_and_go(writer):
    """Sixteen at a time, all of them others each time."""
    for i in range(40):
        names = [f"l{i}-{k}" for k in range(16)]
        labels = tuple(Label(name, (LabelSource(LabelKind.HEADER, name),)) for name in names[:8])
        writer.apply(mesh([A], [by_label(name, name) for name in names[4:]], labels=labels))
        with pytest.raises(StateError) as no:  # the rule does not hold: no such label
            writer.table.lookup(names[-1], "m", (), {names[-2]: "red"}, 0)
        assert no.value.name == "MF_EROUTE_RULE"
        with pytest.raises(StateError) as no:
            writer.table.lookup(names[-1], "m", (), {names[-1]: "red"}, 0)
        assert no.value.name == "MF_EROUTE_PEER"


def test_the_seventeenth_name_in_force(writer):
    many = [by_label(f"s{i}", f"l{i}") for i in range(16)]
    writer.apply(mesh([A], many))
    with pytest.raises(LimitError, match=r"17 names of labels are used, env, l0, .*the limit is 16"):
        writer.apply(mesh([A], [*many, by_label("more", "env")]))
    assert len(writer.table) == 16
    writer.apply(mesh([A], [*many[1:], by_label("more", "env")]))
    with pytest.raises(LimitError):
        writer.apply(mesh([A], [*many, by_label("more", "env")]))
    writer.apply(mesh([A], [by_label("more", "env")], labels=(Label("l3", (LabelSource(LabelKind.HEADER, "l3"),)),)))


def test_peers_keep_their_identity(writer):
    """A change of policy is no reason to forget an address: it is one object while any cluster lists it."""
    writer.apply(mesh([A], [service("x", "a")]))
    moved = cluster("other", "tcp://10.0.0.1:1")
    writer.apply(mesh([moved], [service("x", "other")]))
    writer.table.reclaim()
    assert writer.table.peers() == {"10.0.0.1:1": True}


def test_many(writer):
    clusters = [cluster(f"app{i}", f"10.0.{i // 200}.{i % 200}:80") for i in range(300)]
    services = [service(f"com.app{i // 10}.S{i}", f"app{i // 10}") for i in range(3000)]
    assert writer.apply(mesh(clusters, services)).published == 3000
    clusters[7] = cluster("app7", "10.9.9.9:80")
    assert writer.apply(mesh(clusters, services)) == Applied(10, 0, 2990)
    assert address(writer.table, "com.app7.S75") == "10.9.9.9:80"


def test_one_among_many_is_all_that_is_looked_at(writer, monkeypatch):
    """A mesh that shares the rest with the one before costs what changed, not what there is."""
    clusters = [cluster(f"a{i}", f"10.0.{i}.1:1") for i in range(200)]
    services = [service(f"s{i}", f"a{i}") for i in range(200)]
    writer.apply(mesh(clusters, services))
    looked: list[str] = []
    for name in ("_alike", "_cluster_picture"):
        true = getattr(apply, name)
        monkeypatch.setattr(apply, name, lambda one, *rest, true=true: looked.append(one.name) or true(one, *rest))
    built: list[str] = []
    true = Writer._prepare
    monkeypatch.setattr(Writer, "_prepare", lambda self, one, *rest: built.append(one.name) or true(self, one, *rest))

    services[70] = service("s70", "a71")
    assert writer.apply(mesh(clusters, services)) == Applied(published=1, removed=0, unchanged=199)
    assert looked == ["s70"] and address(writer.table, "s70") == "10.0.71.1:1"
    looked.clear()
    clusters[71] = cluster("a71", "10.1.1.1:1")
    assert writer.apply(mesh(clusters, services)) == Applied(published=2, removed=0, unchanged=198)
    assert sorted(looked) == ["a71", "s70", "s71"] and sorted(built) == ["s70", "s70", "s71"]
    assert [address(writer.table, f"s{i}") for i in (70, 71, 72)] == ["10.1.1.1:1", "10.1.1.1:1", "10.0.72.1:1"]
    looked.clear()
    del services[5], clusters[5]
    assert writer.apply(mesh(clusters, services)) == Applied(published=0, removed=1, unchanged=199)
    assert looked == [] and isinstance(address(writer.table, "s5"), int)
    services[60:60] = [service(f"new{i}", "a0") for i in range(70)]  # more than are seen as added in one place
    assert writer.apply(mesh(clusters, services)) == Applied(published=70, removed=0, unchanged=199)
    services.append(services.pop(9))
    assert writer.apply(mesh(clusters, services)) == Applied(published=0, removed=0, unchanged=269)
    assert looked == [] and len(built) == 3 + 70


@pytest.mark.parametrize("seed", range(20))
def test_any_changes_end_as_if_begun_anew(seed):
    """Whatever was added, removed, moved, listed twice or pointed elsewhere: the table says what a new one says."""
    random = Random(seed)
    clusters = {f"a{i}": cluster(f"a{i}", f"10.0.{i}.1:1") for i in range(8)}
    services = [service(f"s{i}", f"a{i % 8}") for i in range(8)]
    writer = Writer(_core.Table())
    for step in range(60):
        at, name = random.randrange(len(services) + 1), f"a{random.randrange(8)}"
        match random.choice(["add", "add", "remove", "swap", "cluster", "order"]):
            case "add":
                services.insert(at, service(f"s{random.randrange(12)}", name))
            case "remove" if at < len(services):
                del services[at]
            case "swap" if at < len(services):
                services[at] = service(services[at].name, name)
            case "cluster":
                clusters[name] = cluster(name, f"10.{random.randrange(1, 200)}.{step}.1:1")
            case "order":
                random.shuffle(services)
        picture = Mesh(clusters, tuple(services))  # the mapping is the caller's, who goes on to change it
        writer.apply(picture)
        anew = Writer(_core.Table())
        anew.apply(picture)
        for i in range(12):
            assert address(writer.table, f"s{i}") == address(anew.table, f"s{i}"), (step, i)
        assert len(writer.table) == len(anew.table)


def test_a_cluster_that_is_gone_but_used(writer):
    writer.apply(mesh([A, B], [service("x", "a"), service("y", "b")]))
    with pytest.raises(KeyError, match="a"):
        writer.apply(mesh([B], [service("x", "a"), service("y", "b")]))
    assert address(writer.table, "x") == "10.0.0.1:1"
