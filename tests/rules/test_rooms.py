"""Rooms stay small enough to read at one sitting."""

from __future__ import annotations

import pytest
from house import files, text

BUDGET = {".c": 600, ".h": 200, ".py": 400, ".pyx": 400, ".pxi": 400}


@pytest.mark.parametrize("path", files(*(f"*{ending}" for ending in BUDGET)), ids=str)
def test_size(path):
    if path.name.endswith("_tbl.h"):
        return
    assert len(text(path).splitlines()) <= BUDGET[path.suffix]
