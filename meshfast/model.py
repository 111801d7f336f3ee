"""The mesh as one frozen picture: what a source yields, what apply.py turns into native tables.

Everything is resolved: a rule's targets name clusters that exist, fallbacks are indexes, sourceLabels have been
compared with this workload, regular expressions are compiled. Two equal pictures make equal tables. Imports nothing of
ours but the rest of the picture. Units: weights are whole numbers, waits milliseconds, addresses the text forms of
``csrc/base/addr.h``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

from meshfast.policies import Actions, Policy
from meshfast.registers import Advertise, EndpointSpec, RegistrationSpec, Secret


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something was said: a file (or another source's name), line and column from 1, and the document."""

    file: str
    line: int
    column: int
    document: str = ""  # "VirtualService/by-label"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Pattern(IntEnum):
    """How a service's name is compared; the values of ``enum mf_service_pattern``."""

    EXACT = 0
    PREFIX = 1
    ANY = 2
    SUFFIX = 3


class Field(IntEnum):
    """What a condition looks at; the values of ``enum mf_field``."""

    PATH = 0
    METHOD = 1
    AUTHORITY = 2
    HEADER = 3
    LABEL = 4
    NEVER = 5  # a match that this workload cannot make; kept so that explain can say so
    SCHEME = 6  # of HTTP, as the next
    PARAM = 7  # of the query
    HTTP = 8  # there for HTTP, not there for Dubbo
    ARGUMENT = 9  # of a call of Dubbo, by its number from 0, as Java's String.valueOf says it


# Keys of Field.NEVER that are no label's.
NAMESPACE = "/namespace"
GATEWAYS = "/gateways"
PORT = "/port"


class Op(IntEnum):
    """How a condition compares; the values of ``enum mf_op``."""

    EXACT = 0
    PREFIX = 1
    REGEX = 2
    PRESENT = 3
    ABSENT = 4


class TargetKind(IntEnum):
    """Which instances of its cluster a target means; the values of ``enum mf_target_kind``."""

    ALL = 0
    SUBSET = 1
    LABEL = 2
    BASELINE = 3


class FallbackCase(IntEnum):
    """When a target passes on to its fallback; the values of ``enum mf_fallback_case``."""

    NO_INSTANCE = 0
    NO_AVAILABLE = 1
    NO_LOCAL = 2


class Speaks(IntFlag):
    """``enum mf_speaks``, as bits."""

    DUBBO = 1
    TRIPLE = 2
    GRPC = 4
    HTTP = 8
    ANY = 15


class LabelKind(IntEnum):
    """Where a label is looked for; the values of ``enum mf_label_kind``."""

    HEADER = 0
    CONTEXT = 1
    LOCAL = 2


class TraceFormat(IntEnum):
    """How a trace id lies in its header; the values of ``enum mf_traceid_format``."""

    PLAIN = 0
    TRACEPARENT = 1
    B3 = 2
    SW8 = 3


class Family(IntEnum):
    """Which calls an address takes; the values of ``enum mf_family``."""

    DUBBO = 0
    HTTP = 1


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One instance. ``address`` is ready for the core: ``10.0.0.7:20880`` or ``unix:///run/a.sock``. ``speaks``: which
    calls alone it takes there, None: any; ``http``: where it takes those of HTTP, if elsewhere than those of Dubbo."""

    address: str
    labels: Mapping[str, str]
    weight: int = 1
    locality: str = ""
    origin: Origin | None = None
    speaks: Family | None = None
    http: str = ""

    def at(self, family: Family) -> str:
        """Where it takes such calls; "" where it takes none."""
        if family is Family.HTTP and self.http:
            return self.http
        return self.address if self.speaks in (None, family) else ""


@dataclass(frozen=True, slots=True)
class Named:
    """Instances that are known by the name of their host: one like ``endpoint`` at each of its addresses, or at one of
    them alone (``single``). What ``endpoint`` has for addresses are the name and a port."""

    host: str
    endpoint: Endpoint
    single: bool = False


@dataclass(frozen=True, slots=True)
class Http:
    """What an HTTP request is besides its headers, as it is sent; "" is none. ``path``: with the query."""

    method: str = "POST"
    scheme: str = "http"
    authority: str = ""
    path: str = "/"


@dataclass(frozen=True, slots=True)
class Subset:
    """A declared subset: the instances that carry all these labels. ``policy``: what holds for it, whole. ``members``:
    not None, those at these addresses instead, whatever they carry; no label's value names it."""

    name: str
    labels: Mapping[str, str]
    origin: Origin | None = None
    policy: Policy | None = None
    members: frozenset[str] | None = None

    def has(self, endpoint: Endpoint) -> bool:
        """Whether an instance of its cluster is in it."""
        if self.members is not None:
            return endpoint.address in self.members
        return self.labels.items() <= endpoint.labels.items()


@dataclass(frozen=True, slots=True)
class Cluster:
    """The instances of one application, as one ServiceEntry lists them, with the subsets declared for it.

    ``hosts`` are the services (interfaces) that it offers, called under ``group`` and ``version`` ("": none); ``named``
    what becomes instances once names are resolved; ``offer`` what a registry lists, where it is one's.
    """

    name: str
    hosts: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    subsets: tuple[Subset, ...] = ()
    origin: Origin | None = None
    policy: Policy | None = None
    named: tuple[Named, ...] = ()
    group: str = ""
    version: str = ""
    offer: object = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of a match. ``value`` is text, or for ``Op.REGEX`` the compiled blob of ``csrc/table/dfa.h``;
    ``source`` is what the user wrote, for explain."""

    field: Field
    op: Op
    key: str = ""
    value: str | bytes = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """Conditions that must all hold."""

    conditions: tuple[Condition, ...]
    name: str = ""
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One destination of a rule. ``text`` is the subset's or the label's name; ``fallback`` an index into the rule's
    targets, or None. ``weight`` 0: reached by fallback only."""

    cluster: str
    kind: TargetKind
    text: str = ""
    weight: int = 0
    on: FallbackCase = FallbackCase.NO_AVAILABLE
    fallback: int | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a service: any match (none: always), then its weighted targets. ``timeout_ms`` 0: none."""

    name: str
    matches: tuple[Match, ...]
    targets: tuple[Target, ...]
    timeout_ms: int = 0
    origin: Origin | None = None
    actions: Actions | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """A service as callers name it, and its rules in order."""

    name: str
    rules: tuple[Rule, ...]
    pattern: Pattern = Pattern.EXACT
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class LabelSource:
    """One place to look for a label. ``text``: the header's name, the trace id's key, or the local value."""

    kind: LabelKind
    text: str
    format: TraceFormat = TraceFormat.PLAIN


@dataclass(frozen=True, slots=True)
class Label:
    """A traffic label and its sources in order; the first that yields wins. ``protocols``: whose requests carry it;
    ``hosts``: for which alone it is put into them, and ``goes`` the same compiled (``csrc/table/dfa.h``)."""

    name: str
    sources: tuple[LabelSource, ...]
    origin: Origin | None = None
    protocols: Speaks = Speaks.ANY
    hosts: tuple[str, ...] = ()
    goes: bytes = b""


@dataclass(frozen=True, slots=True)
class IdleLabel:
    """A traffic label that is defined, and never found here; ``why`` says for whom it is."""

    name: str
    why: str
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Listener:
    """Where calls come in. ``direction`` is "outbound" or "inbound"; ``protocol`` "auto", "dubbo", "http2" or
    "tcp"; ``service`` the default route of calls that are not read. ``labels``, of an inbound one, is "trust",
    "keep-first" or "strip": what the labels of callers do. ``unknown``, of an outbound one with ``forward`` or
    ``transparent``, is "forward" or "refuse": what becomes of calls to services that are not listed. ``mode``: of a
    UNIX socket's file."""

    name: str
    bind: str
    direction: str = "outbound"
    transparent: bool = False
    forward: str = ""
    protocol: str = "auto"
    service: str = ""
    labels: str = "keep-first"
    unknown: str = "forward"
    mode: int = 0o600
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class AccessLog:
    """A line for each call. ``path``: a file, or "stderr"; ``format``: "text", "json", or text with ``{field}``s;
    ``fields``: those of JSON, none: all; ``sample``: the share of calls that is written."""

    path: str
    format: str = "text"
    fields: tuple[str, ...] = ()
    sample: float = 1.0


@dataclass(frozen=True, slots=True)
class Dns:
    """How the names of hosts are resolved. ``servers``: none, those of the machine. ``refresh_ms``: after an answer
    that has no time to live, or none at all; ``least_ms``: the shortest time that an answer is kept; ``most``:
    addresses of one name."""

    servers: tuple[str, ...] = ()
    timeout_ms: int = 5000
    refresh_ms: int = 60_000
    least_ms: int = 1000
    most: int = 256


@dataclass(frozen=True, slots=True)
class RegistrySpec:
    """A registry. ``root``: the node below which Dubbo's are; ``subscribe``: instances are taken from it;
    ``register``: the application is registered in it; ``protects``: those are kept for a while that vanish at once;
    ``services``: asked for in any case, "*" is all. ``namespace`` and ``group``: of a Nacos, which has no
    root."""

    name: str
    kind: str
    hosts: tuple[str, ...]
    user: str = ""
    password: Secret = Secret()
    root: str = "/dubbo"
    session_ms: int = 15_000
    subscribe: bool = True
    register: bool = False
    protects: bool = True
    services: tuple[str, ...] = ()
    namespace: str = ""
    group: str = ""
    origin: Origin | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Sidecar:
    """This proxy: the workload beside it, its listeners, and the limits that are set, by their names in the
    configuration and in their units. ``state``: its own directory. ``said_at``: by field, its name and its place."""

    app: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = ""
    locality: str = ""
    address: str = ""
    workers: int = 1
    loop: str = "auto"
    listeners: tuple[Listener, ...] = ()
    admin: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)
    trace_entries: int = 65536
    trace_ttl_ms: int = 300_000
    access_log: AccessLog | None = None
    dns: Dns = Dns()
    registries: tuple[RegistrySpec, ...] = ()
    registrations: tuple[RegistrationSpec, ...] = ()
    advertise: Advertise = Advertise()
    state: str = ""
    endpoint: EndpointSpec | None = None
    origin: Origin | None = None
    said_at: Mapping[str, tuple[str, Origin]] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Mesh:
    """Everything that a sidecar knows. ``traces`` are the keys under which requests that come in carry trace ids;
    ``idle`` the labels that are for others."""

    clusters: Mapping[str, Cluster] = field(default_factory=dict)
    services: tuple[Service, ...] = ()
    labels: tuple[Label, ...] = ()
    traces: tuple[LabelSource, ...] = ()
    sidecar: Sidecar = field(default_factory=Sidecar)
    idle: tuple[IdleLabel, ...] = ()
