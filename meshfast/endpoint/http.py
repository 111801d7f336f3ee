"""What SDKs of meshfast say to their sidecar over a UNIX socket: what they offer and what they call. All that is said
on a connection holds as long as the connection does.

GET    /v1/inbound     where the sidecar forwards calls to: {"inbound": [{"forward", "address"}]}
POST   /v1/register    {"service", "port", "group", "version", "protocol", "parameters"}: offers it
DELETE /v1/register    the same again: not any more; without a body nothing that this connection offers
POST   /v1/consume     {"services": [...]}: calls them, and says what is known of each
GET    /v1/watch       {"snapshot", "ready", "draining"}: one line now and one for each change
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from meshfast import serve
from meshfast.address import Listen, listening
from meshfast.config.document import Refused
from meshfast.config.registration import named, parameter
from meshfast.endpoint.dubbo import Shown, Wanted
from meshfast.endpoint.kept import State
from meshfast.endpoint.returning import RETURN, Returning
from meshfast.passing import stranger
from meshfast.registry import Instance, Registration, url
from meshfast.serve import Answer, Peer, Request

__all__ = ["Api", "Limits", "Word"]

T = TypeVar("T")
_NOTHING_SAID = "say which service: com.x.Cart"
#: The paths of what was registered with the process before.
BEFORE = "api/before/"


@dataclass(frozen=True, slots=True)
class Limits:
    """``refused`` of Used counts each by its name. ``http``: of connections and requests."""

    http: serve.Limits = serve.Limits(connections=256, request=1 << 20)
    registrations: int = 10_000  # of all connections together; over it: 503
    services: int = 10_000  # that are called, of all connections together; over it: 503
    parameters: int = url.MOST_PARAMETERS  # of one registration; over it: 400
    wait: float = 1.0  # seconds for first answers of registries


class Word(msgspec.Struct, frozen=True):
    """How the sidecar is. ``snapshot``: the version of what it has written down for those who outlive it."""

    snapshot: int = 0
    ready: bool = False
    draining: bool = False


class Offered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is registered; all but ``parameters`` say which it is."""

    service: str
    port: int
    group: str = ""
    version: str = ""
    protocol: Literal["dubbo", "tri"] = "dubbo"
    parameters: dict[str, str] = {}  # noqa: RUF012 - msgspec copies it


class Consumed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    services: list[str]


class _Wrong(Exception):
    """What is answered instead."""

    def __init__(self, status: HTTPStatus, reason: str, error: str, hint: str) -> None:
        self.answer = _said({"error": error, "hint": hint}, status, reason)


class _Path(NamedTuple):
    """A registration of a connection."""

    number: int
    protocol: str
    port: int
    service: str
    group: str
    version: str

    def __str__(self) -> str:
        return "api/" + "/".join(map(str, self))


@dataclass(slots=True)
class _Held:
    """What a connection said. ``number``: as a session's, below 0."""

    number: int
    offers: set[str] = field(default_factory=set)
    services: dict[str, Callable[[], None]] = field(default_factory=dict)


class Api:
    """One address. ``shown``: what there is to be called, whoever knows of a change of it says ``changed``;
    ``inbound``: by the application's port, where its callers come in and what is behind; ``state``: where what is
    registered is kept over a restart. Of who reads it as a source of registrations ``judge`` is set: as what a path is
    registered, or why not; and ``registries``, where."""

    def __init__(
        self, address: str, shown: Shown, inbound: Mapping[int, tuple[str, str]], limits: Limits | None = None,
        state: State | None = None,
    ) -> None:  # fmt: skip
        self.limits, self._address, self._shown, self._inbound = limits or Limits(), address, shown, inbound
        self.wanted: dict[str, Wanted] = {}
        self.hears: Callable[[], None] = lambda: None
        self.leaves: Callable[[int], None] = lambda session: None
        self.judge: Callable[[str], Registration | str] | None = None
        self.registries: tuple[str, ...] = ()
        self.used = serve.Used()
        self.operations: Counter[str] = Counter()
        self.word = Word()
        self.watchers = 0
        self._held: dict[Peer, _Held] = {}
        self._numbers = itertools.count(-2, -1)
        self._wakes: set[asyncio.Event] = set()  # of who waits for listings
        self._told: set[asyncio.Event] = set()  # of watchers
        self._returning = Returning(state, self._offers) if state is not None else None
        self._late: asyncio.TimerHandle | None = None
        self._server = serve.Server(
            self._answer, self.used, self.limits.http, what="endpoint", asked_by=False, let_in=stranger, gone=self._gone
        )
        self._pages: dict[tuple[str, str], Callable[[Request], Answer | Awaitable[Answer]]] = {
            ("GET", "/v1/inbound"): self._where,
            ("POST", "/v1/register"): self._register,
            ("DELETE", "/v1/register"): self._unregister,
            ("POST", "/v1/consume"): self._consume,
            ("GET", "/v1/watch"): self._watch,
        }

    async def start(self, listen: Listen = listening) -> str:
        """Listens; gives the address. Raises as ``address.listening``."""
        bound = await self._server.start(self._address, listen)
        if self._returning is not None:
            for n, one in enumerate(self._returning.read()[: self.limits.registrations]):
                self.wanted[f"{BEFORE}{n}"] = Wanted(-1, one, b"")
            self._late = asyncio.get_running_loop().call_later(RETURN, self.late)
        return bound

    async def stop(self) -> None:
        """All that was said is over, for others to say so where it has to be said."""
        self.hears = lambda: None
        if self._late is not None:
            self._late.cancel()
        if self._returning is not None:
            await self._returning.close()
        await self._server.stop()

    def late(self) -> None:
        """Who registered something with the process before, and has not come back, will not."""
        before = [path for path in self.wanted if path.startswith(BEFORE)]
        for path in before:
            del self.wanted[path]
        if before:
            self._heard()

    def _offers(self) -> Iterator[url.Provider]:
        """Each once, whoever says it."""
        found = {(*one.provider[:3], one.provider.instance.address): one.provider for one in self.wanted.values()
                 if one.provider is not None}  # fmt: skip
        return iter(found.values())

    def _heard(self) -> None:
        if self._returning is not None:
            self._returning.changed()
        self.hears()

    def end(self, session: int) -> None:
        """A connection ends with its application, by itself."""

    @property
    def refused(self) -> Counter[str]:
        return self.used.refused

    @property
    def consumed(self) -> frozenset[str]:
        """The services that somebody calls."""
        return frozenset(service for one in self._held.values() for service in one.services)

    def changed(self, service: str) -> None:
        """Another listing of it is known."""
        for each in self._wakes:
            each.set()

    def tell(self, word: Word) -> None:
        """How the sidecar is now."""
        if word != self.word:
            self.word = word
            for each in self._told:
                each.set()

    # --- requests

    def _answer(self, asked: Request) -> Answer | Awaitable[Answer]:
        page = self._pages.get((asked.method, asked.path))
        self.operations[f"{asked.method} {asked.path}" if page else "other"] += 1
        try:
            if page is not None:
                return page(asked)
            others = ", ".join(f"{method} {path}" for method, path in self._pages)
            raise _Wrong(HTTPStatus.NOT_FOUND, "unknown", f"no {asked.method} {asked.path[:100]} here", f"ask {others}")
        except _Wrong as wrong:
            return wrong.answer

    def _where(self, asked: Request) -> Answer:
        rows = [{"forward": behind, "address": bound} for bound, behind in self._inbound.values()]
        return _said({"inbound": rows})

    def _register(self, asked: Request) -> Answer:
        offered = self._offered(asked)
        held = self._of(asked.peer)
        path = str(_Path(held.number, offered.protocol, offered.port, offered.service, offered.group, offered.version))
        if path not in self.wanted and len(self.wanted) >= self.limits.registrations:
            most = self.limits.registrations
            raise self._full("registrations", f"{most} registrations", "let go of some, or close connections")
        parameters = {key: text for key, text in offered.parameters.items() if text}
        instance = Instance(
            f"127.0.0.1:{offered.port}", offered.protocol, parameters.get("application", ""), parameters
        )
        provider = url.Provider(offered.service, offered.group, offered.version, instance)
        self.wanted[path] = Wanted(held.number, provider, b"")
        held.offers.add(path)
        asked.peer.holds = True
        if self._returning is not None:
            self._returning.changed()
        if self.judge is None:
            return _said({"address": self._inbound.get(offered.port, ("", ""))[0], "registries": []})
        found = self.judge(path)
        if isinstance(found, str):
            self._drop(held, {path})
            self._look(asked.peer, held)
            raise _Wrong(HTTPStatus.CONFLICT, "unplaced", f"{offered.service} is not registered: {found}", self._hint)
        return _said({"address": found.address, "registries": list(self.registries)})

    @property
    def _hint(self) -> str:
        ports = ", ".join(map(str, sorted(self._inbound)))
        known = f"inbound listeners forward to port {ports}" if ports else "no inbound listener forwards to any"
        return f"{known}: serve there, or add a listener; others find it at its bind, or at advertise.address"

    def _unregister(self, asked: Request) -> Answer:
        held = self._held.get(asked.peer)
        if not asked.body:
            gone = set(held.offers) if held is not None else set()
        else:
            one = self._offered(asked)
            number = held.number if held is not None else 0
            gone = {str(_Path(number, one.protocol, one.port, one.service, one.group, one.version))}
        if held is None or not gone or not gone <= held.offers:
            hint = "register it on the connection that takes it back; what ended connections said is gone already"
            raise _Wrong(HTTPStatus.NOT_FOUND, "unheld", "this connection has not registered it", hint)
        self._drop(held, gone)
        self._look(asked.peer, held)
        return _said({"removed": len(gone)})

    async def _consume(self, asked: Request) -> Answer:
        try:
            services = list(dict.fromkeys(self._read(asked.body, Consumed).services))
            for one in services:
                self._check(one)
            held = self._of(asked.peer)
            new = [one for one in services if one not in held.services]
            if sum(len(one.services) for one in self._held.values()) + len(new) > self.limits.services:
                raise self._full("services", f"{self.limits.services} services", "ask only for those that are called")
        except _Wrong as wrong:
            return wrong.answer
        for one in new:
            held.services[one] = self._shown.interest(one)
        self._look(asked.peer, held)
        await self._known(services)
        found = {one: self._shown.known(one) for one in services}
        return _said(
            {
                "known": [one for one, listing in found.items() if listing],
                "nobody": [one for one, listing in found.items() if listing is not None and not listing],
                "unanswered": [one for one, listing in found.items() if listing is None],
            }
        )

    async def _known(self, services: list[str]) -> None:
        """Waits for first answers, for a while."""
        wake = asyncio.Event()
        self._wakes.add(wake)
        try:
            async with asyncio.timeout(self.limits.wait):
                while self._shown.connected() and any(self._shown.known(one) is None for one in services):
                    await wake.wait()
                    wake.clear()
        except TimeoutError:
            pass
        finally:
            self._wakes.discard(wake)

    def _watch(self, asked: Request) -> Answer:
        return Answer(self._words(), kind="application/x-ndjson")

    async def _words(self) -> AsyncIterator[bytes]:
        """The word whenever it is another; who reads slowly misses some, and never the last."""
        changed, told = asyncio.Event(), None
        self._told.add(changed)
        self.watchers += 1
        try:
            while True:
                if told != self.word:
                    told = self.word
                    yield msgspec.json.encode(told) + b"\n"
                    continue
                changed.clear()
                await changed.wait()
        finally:
            self.watchers -= 1
            self._told.discard(changed)

    # --- what was said

    def _of(self, peer: Peer) -> _Held:
        held = self._held.get(peer)
        if held is None:
            held = self._held[peer] = _Held(next(self._numbers))
        return held

    def _look(self, peer: Peer, held: _Held) -> None:
        """Who holds nothing is in nobody's way for long."""
        peer.holds = bool(held.offers or held.services)

    def _drop(self, held: _Held, paths: set[str]) -> None:
        for path in paths:
            held.offers.discard(path)
            self.wanted.pop(path, None)
        if paths:
            self._heard()

    def _gone(self, peer: Peer) -> None:
        held = self._held.pop(peer, None)
        if held is not None:
            for release in held.services.values():
                release()
            self._drop(held, set(held.offers))

    # --- what is read

    def _offered(self, asked: Request) -> Offered:
        one = self._read(asked.body, Offered)
        try:
            service, group, version = named(one.service, one.group, one.version)
            for name, text in one.parameters.items():
                parameter(name, text)
        except Refused as refused:
            raise self._bad(refused.message, refused.hint) from None
        if not 0 < one.port <= 65535:
            raise self._bad(f"{str(one.port)[:10]} is not a port", "say the port at which the application listens")
        if len(one.parameters) > self.limits.parameters:
            raise self._bad(f"{len(one.parameters)} parameters", f"the limit is {self.limits.parameters}")
        return msgspec.structs.replace(one, service=service, group=group, version=version)

    def _check(self, service: str) -> None:
        try:
            url.named(service)
        except url.Refused:
            raise self._bad(f'"{service[:80]}" is not a service', _NOTHING_SAID) from None

    def _read(self, body: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            fields = ", ".join(one.encode_name for one in msgspec.structs.fields(kind))  # type: ignore[arg-type]
            raise self._bad(str(error), f"send JSON with: {fields}") from None

    def _bad(self, error: str, hint: str) -> _Wrong:
        return _Wrong(HTTPStatus.BAD_REQUEST, "malformed", error, hint)

    def _full(self, limit: str, text: str, hint: str) -> _Wrong:
        return _Wrong(HTTPStatus.SERVICE_UNAVAILABLE, limit, f"the limit is {text}", hint)


def _said(what: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK, reason: str = "") -> Answer:
    return Answer(msgspec.json.encode(what) + b"\n", status, "application/json", reason=reason)
