"""One call by Triple or gRPC: its requests, the handler, its answers. Neither side gets further ahead of the other than
windows let it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

from meshfast.dubbo import Status
from meshfast.errors import LimitError, ProtocolError
from meshfast.sdk import wrapped
from meshfast.sdk.context import replying
from meshfast.sdk.errors import GrpcError
from meshfast.sdk.fields import written
from meshfast.sdk.flows import PREFIX
from meshfast.sdk.invocation import ECHO, REFERENCE, Key, bounded, more, plain, words
from meshfast.sdk.limits import SMALL
from meshfast.sdk.perform import MANY, Failure, Raised, Thread, unread
from meshfast.sdk.ports import Port
from meshfast.sdk.protocols import TRIPLE, is_message
from meshfast.sdk.requests_served import NO_MORE, Served
from meshfast.sdk.shapes import Method
from meshfast.serving.stream import DEADLINE, INTERNAL, OK, RESOURCES, UNAVAILABLE, UNIMPLEMENTED, UNKNOWN, Stream

__all__ = ["STATUS", "Call"]

log = logging.getLogger("meshfast.sdk")

#: What Dubbo2's statuses are by gRPC.
STATUS = {
    Status.SERVICE_NOT_FOUND: UNIMPLEMENTED, Status.BAD_REQUEST: INTERNAL, Status.BAD_RESPONSE: INTERNAL,
    Status.SERVER_THREADPOOL_EXHAUSTED: RESOURCES, Status.SERVER_ERROR: UNAVAILABLE,
}  # fmt: skip
#: Bytes of answers that wait while a handler may make more.
AHEAD = 64 << 10
#: What an answer counts with its bytes, until others have a turn: a few that are long, or 64 of those that are short.
ANSWER = 1 << 10
#: An exception is the answer: RpcException.BIZ_EXCEPTION.
THROWN = (b"tri-exception-code", b"3")


class _Gone(Exception):
    """Its caller has."""


class Call:
    """``method``: None for those that every service has, by ``name``. ``then``: called once nothing of it is left."""

    def __init__(
        self, port: Port, stream: Stream, key: Key, name: str, method: Method | None, attachments: Mapping[str, Any],
        then: Callable[[], None],
    ) -> None:  # fmt: skip
        self.port, self.stream, self.key, self.name, self.method = port, stream, key, name, method
        self.attachments, self._then = attachments, then
        self.requests = Served(self.read, stream.done)
        self.message: bytes | None = None
        self.streams = method is not None and method.streams
        self._takes = method is not None and method.takes
        self._task: asyncio.Task[None] | None = None
        self._thread = Thread(method is not None and method.reads)
        self._turn = 0  # answers since others had one
        self._done = self._released = False  # it has its last word; nothing of it is left
        self._shared = self._silent = False  # some values are in two places; what was raised is told by its class
        self._room = asyncio.Event()
        self._deadline: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._seen: tuple[int, ...] = ()
        stream.drained = self._room.set
        self._look()
        if self._takes:
            self.start()

    # --- what comes

    def said(self, message: bytes) -> None:
        if not self._takes and self.message is not None:
            self.refuse(Failure(Status.BAD_REQUEST, "malformed", f"{self.name} takes one message"))
            return
        self.stream.keep(PREFIX + len(message))
        if self._takes:
            self.requests.put(message)
        else:
            self.message = message

    def ended(self) -> None:
        """It says no more."""
        if self._takes:
            self.requests.ended = True
            self.requests.awake()
        elif self.message is None:
            self.refuse(Failure(Status.BAD_REQUEST, "malformed", "a message was expected, and none came"))
        else:
            self.start()

    def gone(self) -> None:
        """Its stream has ended, however."""
        for timer in (self._deadline, self._looking):
            if timer is not None:
                timer.cancel()
        if self._task is not None and not self._task.done() and not self._done:
            self._thread.unwanted = self.requests.lost = True
            self.requests.awake()
            self._task.cancel()
        self._release()

    def within(self, seconds: float) -> None:
        """How long its caller waits."""
        self._deadline = asyncio.get_running_loop().call_later(seconds, self._late)

    def _late(self) -> None:
        self.port.refused["deadline"] += 1
        self._give_up(DEADLINE, "its deadline is over")

    def stop(self) -> None:
        """The port closes."""
        self._give_up(UNAVAILABLE, "the provider is stopping: call another one")

    def _give_up(self, status: int, text: str) -> None:
        if self.stream.waiting:  # which may never be taken
            self.stream.connection.cut(self.stream)
        else:
            self.stream.end(status, text)

    def _look(self) -> None:
        """Whether a caller that is waited for has done anything since the last look."""
        stream = self.stream
        seen = (len(stream.came), stream.kept, stream.waiting, self._task is None)
        if seen == self._seen and (self._task is None or self._done):
            self.port.refused["stuck"] += 1
            stream.connection.cut(stream)
            return
        self._seen = seen
        self._looking = asyncio.get_running_loop().call_later(self.port.limits.stuck, self._look)

    # --- what is done

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._perform())
        self.port.tasks.add(self._task)
        self._task.add_done_callback(self._performed)

    def _performed(self, task: asyncio.Task[None]) -> None:
        self.port.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a call ended without an answer", exc_info=error)
        self._release()

    def _release(self) -> None:
        """Counts it no more once its stream, its task and what it has in a thread have ended."""
        if not self.stream.gone or (self._task is not None and not self._task.done()) or self._released:
            return
        future = self._thread.future
        if future is not None and not future.done():
            future.add_done_callback(partial(_later, asyncio.get_running_loop(), self._release))
            return
        self._released = True
        self._then()

    async def _perform(self) -> None:
        try:
            await (self._several() if self.streams else self._once())
        except Failure as failure:
            self.refuse(failure)
        except GrpcError as error:
            self._end(error.status, error.text)
        except _Gone:
            pass
        except Exception:  # a mistake of ours must not leave a caller waiting
            log.exception("a call failed")
            self.port.refused["failed"] += 1
            self._end(INTERNAL, "this call failed; see the log of the provider")

    async def _once(self) -> None:
        assert self.message is not None
        message, self.message = self.message, None
        arguments = await self._arguments(message)
        method, name = self.method, self.name
        if name == ECHO:
            await self._say(arguments[0] if arguments else None)
            self._end(OK)
            return
        if method is None:
            try:
                name, arguments = plain(name, arguments, self.attachments)
            except ProtocolError as error:
                raise Failure(Status.BAD_REQUEST, "malformed", str(error)) from None
            method = self.method = self.port.performer.find(self.key, name, TRIPLE)
            if method.streams or method.bare:
                raise Failure(Status.SERVICE_NOT_FOUND, "unknown", f"{self.key}.{name} cannot be called by its name")
        value, raised = await self._handled(method, arguments, self.port.performer.run(
            method.function, arguments, self.attachments, self._thread
        ))  # fmt: skip
        if raised is None:
            await self._say(value)
        elif method.bare:
            self._end(UNKNOWN, words(raised, self._silent))
        else:
            self.stream.head.append(THROWN)
            self.stream.send(wrapped.thrown(words(raised, self._silent)))
        self._end(OK)
        self.stream.done(PREFIX + len(message))

    async def _several(self) -> None:
        """One that streams."""
        method, performer = self.method, self.port.performer
        assert method is not None
        arguments: list[Any]
        if self._takes:
            arguments = [self.requests.waited() if method.reads else self.requests]
        else:
            assert self.message is not None
            message, self.message = self.message, None
            arguments = await self._arguments(message)
            self.stream.done(PREFIX + len(message))
        work = performer.run(method.function, arguments, self.attachments, self._thread)
        value, raised = await self._handled(method, arguments, work)
        if raised is None and not method.gives:
            await self._say(value)
        elif raised is None:
            _, raised = await self._handled(method, arguments, self._each(value))
        if raised is None:
            self._end(OK)
        else:
            self._end(UNKNOWN, words(raised, self._silent))

    async def _handled(self, method: Method, arguments: list[Any], work: Awaitable[Any]) -> tuple[Any, Any]:
        """What it gives, and what it raises in its place."""
        try:
            return await work, None
        except (Failure, GrpcError):
            raise
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            return None, error  # the handler's own
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # SystemExit, too: others are served on
            raised = error.error if isinstance(error, Raised) else error
            if isinstance(raised, (Failure, GrpcError)):  # the first of a request that it read
                raise raised from None
            if self.requests.lost:
                raise _Gone from None
            self._silent = self.port.performer.explain(self.key, method, arguments, raised, self._shared)
            return None, raised

    async def _each(self, answers: Any) -> None:
        """Sends them one after the other, as they are taken."""
        if hasattr(answers, "__anext__"):
            async with aclosing(answers) if hasattr(answers, "aclose") else _Bare(answers):
                async for one in answers:
                    await self._say(one)
        elif hasattr(answers, "__aiter__"):
            async for one in answers:
                await self._say(one)
        else:
            each = iter(answers)
            try:
                step = partial(next, each, NO_MORE)
                while (one := await self.port.performer.threaded(step, self._thread)) is not NO_MORE:
                    await self._say(one)
            finally:
                self.port.performer.close(each, self._thread)

    # --- messages

    async def read(self, message: bytes) -> Any:
        """One request of a stream."""
        found = await self._arguments(message)
        if len(found) != 1:
            raise Failure(Status.BAD_REQUEST, "malformed", f"a request of a stream with {len(found)} values, not 1")
        return found[0]

    async def _arguments(self, message: bytes) -> list[Any]:
        try:
            if self.method is None or not self.method.bare:
                self._shared |= REFERENCE in message
                performer = self.port.performer
                return await performer.coded(len(message) > SMALL, wrapped.arguments, message, performer.items)
            if self.method.message is None:
                return [message]
            try:
                return [self.method.message.FromString(message)]
            except Exception as error:  # whatever the library of the application raises
                raise ProtocolError(f"no {self.method.message.__name__}: {error}") from None
        except (ProtocolError, LimitError) as error:
            raise unread(error) from None

    async def _say(self, value: Any) -> None:
        """One answer; returns once the next may be made."""
        performer, limits = self.port.performer, self.port.limits
        try:
            if self.method is None or not self.method.bare:
                bounded(value, self._shared, performer.items)
                message = await performer.coded(more(value, MANY), wrapped.answer, value)
            elif is_message(value):
                message = bytes(value.SerializeToString())
            elif isinstance(value, (bytes, bytearray, memoryview)):
                message = bytes(value)
            else:
                raise TypeError(f"{type(value).__name__} is no message of protobuf, and no bytes")
        except (TypeError, LimitError) as error:
            text = f"the result of {self.name} cannot be sent: {error}"
            raise Failure(Status.BAD_RESPONSE, "result", text) from None
        if len(message) > limits.payload:
            text = f"the answer has {len(message)} bytes; the limit `payload` is {limits.payload}"
            raise Failure(Status.SERVER_THREADPOOL_EXHAUSTED, "payload", text)
        waits = self.stream.connection.queued
        if waits and waits + len(message) > limits.output:
            text = f"{waits} bytes wait for this caller to read them; the limit `output` is {limits.output}"
            raise Failure(Status.SERVER_THREADPOOL_EXHAUSTED, "output", text)
        self._room.clear()
        self.stream.send(message)
        self._turn += ANSWER + len(message)
        if self.streams and self.stream.waiting > AHEAD:
            self._turn = 0
            await self._room.wait()
        elif self.streams and self._turn > AHEAD:  # what never waits must not keep the loop
            self._turn = 0
            await asyncio.sleep(0)

    # --- how it ends

    def refuse(self, failure: Failure) -> None:
        self.port.refused[failure.why] += 1
        self._end(STATUS[failure.status], failure.text)

    def _end(self, status: int, text: str = "") -> None:
        self._done = True
        triple = any(name.startswith(b"tri-") for name, _ in self.stream.fields)
        try:
            back = written(replying.get({}), {}, triple)
        except Exception:  # whatever the application has in there, its caller has its answer
            log.exception("attachments of an answer are left out")
            back = []
        self.stream.end(status, text, back)


class _Bare:
    """An iterator that need not be closed."""

    def __init__(self, found: Any) -> None:
        self._found = found

    async def __aenter__(self) -> Any:
        return self._found

    async def __aexit__(self, *_: object) -> None:
        pass


def _later(loop: asyncio.AbstractEventLoop, then: Callable[[], None], _: object) -> None:
    """From a thread, which may outlive the loop."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(then)
