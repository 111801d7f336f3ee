"""A client of one Nacos, which shows its services and configs as nodes: what is asked of it, and how it answers, is as
kazoo's clients have it (see ``registry.link.Connect``). It connects once, to one server after the other.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Hashable
from typing import Any

from meshfast.registry import asked
from meshfast.registry.asked import Answer, Transaction, said
from meshfast.registry.gateway import Pool, Request, TooLong, Unreachable
from meshfast.registry.link import GOODBYE, HANDSHAKE, Ensemble, Session, Told
from meshfast.registry.nacosapi import FORBIDDEN, Api, Failed, Nonsense
from meshfast.registry.nacosbeats import Beats
from meshfast.registry.nacosshown import Fired, Shown
from meshfast.registry.times import Times

__all__ = ["PROBES", "RENEWED", "Client"]

#: In the session's seconds: that often it is asked whether the server is well.
PROBES = 3
#: The part of its time after which a token is asked for anew.
RENEWED = 0.8
#: Bytes of an answer that is made sense of in the loop.
SHORT = 16 * 1024

#: What a server may do wrong.
TROUBLE = (Failed, Nonsense, TooLong, OSError)


class Client(asked.Client):
    """``beats`` go on over clients; ``warn`` and ``count``: see ``Notes``; ``first``: with which server it begins."""

    def __init__(
        self,
        ensemble: Ensemble,
        seconds: float,
        session: Session | None,
        told: Told,
        *,
        namespace: str,
        group: str,
        beats: Beats,
        times: Times,
        warn: Callable[[str, Exception | str], None],
        count: Callable[[str, int], None],
        first: int = 0,
    ) -> None:
        super().__init__(told, "nacos")
        hosts = ensemble.hosts.split(",")
        first %= len(hosts)
        self._hosts, self._secret = hosts[first:] + hosts[:first], ensemble.secret
        self._seconds, self._times, self._beats = seconds, times, beats
        self._warn, self._count = warn, count
        # There are no sessions: one is made up, by which a server is known that was left for long.
        self._session = session[0] if session is not None else random.getrandbits(62) | 1
        self._token, self._renew = "", 0.0
        self._renewing = asyncio.Lock()
        self._pool: Pool | None = None
        self._api = Api(self._send, namespace, group)
        self._shown = Shown(self._api, beats, times, self._session, self._made, count, self._failed)
        self.begin()

    # --- what is asked

    def get_children_async(self, path: str, watch: Fired | None = None) -> Answer:
        return self._ask(self._shown.children(path, watch), True)

    def get_async(self, path: str, watch: Fired | None = None) -> Answer:
        return self._ask(self._shown.data(path, watch), True)

    def exists_async(self, path: str, watch: Fired | None = None) -> Answer:
        return self._ask(self._shown.exists(path, watch))

    def create_async(self, path: str, value: bytes = b"", ephemeral: bool = False, makepath: bool = True) -> Answer:
        """``ephemeral``: it stands as long as it beats; there are no folders that would have to be made."""
        return self._ask(self._shown.create(path, value, ephemeral))

    def set_async(self, path: str, value: bytes, version: Any = -1) -> Answer:
        return self._ask(self._shown.set(path, value, version))

    def delete_async(self, path: str) -> Answer:
        return self._ask(self._shown.delete(path))

    def transaction(self) -> Transaction:
        return Transaction(self._session, lambda steps: self._ask(self._shown.all(steps)))

    def forget(self, path: str) -> None:
        """Nobody reads it any more."""
        self._shown.forget(path)

    def stop(self) -> None:
        """From a thread: all that beats is taken away, if the server can be told."""
        if self._live:
            asyncio.run_coroutine_threadsafe(self._beats.retire(), self._loop).result(GOODBYE)

    # --- its life

    async def _connect(self) -> str:
        why = []
        for host in self._hosts:
            self._pool = pool = Pool(host, HANDSHAKE)
            probing: asyncio.Task[None] | None = None
            try:
                if self._secret:
                    await self._login()
                await self._api.look(HANDSHAKE)
                self._live = True
                self._told("connected", "", (self._session, b""))
                self._beats.up(self._api)
                probing = self._loop.create_task(self._probe())
                over: list[asyncio.Future[Any]] = [probing, self._ending]
                await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
                self._live, self._ended = False, True
                raise (self._ending.result() if self._ending.done() else probing.exception()) or ConnectionError
            except TROUBLE as error:
                why.append(f"{host}: {_told(error, self._secret)}")
                if self._ended:
                    break
            finally:
                if self._live or self._ended:
                    self._shown.polls.close()
                    self._beats.down()
                pool.close()
                if probing is not None:
                    probing.cancel()
                    await asyncio.gather(probing, return_exceptions=True)
        return "; ".join(why)

    async def _probe(self) -> None:
        while True:
            seconds = self._seconds / PROBES
            await asked.pause(self._times, seconds)
            await self._api.look(seconds)

    async def _login(self) -> None:
        user, _, password = self._secret.partition(":")
        self._token = ""
        found = await self._api.login(user, password, HANDSHAKE)
        self._token = found.accessToken
        self._renew = self._times.now() + RENEWED * found.tokenTtl if found.tokenTtl > 0 else float("inf")

    # --- how it asks

    async def _send(self, request: Request, seconds: float, alone: bool) -> tuple[int, bytes]:
        """With the token; one that is over is asked for anew."""
        pool = self._pool
        assert pool is not None
        token = self._token
        if token and self._times.now() >= self._renew:
            token = await self._newer(token)
        status, body = await pool.ask(_shows(request, token), seconds, alone)
        if status in FORBIDDEN and token:
            newer = await self._newer(token)
            status, body = await pool.ask(_shows(request, newer), seconds, alone)
        return status, body

    async def _newer(self, token: str) -> str:
        async with self._renewing:
            if self._token == token:
                await self._login()
        return self._token

    async def _made(self, size: int, make: Callable[..., Any], *args: Any) -> Any:
        """Long answers are read apart from the loop."""
        if size <= SHORT:
            return make(*args)
        return await self._loop.run_in_executor(self._reader, make, *args)

    def _failed(self, key: Hashable, error: Exception, first: bool) -> bool:
        if isinstance(error, Unreachable | ConnectionError):
            self._end(error)
            return False
        if first:
            self._count("unreadable", 1)
            self._warn("/".join(map(str, key)) if isinstance(key, tuple) else str(key), error)
        return True


def _shows(request: Request, token: str) -> Request:
    return request._replace(authorization=f"Bearer {token}") if token else request


def _told(error: Exception, secret: str) -> str:
    if isinstance(error, Failed) and error.status in FORBIDDEN and not secret:
        return f"it asks for a user: write its address as nacos://user:password@... ({said(error)})"
    return said(error)
