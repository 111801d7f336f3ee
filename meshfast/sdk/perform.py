"""Performs calls: a request's bytes -> the handler -> the answer's bytes.

Each call has attachments of its own in ``context.incoming``. A handler that is no coroutine function runs in a thread,
and so does what would keep the loop from others: reading a long request, writing a large result.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any

from meshfast.dubbo import Status
from meshfast.errors import LimitError, ProtocolError
from meshfast.sdk.context import served
from meshfast.sdk.invocation import ECHO, Invocation, Key, answer, echo, more, read, speechless, thrown
from meshfast.sdk.threads import Threads

__all__ = ["LONG", "Failure", "Handlers", "Performer"]

log = logging.getLogger("meshfast.sdk")

#: By the name of the method; a coroutine function runs in the loop, another one in a thread.
Handlers = Mapping[str, Callable[..., Any]]

#: Bytes of a request, and values of a result, from which a thread reads and writes them.
LONG, MANY = 32 << 10, 1000


class Failure(Exception):
    """A call that was not performed, or whose result is lost. ``why``: one word, for the count."""

    def __init__(self, status: Status, why: str, text: str) -> None:
        super().__init__(text)
        self.status, self.why, self.text = status, why, text


class _Raised(Exception):
    """What a handler raised in a thread, whatever it is."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Performer:
    """``offers``: what is served. ``threads``: for handlers; ``items``: values of a result, where some are in more than
    one place."""

    def __init__(self, threads: int, items: int) -> None:
        self.offers: dict[Key, Handlers] = {}
        self._items = items
        self._handlers = Threads(threads, "meshfast-sdk")
        self._codec = ThreadPoolExecutor(1, "meshfast-sdk-codec")

    def stop(self) -> None:
        """What has not begun does not any more."""
        self._handlers.shutdown(cancel_futures=True)
        self._codec.shutdown(wait=False, cancel_futures=True)

    async def perform(self, number: int, frame: bytes) -> bytes:
        """The whole frame of the answer, which may tell of an exception. ``number``: the request's.

        :raises Failure: there is none
        """
        loop = asyncio.get_running_loop()
        try:
            if len(frame) > LONG:
                call, same = await loop.run_in_executor(self._codec, _read, frame)
            else:
                call, same = _read(frame)
        except ProtocolError as error:
            raise Failure(Status.BAD_REQUEST, "malformed", f"the request cannot be read: {error}") from None
        if same is not None:
            return same
        found = self._find(call)
        try:
            value = await self._call(found, call)
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            return thrown(number, error)  # the handler's own
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # SystemExit, too: others are served on
            return self._thrown(number, call, found, error.error if isinstance(error, _Raised) else error)
        try:
            if more(value, MANY):
                work = partial(answer, number, value, call.shared, self._items)
                return await loop.run_in_executor(self._codec, work)
            return answer(number, value, call.shared, self._items)
        except (TypeError, LimitError) as error:
            text = f"the result of {call.method} cannot be sent: {error}"
            raise Failure(Status.BAD_RESPONSE, "result", text) from None

    async def _call(self, found: Callable[..., Any], call: Invocation) -> Any:
        served(call.attachments)
        if inspect.iscoroutinefunction(found):
            return await found(*call.arguments)
        work = partial(copy_context().run, _run, found, call.arguments)
        value, error = await asyncio.get_running_loop().run_in_executor(self._handlers, work)
        if error is not None:
            raise _Raised(error)
        return await value if inspect.isawaitable(value) else value

    def _find(self, call: Invocation) -> Callable[..., Any]:
        methods = self.offers.get(call.key)
        if methods is None:
            offered = ", ".join(map(str, self.offers)) or "nothing"
            raise Failure(Status.SERVICE_NOT_FOUND, "unknown", f"{call.key} is not offered here, {offered} is")
        found = methods.get(call.method)
        if found is None:
            text = f"{call.key} has no method {call.method[:80]}, it has {', '.join(methods)}"
            raise Failure(Status.SERVICE_NOT_FOUND, "unknown", text)
        return found

    def _thrown(self, number: int, call: Invocation, found: Callable[..., Any], error: BaseException) -> bytes:
        silent = call.shared and speechless(error, MANY)
        if not silent and isinstance(error, TypeError) and not _fits(found, call.arguments):
            text = f"{call.key}.{call.method} does not take {len(call.arguments)} argument(s): {error}"
            raise Failure(Status.SERVICE_NOT_FOUND, "unknown", text)
        name = type(error).__name__
        log.warning("%s.%s failed: %s", call.key, call.method, name, exc_info=None if silent else error)
        return thrown(number, error, silent)


def _read(frame: bytes) -> tuple[Invocation, bytes | None]:
    """The call; and its answer, where it is an echo."""
    call = read(frame)
    return call, echo(frame) if call.method == ECHO else None


def _run(found: Callable[..., Any], arguments: list[Any]) -> tuple[Any, BaseException | None]:
    """Its result, or what it raised: not every exception can be raised into a future."""
    try:
        return found(*arguments), None
    except BaseException as error:
        return None, error


def _fits(found: Callable[..., Any], arguments: list[Any]) -> bool:
    try:
        inspect.signature(found).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # one that says nothing of itself
        return True
    return True
