"""What applications had registered with the process before: it stands for a while, until they have said it again, so
that who follows a registry does not see that a sidecar was killed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

import msgspec

from meshfast.endpoint.later import RETRY, State
from meshfast.errors import SourceError
from meshfast.hints import News, told
from meshfast.registry import Instance
from meshfast.registry.url import Provider

__all__ = ["RETURN", "Returning"]

log = logging.getLogger("meshfast")

NAME = "offers.json"
#: Seconds in which applications come back.
RETURN = 15.0


class _Kept(msgspec.Struct, array_like=True):
    service: str
    group: str
    version: str
    protocol: str
    address: str
    parameters: dict[str, str]


class Returning:
    """``offers`` gives what is offered now; whoever changes it says ``changed``."""

    def __init__(self, state: State, offers: Callable[[], Iterable[Provider]]) -> None:
        self._state, self._offers = state, offers
        self._task: asyncio.Task[None] | None = None
        self._again = self._ended = False
        self._retry: asyncio.TimerHandle | None = None
        self._trouble = News()
        self.failed = 0

    def read(self) -> list[Provider]:
        """What there was; what cannot be trusted is told and not used."""
        try:
            data = self._state.read(NAME)
            found = [] if data is None else msgspec.json.decode(data, type=list[_Kept])
        except (SourceError, OSError, msgspec.MsgspecError, RecursionError) as error:
            log.error("endpoint: registrations that were kept are not used: %s", told(error))
            return []
        return [
            Provider(one.service, one.group, one.version,
                     Instance(one.address, one.protocol, one.parameters.get("application", ""), one.parameters))
            for one in found
        ]  # fmt: skip

    def changed(self) -> None:
        """Writes, once for all that is said in one turn of the loop."""
        if self._ended:
            return
        if self._task is not None:
            self._again = True
        else:
            self._task = asyncio.get_running_loop().create_task(self._write())

    async def close(self) -> None:
        """What is written last stays: it is no longer true only where everything was taken back as well."""
        self._ended = True
        if self._retry is not None:
            self._retry.cancel()
        if self._task is not None:
            await self._task

    async def _write(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        data = msgspec.json.encode([
            _Kept(one.service, one.group, one.version, one.instance.protocol, one.instance.address,
                  dict(one.instance.parameters))
            for one in self._offers()
        ])  # fmt: skip
        try:
            await asyncio.to_thread(self._state.write, NAME, data)
        except OSError as error:
            self.failed += 1
            if self._trouble.is_new(text := told(error)):
                log.error("endpoint: registrations are not kept over a restart: %s", text)
            if not self._ended:
                self._retry = asyncio.get_running_loop().call_later(RETRY, self.changed)
        else:
            self._trouble.over()
        self._task, again, self._again = None, self._again, False
        if again:
            self.changed()
