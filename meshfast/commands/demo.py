"""``meshfast demo``: applications and their sidecars, started here and checked."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from pathlib import Path

import click

from meshfast.commands.output import FORMAT, console, print_json
from meshfast.demo.process import DemoError
from meshfast.demo.regions.run import Regions
from meshfast.demo.regions.show import RegionsShow
from meshfast.demo.registry.run import Registry
from meshfast.demo.registry.show import RegistryShow
from meshfast.demo.run import Demo
from meshfast.demo.show import Findings, Show
from meshfast.demo.stage import Options, Stage


@click.command("demo")
@click.argument("which", type=click.Choice(["labels", "regions", "registry"]), default="labels")
@click.option("--keep", is_flag=True, help="Leave all of it running, until Ctrl-C.")
@click.option(
    "--loop", type=click.Choice(["auto", "epoll", "io_uring"]), default="auto", show_default=True,
    help="The event loop of the sidecars.",
)  # fmt: skip
@click.option(
    "--every", type=click.FloatRange(1, 1000), default=20, show_default=True, metavar="MS",
    help="Milliseconds between two calls of one of the callers in the background.",
)  # fmt: skip
@click.option(
    "--dir", "directory", type=click.Path(file_okay=False, path_type=Path), default=None,
    help="Where the policy and the logs go; they stay there.  [default: a new temporary directory]",
)  # fmt: skip
@FORMAT
def demo(which: str, keep: bool, loop: str, every: float, directory: Path | None, output: str) -> None:
    """Start applications with a sidecar beside each, on this machine; change the mesh while calls run in Dubbo2 and
    Triple; and check where every call went.

    labels (the default): three applications in a baseline and two environments, with and without traffic labels; one
    more instance comes and goes, one is killed.

    regions: two applications in three data centres; one data centre dies and comes back, then a document moves one
    application to another, all of it, half of it, and back.

    registry: two applications in Python, and a small ZooKeeper in which their sidecars register them; the caller's
    sidecar is killed under load, an instance is killed, then the sidecar is restarted as planned. Needs kazoo.

    Exits with 1 when a call went elsewhere or was lost.
    """
    directory = directory or Path(tempfile.mkdtemp(prefix="meshfast-demo-"))
    options, out = Options(directory.absolute(), loop, every / 1000, keep), console(stderr=output == "json")
    made: Stage
    try:
        match which:
            case "regions":
                made = Regions(options, RegionsShow(out))
            case "registry":
                made = Registry(options, RegistryShow(out))
            case _:
                made = Demo(options, Show(out))
    except DemoError as error:
        Show(out).line(str(error), "bold red")
        raise SystemExit(1) from None
    show = made.show
    code, told = 1, list[signal.Signals]()
    try:
        code = 0 if asyncio.run(_run(made, told)).good else 1
    except DemoError as error:
        show.line(str(error), "bold red")
    except asyncio.CancelledError:
        code = int(not made.report.good) if made.kept else 128 + told[0]
    if code == 1:
        show.line(f"policy and logs: {directory.absolute()}", "bold red")
    if output == "json":
        print_json(made.report.as_json())
    raise SystemExit(code)


async def _run(made: Stage, told: list[signal.Signals]) -> Findings:
    """Ctrl-C, SIGTERM and SIGHUP end it with every process stopped; `told` gets the signal."""
    task = asyncio.current_task()
    assert task is not None

    def stop(number: signal.Signals) -> None:
        told.append(number)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    return await made.run()


command = demo
