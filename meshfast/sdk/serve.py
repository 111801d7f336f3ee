"""Serving Dubbo2, Triple and gRPC from Python: registered through the sidecar while a block lasts.

    async with Serving("unix:///run/meshfast/shop.api", Offer("com.x.Stock", {"left": left})) as serving:
        ...

Handlers take the call's arguments as plain values (see ``meshfast.hessian``) and return one; a coroutine function runs
in the loop, another function in a thread. What one raises is a ``java.lang.RuntimeException`` to its caller, and by
gRPC status 2, but for ``GrpcError``. While it runs, ``meshfast.sdk.context.incoming`` has the call's attachments, and
``attach`` takes those of the answer. What streams is said by annotations: ``meshfast.sdk.shapes``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from meshfast.errors import StateError
from meshfast.sdk.custody import Custody
from meshfast.sdk.invocation import Key
from meshfast.sdk.limits import Limits
from meshfast.sdk.perform import Handlers, Offered
from meshfast.sdk.protocols import DUBBO, GRPC, TRIPLE
from meshfast.sdk.registrar import Registrar
from meshfast.sdk.server import Server
from meshfast.sdk.shapes import method_of

__all__ = ["Limits", "Offer", "Serving"]

#: Seconds that a sidecar is waited for whose word is needed.
PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Offer:
    """One service. ``handlers`` by the method's name; ``parameters`` of its URL: what callers learn of it (``timeout``,
    ``weight``, ...). ``protocols``: what it is called by, and registered as: "dubbo", "tri", or both at one port; or
    "grpc" alone, whose messages are bare, and which is registered as "tri".

    :raises ValueError: other protocols; and a method that none of them can carry
    """

    service: str
    handlers: Handlers
    group: str = ""
    version: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    protocols: Sequence[str] = (DUBBO,)

    def __post_init__(self) -> None:
        if isinstance(self.protocols, str) or set(self.protocols) not in ({DUBBO}, {TRIPLE}, {DUBBO, TRIPLE}, {GRPC}):
            raise ValueError(f'protocols={self.protocols!r} of {self.service}: say ("dubbo", "tri"), one, or ("grpc",)')
        if GRPC in self.protocols and (self.group or self.version):
            raise ValueError(f'{self.service}: gRPC has no group and no version: say protocols=("tri",)')

    def offered(self) -> Offered:
        """TypeError: a method whose annotations cannot be read; ValueError: as above."""
        protocol = GRPC if GRPC in self.protocols else TRIPLE
        methods = {name: method_of(name, function, protocol) for name, function in self.handlers.items()}
        for one in methods.values():
            if (one.streams or one.bare) and DUBBO in self.protocols and TRIPLE not in self.protocols:
                what = "streams" if one.streams else "has messages of protobuf"
                raise ValueError(f'{self.service}.{one.name} {what}, which Dubbo2 cannot: say protocols=("tri",)')
        return Offered(methods, frozenset(self.protocols))

    @property
    def key(self) -> Key:
        return Key(self.service, self.group, "" if self.version == "0.0.0" else self.version)


class Serving:
    """Offers at one port. ``api``: the sidecar's ``endpoint.http``, None: nobody is told of it. ``port`` 0: the first
    free one that the sidecar forwards to; without a sidecar, any. ``host``: where it listens. ``state``: the sidecar's
    directory of that name: its inbound listeners are kept while it is away, "": they are not.

    Entering the block listens and registers; a sidecar that is not there yet hears of it when it is. Leaving it takes
    back what was registered, tells callers to go elsewhere, serves on until no call comes any more, and ends.

    :raises StateError: from entering: the sidecar refuses it, or has to be asked and is not there
    :raises OSError: the port is taken
    """

    def __init__(
        self, api: str | None, *offers: Offer, port: int = 0, host: str = "127.0.0.1", limits: Limits | None = None,
        state: str = "",
    ) -> None:  # fmt: skip
        self._api, self._offers, self.host, self.port = api, offers, host, port
        self._server = Server(limits)
        for one in offers:
            if one.key in self._server.performer.offers:
                raise ValueError(f"{one.key} is offered twice")
            self._server.performer.offers[one.key] = one.offered()
        self._registrar: Registrar | None = None
        self._state = state
        self.custody: Custody | None = None

    @property
    def refused(self) -> Counter[str]:
        """Calls and connections that were refused, by the name of the limit, or why."""
        return self._server.refused

    @property
    def calls(self) -> int:
        """In flight, those that stream too."""
        return self._server.calls + self._server.streaming

    @property
    def served(self) -> int:
        return self._server.served

    @property
    def registered(self) -> bool:
        """Whether the sidecar has been told, and is there."""
        return self._registrar is not None and self._registrar.registered

    async def __aenter__(self) -> Serving:
        try:
            if self._api is None or self.port:
                self.port = await self._server.start(self.host, self.port)
            else:
                await self._start(self._api)
            if self._api is not None:
                self._registrar = Registrar(self._api, [body for one in self._offers for body in self._bodies(one)])
                await self._registrar.start()
            if self._state:
                self.custody = Custody(self._state, self.port, self._server.adopt)
                self.custody.start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.custody is not None:
                await self.custody.leave()
            if self._registrar is not None:
                await self._registrar.leave()
            await self._server.leave()
        finally:
            await self._stop()

    async def _stop(self) -> None:
        """Whatever was not taken back as it should be: it may have been cancelled."""
        if self._registrar is not None:
            self._registrar.close()
        await self._server.stop()

    async def _start(self, api: str) -> None:
        """At the first free port that the sidecar forwards to."""
        taken = []
        for one in await self._inbound(api):
            host, _, port = one.rpartition(":")
            try:
                self.port = await self._server.start(host.strip("[]"), int(port))
            except OSError as error:
                taken.append(f"{one}: {error.strerror}")
            else:
                self.host = host
                return
        why = "; ".join(taken) or "it has no inbound listener with `forward`"
        raise StateError(f"no port that the sidecar at {api} forwards to is free: {why}")

    async def _inbound(self, api: str) -> list[str]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while True:
            try:
                return await Registrar(api, ()).inbound()
            except OSError as error:
                if loop.time() > deadline:
                    hint = "start it first, or say port=..."
                    text = f"the sidecar at {api} is not there to say the port: {error}; {hint}"
                    raise StateError(text) from None
            await asyncio.sleep(0.1)

    def _bodies(self, one: Offer) -> list[dict[str, Any]]:
        """One for each protocol that it is registered as."""
        parameters = {"methods": ",".join(one.handlers) or "*", **one.parameters}
        return [
            {
                "service": one.service, "group": one.group, "version": one.version, "protocol": protocol,
                "port": self.port, "parameters": parameters,
            }
            for protocol in (TRIPLE if said == GRPC else said for said in one.protocols)
        ]  # fmt: skip
