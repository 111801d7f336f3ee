"""The SDK for applications without a loop of their own: one thread runs one, and any thread makes calls.

A call is written and read by the thread that makes it. While the sidecar is there its bytes go on a connection of that
thread (``sdk/lines.py``), else the loop's thread carries them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from _thread import allocate_lock
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from meshfast.errors import StateError
from meshfast.hessian import Value
from meshfast.hints import told
from meshfast.sdk import codec
from meshfast.sdk.calls import Limits
from meshfast.sdk.client import Client, FatLike
from meshfast.sdk.clients import Clients
from meshfast.sdk.errors import CallTimeout, ConnectionLost, NotSent
from meshfast.sdk.lines import Lines, Unsent
from meshfast.sdk.link import Timing
from meshfast.sdk.mesh import Settings
from meshfast.sdk.protocols import DUBBO, spoken
from meshfast.sdk.service import TIMEOUT, Asking, Reply
from meshfast.sdk.typed import bound

if TYPE_CHECKING:
    from meshfast.sdk.blocking_streams import BlockingStream

__all__ = ["Blocking", "BlockingService"]

log = logging.getLogger("meshfast.sdk")
_S = TypeVar("_S")


class _Slot:
    """Where a thread waits for its answer. Set by the loop's thread, once. ``error``: what it is to raise there."""

    __slots__ = ("_answer", "_is_done", "_lock", "error")

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()
        self._is_done = False
        self._answer: Any = None
        self.error: BaseException | None = None

    def done(self) -> bool:
        return self._is_done

    def set_result(self, answer: Any, /) -> None:
        self._answer, self._is_done = answer, True
        self._lock.release()

    def set_exception(self, error: BaseException, /) -> None:
        self.error, self._is_done = error, True
        self._lock.release()

    def wait(self) -> Any:
        self._lock.acquire()
        if self.error is not None:
            raise self.error
        return self._answer


class _Carrier:
    """The thread with the loop, and the way into it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop: asyncio.AbstractEventLoop | None = None
        self._begun = Event()
        self._clients: Clients | None = None
        self._work: deque[Callable[[], None]] = deque()
        self._woken = False
        self._pid = os.getpid()
        self._failed: BaseException | None = None
        self._thread = Thread(target=self._run, name="meshfast-sdk", daemon=True)

    def start(self) -> Clients:
        """StateError: there can be no loop."""
        self._thread.start()
        self._begun.wait()
        if self._failed is not None and self._clients is None:
            self._thread.join()
            raise StateError(f"the thread of sdk.Blocking cannot begin: {told(self._failed)}") from self._failed
        assert self._clients is not None
        return self._clients

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._serve())
        except BaseException as error:
            self._failed = error
            if self._clients is not None:
                raise
        finally:
            self._begun.set()
            self._drain()  # what came meanwhile hears that it is closed

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._clients = self._settings.clients()
        client = self._clients.dubbo
        if client.limits.max_lines > 0:
            client.lines = Lines(
                client.address, client.link.timing, client.limits.max_lines, client.max_answer,
                lambda: self.put(client.doubted),
            )  # fmt: skip
        self._begun.set()
        await self._stopped.wait()
        await self._clients.close()

    def put(self, work: Callable[[], None]) -> None:
        """Has it done in the loop's thread; what comes close together is done in one turn."""
        if self._pid != os.getpid():
            raise StateError("this process was forked after sdk.Blocking was made: make one in each process")
        if self._clients is None or self._clients.dubbo.closed or self._loop is None:
            raise StateError("not connected: make calls inside `with sdk.Blocking(...) as mesh:`")
        self._work.append(work)
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._drain)
            except RuntimeError:  # closed meanwhile, as this hears, and whoever has relied on its being woken
                self._drain()

    @property
    def is_own(self) -> bool:
        """Whether this is the process that it was made in."""
        return self._pid == os.getpid()

    def client(self, protocol: str) -> Client:
        """The one for services of such a protocol, which is made in the loop's thread."""
        clients, slot = self._clients, _Slot()
        assert clients is not None

        def make() -> None:
            try:
                if clients.dubbo.closed:
                    raise StateError("the connection to the mesh is closed: call services inside its block")
                slot.set_result(clients.of(protocol))
            except BaseException as error:
                slot.set_exception(error)

        self.put(make)
        found: Client = slot.wait()
        return found

    def known(self, client: Client, service: str) -> None:
        """Waits until the sidecar may know the service."""
        asked = Event()
        tasks: list[asyncio.Future[None]] = []  # which a loop does not hold by itself

        def begin() -> None:
            if client.closed:
                asked.set()  # the call itself is told
                return
            try:
                client.interest.want(service)
                tasks.append(asyncio.ensure_future(client.interest.known(service)))
                tasks[0].add_done_callback(lambda _: asked.set())
            except BaseException:
                asked.set()
                raise

        self.put(begin)
        asked.wait()

    def _drain(self) -> None:
        self._woken = False  # first: what is put from here on wakes again
        while True:
            try:
                work = self._work.popleft()
            except IndexError:
                return
            try:
                work()
            except Exception:  # one that fails must not keep others from being done
                log.exception("a defect of meshfast.sdk; please report it")

    def stop(self) -> None:
        if self._loop is not None and self._pid == os.getpid():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join()


class BlockingService(Asking):
    """As ``Service``, for threads: each call waits for its answer. Any number of threads may use one."""

    carrier: _Carrier

    def call(
        self, method: str, *args: Any, types: Sequence[str] | None = None, timeout: float | None = None,
        attachments: Mapping[str, Value] | None = None, idempotent: bool = False,
    ) -> Any:  # fmt: skip
        """As ``Service.call``."""
        return self._target.answered(self._ask(method, args, types, timeout, attachments, idempotent))

    def reply(
        self, method: str, *args: Any, types: Sequence[str] | None = None, timeout: float | None = None,
        attachments: Mapping[str, Value] | None = None, idempotent: bool = False,
    ) -> Reply:  # fmt: skip
        """As ``call``, with the attachments that came back."""
        return self._replied(self._ask(method, args, types, timeout, attachments, idempotent))

    def tell(
        self, method: str, *args: Any, types: Sequence[str] | None = None, timeout: float | None = None,
        attachments: Mapping[str, Value] | None = None,
    ) -> None:  # fmt: skip
        """Calls one way. Returns once it was sent."""
        self._ask(method, args, types, timeout, attachments, False, two_way=False)

    def streaming(
        self, method: str, args: Sequence[Any], requests: Iterable[Any] | None, sends: bool,
        types: Sequence[str] | None, timeout: float | None, attachments: Mapping[str, Value] | None,
        fit: Callable[[Any], Any] | None = None,
    ) -> BlockingStream:  # fmt: skip
        """As ``Service.streaming``."""
        from meshfast.sdk.blocking_streams import BlockingStream  # who makes none pays nothing for it

        by_hand = sends or requests is not None
        found = self.opening(method, args, None, by_hand, types, timeout, attachments, fit)
        return BlockingStream(found, self.carrier.put, _Slot, requests)

    def stream(
        self, method: str, *args: Any, requests: Iterable[Any] | None = None, sends: bool = False,
        types: Sequence[str] | None = None, timeout: float | None = None,
        attachments: Mapping[str, Value] | None = None,
    ) -> BlockingStream:  # fmt: skip
        """As ``Service.stream``; to be iterated over by ``for``."""
        return self.streaming(method, args, requests, sends, types, timeout, attachments)

    def _ask(
        self, method: str, args: Sequence[Any], types: Sequence[str] | None, timeout: float | None,
        attachments: Mapping[str, Value] | None, idempotent: bool, two_way: bool = True,
    ) -> Any:  # fmt: skip
        client, carrier = self.client, self.carrier
        if not self.known:
            carrier.known(client, self.name)
            self.known = True
        most = self.timeout if timeout is None else timeout
        number = next(client.numbers)
        frame = self.request(number, method, args, types, attachments, most, two_way)
        sends, doubt = 0, False
        if two_way and client.lines is not None and client.lines.is_open and carrier.is_own:
            answer, sends, left, doubt = self._on_line(number, frame, most, idempotent)
            if answer is not None:
                return answer
            if left < most:
                most, frame = left, client.within(frame, max(1, int(1000 * left)))
        slot, made = _Slot(), []
        first = slot

        def begin() -> None:
            try:
                if doubt:
                    client.doubted()
                made.append(client.start(number, frame, first, most, idempotent, two_way, sends))
            except BaseException as error:
                first.set_exception(error)

        try:
            carrier.put(begin)
            answer = slot.wait()
            if idempotent and self._target.lost(answer) and made[0].sends < 2:
                slot = second = _Slot()
                carrier.put(lambda: client.again(made[0], second))
                answer = second.wait()
            return answer
        except BaseException:
            if not slot.done():  # what a handler of signals has raised: nobody waits any more
                with contextlib.suppress(StateError):
                    carrier.put(lambda: client.forget(made[0]) if made else None)
            raise

    def _on_line(
        self, number: int, frame: Any, most: float, idempotent: bool
    ) -> tuple[Any, int, float, bool]:  # fmt: skip
        """The answer, where the thread has it by itself; else how often the call was sent, the seconds left, and
        whether the line's end was the sidecar's, too, for all that is known."""
        lines, began = self.client.lines, monotonic()
        assert lines is not None
        if len(frame) > lines.max_answer or self.client.limits.max_calls <= lines.busy + len(self.client.calls):
            return None, 0, most, False  # it is refused
        sends, doubt = 0, False
        try:
            answer = lines.ask(number, frame, most, idempotent)
            if not (idempotent and codec.lost(answer)):
                return answer, 1, most, False
            sends = 1
        except Unsent as error:
            doubt = error.ended
        except ConnectionLost:
            if not idempotent:
                raise
            sends, doubt = 1, True
        left = most - (monotonic() - began)
        if left <= 0:
            raise CallTimeout("no answer in time; it may have been executed") if sends else NotSent("not sent in time")
        return None, sends, left, doubt


class Blocking:
    """The mesh for threads, for ``with``; takes what ``connect`` takes. Made anew in each process that is forked."""

    def __init__(
        self, app: str, *, address: str = "", api: str = "", state: str = "", carry: Collection[str] | None = None,
        timeout: float = TIMEOUT, limits: Limits | None = None, timing: Timing | None = None,
        fat: Callable[[], FatLike] | None = None,
    ) -> None:  # fmt: skip
        self._settings = Settings(
            app, address=address, api=api, state=state, carry=carry, timeout=timeout, limits=limits, timing=timing,
            fat=fat,
        )  # fmt: skip
        self._carrier = _Carrier(self._settings)
        self._clients: Clients | None = None

    def __enter__(self) -> Self:
        if self._clients is not None:
            raise StateError("a connection to the mesh is used once: make another sdk.Blocking")
        self._clients = self._carrier.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._carrier.stop()

    @property
    def client(self) -> Client:
        """Its calls and connections by Dubbo2, which are the other thread's. StateError outside of its block."""
        return self.clients.dubbo

    @property
    def clients(self) -> Clients:
        """Those of all protocols. StateError outside of its block."""
        if self._clients is None:
            raise StateError("not connected yet: use it inside `with sdk.Blocking(...) as mesh:`")
        return self._clients

    @property
    def mode(self) -> str:
        """As ``Mesh.mode``."""
        return self.clients.mode

    @property
    def counters(self) -> Mapping[str, int]:
        """As ``Mesh.counters``."""
        return self.clients.counters

    def service(
        self, name: str, *, group: str = "", version: str = "", timeout: float | None = None, protocol: str = DUBBO
    ) -> BlockingService:  # fmt: skip
        """As ``Mesh.service``."""
        most = self._settings.timeout if timeout is None else timeout
        app, carry = self._settings.app, self._settings.carry
        client = self.clients.dubbo if spoken(protocol, name) == DUBBO else self._carrier.client(protocol)
        made = BlockingService(client, name, group, version, most, carry, protocol, app)
        made.carrier = self._carrier
        return made

    def stub(
        self, kind: type[_S], name: str = "", *, group: str = "", version: str = "", timeout: float | None = None,
        protocol: str = DUBBO,
    ) -> _S:  # fmt: skip
        """As ``Mesh.stub``, of methods that are plain functions."""
        more = {"group": group, "version": version, "protocol": protocol}
        return bound(kind, name, lambda one: self.service(one, timeout=timeout, **more), False, protocol)
