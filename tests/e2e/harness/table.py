"""The table at the end of a run: scenario and peers down, ways across."""

from __future__ import annotations

import textwrap
from collections.abc import Generator
from typing import Any

import pytest

from .registered import took
from .way import DIRECT, SIDECARS

WIDEST = 40  # characters of what a row says of its parameters
COLUMNS = (DIRECT, *SIDECARS)
WAYS = ("way", "proxied", "laid", "through", "behind")
_cells: dict[tuple[str, str], dict[str, str]] = {}
MARKS = {"passed": "ok", "skipped": "skip", "failed": "FAIL"}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """Note the outcome of each test by its way."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()
    if report.when == "teardown" and report.passed or report.when == "setup" and report.passed:
        return
    params = dict(item.callspec.params) if hasattr(item, "callspec") else {}
    found = [params.pop(name) for name in WAYS if name in params]
    path = found[0] if found else "-"
    peers = " ".join(">".join(map(str, p)) if isinstance(p, tuple) else str(p) for p in params.values())
    peers = textwrap.shorten(peers, WIDEST, placeholder="...")
    scenario = getattr(item, "originalname", item.name).removeprefix("test_").replace("_", " ")
    row = _cells.setdefault((scenario, peers), {})
    if row.get(path) != "FAIL":
        mark = "known" if hasattr(report, "wasxfail") else MARKS[report.outcome]
        row[path] = f"{mark} {report.duration:.1f}s" if report.passed else mark


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if not _cells:
        return
    columns = [c for c in (*COLUMNS, "-") if any(c in row for row in _cells.values())]
    first = max(len(scenario) for scenario, _ in _cells) + 2
    second = max(len(peers) for _, peers in _cells) + 2
    terminalreporter.section("real peers")
    terminalreporter.write_line(f"{'scenario':{first}}{'peers':{second}}" + "".join(f"{c:>13}" for c in columns))
    for (scenario, peers), row in _cells.items():
        cells = "".join(f"{row.get(c, ''):>13}" for c in columns)
        terminalreporter.write_line(f"{scenario:{first}}{peers:{second}}{cells}")
    for what, seconds in took.items():
        terminalreporter.write_line(f"{what}, as a registry has it: answered after {seconds * 1000:.0f} ms at most")
