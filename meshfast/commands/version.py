"""``meshfast version``."""

from __future__ import annotations

import platform

import click

import meshfast
from meshfast.commands.output import FORMAT, print_json


@click.command("version")
@FORMAT
def command(output: str) -> None:
    """Say which version this is."""
    if output == "json":
        print_json({"meshfast": meshfast.__version__, "python": platform.python_version()})
    else:
        click.echo(f"meshfast {meshfast.__version__}")
