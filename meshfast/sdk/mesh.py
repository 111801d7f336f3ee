"""A connection to the mesh: where the sidecar is, what takes its place, and the services that are called."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from types import TracebackType
from typing import Any, Self, TypeVar

from meshfast.errors import StateError
from meshfast.sdk.calls import Limits
from meshfast.sdk.client import Client, FatLike
from meshfast.sdk.clients import Clients
from meshfast.sdk.link import Timing
from meshfast.sdk.protocols import DUBBO, spoken
from meshfast.sdk.service import TIMEOUT, Service
from meshfast.sdk.typed import bound

__all__ = ["Mesh", "Settings", "connect"]

_S = TypeVar("_S")
_APP = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


class Settings:
    """What ``connect`` and ``Blocking`` take. See ``connect``."""

    def __init__(
        self, app: str, *, address: str = "", api: str = "", state: str = "", carry: Collection[str] | None = None,
        timeout: float = TIMEOUT, limits: Limits | None = None, timing: Timing | None = None,
        fat: Callable[[], FatLike] | None = None, environ: Mapping[str, str] = os.environ,
    ) -> None:  # fmt: skip
        if not _APP.fullmatch(app):
            raise StateError(f"{app!r} is no name of an application: letters, digits, and . _ - between them")
        self.app, self.timeout, self.limits, self.timing = app, timeout, limits, timing
        self.address = address or environ.get("MESHFAST_SDK") or f"unix:///run/meshfast/{app}.sock"
        self.api = api or environ.get("MESHFAST_API") or f"unix:///run/meshfast/{app}.api"
        for found, given, said in ((self.address, address, "address"), (self.api, api, "api")):
            if not found.startswith(("unix:///", "unix://@", "tcp://")):
                where = said if given else {"address": "MESHFAST_SDK", "api": "MESHFAST_API"}[said]
                raise StateError(f"{where} {found!r}: write unix:///path or tcp://host:port")
        self.state = state or environ.get("MESHFAST_STATE") or f"/var/lib/meshfast/{app}"
        self.carry = None if carry is None else frozenset(carry)
        self.fat = fat or self._engine

    def _engine(self) -> FatLike:
        """Loaded when it is needed first: who goes through a sidecar pays nothing for it."""
        make: Callable[..., FatLike] = _part("meshfast.sdk.fat", "has no engine for applications").Fat
        return make(self.state, app=self.app)

    def clients(self) -> Clients:
        """In the running loop; they begin at once."""
        return Clients(self.address, self.fat, self.api, self.limits, self.timing)


class Mesh:
    """A connection to the mesh, for ``async with``; see ``connect``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients: Clients | None = None
        self._services: dict[tuple[str, str, str, float, str], Service] = {}

    async def __aenter__(self) -> Self:
        if self._clients is not None:
            raise StateError("a connection to the mesh is used once: call sdk.connect again")
        self._clients = self._settings.clients()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._clients is not None
        if self._clients.dubbo.forked:
            return  # what is open is the other process's
        self._clients.dubbo.mine()
        await asyncio.shield(asyncio.ensure_future(self._clients.close()))

    @property
    def client(self) -> Client:
        """Its calls and connections by Dubbo2. StateError outside of its block."""
        return self.clients.dubbo

    @property
    def clients(self) -> Clients:
        """Those of all protocols. StateError outside of its block."""
        if self._clients is None:
            raise StateError("not connected yet: use it inside `async with sdk.connect(...) as mesh:`")
        return self._clients

    @property
    def mode(self) -> str:
        """ "thin": calls go through the sidecar; "fat": through an engine of this process; "none": neither is there."""
        return self.clients.mode

    @property
    def counters(self) -> Mapping[str, int]:
        """What has happened; see ``Client``."""
        return self.clients.counters

    def service(
        self, name: str, *, group: str = "", version: str = "", timeout: float | None = None, protocol: str = DUBBO
    ) -> Service:  # fmt: skip
        """A service to call; cheap. ``timeout``: seconds for calls that do not say it themselves. ``protocol``:
        "dubbo" is Dubbo2, "tri" is Triple, "grpc" is gRPC: one message there and one back, as bytes.

        :raises ValueError: a protocol that is none, or a name that it cannot carry
        """
        key = name, group, version, self._settings.timeout if timeout is None else timeout, protocol
        found = self._services.get(key)
        if found is None:
            if len(self._services) >= 1000:
                self._services.clear()
            app, carry = self._settings.app, self._settings.carry
            client = self.clients.of(spoken(protocol, name))
            found = self._services[key] = Service(client, *key[:4], carry, protocol, app)
        return found

    def stub(
        self, kind: type[_S], name: str = "", *, group: str = "", version: str = "", timeout: float | None = None,
        protocol: str = DUBBO,
    ) -> _S:  # fmt: skip
        """An object with the methods of ``kind``, which call the service ``name``; see ``meshfast.sdk.typed``.

        :raises TypeError: a method or a type that Java has not; told here, not at a call
        """
        more = {"group": group, "version": version, "protocol": protocol}
        return bound(kind, name, lambda one: self.service(one, timeout=timeout, **more), True, protocol)

    def serve(
        self, service: str, handlers: Mapping[str, Callable[..., Any]], *, port: int = 0, group: str = "",
        version: str = "", parameters: Mapping[str, str] | None = None, protocols: Sequence[str] = (DUBBO,),
    ) -> AbstractAsyncContextManager[Any]:  # fmt: skip
        """Serves while its block lasts, registered through the sidecar: ``meshfast.sdk.serve``. ``handlers``: by the
        method's name; ``port`` 0: the first free one that the sidecar forwards to; ``protocols``: what it is called by,
        ("dubbo", "tri") at one port, one of them, or ("grpc",)."""
        module = _part("meshfast.sdk.serve", "serves nothing")
        offer = module.Offer(service, handlers, group, version, parameters or {}, protocols)
        settings = self._settings
        found: AbstractAsyncContextManager[Any] = module.Serving(settings.api, offer, port=port, state=settings.state)
        return found


def _part(name: str, lack: str) -> Any:
    """A module that is loaded when it is needed first."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise StateError(f"this installation {lack} ({error}): install all of meshfast") from None


def connect(
    app: str, *, address: str = "", api: str = "", state: str = "", carry: Collection[str] | None = None,
    timeout: float = TIMEOUT, limits: Limits | None = None, timing: Timing | None = None,
    fat: Callable[[], FatLike] | None = None,
) -> Mesh:  # fmt: skip
    """The mesh as application ``app`` sees it: ``async with sdk.connect("shop") as mesh:``. Waits for nothing.

    ``address``: the sidecar's outbound listener, else ``$MESHFAST_SDK``, else ``unix:///run/meshfast/{app}.sock``.
    ``api``: its ``endpoint.http``, else ``$MESHFAST_API``, else ``unix:///run/meshfast/{app}.api``; where nobody is, it
    is told nothing. ``state``: its directory of that name, whose snapshot the engine reads that takes calls while the
    sidecar does not, else ``$MESHFAST_STATE``, else ``/var/lib/meshfast/{app}``. ``carry``: names of attachments that
    go on from a call that is being served to calls made in it; by default all but Dubbo's own (``sdk.context``).
    ``timeout``: seconds that a call waits where it does not say itself. ``fat``: makes another engine.

    :raises StateError: an app or address that is none
    """
    return Mesh(Settings(
        app, address=address, api=api, state=state, carry=carry, timeout=timeout, limits=limits, timing=timing, fat=fat
    ))  # fmt: skip
