"""An engine in the caller's own loop ends whole, whatever interrupts it, and does not disturb another one there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize("backend", ["epoll", "io_uring"])
@pytest.mark.parametrize("story", ["interrupted", "two"])
def test_it_ends_whole(story, backend):
    path = os.pathsep.join([str(HERE.parents[1]), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    argv = [sys.executable, "-X", "faulthandler", str(HERE / "embed_inside.py"), story, backend]
    env = {**os.environ, "PYTHONPATH": path, "MALLOC_PERTURB_": "165"}  # what is freed is not what it was
    try:
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=40)
    except subprocess.TimeoutExpired:
        pytest.fail(f"{story} on {backend} hangs")
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0 and done.stdout == "done\n", (done.returncode, done.stdout, done.stderr)
