"""Documents with parts taken out, put elsewhere or made into something else: a mesh or a ConfigError, nothing else."""

from __future__ import annotations

import copy
import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshfast import config
from meshfast.errors import ConfigError
from meshfast.model import Mesh, Op, TargetKind

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"
DOCUMENTS = list(yaml.safe_load_all(re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]))
ODD: list[Any] = [
    None, "", "x", "*", "$env", "$", "*/*", "a.*", "unix:///a", 0, -1, 1.5, 2**70, True, [], {}, [[]], [None],
    ["x", {}], {"": ""}, {"exact": "x"}, {"regex": "("}, {"host": "shop", "subset": "trunk"}, "a" * 300, "\u2028", "tcp://[::1]:1",
]  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a document."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [(value, k) for k in keys] + [place for k in keys for place in places(value[k])]


def mutate(documents: list[Any], pick: random.Random) -> None:
    container, key = pick.choice(places(documents))
    match pick.randrange(5):
        case 0:
            del container[key]
        case 1:
            other, at = pick.choice(places(documents))
            container[key] = copy.deepcopy(other[at])
        case 2 if isinstance(container, list):
            container.insert(key, copy.deepcopy(container[key]))
        case 3 if isinstance(container, dict):
            container[str(pick.choice(ODD))] = container.pop(key)
        case _:
            container[key] = copy.deepcopy(pick.choice(ODD))


def check(mesh: Mesh) -> None:
    """What model.py promises of every mesh."""
    assert len({(s.name, s.pattern) for s in mesh.services}) == len(mesh.services)
    for rule in (r for s in mesh.services for r in s.rules):
        assert sum(t.weight for t in rule.targets) > 0
        for number, target in enumerate(rule.targets):
            cluster = mesh.clusters[target.cluster]
            if target.kind is TargetKind.SUBSET:
                assert target.text in {s.name for s in cluster.subsets}
            assert (target.text == "") == (target.kind is TargetKind.ALL)
            if target.kind is TargetKind.LABEL:
                assert target.fallback is not None
            seen = {number}
            while (following := rule.targets[number].fallback) is not None:
                assert following not in seen
                seen.add(number := following)
        for condition in (c for m in rule.matches for c in m.conditions):
            assert isinstance(condition.value, bytes) == (condition.op is Op.REGEX)
    for cluster in mesh.clusters.values():
        assert len({e.address for e in cluster.endpoints}) == len(cluster.endpoints)
        assert all(1 <= e.weight <= 65535 for e in cluster.endpoints)
    assert all(len(label.sources) <= 8 for label in mesh.labels) and len(mesh.labels) <= 16 and len(mesh.traces) <= 8


@pytest.mark.parametrize("seed", range(8))
def test_mutants(seed: int) -> None:
    pick = random.Random(seed)
    good = bad = 0
    for _ in range(60):
        documents = copy.deepcopy(DOCUMENTS)
        for _ in range(pick.randint(1, 3)):
            if places(documents):
                mutate(documents, pick)
        text = yaml.safe_dump_all(documents).encode()
        try:
            check(config.load_texts([("f", text)]))
            good += 1
        except ConfigError as error:
            bad += 1
            lines = text.decode().split("\n")
            for problem in error.problems:
                assert 1 <= problem.origin.line <= len(lines) and problem.origin.column >= 1
                assert problem.message and str(problem)
    assert bad > good
