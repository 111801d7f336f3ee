"""Generated tables are what their generators print."""

from __future__ import annotations

import subprocess
import sys

import pytest
from house import ROOT, files, text

GENERATORS = files("csrc/*/*.py")


def test_each_table_has_a_generator():
    assert {path.stem + "_tbl.h" for path in GENERATORS} == {path.name for path in files("csrc/*/*_tbl.h")}


@pytest.mark.parametrize("path", GENERATORS, ids=str)
def test_the_table_is_what_its_generator_prints(path):
    printed = subprocess.run([sys.executable, ROOT / path], check=True, capture_output=True, text=True).stdout
    assert text(path.with_name(path.stem + "_tbl.h")) == printed, "run: make tables"
