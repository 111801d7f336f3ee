"""How the calls of an application are shared, in tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from meshfast.commands.output import console, print_table
from meshfast.words import quoted


def show(answer: Mapping[str, Any]) -> None:
    """What ``meshfast explain --app`` prints."""
    if answer["error"]:
        console(stderr=True).print(Text(f"{answer['error']}; {answer['hint']}", "red"), soft_wrap=True)
        return
    groups = answer["groups"]
    for group in groups:
        what = f"subset {quoted(group['subset'])}" if group["subset"] else "all instances"
        protocol = {"dubbo": ", Dubbo2", "http": ", HTTP/2"}.get(group["protocol"], "")
        title = f"{answer['app']}, {what}{protocol}" + (f", from {answer['from']}" if answer["from"] else "")
        rows = [(one["region"], f"{one['share']:g} %", _well(one)) for one in group["regions"]]
        print_table(title, ("data centre", "calls", "well"), rows, len(rows))
        levels = [one for one in group["levels"] if not one["moved"] or one["share"]]
        if len({one["locality"] for one in levels}) > 1:
            rows_ = [_level(one) for one in levels]
            print_table("", ("level", "locality", "well", "level has", "calls", ""), rows_, len(rows_))
    for line in answer["why"]:
        console().print(Text(line), soft_wrap=True)


def _level(one: Mapping[str, Any]) -> tuple[str, ...]:
    said = ", ".join(text for key, text in (("moved", "moved"), ("panic", "panic: all are used")) if one[key])
    return str(one["level"]), one["locality"] or "-", _well(one), f"{one['load']} %", f"{one['share']:g} %", said


def _well(one: Mapping[str, Any]) -> str:
    return f"{one['well']} of {one['instances']}"
