"""No memory, seen from Python: MemoryError, and what was in force before is in force still."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="refuse.c stands before glibc's allocator")
def test_each_allocation_fails(tmp_path: Path) -> None:
    compiler = shutil.which(os.environ.get("CC", "gcc"))
    if not compiler:
        pytest.skip("no C compiler")
    library = tmp_path / "refuse.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", HERE / "refuse.c", "-o", library], check=True)
    inside = [sys.executable, str(HERE / "memory_inside.py"), str(library)]
    env = os.environ | {"LD_PRELOAD": str(library)}
    done = subprocess.run(inside, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("allocations") == 6
