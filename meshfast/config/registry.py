"""The registries of a Sidecar: their schema, their checks, and what becomes of them in the model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from meshfast import model
from meshfast.config import hostname, value
from meshfast.config.document import Place, Refused, Report
from meshfast.config.field import Bool, ListOf, Parsed, Record, spec
from meshfast.config.resource import HOST, WAIT
from meshfast.registers import Secret

MAX_REGISTRIES = 8
LEAST_SESSION, MOST_SESSION = 2000, 120_000
#: The port of each kind, where an address has none.
KINDS = {"etcd": 2379, "nacos": 8848, "zookeeper": 2181}
EVERY = "*"
ROOT, GROUP = "/dubbo", "DEFAULT_GROUP"


@dataclass(frozen=True, slots=True)
class At:
    """An address that was read."""

    kind: str
    hosts: tuple[str, ...]
    user: str = ""
    password: str = ""


def address(text: str) -> At:
    """:raises Refused: without the text, which may have a password"""
    scheme, slashes, rest = text.partition("://")
    if not slashes:
        raise Refused("it does not say which kind of registry it is", f"write {_form('zookeeper')}, etcd:// or nacos://")
    if scheme not in KINDS:
        words = f"{scheme}:// is not spoken here" if re.fullmatch(r"[a-z0-9+.-]{1,20}", scheme) else "unknown kind"
        raise Refused(words, f"write {_form('zookeeper')}, etcd:// or nacos://")
    before, at, hosts = rest.rpartition("@")
    user, colon, password = before.partition(":")
    if at and not (user and colon and password):
        raise Refused("before the @ come user and password", f"write {_form(scheme)}")
    if re.search(r"[/?#]", hosts):
        more = "namespace and group are fields" if scheme == "nacos" else "the path of its nodes is root"
        raise Refused("nothing comes behind the ports", more)
    found = tuple(_host(each, scheme) for each in hosts.split(","))
    if len(set(found)) != len(found):
        raise Refused("one of its servers is written twice")
    return At(scheme, found, unquote(user), unquote(password))


def _form(kind: str) -> str:
    return f"{kind}://[user:password@]10.1.0.1:{KINDS[kind]},10.1.0.2:{KINDS[kind]}"


def _host(text: str, kind: str) -> str:
    host, colon, port = text.strip().rpartition(":")
    if not colon or text.strip().endswith("]"):
        host, port = text.strip(), str(KINDS[kind])
    host = host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host
    if not host:
        raise Refused("a server has no name", f"write {_form(kind)}")
    if not port.isascii() or not port.isdigit() or len(port) > 5 or not 1 <= int(port) <= 65535:
        raise Refused("a server's port is not 1 to 65535", f"write {_form(kind)}")
    return value.join(hostname.host(host) if hostname.is_name(host) else value.ip(host), int(port))


def _root(text: str) -> str:
    if re.fullmatch(r"(/[A-Za-z0-9._-]+)+", text) is None or "/." in text:
        raise Refused(f'"{text}" is not a path of nodes', "write /dubbo, or what is `group` of the registry's URL")
    return text


def _word(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", text) is None:
        raise Refused(f'"{text}" is none of Nacos\'s', "letters, digits and . _ : - make one, 128 at most")
    return text


def _service(text: str) -> str:
    if text != EVERY and (not text.isprintable() or set(text) & set(" ,*/:$")):
        raise Refused(f'"{text}" is not a service', 'write whole names, or "*" for all that there are')
    return text


@dataclass(slots=True, kw_only=True)
class RegistryRecord(Record):
    name: str = spec(HOST, "Its name, in the log and in metrics.")
    address: At | None = spec(
        Parsed("an address", address, None),
        "`zookeeper://10.1.0.1:2181,10.1.0.2:2181`, `etcd://10.1.0.1:2379,10.1.0.2:2379` or "
        "`nacos://10.1.0.1:8848,10.1.0.2:8848`; with `user:password@` before the servers where it asks for that.",
    )
    root: str = spec(Parsed("a path", _root, ""), "Below which node Dubbo's are; not of a Nacos.", "", shown=ROOT)
    namespace: str = spec(Parsed("a namespace", _word, ""), "The id of a Nacos's namespace.", "", shown="public")
    group: str = spec(Parsed("a group", _word, ""), "The group of a Nacos's services.", "", shown=GROUP)
    session: int = spec(WAIT, "The session's timeout; 2s to 2m.", 15_000, shown="15s")
    subscribe: bool = spec(Bool(), "Whether instances are taken from it.", True, shown="true")
    register: bool = spec(Bool(), "Whether the application is registered in it.", False, shown="false")
    empty_protection: bool = spec(
        Bool(),
        "Whether instances are kept for a while that all vanish at once, or by more than half after a reconnect.",
        True,
        name="emptyProtection",
        shown="true",
    )
    services: tuple[str, ...] = spec(
        ListOf(Parsed("a name", _service, "", many="names")),
        'Services that are asked for besides those that rules name and that are called; `"*"`: all.',
        (),
        shown="none",
    )


def state(text: str) -> str:
    if not text.startswith("/"):
        raise Refused(f'"{text}" is no absolute path', "write it as /path/to/directory")
    return text.rstrip("/") or "/"


STATE = Parsed("an absolute path", state, "")


def _fits(one: RegistryRecord, kind: str, report: Report) -> None:
    """Whether it says what its kind has."""
    for name in ("root",) if kind == "nacos" else ("namespace", "group"):
        if getattr(one, name):
            hint = "a Nacos has namespace and group" if name == "root" else f"write root: {kind} has a path of nodes"
            report.add(one.at.at(name), f"{name} means nothing to {kind}", hint)


def resolve(found: Sequence[RegistryRecord], at: Place, report: Report) -> tuple[model.RegistrySpec, ...]:
    """The registries of the mesh; what is bad is reported."""
    names: dict[str, Place] = {}
    places: dict[tuple[object, ...], str] = {}
    out: list[model.RegistrySpec] = []
    if len(found) > MAX_REGISTRIES:
        report.add(at, f"{len(found)} registries; the limit is {MAX_REGISTRIES}")
    for one in found:
        if one.name and one.name in names:
            report.add(one.at.at("name"), f"the name {one.name} is taken", f"at {names[one.name].origin()}")
        names.setdefault(one.name, one.at.at("name"))
        if not LEAST_SESSION <= one.session <= MOST_SESSION:
            report.add(one.at.at("session"), "session is not from 2s to 2m")
        if one.address is None or one.at.bad:
            report.incomplete = True  # what it would be asked for is not told as unknown
            continue
        _fits(one, one.address.kind, report)
        nacos = one.address.kind == "nacos"
        root = "" if nacos else one.root or ROOT
        inside = ("" if one.namespace == "public" else one.namespace, one.group or GROUP) if nacos else ("", "")
        where = (one.address.kind, frozenset(one.address.hosts), root, *inside)
        if where in places:
            report.add(one.at.at("address"), f"it is the same as registry {places[where]}", "keep one of them")
        places.setdefault(where, one.name)
        out.append(
            model.RegistrySpec(
                one.name, one.address.kind, one.address.hosts, one.address.user, Secret(one.address.password),
                root, one.session, one.subscribe, one.register, one.empty_protection, one.services, *inside,
                one.at.origin(),
            )
        )  # fmt: skip
    return tuple(out)
