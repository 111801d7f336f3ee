"""What registries list -> ServiceEntries, made of records without a line of YAML.

Nothing here refuses a configuration: what cannot be an instance is left out and counted by its reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import yaml
from yaml.nodes import MappingNode

from meshfast import model
from meshfast.config import compose, hostname, value
from meshfast.config.document import Document, Place, Refused, Text
from meshfast.config.entry import Entry, rules
from meshfast.config.offer import UNVERSIONED, Variant
from meshfast.config.read import Metadata, Resource
from meshfast.config.resource import ServiceEntry
from meshfast.model import Family

__all__ = ["Instance", "Listed", "Offer", "entry", "labels", "legal", "place"]

MOST = 10_000  # instances of one offer
MAX_LABELS = 32  # of one instance
MAX_WEIGHT = 65535
WEIGHT = 100  # Dubbo's own, of an instance that names none
MAX_NAME = 512  # bytes of a service, group or version

_MARK = yaml.Mark("", 0, 0, 0, None, 0)
_NOTHING = MappingNode(compose.MAPPING, [], _MARK, _MARK)
_FAMILIES = {"dubbo": Family.DUBBO, "tri": Family.HTTP}
_FIRST = ("dubbo.tag", "application", "group", "version", "region", "zone", "env")
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_./-]{0,61}[A-Za-z0-9_])?", re.ASCII)
_VALUE = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.:-]{0,61}[A-Za-z0-9_])?", re.ASCII)

#: Of a provider's URL: what changes at each start, what says how it works inside, and what is a secret.
UNTOLD = frozenset(
    "timestamp pid methods dubbo release revision interface side category path anyhost bind.ip bind.port host "
    "port protocol dynamic generic deprecated enabled disabled register check serialization prefer.serialization "
    "weight warmup token timeout retries cluster loadbalance threads threadpool iothreads queues accepts payload "
    "server client codec dispatcher buffer heartbeat qos.enable qos.port metadata-type service-name-mapping ipv6 "
    "file-cache meshfast meshfast.behind executor-management-mode background service.name service.filter "
    "exporter.listener logger delay export bean.name ssl-enabled accesslog owner organization document".split()
)


class Instance(Protocol):
    """As ``registry.Instance``."""

    @property
    def address(self) -> str: ...
    @property
    def protocol(self) -> str: ...
    @property
    def application(self) -> str: ...
    @property
    def parameters(self) -> Mapping[str, str]: ...


class Offer(Protocol):
    """As ``registry.Offer``."""

    @property
    def service(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def instances(self) -> Sequence[Instance]: ...


class Listed(Resource):
    """An offer as a ServiceEntry. ``origin``: who lists it; ``refused``: what is not an instance of it, by reason, once
    it was made. ``asked``: nobody lists it, and a rule names it."""

    __slots__ = ("asked", "offer", "origin", "refused")

    def __init__(self, offer: Offer, registry: str, *, asked: bool = False) -> None:
        variant = _variant(offer)
        self.offer, self.asked = offer, asked
        name = called(offer.service, variant)
        self.origin = model.Origin(registry, 1, 1, name)
        self.refused: Counter[str] = Counter()
        super().__init__("ServiceEntry", name, Metadata(), *self._made(name))
        self.hosts = (offer.service,)
        self.forget()

    def _made(self, name: str) -> tuple[ServiceEntry, Place]:
        document = Document(Text(self.origin.file, b""))
        document.label = name
        place = Place(document, _NOTHING)
        return ServiceEntry(at=place, hosts=(self.offer.service,), resolution="STATIC"), place

    def _nodes(self) -> tuple[ServiceEntry, Place]:
        return self._made(self.origin.document)


class _Nobody:
    """An offer without instances."""

    group = version = ""
    instances: tuple[Instance, ...] = ()

    def __init__(self, service: str) -> None:
        self.service = service


def nobody(service: str) -> Listed:
    """A service that a rule names and nobody lists."""
    return Listed(_Nobody(service), "registries", asked=True)


def called(service: str, variant: Variant) -> str:
    """As Dubbo writes it: ``[group/]interface[:version]``."""
    group = f"{variant.group}/" if variant.group else ""
    return f"{group}{service}{f':{variant.version}' if variant.version else ''}"


def legal(service: str, group: str = "", version: str = "") -> bool:
    """Whether it may be what a service is called."""
    return bool(service) and not set(service) & set("*/$,: \t") and all(map(_is_name, (service, group, version)))


def _is_name(text: str) -> bool:
    return text.isprintable() and not set(text) & set(" ,\t*/&;?") and len(text) <= MAX_NAME


def entry(found: Listed) -> Entry:
    """What becomes of it."""
    offer, name, origin = found.offer, found.called, found.origin
    found.refused.clear()
    endpoints, named = _instances(offer, origin, found.refused)
    ports = {family: _port(family, (*endpoints, *(one.endpoint for one in named))) for family in Family}
    variant = _variant(offer)
    cluster = model.Cluster(
        name, (offer.service,), endpoints, (), origin, named=named, group=variant.group, version=variant.version,
        offer=None if found.asked else offer,
    )  # fmt: skip
    return Entry(
        name, cluster, cluster.hosts, rules(name, (), origin), variant,
        {family: port for family, port in ports.items() if port}, {}, (), (), False, listed=True, offered_by=_by(offer),
    )  # fmt: skip


def _variant(offer: Offer) -> Variant:
    return Variant(offer.group, "" if offer.version == UNVERSIONED else offer.version)


def _by(offer: Offer) -> frozenset[str]:
    return frozenset(one.application for one in offer.instances if one.application)


def _port(family: Family, endpoints: Iterable[model.Endpoint]) -> int:
    """The one that most of them have; 0: none has any."""
    count = Counter(int(at.rpartition(":")[2]) for one in endpoints if (at := one.at(family)))
    return min(count, key=lambda port: (-count[port], port), default=0)


def _instances(
    offer: Offer, origin: model.Origin, refused: Counter[str]
) -> tuple[tuple[model.Endpoint, ...], tuple[model.Named, ...]]:  # fmt: skip
    found: dict[tuple[str, Family], tuple[Instance, bool]] = {}
    for one in offer.instances:
        family = _FAMILIES.get(one.protocol)
        where = place(one.address)
        if family is None or where is None:
            refused["protocol" if family is None else "address"] += 1
        elif (where[0], family) in found:
            refused["twice"] += 1
        elif len(found) == MOST:
            refused["many"] += 1
        else:
            found[where[0], family] = one, where[1]
    weights = {key: _weight(one.parameters.get("weight", "")) for key, (one, _) in found.items()}
    # Labels choose before weights do: one without a weight may be all that some labels choose.
    some = (found[key][0] for key, weight in weights.items() if weight)
    chosen = set() if all(weights.values()) else {_chosen_by(one) for one in some}
    endpoints: list[model.Endpoint] = []
    named: list[model.Named] = []
    for (at, family), http in _paired(found):
        weight = weights[at, family]
        one, is_name = found[at, family]
        if not weight and _chosen_by(one) in chosen:
            continue  # calls go to it where no other has any
        made = model.Endpoint(
            at, labels(one), weight or 1, _locality(one.parameters), origin,
            None if http == at else family, http if http != at else "",
        )  # fmt: skip
        if is_name:
            named.append(model.Named(at.rpartition(":")[0], made))
        else:
            endpoints.append(made)
    return tuple(endpoints), tuple(named)


Key = tuple[str, Family]


def _paired(found: Mapping[Key, tuple[Instance, bool]]) -> Iterable[tuple[Key, str]]:
    """Each instance, and where it takes calls of HTTP as well: a process may offer Dubbo at one port and HTTP at
    another, or both at one."""
    others: dict[tuple[object, ...], list[str]] = {}
    taken: set[str] = set()
    for (at, family), (one, _) in found.items():
        if family is Family.HTTP and (at, Family.DUBBO) not in found:
            others.setdefault(_process(at, one), []).append(at)
    out: list[tuple[Key, str]] = []
    for (at, family), (one, _) in found.items():
        if family is Family.DUBBO:
            beside = [at] if (at, Family.HTTP) in found else others.get(_process(at, one), [])
            http = beside[0] if len(beside) == 1 and beside[0] not in taken else ""
            taken.add(http)
            out.append(((at, family), http))
    out += [(key, "") for key in found if key[1] is Family.HTTP and key[0] not in taken]
    return out


def _chosen_by(one: Instance) -> tuple[object, ...]:
    """Where it is the same, one is chosen from whenever the other is."""
    return (_locality(one.parameters), *sorted(labels(one).items()))


def _process(at: str, one: Instance) -> tuple[object, ...]:
    """The same for what one process offers alike."""
    known = one.parameters
    told = [known.get(key, "") for key in ("pid", "weight", "dubbo.tag")]
    return at.rpartition(":")[0], one.application, *told, *labels(one).items()


@lru_cache(maxsize=1 << 15)
def place(address: str) -> tuple[str, bool] | None:
    """An address as the model has it, and whether its host is a name; None: it is none."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or len(port) > 5 or not 0 < int(port) <= 65535:
        return None
    host = host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host
    try:
        if hostname.is_name(host):
            return value.join(hostname.host(host), int(port)), True
        return value.join(value.ip(host), int(port)), False
    except (Refused, ValueError):
        return None


def _weight(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 10:
        return WEIGHT
    return min(int(text), MAX_WEIGHT)


def _locality(known: Mapping[str, str]) -> str:
    """A zone alone is a place as well."""
    parts = [text for text in (known.get("region", ""), known.get("zone", "")) if _VALUE.fullmatch(text)]
    return "/".join(parts)


def labels(one: Instance) -> Mapping[str, str]:
    """The parameters that tell one instance from another."""
    known = one.parameters
    told = [(key, text) for key, text in known.items() if key not in UNTOLD and _is_label(key, text)]
    if one.application and "application" not in known and _is_label("application", one.application):
        told.append(("application", one.application))
    if len(told) > MAX_LABELS:
        told.sort(key=lambda pair: _FIRST.index(pair[0]) if pair[0] in _FIRST else len(_FIRST))
        del told[MAX_LABELS:]
    return _shared(tuple(told))


def _is_label(key: str, text: str) -> bool:
    return len(key) <= 63 and len(text) <= 63 and bool(_NAME.fullmatch(key) and _VALUE.fullmatch(text))


@lru_cache(maxsize=1 << 14)
def _shared(told: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """One mapping for all that say the same: it is never written to."""
    return dict(told)
