"""Calls that stream, for threads: the same as ``meshfast.sdk.streaming``, each step of which waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from threading import Thread
from types import TracebackType
from typing import Any, Protocol, Self

from meshfast.errors import StateError
from meshfast.sdk.client import Client
from meshfast.sdk.errors import CallError
from meshfast.sdk.flows import Flow
from meshfast.sdk.streaming import Stream, _written
from meshfast.sdk.wire import Call

__all__ = ["BlockingStream"]


class Slot(Protocol):
    """Where a thread waits. ``error``: what it is to raise there."""

    error: BaseException | None

    def done(self) -> bool: ...
    def set_result(self, answer: Any, /) -> Any: ...
    def set_exception(self, error: Any, /) -> Any: ...
    def wait(self) -> Any: ...


class _Steps:
    """What threads have done in the loop, where one waits for each."""

    def __init__(self, client: Client, put: Callable[[Callable[[], None]], None], slot: Callable[[], Slot]) -> None:
        self._client, self.put, self._slot = client, put, slot
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, make: Callable[[], Awaitable[Any]]) -> Slot:
        """Has it done; where to wait for it. Whatever becomes of the loop, that is settled."""
        slot = self._slot()

        async def work() -> None:
            try:
                answer = await make()
            except StopAsyncIteration:
                slot.set_result(StopIteration)
            except asyncio.CancelledError:
                return
            except BaseException as error:
                slot.set_exception(error)
            else:
                slot.set_result(answer)

        def over(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not slot.done():  # it was cancelled, before its first step maybe
                slot.set_exception(_closed())

        def begin() -> None:
            if self._client.closed or self._client.loop.is_closed():
                slot.set_exception(_closed())
                return
            task = self._client.loop.create_task(work())
            self._tasks.add(task)
            task.add_done_callback(over)

        self.put(begin)
        return slot


def _closed() -> StateError:
    return StateError("the connection to the mesh was closed meanwhile")


def _send_all(
    steps: _Steps, client: Client, call: Call | None, flow: Flow, requests: Iterable[Any], write: Callable[[Any], bytes]
) -> None:  # fmt: skip
    """Does not hold the ``BlockingStream``: one that nobody holds any more ends."""

    async def send(request: Any) -> None:
        if not flow.ended:
            await flow.put(write(request))

    try:
        for one in requests:
            steps.begin(partial(send, one)).wait()
            if flow.over:
                return
        steps.put(flow.end)
    except BaseException as error:  # of who makes the requests: it is told where answers are read
        failed = error
        if not isinstance(error, Exception):  # which would be taken for that of the reader's own thread
            failed = CallError(f"what makes the requests has raised {type(error).__name__}")

        def fail() -> None:
            if not flow.over:
                flow.set_exception(failed)
            if call is not None:
                client.forget(call)

        with suppress(StateError):  # the connection is closed, and so is the stream
            steps.put(fail)


class BlockingStream:
    """See ``Stream``. ``put``: has something done in the loop's thread. ``requests`` are made in a thread of their own,
    unless only their one answer is asked for."""

    def __init__(
        self, stream: Stream, put: Callable[[Callable[[], None]], None], slot: Callable[[], Slot],
        requests: Iterable[Any] | None,
    ) -> None:  # fmt: skip
        self._stream, self._steps = stream, _Steps(stream._client, put, slot)
        self._requests = requests
        self._is_left = False

    def _do(self, make: Callable[[], Awaitable[Any]]) -> Any:
        if self._is_left:
            raise CallError(f"a step of {self._stream.method} was interrupted, which has cancelled it")
        slot: Slot | None = None
        try:
            slot = self._steps.begin(make)
            return slot.wait()
        except BaseException as error:
            if (slot is None or error is not slot.error) and not isinstance(error, StateError):
                # What a handler of signals has raised: what the step gets is nobody's, so nothing comes after it.
                self._is_left = True
                self.cancel()
            raise

    def _pump(self) -> None:
        """Begins to send the requests."""
        if self._requests is None:
            return
        requests, self._requests = self._requests, None
        stream = self._stream
        self._do(stream._begin)
        write = partial(_written, stream._client, stream._target, stream._flow, stream.method, stream._types)
        work = partial(_send_all, self._steps, stream._client, stream._call, stream._flow, requests, write)
        try:
            Thread(target=copy_context().run, args=(work,), name="meshfast-sdk-requests", daemon=True).start()
        except BaseException:
            self.cancel()
            raise

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
        try:
            for one in requests:
                self.send(one)
                if self._stream.over:
                    break
            else:
                self.end()
        except BaseException:
            self.cancel()
            raise
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
        with suppress(StateError):  # the connection is closed, and so is the stream
            self._steps.put(self._stream.cancel)

    close = cancel

    def __enter__(self) -> Self:
        self._pump()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def __del__(self) -> None:
        if not self._stream.over:
            self.cancel()
