"""The command line: what verbs print, where, and their exit codes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import meshfast
from meshfast import cli

GOOD = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop}
spec:
  hosts: [a.Cart]
  endpoints: [{address: 10.0.0.1, ports: {dubbo: 1}}]
"""
BAD = GOOD.replace("hosts", "hots")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "meshfast", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def good(tmp_path: Path) -> str:
    (tmp_path / "good.yaml").write_text(GOOD)
    return str(tmp_path)


@pytest.fixture
def bad(tmp_path: Path) -> str:
    (tmp_path / "bad.yaml").write_text(BAD)
    return str(tmp_path / "bad.yaml")


def test_check_good(good: str) -> None:
    done = run("check", good)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 service, 1 rule" in done.stdout and "a.Cart" in done.stdout and "1 cluster, 1 instance" in done.stdout
    assert "\x1b" not in done.stdout


def test_check_good_as_json(good: str) -> None:
    done = run("check", good, "-o", "json")
    said = json.loads(done.stdout)
    assert done.returncode == 0 and said["good"] is True and said["problems"] == []
    assert said["clusters"][0]["services"] == ["a.Cart"] and said["clusters"][0]["instances"] == 1
    assert said["services"][0]["origin"]["line"] == 5


def test_check_bad(bad: str) -> None:
    done = run("check", bad)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{bad}:5:3: ServiceEntry/shop spec.hots: unknown field hots" in done.stderr
    assert "      hots: [a.Cart]\n      ^\n" in done.stderr and "hint: did you mean hosts?" in done.stderr
    assert "\x1b" not in done.stderr


def test_check_bad_as_json(bad: str) -> None:
    done = run("check", "-o", "json", bad)
    said = json.loads(done.stdout)
    assert (done.returncode, said["good"]) == (1, False)
    first = said["problems"][0]
    assert (first["line"], first["column"], first["path"]) == (5, 3, "spec.hots")
    assert (first["message"], first["hint"]) == ("unknown field hots", "did you mean hosts?")


@pytest.mark.parametrize("name", ["absent.yaml", "absent"])
def test_check_what_is_not_there(tmp_path: Path, name: str) -> None:
    done = run("check", str(tmp_path / name))
    assert done.returncode == 1 and "cannot be read: No such file or directory" in done.stderr


def test_check_an_empty_directory(tmp_path: Path) -> None:
    done = run("check", str(tmp_path))
    assert done.returncode == 1 and "no *.yaml or *.yml file is there" in done.stderr


@pytest.mark.parametrize("arguments", [("check",), ("chekc",), ("check", "--colour", "x"), ("check", "x", "-o", "xml")])
def test_usage(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2 and done.stdout == "" and "Usage" in done.stderr


def test_version() -> None:
    assert run("version").stdout == f"meshfast {meshfast.__version__}\n"
    assert json.loads(run("version", "-o", "json").stdout)["meshfast"] == meshfast.__version__


def test_help_lists_every_verb() -> None:
    said = run("--help").stdout
    assert all(verb in said for verb in cli.VERBS)


def on_terminal(arguments: list[str], **environment: str) -> bytes:
    """What a command writes when its standard error is a terminal."""
    ours, theirs = pty.openpty()
    plain = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "CI")}
    command = [sys.executable, "-m", "meshfast", *arguments]
    env = plain | {"TERM": "xterm"} | environment
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=env) as child:
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # Linux says so when the other side has closed
                break
            if not piece:
                break
            said += piece
        child.communicate(timeout=60)
    os.close(ours)
    return said


def test_colour_only_where_it_is_wanted(bad: str) -> None:
    assert b"\x1b[" in on_terminal(["check", bad])
    assert b"\x1b[3" not in on_terminal(["check", bad], NO_COLOR="1")
