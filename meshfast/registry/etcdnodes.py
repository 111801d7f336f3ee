"""Keys of etcd as nodes: the children that a path has, its data, and those that are made and taken away by a lease."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple, TypeVar

from meshfast.registry.asked import (
    BadVersionError,
    NodeExistsError,
    NoNodeError,
    RolledBackError,
    SessionExpiredError,
    Step,
)
from meshfast.registry.etcdjson import (
    NOT_FOUND,
    OUT_OF_RANGE,
    DeleteReply,
    Failed,
    KeyValue,
    Nonsense,
    RangeReply,
    TxnReply,
    b64,
    decode,
    encode,
    end_of,
)
from meshfast.registry.etcdwatch import Fired, Fires, Known
from meshfast.registry.gateway import TooLong
from meshfast.registry.url import Refused

__all__ = ["MOST_NAMES", "PAGE", "Nodes"]

#: Keys of one page of a list; names of one list, more than who asks takes and counts.
PAGE, MOST_NAMES = 256, 100_000
#: How often a list is begun anew whose revision is compacted before its last page is read.
TRIES = 8
#: Bytes of an answer that is made sense of in the loop.
SHORT = 16 * 1024

T = TypeVar("T")


class Stat(NamedTuple):
    """Of a key: the lease that it lives by, 0 where by none; the revision in which it was put last."""

    ephemeralOwner: int  # noqa: N815, as kazoo's
    version: int


class Nodes:
    """``post`` asks etcd; ``apart``: where long answers are made sense of. Errors have the names of kazoo's."""

    def __init__(self, post: Callable[[str, bytes], Awaitable[bytes]], fires: Fires, apart: Executor) -> None:
        self._post, self._fires, self._apart = post, fires, apart

    def _follow(self, path: str, children: bool, watch: Fired | None) -> Known:
        return self._fires.follow(path, children, watch) if watch is not None else lambda *what: None

    async def _made(self, reply: bytes, kind: type[T]) -> T:
        """Long answers are read apart from the loop."""
        if len(reply) <= SHORT:
            return decode(reply, kind)
        return await asyncio.get_running_loop().run_in_executor(self._apart, decode, reply, kind)

    async def _range(self, body: dict[str, Any]) -> RangeReply:
        return await self._made(await self._post("/v3/kv/range", encode(body)), RangeReply)

    async def children(self, path: str, watch: Fired | None) -> list[str]:
        known = self._follow(path, True, watch)
        left = TRIES
        while True:
            try:
                revision, names = await self._names(path.rstrip("/") + "/")
            except TooLong as error:
                known(1)
                raise Refused("too_long", str(error)) from None
            except Failed as error:
                left -= 1
                if error.code != OUT_OF_RANGE or not left:
                    raise
            else:
                known(revision, frozenset(names))
                return names

    async def _names(self, prefix: str) -> tuple[int, list[str]]:
        """All as of one revision, page by page. Of what is below a child one key is read, or a few."""
        names: dict[str, None] = {}
        first = start = prefix.encode()
        end, revision, page = b64(end_of(prefix)), 0, PAGE
        while True:
            body = {"key": b64encode(start).decode(), "range_end": end, "limit": str(page), "keys_only": True}
            if revision:
                body["revision"] = str(revision)
            try:
                found = await self._range(body)
            except TooLong:
                if page == 1:
                    raise
                page = max(1, page // 16)
                continue
            revision = revision or found.header.revision
            last = b""
            for each in found.kvs:
                last = each.key
                names[last[len(first) :].partition(b"/")[0].decode(errors="replace")] = None
            if not found.more or not last or len(names) > MOST_NAMES:
                return revision, [each for each in names if each]
            name, deeper, _ = last[len(first) :].partition(b"/")
            after = first + name + b"0" if deeper else last + b"\0"
            if after <= start:
                raise Nonsense("etcd lists what comes before what was asked for")
            start = after

    async def data(self, path: str, watch: Fired | None) -> tuple[bytes, Stat]:
        known = self._follow(path, False, watch)
        try:
            found = await self._range({"key": b64(path)})
        except TooLong as error:
            known(1)
            raise Refused("too_long", str(error)) from None
        known(found.header.revision)
        if not found.kvs:
            raise NoNodeError
        return found.kvs[0].value, _stat(found.kvs[0])

    async def exists(self, path: str, watch: Fired | None) -> Stat | None:
        known = self._follow(path, False, watch)
        found = await self._range({"key": b64(path), "keys_only": True})
        known(found.header.revision)
        return _stat(found.kvs[0]) if found.kvs else None

    async def create(self, path: str, value: bytes, lease: int) -> str:
        """``lease``: 0 for a key that stays."""
        if not await self._txn([_is(path, False)], [_put(path, value, lease)]):
            raise NodeExistsError
        return path

    async def set(self, path: str, value: bytes, version: int) -> None:
        """It keeps its lease. ``version``: of its ``Stat``, or -1 for any."""
        there = _is(path, True) if version < 0 else {"key": b64(path), "target": "MOD", "mod_revision": str(version)}
        if not await self._txn([there], [_put(path, value, None)]):
            raise NoNodeError if version < 0 else BadVersionError

    async def all(self, steps: Sequence[Step]) -> list[Any]:
        """All of them in one revision, or none: then each has an exception. A key that is taken away and made is put,
        as etcd takes one change of each: nobody is told that it was gone."""
        first, last = {one.path: one for one in reversed(steps)}, {one.path: one for one in steps}
        compare = [_is(path, one.value is None) for path, one in first.items()]
        done = [_done(one) for one in last.values()]
        if not await self._txn(compare, done):
            return [RolledBackError() for _ in steps]
        return [True if one.value is None else one.path for one in steps]

    async def _txn(self, compare: list[dict[str, Any]], success: list[dict[str, Any]]) -> bool:
        """False: it is not as ``compare`` says, and nothing was done."""
        try:
            reply = await self._post("/v3/kv/txn", encode({"compare": compare, "success": success}))
        except Failed as error:
            if error.code == NOT_FOUND:  # the lease
                raise SessionExpiredError("the lease has ended") from None
            raise
        return decode(reply, TxnReply).succeeded

    async def delete(self, path: str) -> bool:
        if not decode(await self._post("/v3/kv/deleterange", encode({"key": b64(path)})), DeleteReply).deleted:
            raise NoNodeError
        return True


def _stat(found: KeyValue) -> Stat:
    return Stat(found.lease, found.mod_revision)


def _is(path: str, there: bool) -> dict[str, Any]:
    compare = {"key": b64(path), "target": "CREATE", "create_revision": "0"}
    return compare | {"result": "GREATER"} if there else compare


def _put(path: str, value: bytes, lease: int | None) -> dict[str, Any]:
    """``lease``: None for the one that it has."""
    by = {"ignore_lease": True} if lease is None else {"lease": str(lease)}
    return {"request_put": {"key": b64(path), "value": b64encode(value).decode(), **by}}


def _done(step: Step) -> dict[str, Any]:
    if step.value is None:
        return {"request_delete_range": {"key": b64(step.path)}}
    return _put(step.path, step.value, step.lease)
