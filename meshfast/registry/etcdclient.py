"""A client of one etcd, which shows its keys as nodes: what is asked of it, and how it answers, is as kazoo's clients
have it (see ``registry.link.Connect``). It connects once, to one server after the other.

A lease takes the place of a session: keys that are written live by it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any

from meshfast.registry import asked
from meshfast.registry.asked import Answer, SessionExpiredError, Transaction, pause, said
from meshfast.registry.etcdjson import (
    DENIED,
    FAILED_PRECONDITION,
    UNAUTHENTICATED,
    AuthReply,
    Failed,
    LeaseReply,
    Nonsense,
    RangeReply,
    b64,
    decode,
    encode,
    failed,
    reason,
)
from meshfast.registry.etcdnodes import Nodes
from meshfast.registry.etcdwatch import Fired, Fires, Watch
from meshfast.registry.gateway import ANSWER, Channel, Pool, Request, TooLong
from meshfast.registry.link import GOODBYE, HANDSHAKE, Ensemble, Session, Told
from meshfast.registry.times import Times

__all__ = ["PROBES", "Client"]

#: Of a lease or, without one, of the session's seconds: that often it is asked whether the server is well.
PROBES = 3

#: What a server may do wrong.
TROUBLE = (Failed, Nonsense, TooLong, OSError)


class Client(asked.Client):
    """``prefixes``: below which all that is read is; ``leased``: whether it may write. ``first``: with which server it
    begins. ``refused`` is told of prefixes that may not be watched."""

    def __init__(
        self,
        ensemble: Ensemble,
        seconds: float,
        session: Session | None,
        told: Told,
        *,
        prefixes: Sequence[str],
        leased: bool,
        times: Times,
        refused: Callable[[str, str], None],
        first: int = 0,
    ) -> None:
        super().__init__(told, "etcd")
        hosts = ensemble.hosts.split(",")
        first %= len(hosts)
        self._hosts, self._secret = hosts[first:] + hosts[:first], ensemble.secret
        self._seconds, self._times, self._refused = seconds, times, refused
        self._prefixes, self._leased = prefixes, leased
        self._lease = session[0] if session is not None and leased else 0
        self._cluster = 0
        self._ttl = seconds
        self._token, self._renewing = "", asyncio.Lock()
        self._fires = Fires()
        self._pool: Pool | None = None
        self._nodes = Nodes(self._post, self._fires, self._reader)
        self.begin()

    # --- what is asked

    def get_children_async(self, path: str, watch: Fired | None = None) -> Answer:
        return self._ask(self._nodes.children(path, watch), True)

    def get_async(self, path: str, watch: Fired | None = None) -> Answer:
        return self._ask(self._nodes.data(path, watch), True)

    def exists_async(self, path: str, watch: Fired | None = None) -> Answer:
        return self._ask(self._nodes.exists(path, watch))

    def create_async(self, path: str, value: bytes = b"", ephemeral: bool = False, makepath: bool = True) -> Answer:
        """``ephemeral``: by its lease; there are no folders that would have to be made."""
        return self._ask(self._nodes.create(path, value, self._lease if ephemeral else 0))

    def set_async(self, path: str, value: bytes, version: int = -1) -> Answer:
        return self._ask(self._nodes.set(path, value, version))

    def delete_async(self, path: str) -> Answer:
        return self._ask(self._nodes.delete(path))

    def transaction(self) -> Transaction:
        return Transaction(self._lease, lambda steps: self._ask(self._nodes.all(steps)))

    def stop(self) -> None:
        """From a thread: the lease ends with all that lives by it, if the server can be told."""
        if self._live and self._lease:
            asyncio.run_coroutine_threadsafe(self._revoke(), self._loop).result(GOODBYE)

    # --- its life

    async def _connect(self) -> str:
        """Why it could not, or is not any more.

        :raises SessionExpiredError: its lease has ended
        """
        why = []
        for host in self._hosts:
            self._pool = pool = Pool(host, HANDSHAKE)
            running: list[asyncio.Task[None]] = []
            try:
                await self._begin()
                watches = [self._watch(host, each) for each in self._prefixes]
                running = [self._loop.create_task(each.run()) for each in watches]
                await _ready(watches, running)
                running.append(self._loop.create_task(self._probe()))
                self._live = True
                self._told("connected", "", (self._lease or self._cluster, b""))
                over: list[asyncio.Future[Any]] = [*running, self._ending]
                await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
                self._live, self._ended = False, True
                raise self._ending.result() if self._ending.done() else _error(running)
            except TROUBLE as error:
                why.append(f"{host}: {said(error)}")
                if self._ended:
                    break
            finally:
                pool.close()
                for each in running:
                    each.cancel()
                await asyncio.gather(*running, return_exceptions=True)
        return "; ".join(why)

    def _watch(self, host: str, prefix: str) -> Watch:
        return Watch(
            prefix, lambda: Channel.open(host, HANDSHAKE), lambda: self._token, self._fires, self._times, self._refused
        )

    async def _begin(self) -> None:
        if self._secret:
            await self._authenticate()
        await self._look(HANDSHAKE)
        if not self._leased:
            return
        if self._lease:
            await self._keep(HANDSHAKE)
            return
        body = encode({"TTL": str(math.ceil(self._seconds))})
        found = decode(await self._post("/v3/lease/grant", body, HANDSHAKE), LeaseReply)
        if not found.ID or found.TTL <= 0:
            raise Nonsense("etcd grants no lease")
        self._lease, self._ttl = found.ID, found.TTL

    async def _authenticate(self) -> None:
        user, _, password = self._secret.partition(":")
        self._token = ""
        try:
            body = encode({"name": user, "password": password})
            reply = await self._post("/v3/auth/authenticate", body, HANDSHAKE)
            self._token = decode(reply, AuthReply).token
        except Failed as error:
            if error.code != FAILED_PRECONDITION:  # it asks nobody who he is
                raise

    async def _look(self, seconds: float) -> None:
        """Whether it answers for the whole cluster; that this may not be read is seen where it is."""
        body = encode({"key": b64(self._prefixes[0]), "keys_only": True})
        try:
            found = decode(await self._post("/v3/kv/range", body, seconds, True), RangeReply)
        except Failed as error:
            if error.code == DENIED:
                return
            if "user name is empty" in str(error):
                raise Failed("it asks for a user: write its address as etcd://user:password@...") from None
            raise
        self._cluster = found.header.cluster_id

    async def _keep(self, seconds: float) -> None:
        body = encode({"ID": str(self._lease)})
        found = decode(await self._post("/v3/lease/keepalive", body, seconds, True), LeaseReply)
        if found.error is not None:
            raise Failed(reason(found.error) or "etcd does not keep the lease")
        if found.result is None or found.result.ID != self._lease:
            raise Nonsense("no answer of etcd's gateway to a keepalive")
        if found.result.TTL <= 0:
            raise SessionExpiredError("the lease has ended")
        self._ttl = found.result.TTL

    async def _probe(self) -> None:
        while True:
            seconds = self._ttl / PROBES
            await pause(self._times, seconds)
            await (self._keep if self._lease else self._look)(seconds)

    async def _revoke(self) -> None:
        await self._post("/v3/lease/revoke", encode({"ID": str(self._lease)}), GOODBYE, True)

    # --- how it asks

    async def _post(self, path: str, body: bytes, seconds: float = ANSWER, alone: bool = False) -> bytes:
        """:raises Failed: etcd refuses it; OSError, TooLong: see ``Pool``"""
        pool = self._pool
        assert pool is not None
        token = self._token
        status, reply = await pool.ask(Request(path, body, authorization=token), seconds, alone)
        if status == 200:
            return reply
        error = failed(status, reply)
        if error.code != UNAUTHENTICATED or not token:
            raise error
        async with self._renewing:  # it forgets who does not ask for a while
            if self._token == token:
                await self._authenticate()
        status, reply = await pool.ask(Request(path, body, authorization=self._token), seconds, alone)
        if status != 200:
            raise failed(status, reply)
        return reply


async def _ready(watches: Sequence[Watch], running: Sequence[asyncio.Task[None]]) -> None:
    """:raises Exception: what one ended by"""

    async def all_of_them() -> None:
        for each in watches:
            await each.ready.wait()

    first = asyncio.create_task(all_of_them())
    try:
        await asyncio.wait([first, *running], return_when=asyncio.FIRST_COMPLETED)
        for each in running:
            if each.done():
                each.result()
    finally:
        first.cancel()


def _error(running: Sequence[asyncio.Task[None]]) -> BaseException:
    ended = (each.exception() for each in running if each.done())
    return next((error for error in ended if error is not None), ConnectionError("it ended"))
