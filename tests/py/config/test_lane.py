"""Swim lanes: which instances a call of a lane reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from config_mesh import Doc, entry, label, load, sidecar

from meshfast import config
from meshfast.errors import ConfigError
from meshfast.model import LabelKind, Mesh
from meshfast.routing import Table


def api(kind: str, name: str, spec: Doc, **labels: str) -> Doc:
    return {
        "apiVersion": "istio.alibabacloud.com/v1", "kind": kind, "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }  # fmt: skip


def app(name: str, *lanes: int) -> Doc:
    """A service whose instance in lane s1 has an address that ends in 1, and so on."""
    places = [{"address": f"10.0.0.{n}", "labels": {"lane": f"s{n}"}} for n in lanes]
    return entry(name.lower(), (f"com.{name}",), ports=[{"number": 1}], endpoints=places)


def lane(number: int, group: str = "g") -> Doc:
    spec = {"labelSelector": {"lane": f"s{number}"}, "ingressRules": [{"online": False}], "services": []}
    return api("ASMSwimLane", f"s{number}", spec, **{"swimlane-group": group})


def group(*services: str, **mode: Any) -> Doc:
    spec: Doc = {"services": [{"name": name, "namespace": "ns"} for name in services], "ingress": {"gateway": {}}}
    if mode:
        known = {"fallbackTarget": "s1", "routeHeader": "x-asm-prefer-tag", "traceHeader": "x-request-id"}
        spec |= {"isPermissive": True, "permissiveModeConfiguration": known | mode}
    return api("ASMSwimLaneGroup", "g", spec)


APPS = [app("A", 1, 2), app("B", 1, 3), app("C", 1, 2)]
LANES = [lane(1), lane(2), lane(3)]


def goes(mesh: Mesh, service: str, header: str = "") -> str:
    table = Table()
    table.publish(mesh)
    headers = [("x-asm-prefer-tag", header)] if header else []
    labels = {"x-asm-prefer-tag": header} if header else {}
    found = table.explain(service, headers, labels, method="m", random=0)
    return found.route.address.partition(":")[0][-1] if found.route else ""


def test_permissive() -> None:
    mesh = load(*APPS, *LANES, group("com.A", "com.B", "c", fallbackTarget="s1"))
    assert [goes(mesh, f"com.{one}", "s2") for one in "ABC"] == ["2", "1", "2"]
    assert [goes(mesh, f"com.{one}") for one in "ABC"] == ["1", "1", "1"]
    assert [goes(mesh, f"com.{one}", "s9") for one in "ABC"] == ["1", "1", "1"]
    assert goes(mesh, "com.B", "s3") == "3"


def test_the_base_lane_of_one_service() -> None:
    mode = {"serviceLevelFallbackTarget": {"ns/com.B": "s3"}}
    mesh = load(*APPS, *LANES, group("com.A", "com.B", **mode))
    assert [goes(mesh, f"com.{one}", "s2") for one in "AB"] == ["2", "3"]
    assert goes(mesh, "com.B", "s1") == "1"


def test_strict() -> None:
    documents = (*APPS, *LANES, group("com.A", "com.B", "com.C"))
    mine = load(*documents, sidecar(workload={"labels": {"lane": "s2"}}))
    assert [goes(mine, f"com.{one}") for one in "ABC"] == ["2", "", "2"]
    assert goes(mine, "com.A", "s1") == "2"
    outside = load(*documents)
    assert goes(outside, "com.B") != ""


@pytest.mark.parametrize(
    ("mode", "kinds"),
    [
        ({}, [LabelKind.HEADER, LabelKind.CONTEXT]),
        ({"traceHeader": "baggage"}, [LabelKind.HEADER]),
        ({"traceHeader": "x-asm-prefer-tag"}, [LabelKind.HEADER]),
    ],
)
def test_carriers(mode: Doc, kinds: list[LabelKind]) -> None:
    (found,) = load(*APPS, *LANES, group("com.A", fallbackTarget="s1", **mode)).labels
    assert (found.name, [source.kind for source in found.sources]) == ("x-asm-prefer-tag", kinds)
    own = label("x-asm-prefer-tag", value_from=("$(localLabel)",))
    assert len(load(*APPS, *LANES, own, group("com.A", fallbackTarget="s1", **mode)).labels) == 1


def test_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no ASMSwimLaneGroup h is there"):
        load(*APPS, lane(1, "h"), group("com.A"))
    with pytest.raises(ConfigError, match="no lane s7 is in the group"):
        load(*APPS, *LANES, group("com.A", fallbackTarget="s7"))
    bare = group("com.A")
    bare["spec"]["isPermissive"] = True
    with pytest.raises(ConfigError, match="permissiveModeConfiguration is missing"):
        load(*APPS, *LANES, bare)
    (tmp_path / "f.yaml").write_text(yaml.safe_dump_all([*APPS, *LANES, group("com.A", "com.D", fallbackTarget="s1")]))
    report = config.Report(warn=True)
    mesh, warnings = config.check([tmp_path], report)
    assert "no ServiceEntry is or offers com.D" in [w.message for w in warnings]
    assert {s.rules[0].origin.document for s in mesh.services if s.name == "com.A" and s.rules[0].origin} == {
        "ASMSwimLaneGroup/g"
    }


def test_patches_of_rules_and_policy() -> None:
    patched = group("com.A", "com.B", fallbackTarget="s1")
    patched["spec"] |= {"defaultHttpRoutePatch": {"timeout": "2s"}, "defaultTrafficPolicyPatch": {"tls": {"mode": "X"}}}
    patched["spec"]["services"][1] |= {"httpRoutePatch": {"timeout": "3s", "route": []}, "trafficPolicyPatch": {}}
    with pytest.raises(ConfigError, match="expected DISABLE, ISTIO_MUTUAL, SIMPLE or MUTUAL, found .X"):
        load(*APPS, *LANES, patched)
    patched["spec"]["defaultTrafficPolicyPatch"] = {"loadBalancer": {"simple": "RANDOM"}}
    mesh = load(*APPS, *LANES, patched)
    waits = {s.name: {r.timeout_ms for r in s.rules} for s in mesh.services}
    assert (waits["com.A"], waits["com.B"], waits["com.C"]) == ({2000}, {3000}, {0})
    assert [goes(mesh, f"com.{one}", "s2") for one in "AB"] == ["2", "1"]


def test_headers_that_go_on() -> None:
    carried = api("ASMHeaderPropagation", "p", {"headers": ["x-a", "x-b", "x-a"]})
    carried["spec"]["workloadSelector"] = {"labels": {"app": "me"}}
    mine = label("x-b", value_from=("$(localLabel)",))
    mesh = load(carried, mine, sidecar(workload={"labels": {"app": "me"}}))
    assert [one.name for one in mesh.labels] == ["x-b", "x-a"]
    kinds = [source.kind for source in mesh.labels[1].sources]
    assert kinds == [LabelKind.HEADER] + [LabelKind.CONTEXT] * 6
    assert [one.name for one in load(carried).idle] == ["x-a", "x-b"]
    lanes = *APPS, *LANES, group("com.A", fallbackTarget="s1", routeHeader="x-a", traceHeader="baggage"), carried
    assert [(one.name, len(one.sources)) for one in load(*lanes).labels] == [("x-a", 1)]
    own = load(*lanes, sidecar(workload={"labels": {"app": "me"}}))
    assert [(one.name, len(one.sources)) for one in own.labels] == [("x-a", 7), ("x-b", 7)]
    for wrong, said in (({"headerPrefix": "x-"}, "headerPrefix is not supported"), ({"headers": ["te"]}, "a label")):
        with pytest.raises(ConfigError, match=said):
            load(api("ASMHeaderPropagation", "p", wrong))


def test_a_loader_sees_lanes_change() -> None:
    loader = config.Loader()
    for lanes in (LANES, LANES, LANES[:2], LANES[:1], LANES):
        documents = [*APPS, *lanes, group("com.A", "com.C", fallbackTarget="s1")]
        texts = [config.Text(f"{d['kind']}{i}", yaml.safe_dump(d).encode()) for i, d in enumerate(documents)]
        assert loader.build(texts, config.Report()) == config.build(texts, config.Report())
