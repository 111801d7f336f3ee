"""``meshfast registry``: what is printed of a registry, asked directly."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from meshfast import config
from meshfast.cli import group
from meshfast.commands import registry as verb
from meshfast.config.listed import Listed, entry
from meshfast.errors import SourceError
from meshfast.model import Cluster, RegistrySpec
from meshfast.registry import EVERY, Instance, Listing, Offer, State, Tell

HERE = "zookeeper://127.0.0.1:1"
HELLO = (
    Offer("com.x.Hello", "", "1.0.0", (
        Instance("10.0.0.1:20880", "dubbo", "shop", {"env": "a", "weight": "5", "token": "secret", "pid": "1"}),
        Instance("10.0.0.2:20880", "dubbo", "shop", {"region": "sh", "zone": "b"}),
    )),
    Offer("com.x.Hello", "gray", "", (
        Instance("10.0.0.3:20880", "dubbo", "bar", {"pid": "3"}),
        Instance("10.0.0.3:50051", "tri", "bar", {"pid": "3"}),
        Instance("10.0.0.4:50052", "tri", "bar"), Instance("[fd00::1]:20881", "dubbo", "bar"), Instance("h.x:1", "tri"),
    )),
)  # fmt: skip


class Fake:
    def __init__(self, spec: RegistrySpec, tell: Tell, says: dict[str, list[Listing]]) -> None:
        self.name, self.state, self.spec = spec.name, State(True), spec
        self._tell, self._says = tell, says

    def want(self, services: Collection[str]) -> None:
        self._wanted = services

    def start(self) -> None:
        for service, listings in self._says.items():
            for listing in listings if service in self._wanted or EVERY in self._wanted else ():
                self._tell(service, listing)

    async def close(self) -> None: ...


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Listing]]:
    found: dict[str, list[Listing]] = {"com.x.Hello": [HELLO], "com.x.Empty": [()]}
    monkeypatch.setattr(verb, "connect", lambda spec, tell: Fake(spec, tell, found))
    return found


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["registry", *arguments])


def test_ls(says: dict[str, list[Listing]]) -> None:
    found = run("ls", HERE)
    assert found.exit_code == 0 and "1 service, 2 offers" in found.output
    assert "1.0.0" in found.output and "gray" in found.output and "shop" in found.output
    told = json.loads(run("ls", HERE, "-o", "json").output)
    assert [(one["group"], len(one["instances"])) for one in told] == [("", 2), ("gray", 5)]
    assert "secret" not in json.dumps(told)


def test_get(says: dict[str, list[Listing]]) -> None:
    found = run("get", HERE, "com.x.Hello")
    assert found.exit_code == 0 and "com.x.Hello:1.0.0: 2 instances" in found.output and "env=a" in found.output
    assert "secret" not in found.output
    found = run("get", HERE, "com.x.Empty")
    assert (found.exit_code, found.output) == (1, "nobody offers com.x.Empty\n")
    assert run("get", HERE, "com.x.Empty", "-o", "json").output == "[]\n"


def test_as_yaml_it_means_the_same(says: dict[str, list[Listing]]) -> None:
    text = run("get", HERE, "com.x.Hello", "-o", "yaml").output
    mesh = config.load_texts([("f", text.encode())])
    for offer in HELLO:
        meant = entry(Listed(offer, "registry main"))
        found = [one for one in mesh.clusters.values() if (offer.version or offer.group) in one.name]
        assert plain(*found) == plain(meant.cluster)
    conditions = [[c.source for c in r.matches[0].conditions] for r in mesh.services[0].rules]
    assert len(mesh.services) == 1 and len(conditions) > 1


def plain(*clusters: Cluster) -> list[tuple[Any, ...]]:
    every = [one for each in clusters for one in each.endpoints]
    every += [one.endpoint for each in clusters for one in each.named]
    return sorted((one.address, one.http, str(one.speaks), one.weight, one.locality, *sorted(one.labels.items()))
                  for one in every)  # fmt: skip


def test_watch(says: dict[str, list[Listing]], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (Instance(f"10.0.0.{i}:1", "dubbo", "shop", {"env": "a"}) for i in (1, 2))
    other = Instance("10.0.0.1:1", "dubbo", "shop", {"env": "b"})
    says.clear()
    says["com.x.S"] = [(Offer("com.x.S", instances=some),) for some in ((one,), (one, two), (other,))]

    async def interrupted(self: Any) -> None:
        raise KeyboardInterrupt

    news = verb.asyncio.Queue.get

    async def get(self: Any) -> Any:
        if self.empty():
            raise KeyboardInterrupt
        return await news(self)

    monkeypatch.setattr(verb.asyncio.Queue, "get", get)
    found = run("watch", HERE, "-o", "json")
    assert found.exit_code == 130
    lines = [json.loads(line) for line in found.output.splitlines()]
    assert [(line["change"], line["address"]) for line in lines] == [
        ("+", "dubbo://10.0.0.1:1"), ("+", "dubbo://10.0.0.2:1"), ("~", "dubbo://10.0.0.1:1"),
        ("-", "dubbo://10.0.0.2:1"),
    ]  # fmt: skip
    assert "+ com.x.S dubbo://10.0.0.1:1 env=a application=shop" in run("watch", HERE, "com.x.S").output


def test_a_registry_of_a_configuration(says: dict[str, list[Listing]], tmp_path: Path) -> None:
    specs = [{"name": "main", "address": "zookeeper://u:pw@10.1.1.1"}, {"name": "new", "address": "zookeeper://10.1.1.2"}]
    path = tmp_path / "f.yaml"
    path.write_text(yaml.safe_dump({"apiVersion": "meshfast.io/v1", "kind": "Sidecar", "spec": {"registries": specs}}))
    seen: list[RegistrySpec] = []
    verb.connect = lambda spec, tell: (seen.append(spec), Fake(spec, tell, says))[1]  # type: ignore[attr-defined]
    assert run("ls", str(path)).exit_code == run("ls", str(path), "--name", "new").exit_code == 0
    assert [spec.name for spec in seen] == ["main", "new"] and seen[0].password.text == "pw"
    assert "there is no registry old" in run("ls", str(path), "--name", "old").stderr
    path.write_text("kind: [")
    assert run("ls", str(path)).exit_code == 1


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("consul://10.0.0.1", "consul:// is not spoken here"),
        ("zookeeper://", "a server has no name"),
        ("etcd://u:hidden@", "a server has no name"),
        ("zookeeper://u:hidden@h:99999", "port is not 1 to 65535"),
        ("nowhere.yaml", "neither an address nor a file"),
    ],
)
def test_what_is_no_source(source: str, said: str) -> None:
    found = run("ls", source)
    assert found.exit_code == 1 and said in found.stderr and "hidden" not in found.stderr


def test_one_that_does_not_answer(says: dict[str, list[Listing]], monkeypatch: pytest.MonkeyPatch) -> None:
    says.clear()
    found = run("ls", HERE, "--timeout", "0.1")
    assert found.exit_code == 1 and "no answer within 0.1 s: it lists nothing" in found.stderr

    def missing(spec: RegistrySpec, tell: Tell) -> Any:
        raise SourceError("registry registry: pip install 'meshfast[zookeeper]'")

    monkeypatch.setattr(verb, "connect", missing)
    assert "pip install 'meshfast[zookeeper]'" in run("ls", HERE).stderr
