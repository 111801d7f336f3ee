"""``meshfast registry``: what a registry holds, asked of it directly."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NoReturn, TypeVar

import click
import yaml
from rich.text import Text

from meshfast import config
from meshfast.commands.output import console, count, print_json, print_problems, print_table
from meshfast.config import registry as schema
from meshfast.config.document import Refused
from meshfast.config.listed import Listed, called, labels
from meshfast.config.listed import entry as meant
from meshfast.config.offer import Variant
from meshfast.errors import ConfigError, SourceError
from meshfast.model import Endpoint, Family, RegistrySpec
from meshfast.registers import Secret
from meshfast.registry import EVERY, Instance, Listing, Offer, Registry
from meshfast.source.registry import connect

__all__ = ["command"]

SHOWN = 200  # rows of one table; the rest is counted
QUIET = 0.5  # seconds without news after which all of a registry was told

PORTS = {Family.DUBBO: "dubbo", Family.HTTP: "tri"}

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@click.group("registry")
def command() -> None:
    """Look into a registry: SOURCE is its address, zookeeper://10.1.0.1:2181, etcd://10.1.0.1:2379 or
    nacos://10.1.0.1:8848, or the CONFIG of a sidecar that has some.

    A password is better written into a file than on the command line, where others can read it.
    """


def _options(function: F) -> F:
    for option in (
        click.option("--root", default="/dubbo", show_default=True, help="With an address: below which node."),
        click.option("--namespace", default="", help="With a Nacos's address: its id; default: the public one."),
        click.option("--group", default="", help="With a Nacos's address: of its services; default: DEFAULT_GROUP."),
        click.option("--name", help="With a CONFIG: which of its registries; default: the first."),
        click.option(
            "--timeout", type=click.FloatRange(0.1, 600), default=10.0, show_default=True,
            help="Seconds until it must have answered.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


def _output(*formats: str) -> Callable[[F], F]:
    return click.option(
        "-o", "--output", type=click.Choice(["text", *formats]), default="text", show_default=True,
        help="How to print it.",
    )  # fmt: skip


SOURCE: Callable[[F], F] = click.argument("source", metavar="SOURCE")


@command.command("ls")
@SOURCE
@_options
@_output("json")
def ls(source: str, name: str | None, timeout: float, output: str, **where: str) -> None:
    """List the services that it has, with their groups, versions and instances."""
    found = _run(_all(_spec(source, where, name), frozenset([EVERY]), timeout))
    offers = [offer for service in sorted(found) for offer in found[service]]
    if output == "json":
        print_json([_offer_json(offer) for offer in offers])
        return
    rows = [
        (o.service, o.group, o.version, str(len(o.instances)), ", ".join(sorted({i.application for i in o.instances})))
        for o in offers
    ]
    title = f"{count(len({offer.service for offer in offers}), 'service')}, {count(len(offers), 'offer')}"
    print_table(title, ("service", "group", "version", "instances", "applications"), rows, SHOWN)
    if not rows:
        click.echo("nobody offers anything")


@command.command("get")
@SOURCE
@click.argument("service")
@_options
@_output("json", "yaml")
def get(source: str, service: str, name: str | None, timeout: float, output: str, **where: str) -> None:
    """Show the instances of SERVICE; as yaml the ServiceEntries that they mean.

    Exits with 1 when nobody offers it.
    """
    found = _run(_all(_spec(source, where, name), frozenset([service]), timeout)).get(service, ())
    if output == "json":
        print_json([_offer_json(offer) for offer in found])
    elif output == "yaml":
        made = [one for offer in found for one in entries(offer)]
        click.echo(yaml.safe_dump_all(made, sort_keys=False, allow_unicode=True), nl=False)
    else:
        for offer in found:
            title = f"{_name(offer)}: {count(len(offer.instances), 'instance')}"
            columns = ("address", "protocol", "weight", "labels")
            print_table(title, columns, [_row(one) for one in offer.instances], SHOWN)
        if not found:
            click.echo(f"nobody offers {service}")
    raise SystemExit(0 if found else 1)


@command.command("watch")
@SOURCE
@click.argument("services", nargs=-1)
@_options
@_output("json")
def watch(
    source: str, services: tuple[str, ...], name: str | None, timeout: float, output: str, **where: str
) -> None:
    """Print what changes, of SERVICES or of all, until it is interrupted."""
    _run(_watch(_spec(source, where, name), frozenset(services or [EVERY]), timeout, output))


# --- what there is


def _spec(source: str, where: Mapping[str, str], name: str | None) -> RegistrySpec:
    """``where``: with an address, what else a registry has."""
    if "://" in source:
        try:
            at = schema.address(source)
        except Refused as no:
            _fail(f"{no.message}: {no.hint}" if no.hint else no.message)
        return RegistrySpec(
            "registry", at.kind, at.hosts, at.user, Secret(at.password), where["root"],
            namespace=where["namespace"], group=where["group"],
        )  # fmt: skip
    if not os.path.exists(source):
        _fail(f"{source} is neither an address nor a file or directory")
    try:
        found = config.load([source]).sidecar.registries
    except ConfigError as error:
        print_problems(error)
        raise SystemExit(1) from None
    chosen = [spec for spec in found if name in (None, spec.name)]
    if not chosen:
        _fail(f"there is no registry {name}" if name else f"{source} has no registries")
    return chosen[0]


def _fail(text: str) -> NoReturn:
    console(stderr=True).print(Text(text), soft_wrap=True)
    raise SystemExit(1)


def _run(body: Any) -> Any:
    try:
        return asyncio.run(body)
    except (SourceError, TimeoutError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@contextlib.asynccontextmanager
async def _following(spec: RegistrySpec, services: frozenset[str]) -> AsyncIterator[Any]:
    """A started client, and the queue of what it tells."""
    news: asyncio.Queue[tuple[str, Listing]] = asyncio.Queue()
    client = connect(spec, lambda service, listing: news.put_nowait((service, listing)))
    client.want(services)
    client.start()
    try:
        yield client, news
    finally:
        await client.close()


async def _next(client: Registry, news: asyncio.Queue[T], timeout: float) -> T:
    try:
        async with asyncio.timeout(timeout):
            return await news.get()
    except TimeoutError:
        why = client.state.error or ("it lists nothing" if client.state.connected else "it cannot be reached")
        raise TimeoutError(f"no answer within {timeout:g} s: {why}") from None


async def _all(spec: RegistrySpec, services: frozenset[str], timeout: float) -> dict[str, Listing]:
    """What it lists of services; of all, until no more comes."""
    found: dict[str, Listing] = {}
    async with _following(spec, services) as (client, news):
        while not found or EVERY in services:
            try:
                service, listing = await _next(client, news, QUIET if found else timeout)
            except TimeoutError:
                if found:
                    break
                raise
            found[service] = listing
    return found


async def _watch(spec: RegistrySpec, services: frozenset[str], timeout: float, output: str) -> None:
    known: dict[str, Listing] = {}
    async with _following(spec, services) as (client, news):
        service, listing = await _next(client, news, timeout)
        while True:
            for change in changes(known.get(service, ()), listing):
                if output == "json":
                    click.echo(json.dumps(change, ensure_ascii=False))
                else:
                    click.echo(" ".join(filter(None, change.values())))
            known[service] = listing
            service, listing = await news.get()


def changes(old: Listing, new: Listing) -> list[dict[str, str]]:
    """What of a service came (+), went (-) or is another (~)."""
    before, after = _by_place(old), _by_place(new)
    out = []
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) == after.get(key):
            continue
        what = "+" if key not in before else "-" if key not in after else "~"
        one = after.get(key) or before[key]
        out.append({"change": what, "service": key[0], "address": f"{key[1]}://{key[2]}", "labels": _labels(one)})
    return out


def _by_place(listing: Listing) -> dict[tuple[str, str, str], Instance]:
    return {(_name(offer), one.protocol, one.address): one for offer in listing for one in offer.instances}


# --- how it is shown


def _name(offer: Offer) -> str:
    return called(offer.service, Variant(offer.group, offer.version))


def _labels(one: Instance) -> str:
    return " ".join(f"{key}={text}" for key, text in labels(one).items())


def _row(one: Instance) -> tuple[str, ...]:
    return one.address, one.protocol, one.parameters.get("weight", ""), _labels(one)


def _offer_json(offer: Offer) -> dict[str, object]:
    instances = [
        {"address": one.address, "protocol": one.protocol, "application": one.application, "labels": dict(labels(one)),
         "parameters": {key: text for key, text in one.parameters.items() if key != "token"}}
        for one in offer.instances
    ]  # fmt: skip
    return {"service": offer.service, "group": offer.group, "version": offer.version, "instances": instances}


def entries(offer: Offer) -> list[dict[str, object]]:
    """The ServiceEntries that an offer means: one for those that speak alike."""
    cluster = meant(Listed(offer, "registry")).cluster
    alike: dict[tuple[str, ...], list[Endpoint]] = {}
    seen: dict[str, Counter[int]] = {port: Counter() for port in PORTS.values()}
    for one in (*cluster.endpoints, *(named.endpoint for named in cluster.named)):
        numbers = _numbers(one)
        alike.setdefault(tuple(numbers), []).append(one)
        for port, number in numbers.items():
            seen[port][number] += 1
    usual = {port: numbers.most_common(1)[0][0] for port, numbers in seen.items() if numbers}
    annotations = {key: text for key, text in (("group", offer.group), ("version", offer.version)) if text}
    name = cluster.name.replace("/", ".").replace(":", ".")
    out: list[dict[str, object]] = []
    for spoken, some in alike.items() or [((), [])]:
        called_ = name if len(alike) < 2 else f"{name}.{'-'.join(spoken)}"
        metadata: dict[str, object] = {"name": called_} | ({"annotations": annotations} if annotations else {})
        spec: dict[str, object] = {"hosts": [offer.service], "resolution": "DNS" if cluster.named else "STATIC"}
        if spoken:
            spec["ports"] = [{"name": p, "number": usual[p], "protocol": p.upper()} for p in spoken]
        spec["endpoints"] = [_endpoint(one, usual) for one in some]
        out.append({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": metadata, "spec": spec})
    return out


def _numbers(one: Endpoint) -> dict[str, int]:
    return {PORTS[family]: int(at.rpartition(":")[2]) for family in Family if (at := one.at(family))}


def _endpoint(one: Endpoint, usual: dict[str, int]) -> dict[str, object]:
    ports = {port: number for port, number in _numbers(one).items() if number != usual[port]}
    out: dict[str, object] = {"address": one.address.rpartition(":")[0].strip("[]")}
    fields: dict[str, object] = {"ports": ports, "labels": dict(one.labels), "locality": one.locality}
    return out | {name: value for name, value in fields.items() if value} | {"weight": one.weight}
