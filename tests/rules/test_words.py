"""The tree names no machine's paths and no registry's host; the public modules say what they export."""

from __future__ import annotations

import importlib
import re

import pytest
from house import ROOT, files

# In pieces, so that this page does not name them.
HOSTS = "|".join(
    r"\.".join(pieces)
    for pieces in (
        ("py" "pi", "org"), ("registry", "npm" "js", "org"), ("deb", "debian", "org"), ("proxy", "golang", "org"),
        ("repo1", "maven", "org"), ("python" "hosted", "org"),
    )
)  # fmt: skip
PUBLIC = (
    "meshfast", "meshfast.dubbo", "meshfast.errors", "meshfast.http2", "meshfast.loop", "meshfast.routing",
    "meshfast.sdk",
)  # fmt: skip


def test_no_machine_and_no_registry():
    bad = []
    for path in files("*"):
        raw = (ROOT / path).read_bytes()
        if b"\0" in raw or path.name == "test_words.py":
            continue
        for number, line in enumerate(raw.decode(errors="replace").splitlines(), 1):
            if re.search(rf"/{'work'}/|/{'bash_jobs'}|{HOSTS}", line):
                bad.append(f"{path}:{number}: {line.strip()[:100]}")
    assert bad == []


@pytest.mark.parametrize("name", PUBLIC)
def test_exports(name):
    module = importlib.import_module(name)
    assert module.__all__ == sorted(module.__all__)
    for one in module.__all__:
        assert getattr(module, one).__doc__, f"{name}.{one} has no docstring"
