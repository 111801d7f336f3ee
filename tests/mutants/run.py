"""Applies each mutant of mutants.toml to a copy of the sources and sees that the test named for it fails.

    python tests/mutants/run.py [NAME... | --sample]    all of them, or these, or those of the list `sample`

First every such test must pass without a mutant: else its failing would say nothing. A mutant whose text is not in its
file just once is an error: it has to be written anew for the code as it is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
TREE = ROOT / "build" / "mutants"
OPERATIONS = {"tsan": 200000, "weak": 400000, "linear": 40000}  # times the number of the try
SEEDS = range(1, 9)  # how often a test of chance may try
VARIANT = {"tsan": "tsan", "weak": "weak", "linear": "weak", "unit": "asan"}
PATIENCE = 120  # seconds; a test that hangs has noticed, too


class Broken(Exception):
    """The list or the build is at fault, not the code under test."""


def copy_tree() -> None:
    """The sources, and the objects that are built already: both keep their times, so little is built again."""
    shutil.rmtree(TREE, ignore_errors=True)
    for name in ("csrc", "tests", "bench", "build/tsan", "build/weak", "build/asan"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, TREE / name, ignore=shutil.ignore_patterns("__pycache__", "java", "node*"))
    shutil.copy2(ROOT / "Makefile", TREE)


def run(*command: str, **env: str) -> int:
    """The exit code; that of a hang is 124."""
    try:
        done = subprocess.run(command, cwd=TREE, env=os.environ | env, capture_output=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return 124
    return done.returncode


def build(target: str) -> None:
    made = subprocess.run(["make", "-s", "-j2", target], cwd=TREE, capture_output=True, text=True)
    if made.returncode != 0:
        raise Broken(f"does not compile: {made.stderr[-600:]}")


def model(name: str, mutant: str) -> bool:
    """Whether the model is violated."""
    where = TREE / "model"
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir(parents=True)
    define = [f"-DMUTANT_{mutant}"] if mutant else []
    source = ROOT / "tests" / "model" / f"{name}.pml"
    if mutant and f"MUTANT_{mutant}" not in source.read_text():
        raise Broken(f"{source.name} has no mutant {mutant}")
    for command in (["spin", "-a", *define, str(source)], ["cc", "-O1", "-w", "-DSAFETY", "-DCOLLAPSE", "pan.c"]):
        subprocess.run(command, cwd=where, check=True, capture_output=True)
    out = subprocess.run(["./a.out", "-m100000"], cwd=where, capture_output=True, text=True).stdout
    return "errors: 0" not in out


def notices(test: str, seed: int) -> bool:
    """Runs `unit table/test_epoch`, `tsan table/torture_epoch`, `weak ...`, `linear table/history_ring`."""
    kind, program = test.split()
    path = f"build/{VARIANT[kind]}/t/{program}"
    options = {"TORTURE_SEED": str(seed), "TSAN_OPTIONS": "halt_on_error=1"}
    operations = str(OPERATIONS.get(kind, 0) * seed)
    if kind != "linear":
        return run(path, operations, **options) != 0
    history = f"{path}.history"
    if run("sh", "-c", f"{path} {operations} > {history}", **options) != 0:
        return True
    return run(sys.executable, "tests/py/linear.py", history) != 0


def caught(test: str, seeds: range) -> bool:
    kind, rest = test.split(maxsplit=1)
    if kind == "model":
        return model(*rest.split())
    build(f"build/{VARIANT[kind]}/t/{rest}")
    if kind == "unit":
        seeds = seeds[:1]  # nothing in it is left to chance
    return any(notices(test, seed) for seed in seeds)


def try_mutant(mutant: dict[str, str]) -> bool:
    path = TREE / mutant["file"]
    source = path.read_text()
    if source.count(mutant["old"]) != 1:
        raise Broken(f"its text is {source.count(mutant['old'])} times in {mutant['file']}: write it anew")
    path.write_text(source.replace(mutant["old"], mutant["new"]))
    try:
        return caught(mutant["by"], SEEDS)
    finally:
        path.write_text(source)


def sound(tests: list[str], note: Progress) -> None:
    """Nothing is noticed where nothing is wrong. The models alone are left to tests/py/test_model.py."""
    for test in note.track(tests, description="without a mutant"):
        if caught(test, range(1, 3)):
            raise Broken(f"`{test}` fails without a mutant")


def main(names: list[str]) -> int:
    listed = tomllib.loads((Path(__file__).parent / "mutants.toml").read_text())
    everything, names = listed["mutant"], listed["sample"] if names == ["--sample"] else names
    chosen = [m for m in everything if not names or m["name"] in names]
    if names and len(chosen) != len(names):
        raise SystemExit(f"no such mutant among {', '.join(names)}")
    console = Console(width=None if sys.stdout.isatty() else 140)
    table = Table("mutant", "file", "caught by", "seconds")
    wrong = 0
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        copy_tree()
        sound(sorted({m["by"] for m in chosen if not m["by"].startswith("model ")}), progress)
        for mutant in progress.track(chosen, description="mutants"):
            since = time.monotonic()
            try:
                verdict = mutant["by"] if try_mutant(mutant) else f"[red]NOT by {mutant['by']}"
            except Broken as error:
                verdict = f"[red]{escape(str(error))}"
            wrong += verdict.startswith("[red]")
            table.add_row(mutant["name"], mutant["file"], verdict, f"{time.monotonic() - since:.1f}")
    console.print(table)
    console.print(f"{len(chosen)} mutants, {len(chosen) - wrong} caught")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
