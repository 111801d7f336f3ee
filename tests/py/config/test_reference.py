"""docs/configuration.md and the limits say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from meshfast import config
from meshfast.config import dfa, label, limit, reference, regex, sidecar
from meshfast.config.compose import MAX_BYTES, MAX_DEPTH, MAX_NODES
from meshfast.errors import ConfigError

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "configuration.md").read_text()


def defined(header: str, name: str) -> int:
    found = re.search(rf"\b{name} = (\d+)", (ROOT / "csrc" / header).read_text())
    assert found, name
    return int(found[1])


def test_limits_are_those_of_limits_h() -> None:
    text = (ROOT / "csrc" / "call" / "limits.h").read_text()
    found = re.findall(r'X\((\w+), (\w+), (bytes|count|ms), (\d+), (\d+), "([^"]+)"\)', text)
    assert found == [(x.field, x.name, x.unit, str(x.default), str(x.least), x.doc) for x in limit.LIMITS]
    assert len(found) == text.count("    X(")


def test_numbers_are_those_of_the_headers() -> None:
    assert label.MAX_LABELS == defined("table/label.h", "MF_PLAN_LABELS")
    assert label.MAX_TEXT == defined("table/label.h", "MF_LABEL_TEXT")
    assert label.MAX_SOURCES == defined("table/label.h", "MF_LABEL_SOURCES")
    assert sidecar.MAX_WORKERS == defined("engine/options.h", "MF_WORKERS_MAX")
    assert sidecar.MAX_LISTENERS == defined("engine/options.h", "MF_LISTENERS_MAX")


def test_the_page_has_every_table_as_it_is() -> None:
    assert reference.asked(PAGE) == {*reference.RECORDS, "limits", "unsupported", "quality", "passed"}
    stale = "run python -m meshfast.config.reference docs/configuration.md"
    assert reference.filled(PAGE) == PAGE, stale


def test_the_page_of_dubbos_rules_has_every_table_as_it_is() -> None:
    page = (ROOT / "docs" / "dubbo.md").read_text()
    assert reference.asked(page) == set(reference.DUBBO)
    assert reference.filled(page) == page, "run python -m meshfast.config.reference docs/dubbo.md"


def test_the_page_says_the_bounds() -> None:
    assert MAX_BYTES == 16 << 20 and MAX_NODES == 2_000_000 and MAX_DEPTH == 100
    assert "at most 16 MiB, 2,000,000 YAML nodes and 100 levels" in PAGE
    assert f"at most {dfa.MAX_STATES} states" in PAGE and f"up to {regex.MAX_REPEAT}," in PAGE
    assert all(f"`{key}`" in PAGE for key in label.TRACES)
    assert all(name in PAGE for name in label.FUNCTIONS)


def test_the_example_is_good_and_says_what_it_claims() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    mesh = config.load_texts([("example", example.encode())])
    (rule,) = {id(r): r for s in mesh.services for r in s.rules}.values()
    assert [(t.kind.name, t.text, t.weight, t.fallback) for t in rule.targets] == [
        ("LABEL", "env", 100, 1),
        ("SUBSET", "trunk", 0, 2),
        ("SUBSET", "daily", 0, None),
    ]
    with_env = [e.address for e in mesh.clusters["shop"].endpoints if e.labels.get("env") == "dev1"]
    assert with_env == ["10.0.1.1:20880"]
    assert mesh.sidecar.limits == {"maxBody": 16 << 20, "callTimeout": 3000}
    with pytest.raises(ConfigError) as caught:
        config.load_texts([("mesh.yaml", example.replace("{subset: trunk}", "{subset: trunc}").encode())])
    shown = [problem for problem in map(str, caught.value.problems) if "trunc" in problem]
    assert "\n".join("    " + line for line in shown[0].split("\n")) in PAGE
