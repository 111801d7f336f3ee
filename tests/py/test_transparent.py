"""Transparent listeners, with the kernel's own redirection, in a network namespace: see transparent_inside.py."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NEEDED = {"nft": ("nft",), "iptables": ("iptables", "ip6tables")}


def story(namespace: list[str], tool: str, backend: str) -> dict[str, object]:
    """Runs it; skips with what the machine says where it has not what is needed."""
    for name in ("unshare", "nsenter", "ip", *NEEDED[tool]):
        if not shutil.which(name):
            pytest.skip(f"{name} is not installed")
    inside = subprocess.run(["unshare", *namespace, "true"], capture_output=True, text=True)
    if inside.returncode:
        pytest.skip(f"no network namespace: {inside.stderr.strip()}")
    path = os.pathsep.join([str(HERE.parents[1]), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        ["unshare", *namespace, sys.executable, str(HERE / "transparent_inside.py"), tool, backend],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("backend", ["epoll", "io_uring"])
@pytest.mark.parametrize("tool", list(NEEDED))
def test_what_cannot_be_read_goes_where_it_was_dialled(tool, backend):
    root = os.geteuid() == 0
    told = story(["-n"] if root else ["-r", "-n"], tool, backend)
    assert told["one_user"] is not root


def test_with_one_user_the_sidecar_is_told_apart_by_a_mark():
    if os.geteuid():
        pytest.skip("not root: the tests above have one user already")
    assert story(["-r", "-n"], "nft", "epoll")["one_user"] is True
