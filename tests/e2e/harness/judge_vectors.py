"""What Apache Dubbo is known to make of its rules: cases with what is left, by which the judge is judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .judge import SERVICE, Call, Case, Document, Provider
from .judge_rules import affinity, condition, configurator, detail, mesh, route, spread, subset, tags, to

PROVIDERS = {
    "H": Provider("10.1.0.1:20880", {"region": "hz", "weight": "5"}),
    "S": Provider("10.2.0.1:20880", {"region": "sh"}),
    "N": Provider("10.3.0.1:20881", {}),
}
TAGGED = {
    "A": Provider("10.1.0.1:20880", {}),
    "B": Provider("10.1.0.2:20880", {"dubbo.tag": "gray"}),
    "C": Provider("10.1.0.3:20880", {"env": "dev1"}),
    "D": Provider("10.1.0.4:20880", {"dubbo.tag": "blue"}),
}
CALL = Call(attachments={"uid": "1"})


@dataclass(frozen=True)
class Vector:
    """A case of one call and the shares of what is left: {"H": 51, "S": 49}. ``ours``: whether we read such a rule."""

    case: Case
    names: Mapping[str, Provider]
    shares: Mapping[str, float]
    ours: bool = True

    def left(self, counts: Mapping[str, int]) -> dict[str, int]:
        """The same counts by the names of providers; "all" all, "" none."""
        names = {one.address: name for name, one in self.names.items()}
        told = {"".join(names.get(word, word) for word in left.split()): n for left, n in counts.items()}
        whole = "".join(self.names)
        return {"all" if left == whole else left: n for left, n in told.items()}


def vectors() -> Iterator[Vector]:
    yield from _conditions()
    yield from _spreads()
    yield from _tags()
    yield from _affinities()
    yield from _meshes()


def _one(
    left: str | Mapping[str, float],
    *documents: Document,
    call: Call = CALL,
    params: Mapping[str, str] | None = None,
    names: Mapping[str, Provider] = PROVIDERS,
    ours: bool = True,
) -> Vector:
    shares = {left: 100.0} if isinstance(left, str) else left
    case = Case("vector", tuple(names.values()), documents, (call,), params or {})
    return Vector(case, names, shares, ours)


def _conditions() -> Iterator[Vector]:
    for line, left, forced in (
        ("method=add => region=hz", "H", "H"),
        ("method=del => region=hz", "all", "all"),
        ("method=add =>", "", ""),
        ("true => region!=hz", "S", "S"),
        ("=> region=$region", "all", ""),
        ("=> region=zz", "all", ""),
        ("region=hz", "H", "H"),
        ("=> region=hz,sh", "HS", "HS"),
        ("=> region!=hz,sh", "all", ""),
        ("=> address=*:20881", "N", "N"),
        ("=> host=10.1.*", "H", "H"),
        ("=> weight=1~10", "H", "H"),
        ("=> region=1~10", "all", ""),
        ("=> region=", "all", ""),
        ("=> region=h*z", "H", "H"),
        ("=> reg*=hz", "all", ""),
        ("attachments[uid]=1~10 => region=hz", "H", "H"),
        ("attachments[none]!=1 => region=hz", "all", "all"),
        ("attachments[a.b]!=1 => region=hz", "H", "H"),
        ("attachments[a.b]=1 => region=hz", "all", "all"),
        ("arguments[0]=7 => region=hz", "H", "H"),
        ("arguments[0]=1~10 => region=hz", "H", "H"),
        ("arguments[0]=~5 => region=hz", "all", "all"),
        ("arguments[0]=8~ => region=hz", "all", "all"),
        ("arguments[1]=x => region=hz", "all", "all"),
        ("arguments[5]!=x => region=hz", "H", "H"),
    ):
        yield _one(left, condition(line))
        yield _one(forced, condition(line, force=True))
    yield _one("H", condition("=> region=$region"), params={"region": "hz"})
    for line, left in (
        ("consumer.application=web => provider.region=hz", "H"),
        ("=> region=~5", "HS"),  # no digits are 0
        ("=> region=1~5", ""),
        ("=> region=6~", "HS"),  # a range without an end is any text
        ("attachments[uid]=0~ => region=hz", "all"),
        ("attachments[uid]!=0~ => region=hz", "H"),
        ("attachments[user]=~5 => region=hz", "H"),
        ("arguments[3]=~5 => region=hz", "H"),  # what is not there is a text, too
        ("arguments[3]=* => region=hz", "H"),
        ("arguments[3]!=* => region=hz", "all"),
        ("arguments[3]=d*e => region=hz", "H"),
        ("attachments[a.b]=* => region=hz", "H"),
        ("attachments[user]=1~5 => region=hz", "all"),
    ):
        yield _one(left, condition(line, force=True), call=Call(attachments={"uid": "1", "user": "bob"}))
    yield _one("all", condition("=> region=hz", valid=False))
    both = ("=> region=hz", "=> region=sh")
    yield _one("H", condition(*both))
    yield _one("", condition(*both, force=True))
    yield _one("all", condition("=> region=hz", enabled=False))
    yield _one("all", Document("condition-router", SERVICE, "conditions: ["), ours=False)
    yield _one("S", condition("=> region=sh", key="cart"))
    yield _one("S", condition("=> region=sh", key="web"))
    # The rule of the provider's application is met before that of the service, and again after it.
    yield _one("HS", condition("=> region=hz,sh"), condition("=> region!=x", key="cart"))


def _spreads() -> Iterator[Vector]:
    for weights, left in (
        ((("region=hz", 50), ("region=sh", 50)), {"H": 51.0, "S": 49.0}),
        ((("region=hz", 10), ("region=sh", 90)), {"H": 11.0, "S": 89.0}),
        ((("region=hz", 1), ("region=sh", 1)), {"H": 100.0}),
        (
            (("region=hz", None), ("region=sh", None), ("address=*:20881", None)),
            {"H": 101 / 3, "S": 100 / 3, "N": 99 / 3},
        ),
        ((("region=zz", 90), ("region=sh", 10)), {"S": 100.0}),
    ):
        yield _one(left, spread((None, [to(*one) for one in weights])))
    yield _one("all", spread((None, [to("region=zz", 1)])))
    yield _one("", spread((None, [to("region=zz", 1)]), force=True))
    yield _one("", spread((None, [])))
    yield _one("all", spread(("method=del", [to("region=hz", 1)])))
    yield _one("all", spread((None, [to("region=hz", 1)]), configVersion="v3.2"))


def _tags() -> Iterator[Vector]:
    def one(left: str, tag: str, *documents: Document, force: bool = False, ours: bool = True) -> Vector:
        said = {"dubbo.tag": tag} if tag else {}
        forced = {"dubbo.force.tag": "true"} if force else {}
        return _one(left, *documents, call=Call(attachments={**said, **forced}), names=TAGGED, ours=ours)

    for tag, left in (("", "AC"), ("gray", "B"), ("red", "AC")):
        yield one(left, tag, ours=False)
        yield one(left, tag, condition("x=1 =>"))  # any rule
    yield one("", "red", ours=False, force=True)
    dev1 = {"name": "dev1", "match": [{"key": "env", "value": {"exact": "dev1"}}]}
    rule = tags({"name": "gray", "addresses": ["10.1.0.1:20880"]}, dev1)
    yield one("", "", tags({"name": "gray", "addresses": ["10.1.0.1", "10.1.0.3"]}))
    for tag, left in (("gray", "A"), ("dev1", "C"), ("blue", "D"), ("red", ""), ("gray|t1", "A"), ("", "")):
        yield one(left, tag, rule)
    dead = {"name": "gray", "addresses": ["10.1.0.99:20880"]}
    yield one("AC", "gray", tags(dead))
    yield one("", "gray", tags(dead, force=True))
    yield one("", "gray", tags(dead), force=True)
    yield one("B", "gray", tags(dead, enabled=False), condition("x=1 =>"))
    yield one("A", "gray", tags({"name": "gray", "addresses": ["10.1.0.0/31"]}))
    yield one("AB", "gray", tags({"name": "gray", "addresses": ["10.1.0.1-2"]}))
    yield one("all", "gray", tags({"name": "gray", "addresses": ["10.1.0.*"]}))
    yield one("all", "gray", tags({"name": "gray", "addresses": ["0.0.0.0:20880"]}))
    yield one("", "red", condition("x=1 =>"), force=True)
    yield one("", "gray|t1", rule, force=True)
    nobody = {"name": "gray", "match": [{"key": "env", "value": {"exact": "no"}}]}
    yield one("B", "gray", tags(nobody, force=True))
    yield one("AC", "grey", tags({**nobody, "name": "grey"}, force=True))
    yield one("B", "gray", tags({"name": "gray", "addresses": ["10.1.0.1"]}, valid=False), condition("x=1 =>"))
    yield one("C", "dev1", tags({**dev1, "name": "dev1"}))
    yield one("AC", "dev1", tags(dev1, configVersion="v2.7"))
    yield _one("B", condition("x=1 =>"), params={"dubbo.tag": "gray"}, names=TAGGED)


def _affinities() -> Iterator[Vector]:
    for param, ratio, left in (("hz", 33, "H"), ("hz", 34, "all"), ("zz", 1, "all"), ("zz", 0, ""), ("hz", 101, "all")):
        for key in (SERVICE, "cart"):
            yield _one(left, affinity("region", ratio, key), params={"region": param})
    yield _one("all", affinity("region", 0), params={})


REGIONS = {"hz": {"region": "hz"}, "sh": {"region": "sh"}, "none": {}, "nobody": {"region": "nobody"}}


def _meshes() -> Iterator[Vector]:
    def matched(
        left: str, *match: Mapping[str, Any], services: Sequence[Mapping[str, str]] | None = None, ours: bool = True
    ) -> Vector:
        rule = mesh(REGIONS, route(detail(subset("hz"), match=match or None), services=services))
        return _one(left, rule, ours=ours)

    def method(**how: str) -> dict[str, Any]:
        return {"method": {"name_match": how}}

    yield matched("H", method(exact="add"))
    yield matched("all", method(exact="add"), method(exact="del"))
    yield matched("all", services=[{"wildcard": "com.x.*"}])
    yield matched("all", services=[{"regex": "com"}])
    yield matched("H", services=[{"regex": "com.*"}])
    yield matched("H", {"sourceLabels": {"application": "web"}})
    yield matched("all", {"sourceLabels": {"application": "cart"}})
    yield matched("H", {"attachments": {"dubboContext": {"uid": {"exact": "1"}}}})
    yield matched("all", {"attachments": {"dubboContext": {"uid": {"exact": "2"}}}})
    for value, left in (
        ({"range": {"start": 7.0, "end": 8.0}}, "H"),
        ({"range": {"start": 6.0, "end": 7.0}}, "all"),
        ({"exact": 1.0, "mod": 3.0}, "H"),
        ({"exact": 7.0}, "H"),
    ):
        argument = {"index": 0, "num_value": {"oneof": [value]}}
        yield matched(left, {"method": {"args": [argument]}}, ours="mod" not in value)
    yield matched("!IndexOutOfBoundsException", {"method": {"args": [{"index": 1, "num_value": {}}]}})
    yield matched("H", {"method": {"argp": [{"exact": "int"}]}}, ours=False)
    yield _one("all", mesh(REGIONS, route(detail(subset("hz"))), name="cart.other"))
    nobody = subset("nobody", 90, {"destination": {"host": "cart", "subset": "hz"}})
    for targets, left in (
        ((subset("hz", 50), subset("sh", 50)), {"H": 51.0, "S": 49.0}),
        ((subset("hz", 10), subset("sh", 90)), {"H": 11.0, "S": 89.0}),
        ((subset("hz", 0), subset("sh", 0)), {"H": 100.0}),
        ((subset("hz", 1), subset("sh", 1), subset("none", 1)), {"H": 200 / 3, "S": 100 / 3}),
        ((subset("nobody", 90), subset("sh", 10)), {"S": 100.0}),
        ((nobody, subset("sh", 10)), {"H": 91.0, "S": 9.0}),
    ):
        yield _one(left, mesh(REGIONS, route(detail(*targets))))
    gray = {**PROVIDERS, "S": Provider("10.2.0.1:20880", {"region": "sh", "dubbo.tag": "gray"})}
    emptied = mesh(REGIONS, route(detail(subset("hz", 50), subset("sh", 50))))  # by the next router, for nobody else
    yield _one({"H": 51.0, "": 49.0}, emptied, names=gray)
    names = {**PROVIDERS, "O": Provider("10.4.0.1:20880", {"region": "hz"}, "other")}
    yield _one("H", mesh(REGIONS, route(detail(subset("hz")))), names=names, ours=False)


PLAIN = {"H": Provider("10.1.0.1:20880", {}), "S": Provider("10.2.0.1:20880", {})}
GROUP = {"G": Provider("10.5.0.1:20880", {"group": "g", "version": "1.0"})}


def overridden() -> Iterator[tuple[tuple[Document, ...], Mapping[str, Provider], list[str | None]]]:
    """Rules, providers, and each one's timeout (or weight, where the rule is of that) afterwards."""

    def item(timeout: int = 500, **fields: Any) -> dict[str, Any]:
        return {"side": "consumer", "parameters": {"timeout": timeout}, **fields}

    both = {**PLAIN, **GROUP}
    yield (configurator(item()),), both, ["500", "500", None]
    yield (configurator(item(), key="web"),), both, ["500", "500", "500"]
    only = {"providerAddress": {"wildcard": "10.1.0.1:*"}}
    yield (configurator(item(match=only)),), both, ["500", None, None]
    for side in ({"side": "provider"}, {"side": None}):
        yield (configurator({**item(), **side}),), both, [None, None, None]
    yield (configurator(item(1), item(2)),), both, ["2", "2", None]
    yield (configurator(item(1), key="web"), configurator(item(2))), both, ["2", "2", "1"]
    yield (configurator(item(addresses=["10.77.0.1"])),), both, [None, None, None]
    yield (configurator(item(addresses=["10.9.9.9"])),), both, ["500", "500", None]
    # Who names the caller's address is behind who does not.
    yield (configurator(item(1, addresses=["10.9.9.9"]), item(2)),), both, ["1", "1", None]
    off = item(1, enabled=False, type="general"), item(2, enabled=False, type="weight")
    yield (configurator(*off),), both, ["1", "1", None]
    yield (configurator(item(1, enabled=False)),), both, ["1", "1", None]
    yield (configurator(item(), enabled=False),), both, [None, None, None]
