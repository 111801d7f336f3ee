"""Nacos's open API, version 1, which servers 1.x and 2.x have: what is asked by HTTP, and what the answers are.

Any bytes give a value or an error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from hashlib import md5
from math import isfinite
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode

import msgspec

from meshfast.registry.asked import BadVersionError
from meshfast.registry.gateway import ANSWER, FORM, Request
from meshfast.registry.url import address

__all__ = ["FORBIDDEN", "Api", "Failed", "Host", "Login", "MOST_NAMES", "Nonsense", "PAGE", "hosts_of", "version_of"]

#: Services of one page of a list; services of a group, or mappings, that are read.
PAGE, MOST_NAMES = 500, 100_000
#: What a beat is answered with: well; the instance is not there, by servers 1.x and 2.x and by 3.x.
WELL, NOT_THERE = 10200, (20404, 21003)
#: By which a config is written where there is none: the version of none, as Dubbo has it.
NONE = "0"
#: Statuses: who asks is not known, or may not.
FORBIDDEN = (401, 403)

T = TypeVar("T")


class Failed(Exception):
    """Nacos answered, and refuses. ``status``: of HTTP."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class Nonsense(Exception):
    """The answer is not one of Nacos's."""


class Host(NamedTuple):
    """An instance. ``address``: as elsewhere, ``10.0.0.7:20880``; ``there``: it is enabled and healthy."""

    address: str
    there: bool
    weight: float
    cluster: str
    metadata: Mapping[str, str]


class _Host(msgspec.Struct):
    ip: str
    port: int
    healthy: bool | None = None
    enabled: bool | None = None
    weight: float | None = None
    clusterName: str | None = None  # noqa: N815, Nacos's
    metadata: dict[str, Any] | None = None


class _Hosts(msgspec.Struct):
    hosts: msgspec.Raw


class _Names(msgspec.Struct):
    count: int
    doms: list[str]


class _Item(msgspec.Struct):
    dataId: str  # noqa: N815, Nacos's


class _Items(msgspec.Struct):
    totalCount: int  # noqa: N815, Nacos's
    pageItems: list[_Item] | None = None  # noqa: N815, Nacos's


class _Beaten(msgspec.Struct):
    code: int = WELL
    clientBeatInterval: int = 0  # noqa: N815, Nacos's


class Login(msgspec.Struct):
    """``tokenTtl``: seconds."""

    accessToken: str  # noqa: N815, Nacos's
    tokenTtl: int = 0  # noqa: N815, Nacos's


class _Error(msgspec.Struct):
    message: str


def _decode(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind, strict=False)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Nonsense(f"no answer of a Nacos: {error}") from None


def hosts_of(raw: bytes) -> tuple[dict[str, Host], int]:
    """By address, and how many cannot be read. Of one address the first that is there counts: Nacos has one for each
    of its clusters."""
    found: dict[str, Host] = {}
    wrong = 0
    for each in _decode(raw, list[msgspec.Raw]):
        try:
            one = msgspec.json.decode(each, type=_Host, strict=False)
            at = address(f"[{one.ip}]" if ":" in one.ip else one.ip, one.port)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            wrong += 1
            continue
        metadata = {name: text for name, text in (one.metadata or {}).items() if isinstance(text, str)}
        there = one.enabled is not False and one.healthy is not False
        weight = one.weight if one.weight is not None and isfinite(one.weight) else 1.0
        host = Host(at, there, weight, one.clusterName or "", metadata)
        if at not in found or (there and not found[at].there):
            found[at] = host
    return found, wrong


def version_of(content: bytes) -> str:
    """By which a config is changed only if nobody else has meanwhile."""
    return md5(content, usedforsecurity=False).hexdigest() if content else NONE


class Api:
    """What is asked in a namespace and a group. ``ask`` gives status and body; it has who asks added.

    Errors of all: Failed, Nonsense; OSError, TooLong: see ``gateway.Pool``.
    """

    def __init__(
        self, ask: Callable[[Request, float, bool], Awaitable[tuple[int, bytes]]], namespace: str, group: str
    ) -> None:
        self._ask, self._namespace, self._group = ask, namespace, group

    async def _send(
        self, method: str, path: str, asked: Mapping[str, str | int], form: Mapping[str, str] | None = None,
        seconds: float = ANSWER, alone: bool = False,
    ) -> tuple[int, bytes]:  # fmt: skip
        body = urlencode(form).encode() if form is not None else b""
        request = Request(f"/nacos/v1/{path}?{urlencode(asked)}", body, method, FORM)
        return await self._ask(request, seconds, alone)

    async def _get(
        self, path: str, asked: Mapping[str, str | int], seconds: float = ANSWER, alone: bool = False
    ) -> bytes:
        return _well(*await self._send("GET", path, asked, None, seconds, alone))

    # --- instances

    async def look(self, seconds: float) -> None:
        """Whether it is well, and who asks may read."""
        await self._page(1, 1, seconds, True)

    async def names(self) -> tuple[list[str], int]:
        """Of all services of the group, each once, and how many there are beyond ``MOST_NAMES``."""
        found: dict[str, None] = {}
        page = 1
        while True:
            one = await self._page(page, PAGE)
            found |= dict.fromkeys(one.doms)
            if _whole(page, len(one.doms), one.count, len(found)):
                return list(found)[:MOST_NAMES], max(0, max(one.count, len(found)) - MOST_NAMES)
            page += 1

    async def _page(self, page: int, size: int, seconds: float = ANSWER, alone: bool = False) -> _Names:
        asked: dict[str, str | int] = {"groupName": self._group, "namespaceId": self._namespace}
        asked |= {"pageNo": page, "pageSize": size}
        return _decode(await self._get("ns/service/list", asked, seconds, alone), _Names)

    async def hosts(self, service: str) -> bytes:
        """Of a service, of which there may be none; see ``hosts_of``. What is the same is mostly told the same."""
        asked = {**self._of(service), "healthyOnly": "false"}
        return bytes(_decode(await self._get("ns/instance/list", asked), _Hosts).hosts)

    async def register(self, service: str, host: str, port: int, metadata: Mapping[str, str]) -> None:
        """Another of the same address is replaced."""
        text = msgspec.json.encode(metadata).decode()
        form = {**self._place(service, host, port), "metadata": text, "weight": "1", "enabled": "true"}
        form |= {"healthy": "true"}
        _well(*await self._send("POST", "ns/instance", {}, form))

    async def deregister(self, service: str, host: str, port: int) -> None:
        """Whether it is there or not."""
        _well(*await self._send("DELETE", "ns/instance", self._place(service, host, port)))

    async def beat(self, service: str, host: str, port: int, metadata: Mapping[str, str]) -> float | None:
        """Seconds until the next, 0 where it says none; None: the instance is not there."""
        told = {
            "serviceName": self._of(service)["serviceName"], "ip": host, "port": port, "cluster": "DEFAULT",
            "weight": 1.0, "metadata": metadata, "scheduled": True, "ephemeral": True,
        }  # fmt: skip
        form = {"beat": msgspec.json.encode(told).decode()}
        asked = self._place(service, host, port)
        status, body = await self._send("PUT", "ns/instance/beat", asked, form, ANSWER, True)
        if status == 404:
            return None
        found = _decode(_well(status, body), _Beaten)
        if found.code in NOT_THERE:
            return None
        if found.code != WELL:
            raise Failed(f"a beat is answered with code {found.code}", status)
        return found.clientBeatInterval / 1000

    def _of(self, service: str) -> dict[str, str]:
        return {"serviceName": f"{self._group}@@{service}", "namespaceId": self._namespace}

    def _place(self, service: str, host: str, port: int) -> dict[str, str]:
        return {**self._of(service), "ip": host.strip("[]"), "port": str(port), "ephemeral": "true"}

    # --- configs

    async def config(self, name: str, group: str) -> bytes | None:
        """None: there is none."""
        status, body = await self._send("GET", "cs/configs", self._config(name, group))
        return None if status == 404 else _well(status, body)

    async def publish(self, name: str, group: str, content: bytes, version: str) -> None:
        """``version``: which it must have, "" for any.

        :raises BadVersionError: it has another
        """
        form = {**self._config(name, group), "content": content.decode(), "type": "text"}
        if version:
            form["casMd5"] = version
        status, body = await self._send("POST", "cs/configs", {}, form)
        if body.strip() == b"false" or b"cas" in body.lower():
            raise BadVersionError(body[:200].decode(errors="replace"))
        _well(status, body)

    async def configs(self, group: str) -> list[str]:
        """The names of those of a group."""
        found: dict[str, None] = {}
        page = 1
        while True:
            asked = {**self._config("", group), "search": "accurate", "pageNo": str(page), "pageSize": str(PAGE)}
            one = _decode(await self._get("cs/configs", asked), _Items)
            found |= dict.fromkeys(each.dataId for each in one.pageItems or ())
            if _whole(page, len(one.pageItems or ()), one.totalCount, len(found)):
                return list(found)[:MOST_NAMES]
            page += 1

    def _config(self, name: str, group: str) -> dict[str, str]:
        return {"dataId": name, "group": group, "tenant": self._namespace}

    # --- who asks

    async def login(self, user: str, password: str, seconds: float) -> Login:
        form = {"username": user, "password": password}
        return _decode(_well(*await self._send("POST", "auth/login", {}, form, seconds, True)), Login)


def _whole(page: int, on_it: int, count: int, known: int) -> bool:
    """Whether a list is read as far as it is: by what it says of its length, and by what came, which may be more."""
    return not on_it or page * PAGE >= min(count, MOST_NAMES) or known >= MOST_NAMES


def _well(status: int, body: bytes) -> bytes:
    if status == 200:
        return body
    text = body[:300].decode(errors="replace").strip()
    try:
        text = _decode(body, _Error).message[:300]
    except Nonsense:
        text = text if text.isprintable() and "<" not in text else ""
    if status in (404, 410) or (status == 501):
        more = "it has no open API of version 1: a Nacos 3 has it with nacos.core.api.compatibility.client.enabled=true"
        raise Failed(f"{more} (HTTP status {status})", status)
    raise Failed(text or f"HTTP status {status}", status)
