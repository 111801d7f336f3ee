"""Which DestinationRule holds for an application, of several."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from config_mesh import Doc, entry, load, rule, sidecar
from test_fqdn import inside
from test_istio import checked

from meshfast import config

HOST = "a.books.svc.cluster.local"
SHOP = inside("books", entry("shop", (HOST,), ports=[{"number": 80}], endpoints=[{"address": "10.0.0.1"}]))
OTHER = inside("books", entry("other", ("b.example",), ports=[{"number": 80}], endpoints=[{"address": "10.0.0.2"}]))


def holds(*documents: Doc, own: str = "me") -> list[str]:
    mesh = load(SHOP, OTHER, *documents, *([sidecar(workload={"namespace": own})] if own else []))
    return [s.name for s in mesh.clusters["shop"].subsets]


def of(namespace: str, host: str, *subsets: str, name: str = "", created: str = "") -> Doc:
    made = inside(namespace, rule(host, *subsets, name=name or f"{namespace}-{host}"))
    return made | {"metadata": made["metadata"] | ({"creationTimestamp": created} if created else {})}


def test_the_callers_namespace_then_the_services_then_the_root() -> None:
    mine, theirs, root = of("me", HOST, "mine"), of("books", HOST, "theirs"), of("istio-system", HOST, "root")
    third = of("third", HOST, "third")
    assert holds(mine, theirs, root, third) == ["mine"]
    assert holds(third, root, theirs) == ["theirs"]
    assert holds(root, third) == ["root"]
    assert holds(third) == []
    assert holds(mine, theirs, own="books") == ["theirs"]
    assert holds(mine, third, own="") == ["mine", "third"]  # nothing tells them apart


def test_a_pattern_of_the_callers_namespace_is_before_an_exact_host_of_the_services() -> None:
    theirs = of("books", HOST, "theirs")
    assert holds(of("me", "*.local", "wide"), theirs) == ["wide"]
    assert holds(of("me", "*.local", "wide"), of("me", "*.cluster.local", "narrow")) == ["narrow"]
    assert holds(of("me", "*", "all"), of("me", HOST, "exact")) == ["exact"]
    assert holds(of("me", "*", "all"), theirs) == ["all"]
    assert holds(of("me", "*.example", "others"), theirs) == ["theirs"]


def test_rules_of_one_host_and_namespace_are_put_together() -> None:
    first = of("books", HOST, "v1", "v2", name="x", created="2026-01-02T00:00:00Z")
    older = of("books", "a", "v2", "v3", name="y", created="2026-01-01T00:00:00Z")
    for documents in ((first, older), (older, first)):
        assert sorted(holds(*documents)) == ["v1", "v2", "v3"]


def test_what_is_never_asked_is_told(tmp_path: Path) -> None:
    own = sidecar(workload={"namespace": "me"}, listeners=[{"name": "o", "bind": "127.0.0.1:0"}])
    mine, theirs = of("me", HOST, "mine", name="m"), of("books", HOST, "theirs", name="t")
    _, warnings, _ = checked(tmp_path, SHOP, mine, theirs, own)
    assert warnings == [f"DestinationRule m is asked for {HOST}, not this one"]
    _, warnings, _ = checked(tmp_path, SHOP, of("me", "*.nobody", "x"), own)
    assert warnings == ["no service that is listed is *.nobody"]


@pytest.mark.parametrize("own", ["", "me"])
def test_a_loader_sees_them_come_and_go(own: str) -> None:
    loader = config.Loader()
    every = [of("me", "*.local", "v1"), of("books", HOST, "v2"), of("istio-system", "*", "v3")]
    said = [sidecar(workload={"namespace": own})] if own else []
    for shown in (every, every[1:], every[2:], [], every):
        documents = [SHOP, OTHER, *said, *shown]
        texts = [config.Text(d["metadata"]["name"] if "metadata" in d else "s", yaml.safe_dump(d).encode())
                 for d in documents]  # fmt: skip
        assert loader.build(texts, config.Report()) == config.build(texts, config.Report())
