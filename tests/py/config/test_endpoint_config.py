"""``endpoint`` of a Sidecar: standbys and properties, and what is said of bad ones."""

from __future__ import annotations

import pytest
from test_registration_config import load, problems

GOOD = """
apiVersion: meshfast.io/v1
kind: Sidecar
spec:
  listeners: [{name: out, bind: "tcp://0.0.0.0:15001"}]
  endpoint: {zookeeper: "tcp://127.0.0.1:2181", standby: 2, properties: {dubbo.a: "b", dubbo.c: ""}}
"""


def test_they_are_in_the_mesh(tmp_path):
    found = load(GOOD, tmp_path).sidecar.endpoint
    assert (found.standby, found.properties) == (2, {"dubbo.a": "b", "dubbo.c": ""})


@pytest.mark.parametrize(
    "old, new, text",
    [
        ("standby: 2", "standby: 9", "9 is not from 0 to 8"),
        ("standby: 2", 'standby: 2, parameters: {weight: "0"}', "one of its standbys"),
        ("dubbo.a", "other.a", '"other.a" is no property of Dubbo'),
        ('"b"', f'"{"x" * 4097}"', "4097 characters"),
        ("dubbo.a", ", ".join(f'dubbo.{n}: ""' for n in range(256)) + ", dubbo.a", "258 properties"),
    ],
)
def test_bad_ones(tmp_path, old, new, text):
    assert text in problems(GOOD.replace(old, new), tmp_path)
