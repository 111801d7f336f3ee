"""Loading again: as if loaded for the first time, whatever changed, with what did not change left alone."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from meshfast import config
from meshfast.config import compose
from meshfast.errors import ConfigError
from meshfast.model import Mesh

ISTIO = "apiVersion: networking.istio.io/v1\n"


def entry(name: str, *hosts: str, version: str = "v1") -> str:
    return (
        f"{ISTIO}kind: ServiceEntry\nmetadata: {{name: {name}}}\nspec:\n  hosts: [{', '.join(hosts)}]\n"
        "  ports: [{name: dubbo, number: 20880, protocol: DUBBO}]\n"
        f"  endpoints: [{{address: 10.0.0.1, labels: {{v: {version}}}, locality: sh/a}},"
        " {address: 10.0.0.2, locality: bj/a}]\n"
    )


def rule(name: str, host: str, *subsets: str) -> str:
    listed = ", ".join(f"{{name: {one}, labels: {{v: {one}}}}}" for one in subsets)
    return f"{ISTIO}kind: DestinationRule\nmetadata: {{name: {name}}}\nspec: {{host: {host}, subsets: [{listed}]}}\n"


def routes(name: str, host: str, destination: str, match: str = "", timeout: str = "1s") -> str:
    return (
        f"{ISTIO}kind: VirtualService\nmetadata: {{name: {name}}}\nspec:\n  hosts: ['{host}']\n  http:\n"
        + (f"  - match: [{match}]\n    route: [{{destination: {destination}}}]\n" if match else "")
        + f"  - route: [{{destination: {{}}}}]\n    timeout: {timeout}\n"
    )


def label(name: str) -> str:
    head = "apiVersion: istio.alibabacloud.com/v1\nkind: TrafficLabel\n"
    return f"{head}metadata: {{name: {name}}}\nspec: {{rules: [{{labels: [{{name: {name}}}]}}]}}\n"


def sidecar(labels: str) -> str:
    return f"apiVersion: meshfast.io/v1\nkind: Sidecar\nspec:\n  workload: {{app: me, labels: {labels}}}\n"


def dubbo(random: Random) -> str:
    """One of Dubbo's own rules."""
    app, service = f"app{random.choice('019')}", f"com.S{random.choice('019')}"
    lines = random.sample(["=> v=v1", "method=add => v=a", "=> host=10.0.0.1", "attachments[a]=1 => v!=v1"], 2)
    return random.choice(
        [
            f"scope: service\nkey: {service}\nconditions: [{', '.join(map(repr, lines))}]\n",
            f"scope: application\nkey: {app}\nconditions: ['=> v=b']\n",
            f"key: {app}\ntags: [{{name: gray, addresses: [10.0.0.{random.choice('19')}]}}]\n",
            f"scope: service\nkey: {service}\nconfigs: [{{side: consumer, parameters: {{weight: 9, timeout: 5}}}}]\n",
        ]
    )


def moved(name: str, app: str, to: str, percent: int = 100) -> str:
    head = f"apiVersion: meshfast.io/v1\nkind: RegionSwitch\nmetadata: {{name: {name}}}\n"
    return f"{head}spec: {{app: {app}, from: sh, to: {to}, percent: {percent}}}\n"


def other_switch(random: Random) -> dict[str, str]:
    app = random.choice(["app0", "app1/*", "app2", "com.S3", "com.S3", "app9"])
    name = random.choice(["m0", "m1"])
    return {name: moved(name, app, random.choice(["bj", "bj/a", "gz", "sh"]), random.choice([0, 5, 100]))}


def choices(random: Random) -> dict[str, str]:
    """A file of each kind and number, most of them good."""
    out = {f"e{i}": entry(f"app{i}", f"com.S{i}", f"com.T{random.choice([i, i, 9])}") for i in range(4)}
    out["e2"] = entry("app2", random.choice(["com.S2", "com.S2", "app1", "com.x.*"]), version=random.choice("abc"))
    out |= {f"d{i}": rule(f"d{i}", random.choice([f"app{i}", f"com.S{i}"]), "v1", "v2") for i in range(3)}
    out["d1"] = rule("d1", "app1", *random.sample(["v1", "v2", "v3", "$x"], 2))
    matches = ["{env: [{exact: red}]}", "{sourceLabels: {zone: a}}", "{uri: {prefix: /com}}", ""]
    wanted = ["{subset: v1}", "{subset: $env}", "{host: app2}", "{host: com.S1, subset: v2}", "{host: app9}"]
    for i in range(3):
        host = random.choice([f"app{i}", f"com.S{i}", "com.*", "*"])
        out[f"v{i}"] = routes(f"v{i}", host, random.choice(wanted), random.choice(matches))
    out["l"] = label(random.choice(["env", "env", "other"]))
    out["s"] = sidecar(random.choice(["{zone: a}", "{zone: b}", "{}"]))
    out |= {f"b{i}": dubbo(random) for i in range(2)}
    out["x"] = random.choice([entry("app7", "com.S7"), "kind: [", "", "{}", "# nothing\n"])
    return out


GOOD = {f"e{i}": entry(f"app{i}", f"com.S{i}", f"com.T{i}") for i in range(4)}
GOOD |= {f"d{i}": rule(f"d{i}", f"app{i}", "v1", "v2") for i in range(3)}
GOOD |= {"v0": routes("v0", "app0", "{subset: v1}"), "v1": routes("v1", "*", "{subset: $env}")}
GOOD |= {"l": label("env"), "s": sidecar("{zone: a}")}


def loaded(loader: config.Loader, files: dict[str, str]) -> Mesh | list[str]:
    texts = [config.Text(f"{name}.yaml", files[name].encode()) for name in sorted(files)]
    try:
        return loader.build(texts, config.Report())
    except ConfigError as error:
        return [str(problem) for problem in error.problems]


@pytest.mark.parametrize("seed", range(40))
def test_as_if_for_the_first_time(seed: int) -> None:
    random = Random(seed)
    loader, files, good, bad = config.Loader(), dict(GOOD), 0, 0
    last = files
    for _ in range(80):
        files = dict(files)
        name = random.choice(sorted(files))
        match random.choice(["change", "change", "change", "change", "switch", "switch", "remove", "rename"]):
            case "switch":
                files |= other_switch(random)
            case "change":
                other = choices(random)
                one = random.choice(sorted(other))
                files[one] = other[one]
            case "remove" if len(files) > 6:
                del files[name]
            case "rename":
                files[random.choice("aez") + name] = files.pop(name)
        found, anew = loaded(loader, files), loaded(config.Loader(), files)
        assert found == anew
        if isinstance(found, Mesh):
            good, last = good + 1, files
        else:
            bad += 1
            files = files if random.random() < 0.4 else last
    assert good > 10 and bad > 10


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the texts that are parsed."""
    names: list[str] = []
    true = compose.compose
    monkeypatch.setattr(compose, "compose", lambda text, report: names.append(text.name) or true(text, report))
    yield names


def test_only_what_changed_is_parsed_and_made(composed: list[str]) -> None:
    files = {f"e{i}": entry(f"app{i}", f"com.S{i}") for i in range(50)}
    files |= {f"v{i}": routes(f"v{i}", f"app{i}", "{subset: v1}", "{uri: {prefix: /a}}") for i in range(40)}
    files |= {f"d{i}": rule(f"d{i}", f"com.S{i}", "v1") for i in range(40)}
    files |= {"b": "scope: service\nkey: com.S1\nconditions: ['method=a => v=v1', '=> host=10.0.0.1']\n"}
    files |= {"l": label("env"), "s": sidecar("{zone: a}")}
    loader = config.Loader()
    before = loaded(loader, files)
    assert isinstance(before, Mesh) and len(composed) == len(files)

    composed.clear()
    files["v7"] = routes("v7", "app7", "{subset: v1}", timeout="2s")
    after = loaded(loader, files)
    assert isinstance(after, Mesh) and composed == ["v7.yaml"]
    assert [a.name for a, b in zip(after.services, before.services, strict=True) if a is not b] == ["com.S7"]
    assert all(after.clusters[name] is one for name, one in before.clusters.items())

    composed.clear()
    files["d3"] = rule("d3", "app3", "v1", "v2")
    again = loaded(loader, files)
    assert isinstance(again, Mesh) and composed == ["d3.yaml"]
    assert [name for name, one in again.clusters.items() if one is not after.clusters[name]] == ["app3"]
    assert all(a is b for a, b in zip(again.services, after.services, strict=True))


def test_what_is_wrong_is_said_at_its_place(composed: list[str]) -> None:
    """Nodes that were let go are read again to point at them, and only those."""
    files = {f"e{i}": entry(f"app{i}", f"com.S{i}") for i in range(5)}
    files |= {"d": rule("d", "app1", "v1", "v2"), "v": routes("v", "app1", "{subset: v2}", "{uri: {prefix: /a}}")}
    loader = config.Loader()
    assert isinstance(loaded(loader, files), Mesh)
    composed.clear()
    files["d"] = rule("d", "app1", "v1")
    wrong = loaded(loader, files)
    assert isinstance(wrong, list) and composed == ["d.yaml", "v.yaml"]
    assert len(wrong) == 1 and wrong[0].startswith("v.yaml:8:")
    assert "subset v2 is not declared for app1" in wrong[0]
    assert loaded(loader, files) == wrong
    files["d"] = rule("d", "app1", "v1", "v2")
    assert isinstance(loaded(loader, files), Mesh)


def test_a_switch_changes_its_applications_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    files = dict(GOOD)
    loader = config.Loader()
    last = loaded(loader, files)
    assert isinstance(last, Mesh)
    for name, app, said in (
        ("app1", "app1", moved("m", "app1", "bj")), ("app1", "app1", moved("m", "app1", "bj", 5)),
        ("app2", "app1", moved("m", "com.S2", "bj")), ("app2", "app2", "# none\n"),
    ):  # fmt: skip
        files["m"] = said
        wanted = loaded(config.Loader(), files)
        with monkeypatch.context() as patch:
            patch.setattr("meshfast.config.resolve", lambda *_: 1 / 0)
            found = loaded(loader, files)
        assert isinstance(found, Mesh) and found == wanted and found.services is last.services
        assert {one for one in found.clusters if found.clusters[one] is not last.clusters[one]} == {name, app}
        last = found


@pytest.mark.parametrize("to", ["sh/a", "nowhere else", "bj"])
def test_a_wrong_switch_is_refused_and_the_last_ones_stay(to: str) -> None:
    files = GOOD | {"m": moved("m", "app1", "bj")}
    loader = config.Loader()
    good = loaded(loader, files)
    bad = files | {"n": moved("n", "app1", to)}
    wrong = loaded(loader, bad)
    assert isinstance(wrong, list) and wrong == loaded(config.Loader(), bad) == loaded(loader, bad)
    assert loaded(loader, files) == good
    gone = {name: said for name, said in files.items() if name != "m"}
    assert loaded(loader, gone) == loaded(config.Loader(), gone)


def test_a_mistake_of_ours_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"e": entry("app", "com.S"), "v": routes("v", "*", "{subset: $env}"), "l": label("env")}
    loader = config.Loader()
    first = loaded(loader, files)
    with monkeypatch.context() as patch:
        patch.setattr("meshfast.config.label.build", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            loaded(loader, files | {"l": label("other")})
    assert loaded(loader, files) == first


def test_a_service_that_moves_to_another_application() -> None:
    files = {"a": entry("a", "com.S", "com.T"), "b": entry("b", "com.U"), "v": routes("v", "*", "{}")}
    loader = config.Loader()
    loaded(loader, files)
    files |= {"a": entry("a", "com.T"), "b": entry("b", "com.U", "com.S")}
    found = loaded(loader, files)
    assert isinstance(found, Mesh) and found == loaded(config.Loader(), files)
    assert {s.name: s.rules[0].targets[0].cluster for s in found.services} == {"com.S": "b", "com.T": "a", "com.U": "b"}


def test_what_was_wrong_before_is_not_held_against_it() -> None:
    listener = "  listeners: [{name: out, bind: 'tcp://127.0.0.1:0', service: com.S}]\n"
    files = {"e": entry("app", "com.S"), "s": sidecar("{}") + listener}
    loader = config.Loader()
    first = loaded(loader, files)
    assert isinstance(first, Mesh) and first.sidecar.listeners
    wrong = loaded(loader, files | {"e": entry("app", "com.R")})
    assert isinstance(wrong, list) and "unknown service com.S" in wrong[0]
    assert loaded(loader, files) == first
