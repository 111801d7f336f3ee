"""A million calls a loop under equal and colliding request ids, every answer compared with its question.

Providers answer out of order; callers' ids are the same everywhere, equal within a connection, extreme, or those that
the proxy uses itself. With 1 and 2 workers. Exit code 1 when any answer was crossed, lost or doubled, or when the
counts of callers, proxy and providers do not agree.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from calls.programs import Answerer, Asker, Proxy, endpoint, entry, run_main

IDS = "same,collide,extreme,ours"
SIZES = "16,64,64,64,64,200,200,1000,9000"
LOOPS = ("epoll", "io_uring")
PROVIDERS = 3
ASKERS = 2
DEADLINE_S = 600.0

console = Console() if Console().is_terminal else Console(width=150)


def checker_notices(folder: Path) -> bool:
    """A provider that swaps arguments is found out; else what follows would prove nothing."""
    with Answerer("liar", folder, wrong=1000) as liar:
        with Asker("checked", folder, liar.port, calls=20000, ids=IDS, stall=2000) as asker:
            result = asker.result(DEADLINE_S)
    return bool(asker.process.returncode == 1 and result["crossed"] + result["twice"] >= 10)


def one(folder: Path, loop: str, workers: int, calls: int) -> dict[str, Any]:
    """The counts of all sides after ``calls`` calls."""
    with ExitStack() as stack:
        answerers = [stack.enter_context(Answerer(f"answer{i}", folder)) for i in range(PROVIDERS)]
        mesh = [entry(endpoint(a.port) for a in answerers)]
        proxy = Proxy(f"proxy-{loop}-{workers}", folder, loop=loop, workers=workers, mesh=mesh)
        stack.enter_context(proxy)
        started = time.monotonic()
        askers = [
            stack.enter_context(
                Asker(
                    f"ask{i}", folder, proxy.port, who=i, calls=calls // ASKERS, connections=64, inflight=16, ids=IDS,
                    sizes=SIZES, one_way=4, beat=2, timeout=60000, stall=60000,
                )
            )
            for i in range(ASKERS)
        ]  # fmt: skip
        results = [asker.result(DEADLINE_S) for asker in askers]
        seconds = time.monotonic() - started
        asked = {key: sum(r[key] for r in results) for key in results[0] if isinstance(results[0][key], int)}
        deadline = time.monotonic() + 30
        while (counted := proxy.counters())["calls_active"] and time.monotonic() < deadline:
            time.sleep(0.05)
        code = proxy.close()
        answered = [a.finish() for a in answerers]
    return {
        "seconds": seconds,
        "first": next((r["first"] for r in results if r["first"]), ""),
        "asked": asked,
        "counted": counted,
        "requests": sum(a["requests"] for a in answered),
        "one_way": sum(a["one_way"] for a in answered),
        "code": code,
    }


def wrong(run: dict[str, Any], calls: int) -> list[str]:
    """What does not hold."""
    asked, counted = run["asked"], run["counted"]
    two_way = asked["begun"] - asked["one_way"] - asked["heartbeats"]
    claims = {
        f"all {calls} calls were begun": asked["begun"] == calls // ASKERS * ASKERS,
        "every two-way call has its own answer": asked["right"] == two_way,
        "none was crossed, doubled, lost or refused": not any(
            asked[key] for key in ("crossed", "twice", "lost", "errors", "abandoned", "refused", "in_flight")
        ),
        "the proxy began what was asked": counted["calls"] == two_way + asked["one_way"],
        "the proxy delivered what was answered": counted["answers"] == two_way and not counted["answers_local"],
        "the proxy dropped nothing as late": not counted["answers_late"],
        "no call is left in the proxy": not counted["calls_active"],
        "providers got every call once": run["requests"] == two_way + asked["one_way"],
        "providers got every one-way call once": run["one_way"] == asked["one_way"],
        "the proxy ended well": run["code"] == 0,
    }
    return [claim for claim, holds in claims.items() if not holds]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--calls", default=1_000_000, show_default=True, type=click.IntRange(1000), help="For each loop.")
@click.option("--loops", default=",".join(LOOPS), show_default=True, metavar="NAME,...")
@click.option("--workers", default="1,2", show_default=True, metavar="N,...", help="The calls are shared out to these.")
def main(calls: int, loops: str, workers: str) -> None:
    """Ask, compare, count."""
    table = Table(title="calls compared with their answers", title_justify="left", box=SIMPLE_HEAD)
    for column in ("loop", "workers", "calls", "right", "one-way", "heartbeats", "crossed", "lost", "twice", "seconds"):
        table.add_column(column, justify="left" if column == "loop" else "right")
    failed: list[str] = []
    counts = [int(text) for text in workers.split(",")]
    with tempfile.TemporaryDirectory(prefix="calls-") as folder:
        if not checker_notices(Path(folder)):
            failed.append("a provider that swaps arguments was not found out")
        for loop in loops.split(","):
            for n in counts:
                (place := Path(folder) / f"{loop}-{n}").mkdir()
                run = one(place, loop, n, calls // len(counts))
                asked = run["asked"]
                shown = ("begun", "right", "one_way", "heartbeats", "crossed", "lost", "twice")
                table.add_row(loop, str(n), *(f"{asked[key]:,}" for key in shown), f"{run['seconds']:.1f}")
                failed += [f"{loop}, {n} workers: not so: {claim}" for claim in wrong(run, calls // len(counts))]
                if run["first"]:
                    failed.append(f"{loop}, {n} workers: {run['first']}")
    console.print(table)
    for text in failed:
        console.print(text, style="red", markup=False, soft_wrap=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    run_main(main, console)
