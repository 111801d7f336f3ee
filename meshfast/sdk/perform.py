"""Performs calls: a request's bytes -> the handler -> the answer's bytes.

Each call has attachments of its own in ``context.incoming``. A handler that is no coroutine function runs in a thread,
and so does what would keep the loop from others: reading a long request, writing a large result. Handlers that wait for
requests in a thread have threads of their own: who says nothing keeps no other handler from its thread.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, copy_context
from functools import partial
from typing import Any, NamedTuple, TypeVar

from meshfast.dubbo import Status
from meshfast.errors import LimitError, ProtocolError
from meshfast.sdk.context import replying, served
from meshfast.sdk.invocation import ECHO, Invocation, Key, answer, echo, more, read, speechless, thrown
from meshfast.sdk.limits import SMALL
from meshfast.sdk.protocols import DUBBO
from meshfast.sdk.shapes import Method
from meshfast.sdk.threads import Threads

__all__ = ["MANY", "Failure", "Handlers", "Offered", "Performer", "Raised", "Thread", "fits", "unread"]

log = logging.getLogger("meshfast.sdk")
_T = TypeVar("_T")

#: By the name of the method; a coroutine function runs in the loop, another one in a thread.
Handlers = Mapping[str, Callable[..., Any]]

#: Values of a result, from which a thread writes it.
MANY = 1000


class Offered(NamedTuple):
    """``protocols``: those that it is called by."""

    methods: Mapping[str, Method]
    protocols: frozenset[str]


class Failure(Exception):
    """A call that was not performed, or whose result is lost. ``why``: one word, for the count."""

    def __init__(self, status: Status, why: str, text: str) -> None:
        super().__init__(text)
        self.status, self.why, self.text = status, why, text


class Raised(Exception):
    """What a handler raised in a thread, whatever it is."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Thread:
    """What a call has done in threads, one thing after the other, which cannot be stopped. ``unwanted``: none is to
    begin any more. ``reads``: it waits for requests there. ``context``: what its handler does has one from first to
    last, as a generator's steps have in a loop."""

    def __init__(self, reads: bool = False) -> None:
        self.reads, self.unwanted = reads, False
        self.context: Context | None = None
        self.future: Future[Any] | None = None


class Performer:
    """``offers``: what is served. ``threads``: for handlers; ``readers``: for those that wait for requests; ``items``:
    values of a request, and of a result where some are in more than one place."""

    def __init__(self, threads: int, readers: int, items: int) -> None:
        self.offers: dict[Key, Offered] = {}
        self.items = items
        self._handlers = Threads(threads, "meshfast-sdk")
        self._readers = Threads(readers, "meshfast-sdk-reads")
        self._codec = ThreadPoolExecutor(1, "meshfast-sdk-codec")

    def stop(self) -> None:
        """What has not begun does not any more."""
        self._handlers.shutdown(cancel_futures=True)
        self._readers.shutdown(cancel_futures=True)
        self._codec.shutdown(wait=False, cancel_futures=True)

    async def perform(self, number: int, frame: bytes) -> bytes:
        """The whole frame of Dubbo2's answer, which may tell of an exception. ``number``: the request's.

        :raises Failure: there is none
        """
        try:
            call, same = await self.coded(len(frame) > SMALL, _read, frame, self.items)
        except (ProtocolError, LimitError) as error:
            raise unread(error) from None
        if same is not None:
            return same
        found = self.find(call.key, call.method, DUBBO)
        if found.streams or found.bare:
            what = "streams" if found.streams else "has messages of protobuf"
            text = f"{call.key}.{call.method} {what}: call it by Triple"
            raise Failure(Status.SERVICE_NOT_FOUND, "unknown", text)
        try:
            value = await self.run(found.function, call.arguments, call.attachments)
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            return thrown(number, error)  # the handler's own
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # SystemExit, too: others are served on
            raised = error.error if isinstance(error, Raised) else error
            return thrown(number, raised, self.explain(call.key, found, call.arguments, raised, call.shared))
        try:
            work = partial(answer, number, value, call.shared, self.items, replying.get())
            return await self.coded(more(value, MANY), work)
        except (TypeError, LimitError) as error:
            text = f"the result of {call.method} cannot be sent: {error}"
            raise Failure(Status.BAD_RESPONSE, "result", text) from None

    async def coded(self, long: bool, work: Callable[..., _T], *args: Any) -> _T:
        """What ``work`` gives; where it takes ``long``, a thread does it."""
        if long:
            return await asyncio.get_running_loop().run_in_executor(self._codec, partial(work, *args))
        return work(*args)

    async def run(
        self, found: Callable[..., Any], arguments: list[Any], attachments: Mapping[str, Any],
        thread: Thread | None = None,
    ) -> Any:  # fmt: skip
        """What a handler gives; ``Raised`` where one in a thread raises."""
        served(attachments)
        if inspect.isasyncgenfunction(found):
            return found(*arguments)
        if inspect.iscoroutinefunction(found):
            return await found(*arguments)
        value = await self.threaded(partial(found, *arguments), thread)
        return await value if inspect.isawaitable(value) else value

    async def threaded(self, work: Callable[[], Any], thread: Thread | None = None) -> Any:
        """What it gives, done in a thread that has the call's context, from the first time on: this one."""
        thread = thread or Thread()
        thread.future = self._submit(thread, _run, work, thread)
        value, error = await asyncio.shield(asyncio.wrap_future(thread.future))
        if error is not None:
            raise Raised(error)
        return value

    def close(self, answers: Iterator[Any], thread: Thread) -> None:
        """Has them tidy up in a thread, once what the call has in one is done; only ``thread.future`` waits for it."""
        if not hasattr(answers, "close") or (inspect.isgenerator(answers) and answers.gi_frame is None):
            return
        before, after = thread.future, Future[Any]()
        thread.future = after

        def begin(_: object = None) -> None:
            try:
                self._submit(thread, _close, answers).add_done_callback(lambda _: after.set_result(None))
            except RuntimeError:  # it was stopped
                after.set_result(None)

        if before is None:
            begin()
        else:
            before.add_done_callback(begin)

    def _submit(self, thread: Thread, work: Callable[..., _T], *args: Any) -> Future[_T]:
        if thread.context is None:
            thread.context = copy_context()
        return (self._readers if thread.reads else self._handlers).submit(thread.context.run, work, *args)

    def find(self, key: Key, method: str, *protocols: str) -> Method:
        """
        :raises Failure: it is not offered, or not by any of the protocols
        """
        offered = self.offers.get(key)
        if offered is None:
            there = ", ".join(map(str, self.offers)) or "nothing"
            raise Failure(Status.SERVICE_NOT_FOUND, "unknown", f"{key} is not offered here, {there} is")
        if offered.protocols.isdisjoint(protocols):
            text = f"{key} is offered by {', '.join(sorted(offered.protocols))} here, and not by {protocols[0]}"
            raise Failure(Status.SERVICE_NOT_FOUND, "unknown", text)
        found = offered.methods.get(method)
        if found is None:
            text = f"{key} has no method {method[:80]}, it has {', '.join(offered.methods)}"
            raise Failure(Status.SERVICE_NOT_FOUND, "unknown", text)
        return found

    @staticmethod
    def explain(key: Key, found: Method, arguments: list[Any], error: BaseException, shared: bool) -> bool:
        """Says what a handler raised. Whether its class alone may be told: ``shared``: values of the request, which it
        may have been given, are in more than one place.

        :raises Failure: it was called with what it does not take
        """
        silent = shared and speechless(error, MANY)
        if not silent and isinstance(error, TypeError) and not fits(found.function, arguments):
            text = f"{key}.{found.name} does not take {len(arguments)} argument(s): {error}"
            raise Failure(Status.SERVICE_NOT_FOUND, "unknown", text)
        name = type(error).__name__
        log.warning("%s.%s failed: %s", key, found.name, name, exc_info=None if silent else error)
        return silent


def unread(error: ProtocolError | LimitError) -> Failure:
    """Of a request that cannot be read, or has more values than ``items``."""
    if isinstance(error, LimitError):
        return Failure(Status.BAD_REQUEST, "items", f"the request is refused (the limit `items`): {error}")
    return Failure(Status.BAD_REQUEST, "malformed", f"the request cannot be read: {error}")


def _read(frame: bytes, most: int) -> tuple[Invocation, bytes | None]:
    """The call; and its answer, where it is an echo."""
    call = read(frame, most)
    return call, echo(frame) if call.method == ECHO else None


def _run(work: Callable[[], Any], thread: Thread) -> tuple[Any, BaseException | None]:
    """Its result, or what it raised: not every exception can be raised into a future."""
    if thread.unwanted:
        return None, None
    try:
        return work(), None
    except BaseException as error:
        return None, error


def _close(answers: Any) -> None:
    try:
        answers.close()
    except BaseException as error:  # nobody is there who could be told
        log.warning("a handler's answers were given up, and failed at it: %s", type(error).__name__, exc_info=error)


def fits(found: Callable[..., Any], arguments: list[Any]) -> bool:
    """Whether it takes so many arguments."""
    try:
        inspect.signature(found).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # one that says nothing of itself
        return True
    return True
