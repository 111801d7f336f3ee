"""The label table, and the way from YAML into it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from bench.micro.samples import APP, mesh, name, yaml
from meshfast import config, routing

SERVICES = 1000


@pytest.fixture(scope="module")
def table():
    made = routing.Table()
    made.publish(mesh(SERVICES))
    return made


@pytest.fixture
def ask(table):
    """One question after the other, about services in a mixed order; every other one carries a label."""
    turn = itertools.cycle([(name(i * 617 % SERVICES), {"env": "env0"} if i % 2 else {}) for i in range(SERVICES)])

    def once(method):
        service, labels = next(turn)
        return method(service, (), labels)

    return once


@pytest.mark.twin("table.lookup/1000")
def bench_lookup(benchmark, table, ask):
    assert benchmark(ask, table.lookup).address


@pytest.mark.twin("table.explain/1000")
def bench_explain(benchmark, table, ask):
    assert benchmark(ask, table.explain).route


@pytest.mark.twin("table.publish/1000")
def bench_publish_one(benchmark):
    """A mesh that differs from the last one in one service: finding that out is in it, and so is comparing the rest."""
    table = routing.Table()
    meshes = itertools.cycle([mesh(SERVICES, 1), mesh(SERVICES, 2)])
    table.publish(next(meshes))
    assert benchmark(lambda: table.publish(next(meshes))).published == 1


@pytest.mark.twin("table.publish/1000")
def bench_publish_one_shared(benchmark):
    """The same where the rest are the objects of the last mesh, as sources that know what changed have it."""
    table, whole = routing.Table(), mesh(SERVICES)
    first = whole.services[0]
    changed = [replace(first, rules=(replace(first.rules[0], timeout_ms=ms),)) for ms in (1, 2)]
    meshes = itertools.cycle([replace(whole, services=(one, *whole.services[1:])) for one in changed])
    table.publish(next(meshes))
    assert benchmark(lambda: table.publish(next(meshes))).published == 1


@pytest.mark.twin("table.build/1000")
def bench_apply_all(benchmark):
    """A mesh into a table that is empty."""
    whole = mesh(SERVICES)
    applied = benchmark.pedantic(
        lambda table: table.publish(whole), setup=lambda: ((routing.Table(),), {}), rounds=15, warmup_rounds=1
    )
    assert applied.published == SERVICES


@pytest.mark.twin("table.build_full/1000")
def bench_apply_all_full(benchmark):
    """The same with all that policy can say of each application, and of each rule."""
    whole = mesh(SERVICES, full=True)
    applied = benchmark.pedantic(
        lambda table: table.publish(whole), setup=lambda: ((routing.Table(),), {}), rounds=15, warmup_rounds=1
    )
    assert applied.published == SERVICES


@pytest.mark.twin()
def bench_config_load(benchmark):
    """YAML of 50 applications, 1,000 services and 400 instances into a mesh."""
    text = yaml(SERVICES // APP)
    loaded = benchmark.pedantic(config.load_texts, ([("mesh.yaml", text)],), rounds=15, warmup_rounds=1)
    assert len(loaded.services) >= SERVICES


@pytest.mark.twin()
def bench_config_load_again(benchmark):
    """The same in 50 texts and one for the rules, of which one has changed since the last load."""
    loader = config.Loader()
    *parts, rules, labels = yaml(SERVICES // APP).split(b"---\n")
    texts = [config.Text(f"{i}.yaml", part) for i, part in enumerate([*parts, rules, labels])]
    first = [config.Text("0.yaml", parts[0].replace(b"20880", port)) for port in (b"20881", b"20882")]
    turns = itertools.cycle([[one, *texts[1:]] for one in first])
    loader.build(next(turns), config.Report())
    assert len(benchmark(lambda: loader.build(next(turns), config.Report())).services) >= SERVICES
