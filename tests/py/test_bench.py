"""The comparison must notice wrong answers, missing answers and waiting, or its figures mean nothing."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from bench.harness.measure import Plan, Point, Sample, default_cpus, derive, take_all
from bench.harness.process import BenchError, Program, free_port
from bench.harness.report import print_comparison, print_result
from bench.harness.rival import BUILD, ROOT
from bench.harness.rivals import RIVALS
from bench.harness.spread import Spread, choose_base, ratio_text
from bench.run import load_result, main

CPU = min(os.sched_getaffinity(0))


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    if not shutil.which("make") or not (shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("no compiler for the load generator")
    subprocess.run(["make", "-s", "bench-tools"], cwd=ROOT, check=True)


def backend(directory: Path, fault: str = "") -> Program:
    argv = [str(BUILD / "dubbo_backend"), *(["--fault", fault] if fault else [])]
    return Program("backend", argv, cpu=CPU, log=directory / "backend.log", announces=True)


def load(address: str, *options: str) -> tuple[int, dict[str, Any]]:
    argv = [str(BUILD / "dubbo_load"), "--connect", address, "--warmup", "0", "--seconds", "0.1", "--stall", "300"]
    done = subprocess.run([*argv, *options], capture_output=True, text=True, timeout=30)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def uring_allowed(argv: list[str]) -> bool:
    """Whether the relay on io_uring gets as far as its listener: it refuses an address that is none only then."""
    done = subprocess.run([argv[0], "x", argv[2]], capture_output=True, text=True, timeout=10)
    return "host:port" in done.stderr


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Program]:
    with backend(tmp_path) as program:
        yield program


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("1x1", Point(1, 1)),
        ("64x16", Point(64, 16)),
        ("64x1@10k", Point(64, 1, 10_000)),
        ("2x3@1500", Point(2, 3, 1500)),
        ("4x4/1m", Point(4, 4, 0, 1 << 20)),
        ("4x4@1k/64k", Point(4, 4, 1000, 64 << 10)),
        ("1x1/100", Point(1, 1, 0, 100)),
    ],
)
def test_point(text: str, point: Point) -> None:
    assert Point.parse(text) == point
    assert Point.parse(str(point)) == point


@pytest.mark.parametrize("text", ["", "1", "0x1", "1x0", "1x1@", "1x1@k", "-1x1", "1x1 ", "1x1/", "1x1/0", "1x1/1g"])
def test_bad_point(text: str) -> None:
    with pytest.raises(ValueError, match="CONNECTIONSxINFLIGHT"):
        Point.parse(text)


def test_ratio_only_where_ranges_do_not_overlap() -> None:
    base = Spread.of([1.0, 1.1, 0.9])
    assert ratio_text(Spread.of([2.0, 2.2, 1.9]), base) == "2.00x"
    assert ratio_text(Spread.of([2.0, 2.2, 1.1]), base) == "≈"
    assert ratio_text(Spread.of([0.5, 0.5, 0.5]), base) == "0.50x"
    assert ratio_text(Spread.of([0.5, 0.5]), base) == "≈"  # two samples are no range
    assert choose_base(["relay", "meshfast-uring"]) == "meshfast-uring"
    assert choose_base(["relay", "nginx"]) == "relay"
    assert choose_base(["relay", "nginx"], "nginx") == "nginx"


def test_derive() -> None:
    quantiles = {key: 5.0 for key in ("mean", "p50", "p90", "p99", "p99_9", "max")}
    raw = {
        "calls": 1000,
        "seconds": 2.0,
        "calls_per_s": 500.0,
        "latency_us": quantiles,
        "cpu_s": 0.5,
        "machine": {"busy_s": 2.4, "steal_s": 0.2},
        "watched": [{"cpu_s": 1.0, "rss": 3 << 20}, {"cpu_s": 0.5, "rss": 0}],
    }
    figures = derive(raw)
    assert figures["cpu_us"] == 1000
    assert figures["busy"] == 0.5
    assert figures["rss_mib"] == 3
    assert (figures["load_us"], figures["backend_us"]) == (500, 500)
    assert figures["foreign"] == pytest.approx(0.2)
    assert figures["steal"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--connections", "4", "--inflight", "8"),
        ("--payload", "70000", "--trace"),
        ("--serialization", "12", "--payload", "5000"),
    ],
)
def test_right_answers(echo: Program, options: tuple[str, ...]) -> None:
    code, report = load(echo.address, "--attach", "dubbo.tag=dev1", "--watch", str(echo.pid), *options)
    assert (code, report["errors"], report["first_error"]) == (0, 0, "")
    assert report["calls"] > 0
    assert report["watched"][0]["cpu_s"] > 0
    assert report["watched"][0]["main_cpu_s"] == report["watched"][0]["cpu_s"]  # a program of one thread
    assert 0 < report["latency_us"]["p50"] <= report["latency_us"]["p99"] <= report["latency_us"]["max"]


@pytest.mark.parametrize("serialization", ["2", "12"])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [("status:50", "status"), ("body:50", "body"), ("id:50", "id"), ("drop:50", "stall"), ("close:50", "closed")],
)
def test_wrong_answers_are_seen(tmp_path: Path, fault: str, kind: str, serialization: str) -> None:
    options = ("--connections", "2", "--inflight", "4", "--seconds", "0.5", "--serialization", serialization)
    with backend(tmp_path, fault) as program:
        code, report = load(program.address, *options)
    assert code == 1
    assert report["wrong"][kind] > 0
    assert report["first_error"]


def test_open_loop_keeps_its_rate(echo: Program) -> None:
    code, report = load(echo.address, "--connections", "2", "--inflight", "64", "--rate", "1000", "--seconds", "0.5")
    assert code == 0
    assert report["loop"] == "open"
    # of the time that it had: a busy machine may keep it from its last moments
    assert report["calls"] + report["unsent"] == pytest.approx(1000 * report["seconds"], rel=0.1)


def test_open_loop_counts_waiting_for_a_turn(echo: Program) -> None:
    """One call at a time cannot make a million a second: the wait before sending must show in the latency."""
    code, report = load(echo.address, "--rate", "1000000")
    assert code == 0
    assert report["unsent"] > 0
    assert report["latency_us"]["p50"] > 20_000  # of a window of 100 ms


def test_nobody_listens() -> None:
    argv = [str(BUILD / "dubbo_load"), "--connect", f"127.0.0.1:{free_port()}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10)
    assert done.returncode == 1
    assert "refused" in done.stderr


@pytest.mark.parametrize("name", ["relay", "relay_uring"])
def test_relay_passes_everything_on(echo: Program, tmp_path: Path, name: str) -> None:
    address = f"127.0.0.1:{free_port()}"
    argv = [str(BUILD / name), address, echo.address]
    if name == "relay_uring" and not uring_allowed(argv):
        pytest.skip("no io_uring here")
    loads = (
        ("--connections", "8", "--inflight", "32"),
        ("--payload", "500000", "--inflight", "8"),
        ("--payload", "300000", "--inflight", "4", "--connections", "16"),  # more than all receive buffers hold
    )
    with Program(name, argv, cpu=CPU, log=tmp_path / "relay.log", address=address):
        for options in loads:
            code, report = load(address, *options, "--stall", "20000", "--seconds", "1")
            assert (code, report["first_error"]) == (0, "")


def test_program_that_does_not_start(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(BenchError, match="is not host:port"):
        Program("relay", [str(BUILD / "relay"), "x", "y"], cpu=CPU, log=log, address="127.0.0.1:9").__enter__()


def test_whole_run_of_the_relay(tmp_path: Path) -> None:
    """Samples in order, a result that can be shown and compared, and failures that are said and not averaged away."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("the comparison needs two cores")
    out = tmp_path / "result.json"
    argv = ["run", "--only", "relay", "--points", "1x1,2x4@500", "--rounds", "3", "--seconds", "0.3"]
    done = CliRunner().invoke(main, [*argv, "--warmup", "0", "--out", str(out)])
    assert done.exit_code == 0, done.output
    result = load_result(out)
    places = [(s["round"], s["point"], s["rival"]) for s in result["samples"]]
    assert places == [(r, p, "relay") for r in range(3) for p in ("1x1", "2x4@500")]
    assert {"cpu", "kernel", "revision", "date"} <= set(result["facts"])
    again = CliRunner().invoke(main, ["compare", str(out), str(out)])
    assert again.exit_code == 0
    assert "≈" in again.output
    shown = CliRunner().invoke(main, ["report", str(out)])
    assert shown.exit_code == 0, shown.output
    text = out.with_suffix(".html").read_text()
    assert text.count("<svg") == 4  # CPU and latency of each point
    assert not re.search(r"<script|src=|href=|url\(", text)

    for sample in result["samples"]:
        sample["cpu_us"] *= 100
    worse = tmp_path / "worse.json"
    worse.write_text(json.dumps(result))
    assert CliRunner().invoke(main, ["compare", str(out), str(worse)]).exit_code == 1
    assert CliRunner().invoke(main, ["compare", str(worse), str(out)]).exit_code == 0


def test_rival_that_fails_is_reported(tmp_path: Path) -> None:
    proxy_cpu, load_cpu = (CPU, CPU) if len(os.sched_getaffinity(0)) < 2 else default_cpus()
    plan = Plan((RIVALS["relay"],), (Point(1, 1),), 1, 1.0, 0.0, proxy_cpu=proxy_cpu, load_cpu=load_cpu)
    samples: list[Sample] = take_all(plan, tmp_path, lambda sample: None)
    assert "error" not in samples[0]
    samples.append({"rival": "relay", "point": "1x1", "round": 1, "error": "[/main()] gone"})
    screen = io.StringIO()
    result = {"options": plan.options(), "samples": samples, "facts": {"revision": "a"}}
    print_result(Console(file=screen, width=160), result)
    assert "failed" in screen.getvalue()
    assert "[/main()] gone" in screen.getvalue()
    assert print_comparison(Console(file=screen, width=160), result, result) is False


def test_instructions_of_the_relay() -> None:
    """One call of the relay costs it some hundred instructions of its own; a start costs a hundred thousand."""
    if not shutil.which("valgrind"):
        pytest.skip("instructions are counted by valgrind")
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("the comparison needs two cores")
    done = CliRunner().invoke(main, ["instructions", "--only", "relay", "--points", "1x1", "--calls", "300"])
    assert done.exit_code == 0, done.output
    counted = int(done.output.split("relay")[1].split()[0].replace(",", ""))
    assert 100 < counted < 2000


def test_fixed_count_of_calls(echo: Program) -> None:
    code, report = load(echo.address, "--calls", "321", "--connections", "3", "--inflight", "5")
    assert (code, report["calls"]) == (0, 321)


def test_result_of_another_format(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text('{"format": 0}')
    with pytest.raises(BenchError, match="not a result"):
        load_result(path)


def test_result_of_the_first_format_is_still_shown() -> None:
    old = min((ROOT / "bench" / "results").glob("*.json"))
    assert json.loads(old.read_text())["format"] == 1
    shown = CliRunner().invoke(main, ["show", str(old)])
    assert shown.exit_code == 0, shown.output
    assert "best layer-4 relay: " in shown.output
