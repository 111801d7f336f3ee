"""What a Sidecar registers for its application: its schema, its checks, and what becomes of it in the model."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from meshfast import model
from meshfast.config import value
from meshfast.config.document import Place, Refused, Report
from meshfast.config.field import Choice, ListOf, MapOf, Parsed, Record, Text, spec
from meshfast.config.resource import HOST, WAIT
from meshfast.registers import Advertise, RegistrationSpec

MAX_REGISTRATIONS = 1000
MOST_PROPAGATION = 10_000
NO_VERSION = "0.0.0"

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
#: What is written of itself, or from fields of its own.
_OWN = frozenset("group interface meshfast side timestamp version".split())


def _ip(text: str) -> str:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise Refused(f'"{text}" is no IP address', "write it without a port: 10.0.0.7") from None
    if found.is_unspecified or found.is_multicast:
        raise Refused(f"{text} cannot be called", "write the address that callers reach this machine at")
    return str(found)


def _service(text: str) -> str:
    if not text.isprintable() or set(text) & set(" ,*/:$?&") or not text or len(text) > 512:
        raise Refused(f'"{text}" is not a service', "write its whole name: com.x.Cart")
    return text


def _part(text: str) -> str:
    if not text.isprintable() or set(text) & set(" ,*/:?&=;") or len(text) > 256:
        raise Refused(f'"{text}" cannot be a group or a version', "write it without spaces and signs: 1.0.0")
    return text


@dataclass(slots=True, kw_only=True)
class AdvertiseSpec(Record):
    address: str = spec(
        Parsed("an IP address", _ip, ""), "Where callers reach this machine.", "",
        shown="the listener's, if it has one that others reach",
    )  # fmt: skip
    propagation: int = spec(
        WAIT, "How long calls are served on after everything was withdrawn, at a stop; up to 10s.", 3000, shown="3s"
    )
    levels: tuple[str, ...] = spec(
        ListOf(Choice("interface", "instance")),
        "As what it is registered: each service by its interface, or the application by its instance.",
        (),
        shown="as the application did; of `registrations` both",
    )


@dataclass(slots=True, kw_only=True)
class RegistrationRecord(Record):
    service: str = spec(Parsed("a name", _service, ""), "The service.")
    group: str = spec(Parsed("text", _part, ""), "Its group.", "", shown="none")
    version: str = spec(Parsed("text", _part, ""), "Its version.", "", shown="none")
    protocol: str = spec(Choice("dubbo", "tri"), "What the application speaks.", "dubbo")
    listener: str = spec(HOST, "The inbound listener whose address is written, and which forwards to the application.")
    parameters: dict[str, str] = spec(
        MapOf(Text(empty=True)), "What else callers learn of it: `methods`, `release`, `weight`, `timeout`, ...", {},
        shown="none",
    )  # fmt: skip


def advertise(found: AdvertiseSpec | None, report: Report) -> Advertise:
    if found is None or found.at.bad:
        return Advertise()
    if found.propagation > MOST_PROPAGATION:
        report.add(found.at.at("propagation"), "propagation is more than 10s")
    return Advertise(found.address, found.propagation, tuple(dict.fromkeys(found.levels)))


def resolve(
    found: Sequence[RegistrationRecord], said: Advertise, listeners: Sequence[model.Listener],
    registries: Sequence[model.RegistrySpec], app: str, at: Place, report: Report,
) -> tuple[RegistrationSpec, ...]:  # fmt: skip
    """The registrations of the mesh; what is bad is reported."""
    if not found:
        return ()
    if len(found) > MAX_REGISTRATIONS:
        report.add(at, f"{len(found)} registrations; the limit is {MAX_REGISTRATIONS}")
    if not any(one.register for one in registries):
        report.add(at, "no registry takes them", "write register: true where they are to be registered")
    if not app:
        report.add(at, "callers are told which application offers it", "add workload: {app: NAME}")
    known = {one.name: one for one in listeners}
    taken: dict[tuple[str, ...], Place] = {}
    out = []
    for one in found:
        if one.at.bad:
            continue
        listener = known.get(one.listener)
        if listener is not None:
            _check_listener(listener, said, one, report)
        elif not report.incomplete:
            hint = report.near(one.listener, known, "no listener has that name")
            report.add(one.at.at("listener"), f"unknown listener {one.listener}", hint)
        _check_parameters(one, report)
        version = "" if one.version == NO_VERSION else one.version
        key = (one.service, one.group, version, one.protocol, one.listener)
        if key in taken:
            report.add(one.at.at("service"), f"{one.service} is registered twice", f"at {taken[key].origin()}")
        taken.setdefault(key, one.at)
        out.append(
            RegistrationSpec(
                one.service, one.group, version, one.protocol, one.listener, one.parameters
            )
        )
    return tuple(out)


def _check_listener(
    listener: model.Listener, said: Advertise, one: RegistrationRecord, report: Report
) -> None:  # fmt: skip
    at = one.at.at("listener")
    if listener.direction != "inbound" or not listener.forward:
        report.add(at, f"{listener.name} is not a listener that forwards to the application",
                   "name one with direction: inbound and forward")  # fmt: skip
    elif listener.bind.startswith("unix://"):
        report.add(at, f"{listener.name} listens on a UNIX socket, which no other machine reaches")
    elif not said.address and not reached(listener.bind):
        report.add(at, f"{listener.bind} is not where others reach it", "add advertise: {address: 10.0.0.7}")


def reached(bind: str) -> bool:
    """Whether others reach this machine at the very address that a listener is bound to."""
    host = bind.rpartition(":")[0].strip("[]")
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return False
    return not (found.is_unspecified or found.is_loopback) and not value.is_local(bind)


def _check_parameters(one: RegistrationRecord, report: Report) -> None:
    at = one.at.at("parameters")
    for name, text in one.parameters.items():
        try:
            parameter(name, text)
        except Refused as refused:
            report.add(at, refused.message, refused.hint)


def parameter(name: str, text: str) -> None:
    """:raises Refused: it cannot be one of a registration"""
    if not _NAME.fullmatch(name):
        raise Refused(f'"{name[:80]}" is not the name of a parameter', "use letters, digits, - . and _")
    if name in _OWN:
        raise Refused(f"{name} is written by itself", "remove it; group and version have fields of their own")
    if not text.isprintable() or set(text) & set("&;#") or len(text) > 4096:
        raise Refused(f"the value of {name} cannot be written into a URL", "leave out & ; # and line ends")


def named(service: str, group: str, version: str) -> tuple[str, str, str]:
    """As what it is registered. Raises as ``parameter``."""
    return _service(service), _part(group), "" if version == NO_VERSION else _part(version)


def labels(found: Mapping[str, str]) -> dict[str, str]:
    """Those of a workload that may stand in a URL."""
    return {
        name: text
        for name, text in found.items()
        if _NAME.fullmatch(name) and text.isprintable() and not set(text) & set("&;#")
    }
