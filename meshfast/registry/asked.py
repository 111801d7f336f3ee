"""What a client of a registry has in common that is no ZooKeeper's and yet is asked as kazoo's are (see
``registry.link.Connect``): answers, errors by kazoo's names, and a life of one connection.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from meshfast.registry.gateway import Unreachable
from meshfast.registry.link import Told
from meshfast.registry.times import Times

__all__ = [
    "Answer", "BadVersionError", "Client", "ConnectionLoss", "NoNodeError", "NodeExistsError", "RolledBackError",
    "SessionExpiredError", "Step", "Transaction", "pause", "said",
]  # fmt: skip


class ConnectionLoss(Exception):
    """There is no connection, or not any more."""


class SessionExpiredError(Exception):
    """What takes the place of a session is gone."""


class NoNodeError(Exception):
    """There is no such node."""


class NodeExistsError(Exception):
    """There is such a node."""


class BadVersionError(Exception):
    """The node has been changed, or is gone."""


class RolledBackError(Exception):
    """Nodes are not as a transaction needs them, and nothing was done."""


class Answer:
    """What was asked for, when it is there: then ``rawlink``'s function is called, of reads in a thread."""

    value: Any = None
    exception: Exception | None = None

    def __init__(self) -> None:
        self._link: Callable[[Answer], None] | None = None

    def rawlink(self, link: Callable[[Answer], None]) -> None:
        """In the turn of the loop in which it was asked."""
        self._link = link

    def end(self) -> None:
        if self._link is not None:
            self._link(self)


class Step(NamedTuple):
    """Of a transaction: ``path`` is made with this value and lease, or taken away where it is None."""

    path: str
    value: bytes | None
    lease: int = 0


class Transaction:
    """Steps that are taken together, or none of them."""

    def __init__(self, lease: int, ask: Callable[[Sequence[Step]], Answer]) -> None:
        self._lease, self._ask = lease, ask
        self._steps: list[Step] = []

    def create(self, path: str, value: bytes = b"", ephemeral: bool = False) -> None:
        self._steps.append(Step(path, value, self._lease if ephemeral else 0))

    def delete(self, path: str) -> None:
        self._steps.append(Step(path, None))

    def commit_async(self) -> Answer:
        """Its value is a list of what became of each."""
        return self._ask(self._steps)


class Client(ABC):
    """``name``: of the thread in which what it reads is made sense of, apart from the loop."""

    def __init__(self, told: Told, name: str) -> None:
        self._told = told
        self._live = self._ended = False  # it was live, and is not any more
        self._loop = asyncio.get_running_loop()
        self._ending: asyncio.Future[Exception] = self._loop.create_future()
        self._reader = ThreadPoolExecutor(1, name)
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(self) -> None:
        """Once it is made."""
        self._main = self._loop.create_task(self._run())

    @abstractmethod
    def stop(self) -> None:
        """From a thread: what lives by it ends, if the server can be told."""

    def close(self) -> None:
        """From a thread: nothing is told any more."""
        self._loop.call_soon_threadsafe(self._main.cancel)

    @abstractmethod
    async def _connect(self) -> str:
        """Why it could not, or is not any more.

        :raises SessionExpiredError: what takes the place of a session has ended
        """

    async def _run(self) -> None:
        what = "ended"
        try:
            why = await self._connect()
        except asyncio.CancelledError:
            return
        except SessionExpiredError as error:
            what, why = "expired", said(error)
        except Exception as error:  # of what was not thought of, too: it ends, and is made anew
            why = said(error)
        finally:
            self._live = False
            for task in list(self._tasks):
                task.cancel()
            self._reader.shutdown(wait=False, cancel_futures=True)
        self._told(what, why, None)

    def _ask(self, asking: Coroutine[Any, Any, Any], apart: bool = False) -> Answer:
        answer = Answer()
        task = self._loop.create_task(asking)
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._answered(answer, task, apart))
        if not self._live:
            task.cancel()
        return answer

    def _answered(self, answer: Answer, task: asyncio.Task[Any], apart: bool) -> None:
        self._tasks.discard(task)
        error = task.exception() if not task.cancelled() else ConnectionLoss()
        if isinstance(error, SessionExpiredError | Unreachable) and self._live:
            self._end(error)
        if error is None:
            answer.value = task.result()
        elif isinstance(error, Exception) and self._live and not isinstance(error, Unreachable):
            answer.exception = error
        else:
            answer.exception = ConnectionLoss()
        if apart and self._live:
            self._reader.submit(answer.end)
        else:
            answer.end()

    def _end(self, error: Exception) -> None:
        """The connection is not to go on."""
        if not self._ending.done():
            self._ending.set_result(error)


async def pause(times: Times, seconds: float) -> None:
    over = asyncio.Event()
    timer = times.later(seconds, over.set)
    try:
        await over.wait()
    finally:
        timer.cancel()


def said(error: BaseException) -> str:
    return str(error) or type(error).__name__
