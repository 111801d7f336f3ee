"""What registries list, as instances under the policy of files."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import yaml
from config_mesh import Doc, entry, label, load, rule, sidecar, to, virtual

from meshfast import config
from meshfast.config import Report, Text, listed
from meshfast.config.listed import MAX_LABELS, MOST, Listed
from meshfast.errors import ConfigError
from meshfast.model import Family, Mesh, RegistrySpec
from meshfast.registers import Secret
from meshfast.registry import Instance, Offer

S = "com.x.Hello"
MAIN = {"name": "main", "address": "zookeeper://10.1.1.1:2181"}


def one(address: str = "10.0.0.1:20880", protocol: str = "dubbo", application: str = "shop", **given: str) -> Instance:
    return Instance(address, protocol, application, {key.replace("__", "."): text for key, text in given.items()})


def made(*instances: Instance, group: str = "", version: str = "", service: str = S) -> Listed:
    return Listed(Offer(service, group, version, instances), "registry main")


def meant(*instances: Instance) -> tuple[list[str], dict[str, int]]:
    """Where its instances are: what takes Dubbo, a comma, what takes HTTP; and what was refused."""
    found = made(*instances)
    cluster = listed.entry(found).cluster
    every = (*cluster.endpoints, *(each.endpoint for each in cluster.named))
    return [f"{e.at(Family.DUBBO)},{e.at(Family.HTTP)}" for e in every], dict(found.refused)


def build(*offers: Listed, documents: tuple[Doc, ...] = (), report: Report | None = None) -> Mesh:
    text = yaml.safe_dump_all([sidecar(registries=[MAIN]), *documents], sort_keys=False)
    return config.Loader().build([Text("f", text.encode())], report or Report(), offers)


def labels(**given: str) -> dict[str, str]:
    return dict(listed.labels(one(**{"application": "", **given})))


def test_parameters_are_labels() -> None:
    given = {"env": "a", "dubbo__tag": "gray", "version": "1.0.0", "group": "g", "x-y_z": "1:2"}
    assert labels(**given) == {key.replace("__", "."): text for key, text in given.items()}
    assert labels(timestamp="1", pid="2", methods="a,b", dubbo="2.0.2", token="t", timeout="3", weight="4") == {}
    assert labels(empty="", blank="a b", long="x" * 64, slash="a/b", ünder="x", ok="x" * 63) == {"ok": "x" * 63}
    assert dict(listed.labels(one(env="a"))) == {"env": "a", "application": "shop"}


def test_of_very_many_the_tag_is_the_first_that_stays() -> None:
    many = {f"k{i}": "v" for i in range(100)}
    found = labels(**many, env="a", dubbo__tag="gray")
    assert len(found) == MAX_LABELS and found["dubbo.tag"] == "gray" and found["env"] == "a" and "k29" in found


@pytest.mark.parametrize(
    ("instances", "places"),
    [
        ([one("10.0.0.1:1")], ["10.0.0.1:1,"]),
        ([one("10.0.0.1:1", "tri")], [",10.0.0.1:1"]),
        ([one("10.0.0.1:1"), one("10.0.0.1:1", "tri")], ["10.0.0.1:1,10.0.0.1:1"]),
        ([one("10.0.0.1:2", "tri", pid="1"), one("10.0.0.1:1", pid="1")], ["10.0.0.1:1,10.0.0.1:2"]),
        ([one("10.0.0.1:2", "tri", pid="1"), one("10.0.0.1:1", pid="2")], ["10.0.0.1:1,", ",10.0.0.1:2"]),
        ([one("10.0.0.1:2", "tri", env="a"), one("10.0.0.1:1", env="b")], ["10.0.0.1:1,", ",10.0.0.1:2"]),
        ([one("10.0.0.1:2", "tri"), one("10.0.0.2:1")], ["10.0.0.2:1,", ",10.0.0.1:2"]),
        ([one("10.0.0.1:2", "tri"), one("10.0.0.1:3", "tri"), one("10.0.0.1:1")],
         ["10.0.0.1:1,", ",10.0.0.1:2", ",10.0.0.1:3"]),
        ([one("[FD00::0:1]:1"), one("[fd00::1]:2", "tri")], ["[fd00::1]:1,[fd00::1]:2"]),
        ([one("host.example:1")], ["host.example:1,"]),
    ],
)  # fmt: skip
def test_a_process_that_offers_both_is_one_instance(instances: list[Instance], places: list[str]) -> None:
    assert meant(*instances) == (places, {})


def test_what_is_no_instance_is_left_out_and_counted() -> None:
    bad = ["", "x", "10.0.0.1", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:-1", "10.0.0.1:1x", "10.0.0.1:١", ":1",
           "10.0.0.300:1", "a b:1", "[fe80::1%eth0]:1", "[::1:1", "x" * 300 + ":1", "10.0.0.1:00000000001"]  # fmt: skip
    places, refused = meant(*map(one, bad), one("10.0.0.1:1"), one("10.0.0.1:1"), one("10.0.0.1:2", "rest"))
    assert places == ["10.0.0.1:1,"] and refused == {"address": len(bad), "twice": 1, "protocol": 1}
    places, refused = meant(*(one(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}:1") for i in range(MOST + 3)))
    assert len(places) == MOST and refused == {"many": 3}


def weights(*given: str) -> list[int]:
    found = (one(f"10.0.0.{i}:1", weight=text) if text else one(f"10.0.0.{i}:1") for i, text in enumerate(given, 1))
    return [endpoint.weight for endpoint in listed.entry(made(*found)).cluster.endpoints]


def test_weights() -> None:
    assert weights("", "7", "x", "-1", "9" * 40, "99999") == [100, 7, 100, 100, 100, 65535]
    assert weights("0", "5") == [5]  # it gets none as long as another has any
    assert weights("0", "0") == [1, 1]
    apart = made(one("10.0.0.1:1"), one("10.0.0.2:1", weight="0"), one("10.0.0.3:1", weight="0", env="dev1"))
    left = listed.entry(apart).cluster.endpoints
    assert [(endpoint.address, endpoint.weight) for endpoint in left] == [("10.0.0.1:1", 100), ("10.0.0.3:1", 1)]


def test_places() -> None:
    found = [one(region="sh", zone="a"), one("10.0.0.2:1", region="sh"), one("10.0.0.3:1", zone="a"), one("10.0.0.4:1")]
    assert [e.locality for e in listed.entry(made(*found)).cluster.endpoints] == ["sh/a", "sh", "a", ""]


def test_a_service_is_what_its_group_and_version_say() -> None:
    mesh = build(made(one()), made(one(), version="1.0.0"), made(one(), group="g", version="0.0.0"))
    assert list(mesh.clusters) == [S, f"{S}:1.0.0", f"g/{S}"]
    (service,) = mesh.services
    assert service.name == S and len({rule.targets[0].cluster for rule in service.rules}) == 3
    alone = build(made(one(), version="1.0.0"))
    assert [len(rule.matches) for rule in alone.services[0].rules] == [0]


def test_policy_holds_for_it_as_for_one_of_a_file() -> None:
    documents = (
        virtual([S], {"route": [to("v1", weight=1), to("v2", weight=3)]}), rule(S, "v1", "v2"), label("env"),
        virtual(["com.y.*"], {"route": [to("$env")]}),
    )  # fmt: skip
    mesh = build(made(one(v="v1"), one("10.0.0.2:1", v="v2")), made(one(), service="com.y.A"), documents=documents)
    services = {service.name: service for service in mesh.services}
    assert [t.text for t in services[S].rules[0].targets] == ["v1", "v2"]
    assert services["com.y.A"].rules[0].targets[0].text == "env"
    assert [subset.name for subset in mesh.clusters[S].subsets] == ["v1", "v2"]


def test_an_application_s_name_is_all_that_it_offers() -> None:
    documents = (rule("shop", "v1"), virtual(["shop"], {"timeout": "2s", "route": [to("v1")]}),
                 {"key": "shop", "tags": [{"name": "gray", "addresses": ["10.0.0.1"]}]})  # fmt: skip
    mesh = build(
        made(one()), made(one("10.0.0.2:1"), service="com.x.Two"),
        made(one("10.0.0.3:1", application="bar"), service="com.x.Three"), documents=documents,
    )  # fmt: skip
    timeouts = {service.name: service.rules[0].timeout_ms for service in mesh.services}
    assert timeouts == {S: 2000, "com.x.Two": 2000, "com.x.Three": 0, "shop": 2000}
    assert {name: [s.name for s in one.subsets if s.name == "v1"] for name, one in mesh.clusters.items()} == {
        S: ["v1"], "com.x.Two": ["v1"], "com.x.Three": [], "shop": ["v1"],
    }  # fmt: skip
    texts = {s.name: {t.text for r in s.rules for t in r.targets} for s in mesh.services}
    assert texts[S] == {"nobody"} and texts["com.x.Three"] == {""}  # calls without a tag go to no instance that has one


def test_an_application_may_be_called_as_a_service() -> None:
    documents = (rule(S, "v1"), rule("bar", "v1"), virtual([S, "bar"], {"route": [to("v1")]}))
    both = made(one(application=S), one("10.0.0.2:1", application="bar"), service="com.x.Two")
    mesh = build(made(one(application=S)), both, documents=documents)
    assert all(one.rules[0].targets[0].text == "v1" for one in mesh.services if one.name in (S, "com.x.Two"))


def test_any_port_is_the_service_s_own() -> None:
    there = {"destination": {"host": S, "port": {"number": 1234}}}
    mesh = build(made(one()), documents=(virtual([S], {"route": [there]}),))
    assert mesh.services[0].rules[0].targets[0].cluster == S


def test_places_in_problems_are_the_registry_s() -> None:
    cluster = build(made(one(), version="1.0.0")).clusters[f"{S}:1.0.0"]
    for origin in (cluster.origin, cluster.endpoints[0].origin):
        assert origin is not None and (origin.file, origin.document) == ("registry main", f"{S}:1.0.0")


@pytest.mark.parametrize(
    ("document", "asked"),
    [
        (virtual(["a.B", "c.*", "*"], {"route": [to(host="d.E", noavailabled="x")]}), {"a.B", "d.E"}),
        (rule("a.B", "v1"), {"a.B"}),
        (rule("a/*", "v1"), None),
        (virtual(["a.B"], {"route": [to()], "mirror": {"host": "c.D"}}), {"a.B", "c.D"}),
        ({"scope": "service", "key": "g/a.B:1.0.0", "configs": []}, {"a.B"}),
        ({"scope": "service", "key": "a.B:1.0.0:g", "conditions": []}, {"a.B"}),
        ({"scope": "application", "key": "app", "conditions": ["=> x=y"]}, set()),
        (entry("own", ("a.B",), endpoints=[{"address": "10.1.1.1", "ports": {"dubbo": 1}}]), set()),
    ],
)
def test_what_rules_name_is_asked_for(document: Doc, asked: set[str] | None) -> None:
    if "VirtualService" in str(document.get("kind")):
        document["spec"]["http"][0]["route"][0].pop("fallback", None)
    loader = config.Loader()
    texts = [Text("f", yaml.safe_dump_all([sidecar(registries=[MAIN]), document], sort_keys=False).encode())]
    if asked is None:
        with pytest.raises(ConfigError, match="unknown host"):
            loader.build(texts, Report())
        return
    mesh = loader.build(texts, Report())
    assert loader.asked == asked and asked <= mesh.clusters.keys()
    assert loader.build(texts, Report()).clusters == mesh.clusters and loader.asked == asked


def test_check_says_what_is_not_known_here() -> None:
    report = Report(warn=True)
    build(documents=(virtual([S], {"route": [to(host="d.E")]}), rule(S, "v1")), report=report)
    found = [(w.path, w.message, w.hint) for w in report.warnings or () if "not known here" in w.message]
    hint = "registry main is asked for it"
    assert found == [
        ("spec.hosts[0]", f"{S} is not known here", hint),
        ("spec.http[0].route[0].destination.host", "d.E is not known here", hint),
        ("spec.host", f"{S} is not known here", hint),
    ]


def test_what_did_not_change_stays_the_same_object() -> None:
    text = Text("f", yaml.safe_dump_all([sidecar(registries=[MAIN]), rule(S, "v1"), rule("a.B", "v1")]).encode())
    loader, offers = config.Loader(), [made(one(f"10.0.0.{i}:1"), service=f"com.x.S{i}") for i in range(1, 5)]
    before = loader.build([text], Report(), offers)
    offers[2] = made(one("10.0.9.9:1"), service="com.x.S3")
    after = loader.build([text], Report(), offers)
    changed = [name for name in before.clusters if before.clusters[name] is not after.clusters[name]]
    assert changed == ["com.x.S3"] and "a.B" in after.clusters


REGISTRIES = [
    ({"name": "a", "address": "zookeeper://h"}, ""),
    ({"name": "a", "address": "zookeeper://u%40x:p%3Aq@h:1,[::1]:2", "root": "/a/b", "session": "2s"}, ""),
    ({"name": "a", "address": "etcd://u:p@h,[::1]:2"}, ""),
    ({"name": "a", "address": "nacos://u:p@h,[::1]:2", "namespace": "prod-1", "group": "SHOPS"}, ""),
    ({"name": "a", "address": "nacos://h/x"}, "nothing comes behind the ports"),
    ({"name": "a", "address": "nacos://h", "root": "/dubbo"}, "root means nothing to nacos"),
    ({"name": "a", "address": "nacos://h", "group": "a b"}, "is none of Nacos's"),
    ({"name": "a", "address": "etcd://h", "namespace": "prod"}, "namespace means nothing to etcd"),
    ({"name": "a"}, "address is missing"),
    ({"name": "a", "address": "h:2181"}, "does not say which kind"),
    ({"name": "a", "address": "consul://h"}, "consul:// is not spoken here"),
    ({"name": "a", "address": "zookeeper://"}, "a server has no name"),
    ({"name": "a", "address": "zookeeper://h:0"}, "not 1 to 65535"),
    ({"name": "a", "address": "zookeeper://h,h:2181"}, "written twice"),
    ({"name": "a", "address": "etcd://h,h:2379"}, "written twice"),
    ({"name": "a", "address": "etcds://h"}, "etcds:// is not spoken here"),
    ({"name": "a", "address": "zookeeper://h/dubbo"}, "nothing comes behind the ports"),
    ({"name": "a", "address": "zookeeper://secretive@h"}, "user and password"),
    ({"name": "a", "address": "zookeeper://h", "root": "dubbo"}, "is not a path of nodes"),
    ({"name": "a", "address": "zookeeper://h", "root": "/a/../b"}, "is not a path of nodes"),
    ({"name": "a", "address": "zookeeper://h", "session": "1s"}, "session is not from 2s to 2m"),
    ({"name": "a", "address": "zookeeper://h", "services": ["com.*"]}, "is not a service"),
]


@pytest.mark.parametrize(("given", "said"), REGISTRIES)
def test_registries_are_checked(given: dict[str, Any], said: str) -> None:
    if not said:
        (spec,) = load(sidecar(registries=[given])).sidecar.registries
        assert spec.name == "a"
        return
    with pytest.raises(ConfigError, match=said) as refused:
        load(sidecar(registries=[given]), rule(S, "v1"))
    assert len(refused.value.problems) == 1  # not that nobody has the host besides


def test_two_registries_are_two() -> None:
    with pytest.raises(ConfigError, match="the name main is taken"):
        load(sidecar(registries=[MAIN, {**MAIN, "root": "/x"}]))
    with pytest.raises(ConfigError, match="it is the same as registry main"):
        load(sidecar(registries=[MAIN, {**MAIN, "name": "b"}]))
    one: dict[str, Any] = {"name": "a", "address": "nacos://h:8848"}
    with pytest.raises(ConfigError, match="it is the same as registry a"):
        load(sidecar(registries=[one, {**one, "name": "b", "namespace": "public", "group": "DEFAULT_GROUP"}]))
    first, second = load(sidecar(registries=[one, {**one, "name": "b", "namespace": "prod"}])).sidecar.registries
    assert (first.root, first.namespace, first.group, second.namespace) == ("", "", "DEFAULT_GROUP", "prod")
    with pytest.raises(ConfigError, match="9 registries"):
        load(sidecar(registries=[{"name": f"r{i}", "address": f"zookeeper://h{i}"} for i in range(9)]))
    with pytest.raises(ConfigError, match="is no absolute path"):
        load(sidecar(state="here"))


def test_a_password_is_never_shown() -> None:
    secret = '{name: a, address: "zookeeper://me:hush-hush@h:1", sesion: 1s}'
    text = f"apiVersion: meshfast.io/v1\nkind: Sidecar\nspec: {{registries: [{secret}]}}\n"
    with pytest.raises(ConfigError) as refused:
        config.load_texts([("f", text.encode())])
    assert "hush" not in str(refused.value) and "me:*********@h" in str(refused.value)
    with pytest.raises(ConfigError) as refused:
        load(sidecar(registries=[{"name": "a", "address": "zookeeper://me:hush-hush@h:99999"}]))
    assert "hush" not in str(refused.value)
    spec = RegistrySpec("a", "zookeeper", ("h:1",), "me", Secret("hush-hush"))
    assert "hush" not in repr(spec) and spec == RegistrySpec("a", "zookeeper", ("h:1",), "me", Secret("hush-hush"))
    assert spec != RegistrySpec("a", "zookeeper", ("h:1",), "me", Secret("other"))


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_listed_makes_a_mesh(seed: int) -> None:
    random = Random(seed)
    words = ["", "a", "x" * 700, "\0", "é", "a b", "*", "a/b", "a:b", "$x", "10.0.0.1:1", "[::1]:2", "0", "-1", "‮", S]
    for _ in range(60):
        found = [
            made(
                *(
                    one(random.choice(words), random.choice(["dubbo", "tri", *words]), random.choice(words),
                        **{random.choice(words): random.choice(words) for _ in range(random.randrange(4))})
                    for _ in range(random.randrange(5))
                ), service=service,
            )
            for service in random.sample(words, 4) if listed.legal(service)
        ]  # fmt: skip
        build(*found, documents=(rule(S, "v1"), virtual(["*"], {"route": [to()]})))


@pytest.mark.parametrize("seed", range(12))
def test_loaded_again_it_is_as_if_for_the_first_time(seed: int) -> None:
    """Files and listings change in any order; what is kept of loads before shows nowhere."""
    random = Random(seed)
    services = [f"com.x.S{i}" for i in range(4)]
    loader, kept = config.Loader(), dict[tuple[str, str], Listed]()

    def document() -> Doc:
        service = random.choice([*services, "app0", "com.x.*", "*"])
        return random.choice(
            [
                virtual([service], {"route": [to(random.choice(["", "v1", "v2"]))]}, name=f"v{random.randrange(2)}"),
                virtual([service], {"route": [to(host=random.choice(services))]}, name=f"v{random.randrange(2)}"),
                rule(random.choice([*services, "app0"]), "v1", "v2", name=f"d{random.randrange(2)}"),
                entry("own", (random.choice(services),), endpoints=[{"address": "10.1.1.1", "ports": {"dubbo": 1}}]),
                {"scope": "service", "key": random.choice(services), "conditions": ["=> v=v1"]},
                {"key": "app0", "tags": [{"name": "gray", "addresses": ["10.0.0.1"]}]},
            ]
        )

    def loaded(by: config.Loader, texts: list[Text], offers: list[Listed]) -> Mesh | list[str]:
        try:
            return by.build(texts, Report(), offers)
        except ConfigError as error:
            return [str(problem) for problem in error.problems]

    files = {str(i): document() for i in range(3)}
    good = 0
    for _ in range(60):
        files[str(random.randrange(4))] = document()
        for _ in range(random.randrange(3)):
            service, version = random.choice(services), random.choice(["", "", "1.0.0"])
            some = [one(f"10.0.0.{i}:1", application=f"app{i % 2}", v=random.choice(["v1", "v2"])) for i in range(3)]
            kept[service, version] = made(*some[random.randrange(3) :], service=service, version=version)
        if kept and random.random() < 0.3:
            del kept[random.choice(list(kept))]
        own = Text("0", yaml.safe_dump(sidecar(registries=[MAIN])).encode())
        texts = [own, *(Text(name, yaml.safe_dump(each).encode()) for name, each in sorted(files.items()))]
        offers = list(kept.values())
        anew = config.Loader()
        found = loaded(loader, texts, offers)
        assert found == loaded(anew, texts, [Listed(one.offer, "registry main") for one in offers])
        if isinstance(found, Mesh):
            good += 1
            assert loader.asked == anew.asked
            assert [one.called for one in loader.left_out] == [one.called for one in anew.left_out]
    assert good > 5
