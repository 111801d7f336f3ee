"""The clients of one application: one for Dubbo2, and one for Triple and gRPC from the first service that speaks it.

Each has its own connection, and leaves the sidecar and comes back by itself; the engine in its place they share.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Mapping

from meshfast.sdk.calls import Limits
from meshfast.sdk.client import Client, FatLike
from meshfast.sdk.interest import Interest
from meshfast.sdk.link import Timing
from meshfast.sdk.protocols import DUBBO

__all__ = ["Clients", "Shared"]

_MODES = ("none", "fat", "thin")


class Shared:
    """An engine for whoever needs it: started for the first, ended after the last. ``handle`` makes what one user has
    of it; the methods of that are called in any thread."""

    def __init__(self, make: Callable[[], FatLike]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._fat: FatLike | None = None
        self._address = ""
        self._users = 0

    def handle(self) -> FatLike:
        return _Handle(self)

    def take(self) -> str:
        with self._lock:
            if self._fat is None:
                fat = self._make()
                try:
                    self._address = fat.start()
                except BaseException:
                    fat.close()
                    raise
                self._fat = fat
            self._users += 1
            return self._address

    def refresh(self) -> None:
        with self._lock:
            if self._fat is not None:
                self._fat.refresh()

    def give_back(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._fat is not None:
                fat, self._fat = self._fat, None
                fat.close()


class _Handle:
    def __init__(self, shared: Shared) -> None:
        self._shared, self._has, self._address = shared, False, ""

    def start(self) -> str:
        if not self._has:
            self._address = self._shared.take()
            self._has = True
        return self._address

    def refresh(self) -> None:
        self._shared.refresh()

    def close(self) -> None:
        if self._has:
            self._has = False
            self._shared.give_back()


class Clients:
    """Everything is called in the loop that it was made in. The arguments are ``Client``'s, and ``api``: where the
    sidecar hears what is called ("": nowhere)."""

    def __init__(
        self, address: str, fat: Callable[[], FatLike], api: str = "", limits: Limits | None = None,
        timing: Timing | None = None,
    ) -> None:  # fmt: skip
        self._address, self._limits, self._timing = address, limits, timing
        self._shared = Shared(fat)
        self._interest = Interest(api)
        self.dubbo = Client(address, self._shared.handle, self._interest, limits, timing)
        self._streams: Client | None = None
        self.dubbo.open()

    def of(self, protocol: str) -> Client:
        """The one for services of such a protocol."""
        if protocol == DUBBO:
            return self.dubbo
        if self._streams is None:
            self.dubbo.mine()
            from meshfast.sdk.streams import StreamsWire  # who calls by Dubbo2 alone pays nothing for it

            self._streams = Client(
                self._address, self._shared.handle, self._interest, self._limits, self._timing, StreamsWire
            )
            if self.dubbo.closed:
                self._streams.end()
            else:
                self._streams.open()
        return self._streams

    @property
    def mode(self) -> str:
        """The least of both."""
        return min((one.mode for one in self._all()), key=_MODES.index)

    @property
    def counters(self) -> Mapping[str, int]:
        """Of both together, and of lines."""
        found: Counter[str] = Counter(dict(self.dubbo.counters))  # dict: at once, while others go on counting
        if self._streams is not None:
            found.update(dict(self._streams.counters))
        if self.dubbo.lines is not None:
            found.update(dict(self.dubbo.lines.counters))
        return found

    async def close(self) -> None:
        await asyncio.gather(*(one.close() for one in self._all()))

    def _all(self) -> list[Client]:
        return [self.dubbo] if self._streams is None else [self.dubbo, self._streams]
