"""The native loop as a selector, so that asyncio runs on it unchanged.

>>> import asyncio
>>> from meshfast import loop
>>> runner = asyncio.Runner(loop_factory=loop.new_event_loop)
>>> with runner:
...     runner.run(asyncio.sleep(0, "done"))
'done'

An engine without workers lives in the same native loop, and is served whenever the selector waits.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey
from typing import Any, Protocol

from meshfast import _core

__all__ = ["EpollSelector", "NativeSelector", "UringSelector", "new_event_loop"]


class HasFileno(Protocol):
    """Anything with a descriptor."""

    def fileno(self) -> int: ...


FileObject = int | HasFileno


class _Map(Mapping[FileObject, SelectorKey]):
    """File object or descriptor -> key, read-only and live."""

    def __init__(self, selector: NativeSelector) -> None:
        self._selector = selector

    def __len__(self) -> int:
        return len(self._selector._keys)

    def __getitem__(self, fileobj: FileObject) -> SelectorKey:
        try:
            return self._selector._keys[self._selector._lookup(fileobj)]
        except KeyError:
            raise KeyError(f"{fileobj!r} is not registered") from None

    def __iter__(self) -> Any:
        return iter(self._selector._keys)


def _fileno(fileobj: FileObject) -> int:
    """The descriptor of ``fileobj``. Raises ValueError when it has none."""
    if isinstance(fileobj, int):
        fd = fileobj
    else:
        try:
            fd = int(fileobj.fileno())
        except (AttributeError, TypeError, ValueError):
            raise ValueError(f"Invalid file object: {fileobj!r}") from None
    if fd < 0:
        raise ValueError(f"Invalid file descriptor: {fd}")
    return fd


class NativeSelector(selectors.BaseSelector):
    """A selector on the native loop. ``loop`` is that loop; an engine may be embedded in it.

    ``backend`` is "auto", "epoll" or "io_uring". Raises OSError where io_uring is asked for and not to be had; the
    message says why.
    """

    def __init__(self, backend: str = "auto") -> None:
        self.loop = _core.Loop(backend)
        self._keys: dict[int, SelectorKey] = {}
        self._map: _Map | None = _Map(self)

    def _lookup(self, fileobj: FileObject) -> int:
        try:
            return _fileno(fileobj)
        except ValueError:
            for key in self._keys.values():  # closed meanwhile, but still registered
                if key.fileobj is fileobj:
                    return key.fd
            raise

    def register(self, fileobj: FileObject, events: int, data: Any = None) -> SelectorKey:
        """Watches ``fileobj``. Raises ValueError (events, descriptor), KeyError (registered), OSError (the system)."""
        if not events or events & ~(EVENT_READ | EVENT_WRITE):
            raise ValueError(f"Invalid events: {events!r}")
        key = SelectorKey(fileobj, self._lookup(fileobj), events, data)
        if key.fd in self._keys:
            raise KeyError(f"{fileobj!r} (FD {key.fd}) is already registered")
        self.loop.register(key.fd, events)
        self._keys[key.fd] = key
        return key

    def unregister(self, fileobj: FileObject) -> SelectorKey:
        """Watches ``fileobj`` no more. Raises KeyError when it was not registered."""
        try:
            key = self._keys.pop(self._lookup(fileobj))
        except KeyError:
            raise KeyError(f"{fileobj!r} is not registered") from None
        self.loop.unregister(key.fd)
        return key

    def modify(self, fileobj: FileObject, events: int, data: Any = None) -> SelectorKey:
        """Changes events or data. Raises KeyError when not registered; after an OSError it no longer is."""
        try:
            key = self._keys[self._lookup(fileobj)]
        except KeyError:
            raise KeyError(f"{fileobj!r} is not registered") from None
        if events != key.events:
            if not events or events & ~(EVENT_READ | EVENT_WRITE):
                raise ValueError(f"Invalid events: {events!r}")
            try:
                self.loop.modify(key.fd, events)
            except BaseException:
                self.unregister(fileobj)
                raise
        elif data == key.data:
            return key
        key = key._replace(events=events, data=data)
        self._keys[key.fd] = key
        return key

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """The ready ones with their events. ``timeout`` in seconds; None waits without limit, <= 0 does not wait."""
        keys = self._keys
        ready = self.loop.turn(-1.0 if timeout is None else max(timeout, 0.0))
        return [(key, key.events & events) for fd, events in ready if (key := keys.get(fd)) is not None]

    def close(self) -> None:
        """Frees the native loop. Again is harmless."""
        self.loop.close()
        self._keys.clear()
        self._map = None

    def get_key(self, fileobj: FileObject) -> SelectorKey:
        """The key of ``fileobj``. Raises KeyError, or RuntimeError once closed."""
        if self._map is None:
            raise RuntimeError("Selector is closed")
        return self._map[fileobj]

    def get_map(self) -> Mapping[FileObject, SelectorKey]:
        """File object -> key; None once closed, as in the standard library."""
        return self._map  # type: ignore[return-value]

    def fileno(self) -> int:
        """A descriptor that is readable when a select would return at once."""
        return self.loop.fileno()


class EpollSelector(NativeSelector):
    """The native loop on epoll: a drop-in for ``asyncio.SelectorEventLoop``'s selector."""

    def __init__(self) -> None:
        super().__init__("epoll")


class UringSelector(NativeSelector):
    """The native loop on io_uring (Linux 6.1 or later). The thread of the first select is the only one that may."""

    def __init__(self) -> None:
        super().__init__("io_uring")


def new_event_loop(backend: str = "auto") -> asyncio.SelectorEventLoop:
    """A standard asyncio loop on a native selector. ``backend`` as in NativeSelector.

    Raises ValueError for an unknown backend, OSError where io_uring is asked for and not to be had.
    """
    return asyncio.SelectorEventLoop(NativeSelector(backend))
