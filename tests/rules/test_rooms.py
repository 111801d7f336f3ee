"""Rooms stay small enough to read at one sitting. A file that must be larger is named here, with the reason."""

from __future__ import annotations

import pytest
from house import files, text

BUDGET = {".c": 600, ".h": 200, ".py": 400, ".pyx": 400, ".pxi": 400}
LARGER = {
    "csrc/table/decide.h": "the one decision of a lookup: always-inline code that route.c and explain.c share",
}


@pytest.mark.parametrize("path", files(*(f"*{ending}" for ending in BUDGET)), ids=str)
def test_size(path):
    if path.name.endswith("_tbl.h") or str(path) in LARGER:
        return
    assert len(text(path).splitlines()) <= BUDGET[path.suffix]
