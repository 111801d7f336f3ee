"""What a sidecar has registered in a Nacos, and the beats by which it stays there: of whoever is not heard for a while
Nacos says that it is not healthy, and later forgets it. They go on over connections, so that none is missed.

A beat says all that the instance is, as Nacos takes one that it has forgotten in anew by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from meshfast.registry.asked import said
from meshfast.registry.nacosapi import Api
from meshfast.registry.nacosnodes import Provider
from meshfast.registry.times import Later, Times

__all__ = ["AT_ONCE", "EVERY", "LEAST", "MOST", "Beats"]

#: Seconds between beats, where the server says none; what it says counts from the least to the most.
EVERY, LEAST, MOST = 5.0, 1.0, 60.0
#: Beats that are under way at once, on connections of their own: they wait for nothing else.
AT_ONCE = 8

#: Of the registries of this process, which one has registered an instance last: by service, address and namespace.
_last: dict[tuple[str, str, int, str], Beats] = {}


class _Own:
    """An instance that beats. ``beating``: a beat that is under way."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.every = EVERY
        self.timer: Later | None = None
        self.beating: asyncio.Task[None] | None = None
        self.failing = False

    @property
    def place(self) -> tuple[str, str, int]:
        return self.provider.service, self.provider.host, self.provider.port


class Beats:
    """``where``: the servers and the namespace; ``warn``: of what goes wrong."""

    def __init__(
        self, hosts: frozenset[str], namespace: str, times: Times, warn: Callable[[str, Exception | str], None]
    ) -> None:
        self._hosts, self._namespace, self._times, self._warn = hosts, namespace, times, warn
        self._own: dict[tuple[str, str, int], _Own] = {}
        self._api: Api | None = None
        self._room = asyncio.Semaphore(AT_ONCE)
        self.sent = 0

    def up(self, api: Api) -> None:
        """There is a connection: all beat at once, as nobody knows how long there was none."""
        self._api = api
        for own in self._own.values():
            self._soon(own, 0.0)

    def down(self) -> None:
        self._api = None
        for own in self._own.values():
            if own.timer is not None:
                own.timer.cancel()
            if own.beating is not None:
                own.beating.cancel()

    def keep(self, provider: Provider) -> None:
        """It was registered just now, or found as it is to be."""
        own = _Own(provider)
        known = self._own.get(own.place)
        _last[(*own.place, self._namespace)] = self
        if known is not None:
            known.provider = provider
        else:
            self._own[own.place] = own
            self._soon(own, own.every)

    def at(self, service: str, host: str, port: int) -> Mapping[str, str] | None:
        """What is registered there by this sidecar."""
        own = self._own.get((service, host, port))
        return own.provider.metadata if own is not None else None

    async def end(self, service: str, host: str, port: int) -> None:
        """It is to be taken away: no beat of it is under way, or will be, by which it would be there again."""
        own = self._own.pop((service, host, port), None)
        if own is None:
            return
        if _last.get((*own.place, self._namespace)) is self:
            del _last[(*own.place, self._namespace)]
        if own.timer is not None:
            own.timer.cancel()
        if own.beating is not None:
            await asyncio.gather(own.beating, return_exceptions=True)

    async def retire(self) -> None:
        """All of it is taken away, but what another registry of this process has on the same servers by now."""
        api = self._api
        if api is None:
            return
        mine = [own.provider for own in self._own.values() if not self._taken_over(own)]
        for own in list(self._own.values()):
            await self.end(*own.place)
        gone = (api.deregister(one.service, one.host, one.port) for one in mine)
        await asyncio.gather(*gone, return_exceptions=True)

    def _taken_over(self, own: _Own) -> bool:
        last = _last.get((*own.place, self._namespace), self)
        return last is not self and bool(last._hosts & self._hosts)

    def _soon(self, own: _Own, seconds: float) -> None:
        if own.timer is not None:
            own.timer.cancel()
        own.timer = self._times.later(seconds, self._beat, own)

    def _beat(self, own: _Own) -> None:
        own.timer = None
        api = self._api
        if api is None or self._own.get(own.place) is not own:
            return
        if own.beating is not None:  # of the connection before, and about to end
            self._soon(own, LEAST)
        else:
            own.beating = asyncio.get_running_loop().create_task(self._say(api, own))

    async def _say(self, api: Api, own: _Own) -> None:
        provider = own.provider
        try:
            async with self._room:
                if self._own.get(own.place) is not own:
                    return  # it was taken away while it waited for its turn
                every = await api.beat(*own.place, provider.metadata)
                self.sent += 1
                if every is None:
                    self._warn(f"{provider.service} at {provider.host}:{provider.port}", "gone: it is registered again")
                    await api.register(*own.place, provider.metadata)
            if every:
                own.every = min(max(every, LEAST), MOST)
            own.failing = False
        except Exception as error:
            if not own.failing:
                own.failing = True
                self._warn(f"a beat of {provider.service} at {provider.host}:{provider.port}", said(error))
        finally:
            own.beating = None
        if self._own.get(own.place) is own and self._api is not None:
            self._soon(own, own.every)
