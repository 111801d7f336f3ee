"""What a suite asks must be judged by its figures, and what is counted apart must be what it says."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.harness import idle, profile, startup, syscalls
from bench.harness.html import page
from bench.harness.measure import Plan, Point, default_cpus, start_backend
from bench.harness.process import BenchError, free_port
from bench.harness.rival import ROOT, SERVICE, Place
from bench.harness.rivals import RIVALS
from bench.harness.suites import SUITES, best_layer4, verdicts
from bench.run import main
from meshfast import config

QUANTILES = {"p50_us": 5.0, "p99_us": 9.0, "p99_9_us": 10.0, "max_us": 11.0}


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    if not shutil.which("make") or not (shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("no compiler for the load generator")
    subprocess.run(["make", "-s", "bench-tools"], cwd=ROOT, check=True)


@pytest.fixture
def plan() -> Plan:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("the comparison needs two cores")
    proxy_cpu, load_cpu = default_cpus()
    return Plan((RIVALS["relay"],), (Point(1, 1),), 1, 0.05, 0.0, proxy_cpu=proxy_cpu, load_cpu=load_cpu)


def result(suite: str, point: str, **costs: float) -> dict[str, Any]:
    """Three rounds of every rival at one cost; names with _ for -."""
    names = {name.replace("_", "-"): cost for name, cost in costs.items()}
    samples = [
        {
            "rival": name, "point": point, "round": n, "cpu_us": cost * (1 + n / 1000), "calls_per_s": 1e6 / cost,
            "main_us": cost / 10, "busy": 1.0, "rss_mib": 1.0, "load_us": 1.0, "backend_us": 1.0,
            "raw": {"unsent": 0}, **QUANTILES,
        }
        for name, cost in names.items()
        for n in range(3)
    ]  # fmt: skip
    facts = {"revision": "a", "date": "d", "cpu": "<c>", "cpus": 2, "kernel": "k", "machine": "m"}
    options = {"rivals": list(names), "points": [point], "rounds": 3}
    return {"suite": suite, "samples": samples, "options": options, "measures": [], "facts": facts, "versions": {}}


def test_best_relay_is_found_and_asked_for() -> None:
    good = result("opaque", "1x64", meshfast_opaque=1.05, relay=2.0, relay_uring=1.0, nginx=3.0, envoy=0.1)
    assert best_layer4(good, "1x64") == "relay-uring"
    assert best_layer4(good, "1x64", "calls_per_s", most=True) == "relay-uring"
    (one,) = verdicts(good)
    assert (one.met, one.reached) == (True, "1.05x")
    (one,) = verdicts(result("opaque", "1x64", meshfast_opaque=1.2, relay=2.0, haproxy=1.0))
    assert (one.met, one.reached) == (False, "1.20x")
    (one,) = verdicts(result("opaque", "1x64", relay=2.0))
    assert one.met is None


@pytest.mark.parametrize(("factor", "met"), [(1.29, True), (1.31, False)])
def test_label_is_asked_for(factor: float, met: bool) -> None:
    said = verdicts(result("label", "1x64", meshfast_epoll=1.0, meshfast_label=factor, meshfast_header=1.0))
    assert [one.met for one in said] == [met, True]


def test_large_is_asked_for() -> None:
    slow = result("large", "4x4/1m", meshfast_epoll=1.2, relay=1.0, nginx=2.0)
    assert [one.met for one in verdicts(slow)] == [False]
    what = "user-space copying, share of CPU"
    slow["measures"] = [idle.measure("meshfast-epoll", what, "", [share], "4x4/1m") for share in (0.01, 0.3)]
    assert [one.met for one in verdicts(slow)] == [False, True, False]


def test_a_ratio_of_too_few_rounds_is_no_answer() -> None:
    few = result("label", "1x64", meshfast_epoll=1.0, meshfast_label=9.0, meshfast_header=9.0)
    few["samples"] = [s for s in few["samples"] if s["round"] < 2]
    assert [one.met for one in verdicts(few)] == [None, None]


@pytest.mark.parametrize("suite", list(SUITES))
def test_page_says_what_failed_and_escapes_it(suite: str) -> None:
    some = result(suite, "1x64", meshfast_epoll=1.0, relay=2.0)
    some["samples"].append({"rival": "relay", "point": "1x64", "round": 4, "error": "<b>gone</b>"})
    text = page(some)
    assert "&lt;b&gt;gone&lt;/b&gt;" in text and "<b>gone" not in text
    assert "&lt;c&gt;" in text


def test_syscalls_of_the_relay(plan: Plan, tmp_path: Path) -> None:
    """A call through it: wait, receive, send, both ways; it waits less often when both are ready at once."""
    if not syscalls.method():
        pytest.skip("neither perf nor strace is there and allowed")
    with start_backend(plan, tmp_path) as backend:
        place = Place(free_port(), backend.address, tmp_path / "relay")
        with RIVALS["relay"].start(place, plan.proxy_cpu) as proxy:
            assert 4 <= syscalls.count(plan, Point(1, 1), proxy, tmp_path) <= 8


def test_memory_of_a_connection_is_seen(plan: Plan, tmp_path: Path) -> None:
    memory = idle.Memory(plan, tmp_path, counts=(50,), looks=1)
    memory.run()
    assert memory.failures == []
    found = {one["what"]: one["values"] for one in memory.measures}
    assert 0.1 < found["idle"][0] < 50
    assert found["a connection"][0] < 100


def test_connection_that_is_not_served_is_noticed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        ending = threading.Thread(target=lambda: listener.accept()[0].close())
        ending.start()
        with pytest.raises((BenchError, OSError)), idle.connections(address, 1):
            pass
        ending.join()


def test_large_configuration_is_a_good_one(tmp_path: Path) -> None:
    mesh = config.load([str(startup.large(tmp_path, 20, "127.0.0.1:1", 20880, SERVICE))])
    assert len(mesh.services) == 21
    assert sum(len(cluster.endpoints) for cluster in mesh.clusters.values()) == 201


def test_program_that_never_gets_ready(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="ended with code 3: no"):
        argv = ["/bin/sh", "-c", "echo no; exit 3"]
        startup.exec_to_ready(argv, f"127.0.0.1:{free_port()}", plan.proxy_cpu, tmp_path / "log", {})


def test_profile_is_read() -> None:
    text = """
# Samples: 1K of event 'cpu-clock'
# Overhead  Symbol                               IPC   [IPC Coverage]
    60.00%  [k] _copy_to_iter                    -      -
    25.00%  [.] __memmove_avx512_unaligned_erms  -      -
    10.00%  [.] mf_dubbo_read                    -      -
     5.00%  [.] memcpy@plt
"""
    found = profile.parse(text)
    assert found.kernel == (("_copy_to_iter", 0.6),)
    assert [name for name, _ in found.user] == ["__memmove_avx512_unaligned_erms", "mf_dubbo_read", "memcpy@plt"]
    assert found.copying == pytest.approx(0.3)
    with pytest.raises(BenchError, match="few"):
        profile.parse(text.replace("1K", "12"))


def test_suites_name_rivals_that_there_are() -> None:
    for suite in SUITES.values():
        assert set(suite.rivals) <= set(RIVALS)
        for text in (suite.points, suite.smoke):
            assert all(Point.parse(one) for one in text.split(",") if text)


def test_unknown_count_is_refused() -> None:
    done = CliRunner().invoke(main, ["run", "--count", "cycles"])
    assert done.exit_code == 2
    assert "none of syscalls" in done.output
