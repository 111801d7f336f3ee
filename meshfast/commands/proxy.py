"""``meshfast proxy CONFIG...``: the sidecar, in the foreground, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

import click

from meshfast.errors import ConfigError, MeshfastError
from meshfast.hints import told
from meshfast.logs import logging_to_stderr
from meshfast.loop import new_event_loop
from meshfast.sidecar import Sidecar
from meshfast.source.file import FileSource
from meshfast.source.registries import Registries
from meshfast.source.registry import RegistrySource
from meshfast.takeover import Takeover

log = logging.getLogger("meshfast")

#: Signals that ask for something other than an end.
QUIET = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


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
@click.option("--takeover", is_flag=True, help="Take over from the sidecar that runs with this `state`, if one does.")
def command(
    config: tuple[str, ...], workers: int | None, backend: str | None, log_level: str, takeover: bool
) -> None:  # fmt: skip
    """Run the sidecar that CONFIG (files and directories of YAML) describes.

    The files are watched: a good change is in force within a second (what a file that is written in place says no
    longer, once it has rested for one), a bad one is refused and logged, and the last good configuration stays; SIGHUP
    has them read at once.

    With --takeover it gets the listeners of the one that runs, and that one drains once this one takes calls: nobody
    is refused. Where this one cannot start, that one goes on.

    SIGTERM drains: callers are told READONLY, calls in flight finish, the exit code is 0; a second one ends at once.
    """
    for number in QUIET:
        signal.signal(number, signal.SIG_IGN)  # until the sidecar takes them, and from its end on
    with logging_to_stderr(getattr(logging, log_level.upper())):
        files, registries, before = FileSource(config), Registries(), Takeover(asked=takeover)
        source = RegistrySource(files, registries, directory=before.open)
        sidecar = Sidecar(
            source, backend=backend, workers=workers, again=files.again, registries=registries, takeover=before
        )  # fmt: skip
        try:
            with asyncio.Runner(loop_factory=lambda: new_event_loop(backend or "auto")) as runner:
                runner.run(sidecar.run())
        except (MeshfastError, OSError, ValueError, MemoryError) as error:
            what = "configuration refused:\n" if isinstance(error, ConfigError) else "cannot start: "
            log.error("%s%s", what, told(error))
            code = 1
        else:
            code = 128 + sidecar.killed if sidecar.killed else 0
        for number in QUIET:
            signal.signal(number, signal.SIG_IGN)
    sys.exit(code)
