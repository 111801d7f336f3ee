"""README.md and docs/*.md say what the code does: their tables, their examples, the numbers in them."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from peers import Caller, Frame, Provider, closing
from sdk_world import Elsewhere

from meshfast import _core, config, dubbo, http2, reference
from meshfast.admin import Admin
from meshfast.config.reference import asked, filled
from meshfast.endpoint.dubbo import Endpoint
from meshfast.endpoint.found import Found
from meshfast.endpoint.http import Api
from meshfast.endpoint.nacos import Nacos
from meshfast.metrics import GROUPS, prometheus
from meshfast.model import Mesh, RegistrySpec
from meshfast.policies import Breaker, Locality, Outlier, Place, Policy
from meshfast.routing import Table
from meshfast.sidecar import Sidecar
from meshfast.source.feed import Feed

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GENERATED = [ROOT / "docs" / "cli.md", ROOT / "docs" / "metrics.md"]
METRICS = {metric.name: metric for group in GROUPS.values() for metric in group}


def fences(language: str) -> list[pytest.param]:
    """Every fenced block in a language, named by its page and line."""
    found = []
    for page in PAGES:
        text = page.read_text()
        for block in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.M | re.S):
            line = text.count("\n", 0, block.start()) + 1
            found.append(pytest.param(block[1], id=f"{page.name}:{line}"))
    return found


def policy() -> str:
    """The configuration of README.md."""
    return next(param.values[0] for param in fences("yaml") if str(param.id).startswith("README"))


# --- tables


def test_every_table_is_there_once_and_as_it_is() -> None:
    pages = [page.read_text() for page in GENERATED]
    assert sorted(name for page in pages for name in asked(page)) == sorted(reference.NAMES)
    for page in pages:
        assert filled(page, reference.table) == page, "run python -m meshfast.reference docs/cli.md docs/metrics.md"


def test_every_page_of_the_admin_address_is_told() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    pages = [" ".join(one) for one in Admin(Sidecar(no_events()))._pages]
    assert re.findall(r"^\| `([A-Z]+ /\S*)` \|", page, re.M) == pages
    for one in pages:
        assert f"\n## {one.split()[1]}\n" in page


def test_limits_in_prose_are_the_cores() -> None:
    """A default that a page repeats outside of the generated table must be the core's."""
    limits = _core.limits()
    text = (ROOT / "docs" / "cli.md").read_text() + (ROOT / "docs" / "protocol.md").read_text()
    named = set(re.findall(r"`((?:max|output|call|connect|frame|idle|heartbeat|peer|drain)[A-Z]\w+|heartbeat)`", text))
    assert {"maxBody", "drainTimeout", "heartbeatTimeout"} <= named
    assert named <= set(limits)
    table = (ROOT / "docs" / "configuration.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (bytes|count|ms) \| (\d+) \| (\d+) \| (.+) \|$", table, re.M)
    told = {name: (int(default), unit, int(least), doc) for name, unit, default, least, doc in rows}
    assert told == limits


# --- statuses of HTTP/2


def test_what_is_answered_by_http2_is_the_cores() -> None:
    code = (ROOT / "csrc" / "protocol" / "h2_code.c").read_text()
    numbers = dict(re.findall(r"\b([A-Z]+) = (\d+)", code))
    rows = re.findall(r"^    X\((\w+), (\w+), (\d+), MF_H2_(\w+)\)", code, re.M)
    core = {(name.lower(), numbers[grpc], http, reset) for name, grpc, http, reset in rows}
    page = (ROOT / "docs" / "http2.md").read_text()
    told = set(re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \| (\w+) \|", page, re.M))
    assert len(told) == len(core) - 3 and told < core
    assert {name for name, *_ in core - told} == {"ok", "remote_error", "rule"}  # which says itself what is told


# --- metrics


async def no_events():  # type: ignore[no-untyped-def]
    return
    yield


async def ask_by_http2(address: str) -> None:
    """One call of gRPC, which nobody here takes; returns once it is answered."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    asked = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/com.x.Cart/a"), (b":authority", b"cart")]
    block = http2.HeaderEncoder().encode([*asked, (b"content-type", b"application/grpc")])
    head = http2.Headers(1, http2.Flag.END_HEADERS | http2.Flag.END_STREAM, block)
    writer.write(http2.PREFACE + http2.Settings(0, 0, ()).encode() + head.encode())
    data = b""
    while b"grpc-status" not in data and b"\x00\x00\x00\x01" not in data:  # the answer's stream
        data += await asyncio.wait_for(reader.read(4096), 15)
    writer.close()


def sample_names(metric: str, kind: str) -> list[str]:
    return [f"{metric}_{end}" for end in ("bucket", "sum", "count")] if kind == "histogram" else [metric]


def test_what_a_running_engine_exports_is_what_the_page_lists() -> None:
    async def story() -> str:
        provider = await Provider("one").start()
        sidecar = Sidecar(no_events())
        sidecar.mesh = mesh(provider.port)
        sidecar.table.publish(sidecar.mesh)
        sidecar.state.admin.refused["host"] = 1
        registry = RegistrySpec("main", "zookeeper", ("127.0.0.1:2181",))
        sidecar.registries.feeds[registry] = Feed(registry, sidecar.registries.clock)
        sidecar.registries.refused["main", "name"] = 1
        sidecar.registries.directory = SimpleNamespace()  # type: ignore[assignment]
        sidecar.own.endpoint = endpoint = Endpoint("tcp://127.0.0.1:0", Found(sidecar.registries), "127.0.0.1:1")
        sidecar.own.nacos = nacos = Nacos("tcp://127.0.0.1:0", Found(sidecar.registries), "127.0.0.1:1")
        sidecar.own.api = api = Api("unix:///nowhere", Found(sidecar.registries), {})
        for counted in (
            endpoint.server.operations, endpoint.server.unknown, endpoint.refused, api.operations, api.refused,
            nacos.operations, nacos.answers.unknown, nacos.refused,
        ):  # fmt: skip
            counted["other"] = 1
        sidecar.registrations.write_to({"main": SimpleNamespace(repaired=0, conflicts=0)})  # type: ignore[dict-item]
        sidecar.engine = engine = _core.Engine(sidecar.table.native, limits={"maxMethods": 2})
        address = engine.listen("out", "127.0.0.1:0")
        engine.start()
        try:
            caller = await Caller.connect(address)
            async with closing(provider, caller):
                for label in ({}, {"env": "none"}):
                    assert (await caller.ask("com.x.Cart", "a", attachments=label)).value == "one:a"
                provider.handler = silent
                assert (await caller.ask("com.x.Cart", timeout=20)).status == 31
                await ask_by_http2(address)
                return "".join(prometheus(sidecar, everything=True))
        finally:
            engine.stop()

    page = asyncio.run(story())
    heads = re.findall(r"^# HELP (\S+) (.+)\n# TYPE \1 (\S+)$", page, re.M)
    assert sorted(heads) == sorted((m.name, m.text, m.kind) for m in METRICS.values())
    owner = {name: metric for metric in METRICS.values() for name in sample_names(metric.name, metric.kind)}
    seen = set()
    for line in page.splitlines():
        if line.startswith("#"):
            continue
        found = re.fullmatch(r'([a-z0-9_]+)(?:\{(.*)\})? (\S+)', line)
        assert found, line
        metric = owner[found[1]]
        labels = re.findall(r'(\w+)="', found[2] or "")
        assert tuple(label for label in labels if label != "le") == metric.labels, line
        assert ("le" in labels) is found[1].endswith("_bucket"), line
        float(found[3])
        seen.add(metric.name)
    assert seen == set(METRICS)  # not one that nothing is ever said of


async def silent(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
    pass


GOVERNED = """
---
apiVersion: meshfast.io/v1
kind: RateLimit
metadata: {name: all}
spec: {hosts: ["*"], requests: 1000000}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: guarded}
spec: {host: cart, trafficPolicy: {outlierDetection: {}, connectionPool: {http: {http2MaxRequests: 1000}}}}
"""


def mesh(port: int) -> Mesh:
    text = policy().replace("10.0.0.7}", f"127.0.0.1, ports: {{dubbo: {port}}}}}")
    text = text.replace("app: shop, labels: {env: dev1}", "app: shop")
    mirror = "  - mirror: {host: cart}\n    mirrorPercent: 1\n    route:\n"
    text = text.replace("  - route:\n", mirror) + GOVERNED
    made = config.load_texts([("mesh.yaml", text.encode())])
    near = Locality(("",), {("", ()): Place(0, 0)})
    guarded = Policy(outlier=Outlier(), breaker=Breaker(requests=9), locality=near)
    return replace(made, clusters={name: replace(one, policy=guarded) for name, one in made.clusters.items()})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_metric_that_is_named_exists(page: Path) -> None:
    known = {name for metric in METRICS.values() for name in (metric.name, *sample_names(metric.name, metric.kind))}
    named = set(re.findall(r"\bmeshfast_[a-z0-9_]+\b(?!\*)", page.read_text()))
    assert {name for name in named if not name.endswith("_")} <= known


# --- examples


@pytest.mark.parametrize("text", fences("python"))
def test_python_runs(text: str, tmp_path: Path) -> None:
    """An application finds a provider in its sidecar's place."""
    elsewhere = Elsewhere()
    try:
        provider = elsewhere.provider(tmp_path / "sdk.sock")
        command = [sys.executable, "-W", "error", "-c", text]
        env = os.environ | {"MESHFAST_SDK": provider.address}
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, env=env)
    finally:
        elsewhere.close()
    assert done.returncode == 0, done.stderr
    if "meshfast import sdk" in text:
        assert done.stdout == "provider:book\n"
        assert [dubbo.parse_request(one.raw).attachments["env"] for one in provider.requests] == ["dev1"]


@pytest.mark.parametrize("text", fences("yaml"))
def test_yaml_loads(text: str) -> None:
    if "apiVersion" in text:
        found = config.load_texts([("example.yaml", text.encode())])
        assert found.services or found.sidecar.registrations or found.sidecar.endpoint
    else:
        assert yaml.safe_load(text)  # Prometheus' own


@pytest.mark.parametrize("text", fences("console"))
def test_commands_print_what_the_page_shows(text: str, tmp_path: Path) -> None:
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "mesh.yaml").write_text(policy())
    (tmp_path / "bad.yaml").write_text(policy().replace("kind: VirtualService", "kind: VirtualServise"))
    (tmp_path / "meshfast").write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m meshfast "$@"\n')
    (tmp_path / "meshfast").chmod(0o755)
    commands = re.findall(r"^\$ (.+)$", text, re.M)
    script = "".join(f"echo '$ {one}'\n{one}\n" for one in commands)  # one shell, so that $? is the last one's
    script = re.sub(r"^echo '\$ echo \$\?'\necho \$\?$", "code=$?; echo '$ echo $?'; echo $code", script, flags=re.M)
    done = subprocess.run(
        ["sh", "-c", f'PATH=".:$PATH"\n{script}'], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=60,
    )  # fmt: skip
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert [line for line in lines if line] == [line.rstrip() for line in text.splitlines() if line.strip()]


def test_the_readme_says_where_calls_go() -> None:
    table = Table()
    table.publish(config.load_texts([("mesh.yaml", policy().encode())]))
    assert table.lookup("com.x.Cart", labels={"env": "dev1"}).address == "10.0.0.8:20880"
    assert table.lookup("com.x.Cart", labels={"env": "dev2"}).address == "10.0.0.7:20880"
