"""Which port of an instance takes which calls: those of Dubbo, and those of HTTP/2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from yaml.nodes import SequenceNode

from meshfast.config.called import UNSAID
from meshfast.config.document import Report, listed
from meshfast.config.resource import OPAQUE, Instance, Port, ServiceEntry
from meshfast.model import Family

DUBBO, HTTP = Family.DUBBO, Family.HTTP

_SAYS = {"DUBBO": DUBBO} | dict.fromkeys(("HTTP2", "GRPC", "TRI", "TRIPLE"), HTTP)
_NAMES = {"dubbo": DUBBO} | dict.fromkeys(("tri", "triple", "grpc", "http2", "http"), HTTP)


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a ServiceEntry, and for each family the one that takes its calls."""

    entry: ServiceEntry
    given: tuple[Port, ...]  # those that could be read
    whole: bool  # that is all of them
    chosen: dict[Family, Port | None]
    unread: Mapping[int, str] = field(default_factory=dict)  # ports whose protocol is not read
    more: tuple[int, ...] = ()  # numbers of further ports of HTTP, which a call names in its authority

    def numbers(self, instance: Instance, report: Report) -> dict[Family, int] | None:
        """The instance's ports by the family that they take; None where it has none, which is reported."""
        if not self.given:
            return self._own(instance, report)
        known = [port.name for port in self.given]
        for name in instance.ports:
            if self.whole and name not in known and not ("" in known and name == "dubbo"):
                names = [name or "dubbo" for name in known]
                only = f"the port that is used is named {names[0]}" if len(names) == 1 else ""
                hint = report.near(name, names, only or listed("its ports are", names))
                at = instance.at.at("ports").key_of(name)
                report.add(at, f"the ServiceEntry has no port named {name}", hint)
                return None
        return {family: _number(port, instance) for family, port in self.chosen.items() if port is not None}

    def _own(self, instance: Instance, report: Report) -> dict[Family, int] | None:
        """By the names alone that the instance itself gives."""
        ports = instance.ports
        if len(ports) == 1:
            return dict.fromkeys(Family, next(iter(ports.values())))
        found = {family: number for name, family in reversed(_NAMES.items()) if (number := ports.get(name)) is not None}
        if not found and self.whole:
            hint = "add ports: [{name: dubbo, number: 20880, protocol: DUBBO}] to the ServiceEntry"
            report.add(instance.at, "no port is given for this instance", hint)
        return found or None

    def called(self) -> dict[Family, int]:
        """The service's own numbers, by the family that is called there."""
        return {family: port.number for family, port in self.chosen.items() if port is not None}

    def at(self, port: Port, instance: Instance) -> dict[Family, int]:
        """The instance's port in place of one of the service's, for each family that is spoken there."""
        said = _SAYS.get(port.protocol) or (HTTP if port.protocol == "HTTP" else None)
        return dict.fromkeys(Family if said is None else (said,), _number(port, instance))

    def families(self) -> set[Family]:
        """What is spoken where no port is asked for, at a UNIX socket."""
        return {family for family, port in self.chosen.items() if port is not None} or set(Family)


def _number(port: Port, instance: Instance) -> int:
    own = instance.ports.get(port.name or "dubbo")
    return own or port.target_port or port.number


def choose(entry: ServiceEntry, report: Report) -> Ports:
    """The ports of ``entry``; what cannot be told apart is reported."""
    place = entry.at.at("ports")
    ports = tuple(port for port in entry.ports if not port.at.bad)
    whole = place is entry.at or (isinstance(place.node, SequenceNode) and len(ports) == len(place.node.value))
    opaque = [port for port in ports if port.protocol in OPAQUE]
    ports = tuple(port for port in ports if port.protocol not in OPAQUE)
    unread = {port.number: port.protocol for port in opaque}
    for port in opaque:
        message = f"{port.protocol} is not read: its connections go where they were dialled, not to these instances"
        if ports:
            report.warn(port.at.at("protocol"), message)
        else:
            report.add(port.at.at("protocol"), message, "leave the port out, or list no instances")
            whole = False
    names: set[str] = set()
    for port in ports:
        if port.name in names:
            report.add(port.at, f"two ports are named {port.name}" if port.name else "two ports have no name")
        names.add(port.name)
    meant = {family: _meant(ports, family) for family in Family}
    for family, (said, found) in meant.items():
        if said and not _same(found) and whole and family is DUBBO:
            words = ", ".join(f"{port.name or port.number} ({port.protocol})" for port in found)
            message = f"{len(found)} ports for {_calls(family)}, {words}: which one is meant?"
            report.add(place, message, "keep one of them, or write a ServiceEntry for each")
    if ports and whole and not any(_same(found) or said for said, found in meant.values()):
        message = f"{len(ports)} ports, and none of them says what is spoken there: which one is meant?"
        report.add(place, message, "give them a protocol: DUBBO, HTTP2, GRPC or TRI")
    chosen = {family: found[0] if _same(found) else None for family, (_, found) in meant.items()}
    said, found = meant[HTTP]
    if not said or _same(found):
        return Ports(entry, ports, whole, chosen, unread)
    chosen[HTTP] = first = next((port for port in found if port.number == UNSAID), found[0])
    if first.number != UNSAID:
        report.warn(place, f"several ports of HTTP/2: calls whose authority names none go to {first.number}")
    more = tuple(dict.fromkeys(port.number for port in found if port.number != first.number))
    return Ports(entry, ports, whole, chosen, unread, more)


def _calls(family: Family) -> str:
    return "Dubbo" if family is DUBBO else "HTTP/2"


def _meant(ports: tuple[Port, ...], family: Family) -> tuple[bool, list[Port]]:
    """The ports that may be meant, and whether that is said: by the protocol, else the name; HTTP alone last."""
    tcp = [port for port in ports if port.protocol == "TCP"]
    for found in (
        [port for port in ports if _SAYS.get(port.protocol) is family],
        [port for port in tcp if _NAMES.get(port.name.lower()) is family],
        [port for port in ports if port.protocol == "HTTP" and family is HTTP],
    ):
        if found:
            return True, found
    return False, [port for port in tcp if port.name.lower() not in _NAMES] or tcp


def _same(ports: list[Port]) -> bool:
    """Whether there are any, all with one number."""
    return len({(port.number, port.target_port) for port in ports}) == 1
