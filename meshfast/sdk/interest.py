"""Tells the sidecar which services this application calls, so that it asks its registries for them and keeps them in
the snapshot. Where the sidecar has no such address it knows its services by its configuration, and is told nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging

from meshfast.ask import Talk

__all__ = ["Interest"]

log = logging.getLogger("meshfast.sdk")

#: Seconds: that an answer may take; between two attempts to reach the sidecar, at first and at most.
ANSWER, SOON, LATER = 5.0, 0.1, 1.0
#: Seconds that the first call of a service waits until its instances may be known.
PATIENCE = 2.0


class Interest:
    """``api``: the sidecar's ``endpoint.http``; "": it has none. Lasts as long as the connection to it does."""

    def __init__(self, api: str) -> None:
        self._api = api
        self._services: set[str] = set()
        self._told: set[str] = set()  # by the connection that there is
        self._absent = not api  # the last attempt found nobody, or
        self._mute = False  # one who does not answer
        self._closed = False
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}

    def want(self, service: str) -> None:
        """From now on it is called."""
        if self._api and not self._closed and service not in self._services:
            self._services.add(service)
            self._changed.set()
            if self._task is None:
                self._task = asyncio.get_running_loop().create_task(self._keep())

    def fresh(self, service: str) -> bool:
        """Whether the sidecar may not have asked for it yet."""
        return not self._absent and service not in self._told

    async def known(self, service: str) -> None:
        """Returns once the sidecar has asked for it, is not there, or has taken its time."""
        if self.fresh(service):
            future = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(service, []).append(future)
            await asyncio.wait([future], timeout=PATIENCE)

    @property
    def settled(self) -> bool:
        """Whether the sidecar knows of all, or cannot be told."""
        return self._absent or self._told >= self._services

    async def close(self) -> None:
        self._closed = self._absent = True
        self._release()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> None:
        pause = SOON
        while True:
            try:
                talk = await Talk.to(self._api)
            except OSError:
                self._absent = True
                self._release()
            else:
                self._absent = self._mute
                try:
                    await self._tell(talk)
                except OSError as error:
                    log.info("the sidecar at %s has gone, or does not answer: %s", self._api, error)
                    self._mute = self._absent = True  # nobody waits for one that cannot be told
                    self._release()
                finally:
                    if self._told:
                        pause = SOON
                    self._told.clear()
                    talk.close()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LATER)

    async def _tell(self, talk: Talk) -> None:
        """Says what is called, and then what is called besides, until the connection ends."""
        ended = asyncio.ensure_future(talk.ended())
        try:
            while True:
                self._changed.clear()
                new = sorted(self._services - self._told)
                if new:
                    ended.cancel()
                    await asyncio.gather(ended, return_exceptions=True)
                    if await _said(talk, new) and len(new) > 1:
                        for one in new:  # one that is refused is not to take the others along
                            await _said(talk, [one])
                    self._absent = self._mute = False
                    self._told.update(new)  # refused or not: it has heard of them
                    self._release()
                    ended = asyncio.ensure_future(talk.ended())
                changed = asyncio.ensure_future(self._changed.wait())
                try:
                    await asyncio.wait((ended, changed), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    changed.cancel()
                if ended.done():
                    ended.result()
                    return
        finally:
            ended.cancel()

    def _release(self) -> None:
        """Lets those go on whose services may be known now."""
        for service in [one for one in self._waiting if not self.fresh(one)]:
            for future in self._waiting.pop(service):
                if not future.done():
                    future.set_result(None)


async def _said(talk: Talk, services: list[str]) -> bool:
    """Tells it; whether that is refused."""
    async with asyncio.timeout(ANSWER):
        status, body = await talk.ask("POST", "/v1/consume", json.dumps({"services": services}).encode())
    text = body.decode(errors="replace").strip()[:500]
    if status != 200 and talk.over:  # it hears nobody now: there are too many
        raise ConnectionError(f"{status}: {text}")
    if status != 200 and len(services) == 1:
        log.error("the sidecar does not ask its registries for %s: %s", services[0], text)
    return status != 200
