"""Calls that stream, for threads: the same as ``meshfast.sdk.streaming``, each step of which waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from threading import Thread
from types import TracebackType
from typing import Any, Protocol, Self

from meshfast.errors import StateError
from meshfast.sdk.streaming import Stream

__all__ = ["BlockingStream"]


class Slot(Protocol):
    """Where a thread waits."""

    def set_result(self, answer: Any, /) -> Any: ...
    def set_exception(self, error: Any, /) -> Any: ...
    def wait(self) -> Any: ...


class BlockingStream:
    """See ``Stream``. ``put``: has something done in the loop's thread. ``requests`` are made in a thread of their own,
    unless only their one answer is asked for."""

    def __init__(
        self, stream: Stream, put: Callable[[Callable[[], None]], None], slot: Callable[[], Slot],
        requests: Iterable[Any] | None,
    ) -> None:  # fmt: skip
        self._stream, self._put, self._slot = stream, put, slot
        self._requests = requests
        self._tasks: set[asyncio.Task[None]] = set()

    def _do(self, make: Callable[[], Awaitable[Any]]) -> Any:
        slot, began = self._slot(), list[asyncio.Task[None]]()

        async def work() -> None:
            try:
                answer = await make()
            except StopAsyncIteration:
                slot.set_result(StopIteration)
            except asyncio.CancelledError:
                slot.set_exception(StateError("the connection to the mesh was closed meanwhile"))
            except Exception as error:
                slot.set_exception(error)
            else:
                slot.set_result(answer)

        def begin() -> None:
            task = asyncio.get_running_loop().create_task(work())
            began.append(task)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._put(begin)
        try:
            return slot.wait()
        except KeyboardInterrupt:
            self.cancel()
            raise

    def _pump(self) -> None:
        """Begins to send the requests."""
        if self._requests is not None:
            requests, self._requests = self._requests, None
            Thread(target=self._send_all, args=(requests,), name="meshfast-sdk-requests", daemon=True).start()

    def _send_all(self, requests: Iterable[Any]) -> None:
        try:
            for one in requests:
                self.send(one)
                if self._stream.over:
                    return
            self.end()
        except Exception as error:  # of who makes the requests: it is told where answers are read
            failed = error  # whose name ends with this block
            self._put(lambda: self._stream.fail(failed))

    def send(self, request: Any) -> None:
        """As ``Stream.send``."""
        self._do(lambda: self._stream.send(request))

    def end(self) -> None:
        """As ``Stream.end``."""
        self._do(self._stream.end)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        self._pump()
        found = self._do(self._stream.__anext__)
        if found is StopIteration:
            raise StopIteration
        return found

    def answer(self) -> Any:
        """As ``Stream.answer``."""
        if self._requests is None:
            return self._do(self._stream.answer)
        requests, self._requests = self._requests, None
        self._send_all(requests)
        return self._do(self._stream.answer)

    @property
    def attachments(self) -> dict[str, Any]:
        """As ``Stream.attachments``."""
        return self._stream.attachments

    def opened(self) -> dict[str, Any]:
        """As ``Stream.opened``."""
        self._pump()
        found: dict[str, Any] = self._do(self._stream.opened)
        return found

    def cancel(self) -> None:
        """As ``Stream.cancel``."""
        self._put(self._stream.cancel)

    close = cancel

    def __enter__(self) -> Self:
        self._pump()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
