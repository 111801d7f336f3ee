"""ServiceEntries, DestinationRules, TrafficLabels and the Sidecar in the model."""

from __future__ import annotations

from typing import Any

import pytest
from config_mesh import entry, label, load, rule, sidecar, to, virtual

from meshfast import model
from meshfast.config import value
from meshfast.config.document import Refused
from meshfast.errors import ConfigError
from meshfast.model import LabelKind, LabelSource, TraceFormat


def addresses(**spec: Any) -> list[str]:
    return [e.address for e in load(entry(**spec)).clusters["shop"].endpoints]


def test_addresses_and_ports() -> None:
    main = {"name": "main", "number": 20880}
    assert addresses(
        ports=[main],
        endpoints=[
            {"address": "10.0.0.1"},
            {"address": "10.0.0.2", "ports": {"main": 1}},
            {"address": "FD00:0:0::1"},
            {"address": "unix:///run/a.sock"},
            {"address": "unix://@name"},
        ],
    ) == ["10.0.0.1:20880", "10.0.0.2:1", "[fd00::1]:20880", "unix:///run/a.sock", "unix://@name"]
    http = {"name": "admin", "number": 8080}
    one = [{"address": "10.0.0.1"}]
    assert addresses(ports=[http, {"name": "dubbo", "number": 5}], endpoints=one) == ["10.0.0.1:5"]
    assert addresses(ports=[http, {**main, "protocol": "Dubbo"}], endpoints=one) == ["10.0.0.1:20880"]
    assert addresses(ports=[{**main, "targetPort": 7}], endpoints=one) == ["10.0.0.1:7"]
    assert addresses(endpoints=[{"address": "10.0.0.1", "ports": {"dubbo": 9}}]) == ["10.0.0.1:9"]


def test_instances_and_subsets() -> None:
    instance = {"address": "10.0.0.1", "ports": {"dubbo": 9}, "labels": {"v": "", "w": "1"}, "locality": "r/z"}
    mesh = load(entry(endpoints=[{**instance, "weight": 7}]), rule("shop/*", "trunk"), rule("a.Cart", "daily"))
    cluster = mesh.clusters["shop"]
    (found,) = cluster.endpoints
    assert (found.labels, found.locality, found.weight) == ({"v": "", "w": "1"}, "r/z", 7)
    assert [(s.name, s.labels) for s in cluster.subsets] == [("trunk", {"v": "trunk"}), ("daily", {"v": "daily"})]
    assert str(found.origin).startswith("f:") and found.origin is not None
    assert found.origin.document == "ServiceEntry/shop"


def test_label_sources() -> None:
    sources = (
        "$getContext(x-request-id)", "$getContext(traceparent)", "$getContext(B3)", "$(localLabel)",
        "$getExternalInboundRequestHeader(my-trace, h)",
    )  # fmt: skip
    mesh = load(sidecar(workload={"labels": {"ASM_TRAFFIC_TAG": "dev", "z": "a"}}), label("env", value_from=sources))
    assert mesh.labels[0].sources == (
        LabelSource(LabelKind.HEADER, "env"),
        LabelSource(LabelKind.CONTEXT, "x-request-id"),
        LabelSource(LabelKind.CONTEXT, "traceparent", TraceFormat.TRACEPARENT),
        LabelSource(LabelKind.CONTEXT, "B3", TraceFormat.B3),
        LabelSource(LabelKind.LOCAL, "dev"),
        LabelSource(LabelKind.HEADER, "h"),
        LabelSource(LabelKind.CONTEXT, "my-trace"),
    )
    assert [t.text for t in mesh.traces] == [
        "traceparent", "b3", "x-b3-traceid", "x-request-id", "EagleEye-TraceID", "sw8", "B3", "my-trace",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "source", "local"),
    [
        ({"ASM_TRAFFIC_TAG": "a", "env": "b"}, "$(localLabel)", "a"),
        ({"env": "b"}, "$(localLabel)", "b"),
        ({"env": "b"}, "$localLabel", "b"),
        ({}, "$(localLabel)", None),
        ({"x": "c"}, "$getLabel(x)", "c"),
        ({"env": "b"}, "$getLabel(x)", None),
    ],
)
def test_local_values(labels: dict[str, str], source: str, local: str | None) -> None:
    mesh = load(sidecar(workload={"labels": labels}), label("env", value_from=(source,)))
    found = [s.text for s in mesh.labels[0].sources if s.kind is LabelKind.LOCAL]
    assert found == ([local] if local else [])


def test_a_selected_label_beats_the_one_for_all() -> None:
    own = {"workloadSelector": {"labels": {"app": "me"}}}
    both = [label("env", value_from=("$getContext(b3)",)), {**label("env", **own), "metadata": {"name": "own"}}]
    for documents in (both, both[::-1]):
        assert len(load(sidecar(workload={"labels": {"app": "me"}}), *documents).labels[0].sources) == 1
        assert len(load(sidecar(workload={"labels": {"app": "you"}}), *documents).labels[0].sources) == 2


@pytest.mark.parametrize(
    ("protocols", "carried"),
    [
        ("*", "DUBBO TRIPLE GRPC HTTP"), ("http, Dubbo", "DUBBO TRIPLE GRPC HTTP"), ("http", "TRIPLE GRPC HTTP"),
        ("dubbo", "DUBBO TRIPLE"), ("gRPC,mqtt", "TRIPLE GRPC"), ("triple", "TRIPLE"), ("mqtt", ""), ("", ""),
    ],
)  # fmt: skip
def test_protocols_of_the_beta(protocols: str, carried: str) -> None:
    beta = label("env")
    beta["apiVersion"] = "istio.alibabacloud.com/v1beta1"
    beta["spec"]["rules"][0] |= {"protocols": protocols, "attachTo": ["opentracing"]}
    mesh = load(beta)
    assert [{one.name for one in label.protocols} for label in mesh.labels] == ([{*carried.split()}] if carried else [])
    assert len(mesh.idle) == (not carried)


@pytest.mark.parametrize(
    "name",
    [
        "group", "path", "Interface", "application", "remote.application", "serialization", "tri-x", "grpc-x", "x-bin",
        "Grpc-Timeout", "rest-service-group", "content-type", "host", "x-request-id", "baggage",
    ],
)  # fmt: skip
def test_labels_that_receivers_drop(name: str) -> None:
    """Java's list, and what gRPC reserves: refused where it is named."""
    with pytest.raises(ConfigError, match=f'"{name}" cannot be a label') as caught:
        load(label("fine"), {**label(name), "metadata": {"name": "second"}})
    [problem] = caught.value.problems
    assert "rules[0].labels[0].name" in str(problem)


@pytest.mark.parametrize("name", ["env", "x-grp", "dubbo.tag", "userId", "bin", "tri", "grpc", "x-binary"])
def test_labels_that_arrive(name: str) -> None:
    assert [one.name for one in load(label(name)).labels] == [name]


def test_sidecar() -> None:
    mesh = load(
        sidecar(
            workload={"app": "a", "labels": {"env": "dev"}, "locality": "r/z"},
            workers=4,
            loop="epoll",
            listeners=[
                {"name": "out", "bind": "tcp://0.0.0.0:20880", "service": "a.Cart"},
                {"name": "in", "bind": "[::1]:0", "direction": "inbound", "forward": "unix:///run/a.sock",
                 "protocol": "dubbo"},
                {"name": "all", "bind": "tcp://127.0.0.1:15001", "transparent": True},
            ],
            admin="tcp://127.0.0.1:15000",
            limits={"maxBody": "4MiB", "maxCalls": 10, "callTimeout": 250, "heartbeat": "2s", "drainTimeout": 0,
                    "maxMemory": "64GiB"},
            traceMemory={"entries": 1024, "ttl": "90s"},
            accessLog={"path": "/var/log/calls", "format": "json", "fields": ["time", "status"], "sample": 0.25},
        ),
        entry(),
    )  # fmt: skip
    own = mesh.sidecar
    assert (own.app, own.labels, own.locality) == ("a", {"env": "dev"}, "r/z")
    assert (own.workers, own.loop, own.admin) == (4, "epoll", "127.0.0.1:15000")
    assert own.access_log == model.AccessLog("/var/log/calls", "json", ("time", "status"), 0.25)
    assert (own.trace_entries, own.trace_ttl_ms) == (1024, 90_000)
    assert own.limits == {
        "maxBody": 4 << 20, "maxCalls": 10, "callTimeout": 250, "heartbeat": 2000, "drainTimeout": 0,
        "maxMemory": 64 << 30,
    }  # fmt: skip
    out, inward, through = own.listeners
    assert (out.name, out.bind, out.direction, out.service) == ("out", "0.0.0.0:20880", "outbound", "a.Cart")
    assert (inward.bind, inward.direction, inward.forward) == ("[::1]:0", "inbound", "unix:///run/a.sock")
    assert (inward.protocol, through.transparent) == ("dubbo", True)


def test_without_a_sidecar_there_is_the_default_one() -> None:
    assert load(entry()).sidecar == model.Sidecar()
    written = load(sidecar()).sidecar
    assert written.origin is not None
    assert written == model.Sidecar(origin=written.origin)


@pytest.mark.parametrize(
    ("text", "ms"),
    [("0s", 0), ("0", 0), ("1ms", 1), ("1.5s", 1500), ("1h30m", 5_400_000), (".5s", 500), ("2m1s", 121_000),
     ("1500us", 2)],
)  # fmt: skip
def test_durations(text: str, ms: int) -> None:
    assert value.duration(text) == ms


@pytest.mark.parametrize("text", ["", "5", "s", "1.5", "-1s", "1 s", "1s ", "1d", "1e3s", "1..5s", "999us", "1000000h"])
def test_no_durations(text: str) -> None:
    with pytest.raises(Refused):
        value.duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("12", 12), ("64KiB", 65536), ("8 Mi", 8 << 20), ("1GiB", 1 << 30)]
)
def test_sizes(text: str, size: int) -> None:
    assert value.size(text) == size


@pytest.mark.parametrize(
    ("a", "b", "taken"),
    [
        ("10.0.0.1:80", "10.0.0.1:80", True),
        ("10.0.0.1:80", "10.0.0.1:81", False),
        ("10.0.0.1:80", "10.0.0.2:80", False),
        ("0.0.0.0:80", "10.0.0.2:80", True),
        ("[::]:80", "10.0.0.2:80", True),
        ("0.0.0.0:80", "[::1]:80", False),
        ("0.0.0.0:0", "0.0.0.0:0", False),
        ("unix:///a", "unix:///a", True),
        ("unix:///a", "unix:///b", False),
        ("unix:///a:80", "0.0.0.0:80", False),
    ],
)
def test_collisions(a: str, b: str, taken: bool) -> None:
    assert value.collide(a, b) == taken == value.collide(b, a)


def test_paths_of_sockets_have_a_length() -> None:
    assert value.unix("unix:///" + "a" * 106)
    with pytest.raises(Refused, match="107 bytes"):
        value.unix("unix:///" + "a" * 107)


def test_a_document_that_is_not_to_be_read() -> None:
    service = {
        "apiVersion": "v1", "kind": "Sevrice", "spec": {},
        "metadata": {"name": "a", "annotations": {"meshfast.io/ignore": "true"}},
    }  # fmt: skip
    assert [s.name for s in load(service, entry("shop", ("a.Cart",))).services] == ["a.Cart"]
    service["metadata"] = {"name": "a", "annotations": {"meshfast.io/ignore": "false"}}
    with pytest.raises(ConfigError, match="Sevrice is a Kubernetes kind"):
        load(service)


def test_what_listeners_do_with_labels_and_the_unknown() -> None:
    where = {"bind": "tcp://127.0.0.1:0", "forward": "tcp://127.0.0.1:1"}
    out = {"name": "o", **where}
    into = {"name": "i", "direction": "inbound", **where}
    mesh = load(sidecar(listeners=[out, into]))
    assert [(one.labels, one.unknown) for one in mesh.sidecar.listeners] == [("keep-first", "forward")] * 2
    mesh = load(sidecar(listeners=[out | {"unknown": "refuse"}, into | {"labels": "strip"}]))
    assert [(one.labels, one.unknown) for one in mesh.sidecar.listeners] == [
        ("keep-first", "refuse"), ("strip", "forward"),
    ]  # fmt: skip


def test_labels_of_others_count_where_rules_ask_for_them() -> None:
    others = label(*(f"o{i}" for i in range(20)), workloadSelector={"labels": {"app": "x"}})
    shop = entry("shop", ("a.Cart",))
    assert len(load(shop, label("mine"), others).idle) == 20
    asked = [{"match": [{f"o{i}": [{"exact": "a"}]}], "route": [to()]} for i in range(16)]
    with pytest.raises(ConfigError, match="17 labels are defined"):
        load(shop, label("mine"), others, virtual(["a.Cart"], *asked))
    load(shop, label("mine"), others, virtual(["a.Cart"], *asked[1:]))
