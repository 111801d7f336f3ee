"""Calls that stream, as applications make them: requests one after the other, answers one after the other.

    async for price in service.stream("watch", "book"):                  # a stream of answers
        ...
    total = await service.stream("add", requests=items).answer()         # a stream of requests
    async with service.stream("chat", sends=True) as chat:               # both
        await chat.send("hello")
        async for word in chat:
            ...
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.events import _get_running_loop
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

from meshfast.errors import LimitError
from meshfast.http2 import ErrorCode
from meshfast.sdk.client import Client
from meshfast.sdk.errors import BadAnswer, CallError, CallTimeout
from meshfast.sdk.fields import read
from meshfast.sdk.flows import Flow
from meshfast.sdk.triple import Request, TripleTarget, ended, item
from meshfast.sdk.wire import Call

__all__ = ["FOREVER", "Requests", "Stream"]

Requests = AsyncIterable[Any] | Iterable[Any]
#: Seconds of a stream that has no end.
FOREVER = 1e9


class Called(Protocol):
    """A service. ``known``: whether the sidecar has had the time to ask for it."""

    client: Client
    name: str
    known: bool


class Stream:
    """One call. It begins when it is read from or sent to, and is cancelled where a block or an iteration is left
    before its end. Answers are read ahead as far as a window lets them, 1 MiB.

    What ends it is raised behind the answers that came: a CallError as of ``Service.call``. ``attachments``: those that
    came back so far.
    """

    def __init__(
        self, service: Called, target: TripleTarget, flow: Flow, request: Request, method: str,
        types: Sequence[str] | None, first: bytes | None, requests: Requests | None, timeout: float,
        fit: Callable[[Any], Any] | None,
    ) -> None:  # fmt: skip
        self._service, self._target, self._flow, self._request = service, target, flow, request
        self.method, self._types, self._first = method, types, first
        self._requests, self._timeout, self._fit = requests, timeout, fit
        self._call: Call | None = None
        self._pump: asyncio.Task[None] | None = None

    @property
    def over(self) -> bool:
        """Whether it has ended; answers that came before may be there to be read."""
        return self._flow.over

    @property
    def _client(self) -> Client:
        return self._service.client

    # --- both ways

    async def send(self, request: Any) -> None:
        """One request; returns once it is taken: given up before, nothing of it goes. Once the provider has ended the
        call, nothing: reading tells how. StateError: after ``end``; LimitError: it is longer than ``max_answer``;
        TypeError as of a call's argument."""
        message = _written(self._client, self._target, self._flow, self.method, self._types, request)
        await self._begin()
        await self._flow.put(message)

    async def end(self) -> None:
        """No more requests."""
        await self._begin()
        self._flow.end()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            await self._begin()
            message = await self._flow.next()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if message is not None:
            return self._read(message)
        self._end()
        raise StopAsyncIteration

    async def answer(self) -> Any:
        """The one answer, of a method that has but one. BadAnswer: there is none, or more than one."""
        if self._requests is None and not self._flow.ended:
            await self.end()
        found: list[Any] = []
        async for one in self:
            found.append(one)
            if len(found) > 1:  # there may be no end of them
                self.cancel()
                raise BadAnswer(f"{self.method} gave more than one answer")
        if not found:
            raise BadAnswer(f"{self.method} gave no answer, where there is to be one")
        return found[0]

    @property
    def attachments(self) -> dict[str, Any]:
        found = list(self._flow.fields or ())
        if self._flow.answer is not None:
            found += self._flow.answer.trailers
        return read(found)

    async def opened(self) -> dict[str, Any]:
        """Waits until the provider has begun to answer; the attachments that came with that."""
        await self._begin()
        await self._flow.opened()
        return self.attachments

    # --- its end

    def cancel(self) -> None:
        """Ends it now, if it has not ended: its provider is told. Nothing in a process that was forked."""
        if self._client.forked:
            return  # it goes on there where it was begun
        if _get_running_loop() is not None:
            self._client.mine()
        if self._pump is not None:
            self._pump.cancel()
        if self._call is not None:
            self._client.forget(self._call)
        if not self._flow.over:
            self._flow.set_exception(CallError(f"the application has cancelled {self.method}"))

    async def aclose(self) -> None:
        """As ``cancel``."""
        self.cancel()

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def __del__(self) -> None:
        if self._call is not None and not self._flow.over and not self._client.closed and not self._client.forked:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._client.loop.call_soon_threadsafe(_forget, self._client, self._call, self._pump)

    def fail(self, error: Exception) -> None:
        """Ends it: who makes the requests has raised this."""
        if not self._flow.over:
            self._flow.set_exception(error)
        self.cancel()

    # --- inside

    async def _begin(self) -> None:
        self._client.mine()  # each step of it begins with this one
        if self._call is not None or self._flow.over:
            return
        client, service = self._client, self._service
        if not service.known:
            client.interest.want(service.name)
            await client.interest.known(service.name)
            service.known = True
        if self._call is not None or self._flow.over:  # another task has, meanwhile
            return
        self._call = client.start(next(client.numbers), self._request, self._flow, self._timeout, False, True)
        if self._first is not None:
            self._flow.add(self._first)  # waits for nothing: who gives up here would leave it without its end
            self._flow.end()
        elif self._requests is not None:
            write = partial(_written, client, self._target, self._flow, self.method, self._types)
            self._pump = client.loop.create_task(_send_all(self._flow, self._requests, write))
            self._pump.add_done_callback(partial(_sent_all, client, self._call, self._flow))

    def _read(self, message: bytes) -> Any:
        try:
            value = item(message, self._flow.raw)
            return value if self._fit is None else self._fit(value)
        except BaseException:
            self.cancel()
            raise

    def _end(self) -> None:
        """Raises what it ended with."""
        if self._pump is not None:
            self._pump.cancel()
        if self._flow.error is not None:
            raise self._flow.error
        answer = self._flow.answer
        if answer.code == ErrorCode.CANCEL and self._call is not None:
            left = self._call.deadline - self._client.loop.time()
            if left < self._timeout / 10:  # whose clock is a little ahead, and says no more than that
                raise CallTimeout("its time was over; it may have been executed")
        ended(answer)


def _written(
    client: Client, target: TripleTarget, flow: Flow, method: str, types: Sequence[str] | None, request: Any
) -> bytes:  # fmt: skip
    message, flow.raw = target.message(method, (request,), types)
    if len(message) > client.max_answer:
        client.counters["max_answer"] += 1
        raise LimitError(f"max_answer: the request has {len(message)} bytes")
    return message


async def _send_all(flow: Flow, requests: Requests, write: Callable[[Any], bytes]) -> None:
    """Does not hold the ``Stream``: one that nobody holds any more ends."""
    if isinstance(requests, AsyncIterable):
        async for one in requests:
            await flow.put(write(one))
            if flow.over:
                return
    else:
        for one in requests:
            await flow.put(write(one))
            if flow.over:
                return
    flow.end()


def _sent_all(client: Client, call: Call, flow: Flow, pump: asyncio.Task[None]) -> None:
    """What ended the making of requests before there were all is told where answers are read."""
    error = asyncio.CancelledError() if pump.cancelled() else pump.exception()
    if error is None:
        return
    if not isinstance(error, Exception):  # which would seem to be meant for who reads
        text = f"{type(error).__name__} in what makes its requests"
        error, error.__cause__ = CallError(text), error
    if not flow.over:
        flow.set_exception(error)
    client.forget(call)


def _forget(client: Client, call: Call, pump: asyncio.Task[None] | None) -> None:
    client.forget(call)
    if pump is not None:
        pump.cancel()
