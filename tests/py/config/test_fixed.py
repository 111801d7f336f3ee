"""What cannot change while a sidecar runs is told once, at the field."""

from __future__ import annotations

from typing import Any

import pytest
from config_mesh import load, sidecar

from meshfast.fixed import changed
from meshfast.model import Sidecar

OUT = {"name": "out", "bind": "tcp://127.0.0.1:80"}
FIRST = {"workers": 1, "listeners": [OUT]}


def side(**spec: Any) -> Sidecar:
    return load(sidecar(**spec)).sidecar


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (FIRST, []),
        ({"workload": {"app": "x", "labels": {"env": "a"}, "locality": "z"}, **FIRST}, []),
        ({**FIRST, "workers": 2}, [("spec.workers", "workers cannot change while it runs", 4)]),
        (
            {"workers": 1, "listeners": [{**OUT, "bind": "tcp://127.0.0.1:81"}]},
            [("spec.listeners", "listeners cannot change while it runs", 6)],
        ),
        (
            {**FIRST, "limits": {"maxBody": "1MiB"}, "admin": "tcp://127.0.0.1:1"},
            [
                ("spec.admin", "admin cannot change while it runs", 10),
                ("spec.limits", "limits cannot change while it runs", 9),
            ],
        ),
        (
            {**FIRST, "traceMemory": {"ttl": "1s"}},
            [("spec.traceMemory.ttl", "traceMemory.ttl cannot change while it runs", 9)],
        ),
    ],
)  # fmt: skip
def test_once_at_the_field(spec: dict[str, Any], said: list[tuple[str, str, int]]) -> None:
    problems = changed(side(**FIRST), side(**spec))
    assert [(p.path, p.message, p.origin.line) for p in problems] == said
    assert all("restart" in p.hint and p.origin.document == "Sidecar" for p in problems)


def test_listeners_that_moved_to_another_line() -> None:
    assert changed(side(**FIRST), side(loop="auto", **FIRST)) == []
