"""The command line: a group of verbs, each a module of meshfast/commands.

Exit codes: 0 good, 1 the thing checked is not good, 2 usage.
"""

from __future__ import annotations

import difflib
import importlib
from typing import NoReturn

import click

from meshfast.commands.pipe import guard

# By verb: what it does, in the words of the list. Its module is read when it is used.
VERBS = {
    "proxy": "Run the sidecar.",
    "check": "Read a configuration and say what is in it, or all that is wrong with it.",
    "explain": "Say where a request would go, and why.",
    "registry": "Look into a registry: what it lists, and what changes.",
    "demo": "Show labels, data centres or a registry with real processes on this machine.",
    "version": "Say which version this is.",
}


class _Verbs(click.Group):
    """Finds a verb's command in ``meshfast.commands.<verb>.command``."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command = importlib.import_module(f"meshfast.commands.{name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0].lower(), VERBS, n=1)
            context.fail(
                f"no verb {args[0]!r}; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(VERBS)}")
            )
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """A service-mesh sidecar data plane for Dubbo."""


def find(path: str) -> click.Command:
    """The command of a verb, or of one within it: ``registry ls``."""
    command: click.Command | None = group
    for word in path.split():
        command = command.get_command(click.Context(command), word) if isinstance(command, click.Group) else None
    if command is None:
        raise KeyError(path)
    return command


def paths() -> list[str]:
    """Every verb that does something itself."""
    out = []
    for verb in VERBS:
        command = find(verb)
        out += [f"{verb} {name}" for name in command.commands] if isinstance(command, click.Group) else [verb]
    return out


def main() -> NoReturn:
    """The entry point of ``meshfast``."""
    guard()
    group(prog_name="meshfast")
    raise SystemExit(0)
