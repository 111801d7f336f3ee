"""``meshfast explain``: where a request would go, and why; from files, or from a running proxy with its health."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from typing import Any, NamedTuple
from urllib.parse import urlencode

import click
import msgspec
from rich.table import Table as RichTable
from rich.text import Text

from meshfast import config
from meshfast.ask import ask
from meshfast.commands import shares as shown
from meshfast.commands.output import FORMAT, console, print_json, print_problems
from meshfast.errors import ConfigError
from meshfast.explain import explain
from meshfast.model import Http
from meshfast.routing import Table
from meshfast.shares import shares
from meshfast.where import pages
from meshfast.words import quoted

Pairs = list[tuple[str, str]]


def _pairs(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> Pairs:
    out = []
    for value in values:
        key, equals, text = value.partition("=")
        name, colon, rest = value.partition(": ")
        if colon and len(name) < len(key) and parameter.name == "headers":  # as HTTP's are written: no name has a colon
            key, equals, text = name, colon, rest
        if not equals or not key:
            raise click.BadParameter(f"{value!r} is not K=V")
        out.append((_utf8(context, parameter, key), _utf8(context, parameter, text)))
    return out


def _path(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.startswith("/") and value != "*":
        raise click.BadParameter(f"{value!r} does not begin with a /")
    return None if value is None else _utf8(context, parameter, value)


def _utf8(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise click.BadParameter(f"{value!r} is not UTF-8") from None
    return value


def _texts(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_utf8(context, parameter, value) for value in values)


@click.command("explain")
@click.argument("config_", metavar="[CONFIG]...", nargs=-1, type=click.Path(exists=True))
@click.option("--service", callback=_utf8, help="The interface that is called.")
@click.option("--http", "path", metavar="PATH", callback=_path, help="The path of an HTTP/2 request, instead.")
@click.option("--method", callback=_utf8, help="The method that is called; of HTTP/2 POST or another.")
@click.option("--authority", callback=_utf8, help="HTTP/2: its authority.")
@click.option("--scheme", callback=_utf8, help="HTTP/2: its scheme, http without.")
@click.option(
    "--header", "headers", metavar="K=V", multiple=True, callback=_pairs, help="An attachment or header, also as K: V."
)
@click.option("--label", "labels", metavar="K=V", multiple=True, callback=_pairs, help="A label it has.")
@click.option(
    "--argument", "arguments", metavar="TEXT", multiple=True, callback=_texts,
    help="Dubbo: its next argument, as Java's String.valueOf says it.",
)  # fmt: skip
@click.option("--app", callback=_utf8, help="An application, instead: how its calls are shared now, and why.")
@click.option("--admin", metavar="ADDRESS", help="Ask the running proxy at this admin address instead of CONFIG.")
@FORMAT
def command(
    config_: tuple[str, ...], service: str | None, path: str | None, method: str | None, authority: str | None,
    scheme: str | None, headers: Pairs, labels: Pairs, arguments: tuple[str, ...], app: str | None, admin: str | None,
    output: str,
) -> None:  # fmt: skip
    """Say where a request would go: each rule tried, each weighted branch with its share, the subset, the fallbacks
    passed over, the instance.

    With CONFIG, by its files and with every instance available; with --admin, by the live table of a running proxy.
    Exits with 1 when the request would go nowhere, whichever branch is drawn.
    """
    if bool(config_) == bool(admin):
        raise click.UsageError("give CONFIG or --admin, one of the two")
    if (service is not None) + (path is not None) + (app is not None) != 1:
        raise click.UsageError("give --service, --http or --app, one of them")
    if app is not None and (method or authority or scheme or headers or labels or arguments):
        raise click.UsageError("--app goes with CONFIG or --admin alone")
    if path is None and (authority or scheme):
        raise click.UsageError("--authority and --scheme are for --http")
    if path is not None and arguments:
        raise click.UsageError("--argument is for --service: those of HTTP/2 are not read")
    http = None if path is None else Http(method or "POST", scheme or "http", authority or "", path)
    asked = Request(service or "", method or "", headers, labels, http, app, arguments)
    try:
        if admin:
            answer = _ask(admin, asked)
        else:
            answer = _local(config_, asked)
    except ConfigError as error:
        print_problems(error)
        raise SystemExit(1) from None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--admin'") from None
    except OSError as error:
        raise click.ClickException(f"{admin}: {_why(error)}") from None
    if output == "json":
        print_json(answer)
    elif app is not None:
        shown.show(answer)
    elif answer.get("refused"):
        console(stderr=True).print(Text(f"{answer['error']}; {answer['hint']}", "red"), soft_wrap=True)
    else:
        _print(answer)
    raise SystemExit(2 if answer.get("refused") else 1 if answer["error"] else 0)


def _why(error: OSError) -> str:
    """What kept the page from being read, without the numbers."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)


class Request(NamedTuple):
    """What is asked for."""

    service: str
    method: str
    headers: Pairs
    labels: Pairs
    http: Http | None
    app: str | None = None
    arguments: tuple[str, ...] = ()


def _local(paths: tuple[str, ...], asked: Request) -> dict[str, Any]:
    table = Table()
    table.publish(config.load(paths))
    if asked.app is not None:
        return shares(table, asked.app)
    return explain(table, asked.service, asked.method, asked.headers, dict(asked.labels), asked.http, asked.arguments)


def _ask(address: str, asked: Request) -> dict[str, Any]:
    said = [("service", asked.service), ("method", asked.method)]
    if asked.http is not None:
        said = [("http" if name == "path" else name, text) for name, text in asdict(asked.http).items()]
    said += [("app", asked.app or "")]
    query = [(name, text) for name, text in said if text]
    query += [("header", f"{k}={v}") for k, v in asked.headers] + [("label", f"{k}={v}") for k, v in asked.labels]
    query += [("argument", text) for text in asked.arguments]
    status, body = asyncio.run(ask(pages(address), f"/explain?{urlencode(query)}"))
    if status != 200:
        raise click.ClickException(f"{address}: {body.decode(errors='replace').strip()}")
    answer = msgspec.json.decode(body)
    assert isinstance(answer, dict)
    return answer


def _print(answer: dict[str, Any]) -> None:
    out = console()
    asked = f"{answer['service']}" + (f".{answer['method']}" if answer["method"] else "")
    asked += f"({', '.join(arguments)})" if (arguments := answer.get("arguments")) else ""
    if http := answer.get("http"):
        asked = f"{http['method']} {http['path']}" + (f" of {http['authority']}" if http["authority"] else "")
    labels = ", ".join(f"{k}={v}" for k, v in answer["labels"].items()) or "no label"
    title = Text(f"{asked}, {labels}")
    table = RichTable(title=title, title_justify="left", box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column()
    table.add_column(style="dim")
    branches = answer.get("branches", [])
    several = len(branches) > 1
    for step in answer["steps"]:
        if not several or step["about"] != "target":
            _row(table, step)
    for branch in branches if several else ():
        table.add_row(Text(_share(branch), "bold"), Text(branch["target"], "bold"), Text(""))
        for step in branch["steps"]:
            _row(table, step)
    out.print(table)
    for one in branches if several else (answer,):
        out.print(_end(one, f"{_share(one)} " if several else ""))
    if answer.get("hint"):
        out.print(Text(answer["hint"], "yellow"), soft_wrap=True)


def _row(table: RichTable, step: dict[str, str]) -> None:
    style = "green" if step["outcome"] == "+" else "yellow"
    table.add_row(Text(step["outcome"], style), Text(step["text"]), Text(step["origin"]))


def _share(branch: dict[str, Any]) -> str:
    return f"{branch['share']:g} %"


def _end(one: dict[str, Any], share: str) -> Text:
    if one.get("answered"):
        return Text(one["answered"], "bold")
    if one["error"]:
        target = f" ({one['target']})" if share else ""
        return Text(f"{share}goes nowhere{target}: {one['error']}", "red")
    subset = f" (subset {quoted(one['subset'])})" if one["subset"] else ""
    return Text(f"{share}goes to {one['address']}{subset}", "bold")
