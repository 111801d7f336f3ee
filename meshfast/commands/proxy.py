"""``meshfast proxy CONFIG...``: the sidecar, in the foreground, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import logging
import sys

import click

from meshfast.errors import MeshfastError
from meshfast.logs import logging_to_stderr
from meshfast.loop import new_event_loop
from meshfast.sidecar import Sidecar
from meshfast.source.file import FileSource


@click.command("proxy")
@click.argument("config", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--workers", type=click.IntRange(1, 32), help="Native threads; default: the Sidecar's `workers`.")
@click.option(
    "--loop", "backend", type=click.Choice(["auto", "epoll", "io_uring"]),
    help="The event loop; default: the Sidecar's `loop`.",
)  # fmt: skip
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True,
    help="The least that is logged.",
)  # fmt: skip
def command(config: tuple[str, ...], workers: int | None, backend: str | None, log_level: str) -> None:
    """Run the sidecar that CONFIG (files and directories of YAML) describes.

    The files are watched: a good change is in force within a second, a bad one is refused and logged, and the last
    good configuration stays. SIGTERM drains: callers are told READONLY, calls in flight finish, the exit code is 0.
    """
    with logging_to_stderr(getattr(logging, log_level.upper())):
        try:
            with asyncio.Runner(loop_factory=lambda: new_event_loop(backend or "auto")) as runner:
                runner.run(Sidecar(FileSource(config), backend=backend, workers=workers).run())
        except (MeshfastError, OSError, ValueError, MemoryError) as error:
            click.echo(error, err=True)
            sys.exit(1)
