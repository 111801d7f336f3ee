"""The record of instructions must turn red for what grew, or the count would guard nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

import bench.instructions.__main__ as program
from bench.instructions.count import CountError, count, inclusive, toolchain

# What callgrind writes: a function's own lines, and for each call its sum.
PROFILE = """\
fl=(1) a.c
fn=(1) main
10 5
cfn=(2) count__a
calls=1 20
11 130

fn=(2)
20 10
+1 20
cfi=(2) b.c
cfn=(3) work
calls=3 40
* 100

fn=(3)
40 100

fn=(4) count__b
-3 7
totals: 142
"""


def test_inclusive() -> None:
    assert inclusive(PROFILE, "count__") == {"a": 130, "b": 7}


@pytest.mark.parametrize(
    ("now", "bad", "better"),
    [
        ({"a": 104.9, "b": 10.0}, 0, 0),
        ({"a": 105.1, "b": 10.0}, 1, 0),
        ({"a": 94.0, "b": 10.0}, 0, 1),
        ({"a": 100.0}, 1, 0),
        ({"a": 100.0, "b": 10.0, "c": 1.0}, 1, 0),
    ],
)
def test_judge(now: dict[str, float], bad: int, better: int) -> None:
    _, wrong, good = program.judge({"a": 100.0, "b": 10.0}, now)
    assert (len(wrong), len(good)) == (bad, better)


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Runs `check` of a record against a count of 100."""
    monkeypatch.delenv("MESHFAST_REQUIRE_COUNT", raising=False)
    monkeypatch.setattr(program, "count", lambda *_: {"a": 100.0})

    def run(recorded: float, tools: dict[str, str]):  # type: ignore[no-untyped-def]
        path = tmp_path / "record.json"
        path.write_text(json.dumps({"instructions": {"a": recorded}, "toolchain": tools}))
        return CliRunner().invoke(program.main, ["check", "--record", str(path)])

    return run


def test_check(check, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    here = toolchain()
    assert check(100.0, here).exit_code == 0
    assert check(90.0, here).exit_code == 1
    fallen = check(120.0, here)
    assert fallen.exit_code == 0 and "lower the record" in fallen.output
    other = check(90.0, here | {"compiler": "gcc 1.0"})
    assert other.exit_code == 0 and "cannot be compared" in other.output
    monkeypatch.setenv("MESHFAST_REQUIRE_COUNT", "1")
    assert check(90.0, here | {"compiler": "gcc 1.0"}).exit_code == 1


def test_record_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "count", lambda *_: {"a_1": 1.0, "a_2": 2.0, "b": 3.0})
    path = tmp_path / "record.json"

    def run(tools: dict[str, str]) -> tuple[int, dict[str, float]]:
        path.write_text(json.dumps({"instructions": {"a_1": 9.0, "b": 9.0}, "toolchain": tools}))
        done = CliRunner().invoke(program.main, ["record", "--record", str(path), "--only", "a_"])
        return done.exit_code, json.loads(path.read_text())["instructions"]

    assert run(toolchain()) == (0, {"a_1": 1.0, "a_2": 2.0, "b": 9.0})
    assert run(toolchain() | {"libc": "other"}) == (1, {"a_1": 9.0, "b": 9.0})


def test_the_record_names_what_is_counted() -> None:
    kept = json.loads(program.RECORD.read_text())
    source = program.RECORD.with_name("count.c").read_text()
    assert list(kept["instructions"]) == sorted(kept["instructions"])
    for name in kept["instructions"]:
        assert f"count__{name}(" in source
    assert kept["toolchain"].keys() == toolchain().keys()


SPIN = """\
#include <stdio.h>
#include <stdlib.h>
static volatile unsigned sink;
__attribute__((noinline)) static void count__spin(unsigned n) { while (n--) sink++; }
int main(int argc, char **argv)
{
    (void)argc;
    unsigned n = (unsigned)atoi(argv[1]);
    count__spin(n);
    printf("spin %u\\n", n);
    return 0;
}
"""


def test_count(tmp_path: Path) -> None:
    compiler = os.environ.get("CC", "gcc")
    if not shutil.which("valgrind") or not shutil.which(compiler):
        pytest.skip("no valgrind or no compiler: nothing can be counted")
    (tmp_path / "spin.c").write_text(SPIN)
    subprocess.run([compiler, "-O1", str(tmp_path / "spin.c"), "-o", str(tmp_path / "spin")], check=True)
    first, again = (count(tmp_path / "spin", tmp_path / "out") for _ in range(2))
    assert first == again
    assert 3 <= first["spin"] <= 8
    with pytest.raises(CountError):
        count(Path("/bin/false"), tmp_path / "out")
