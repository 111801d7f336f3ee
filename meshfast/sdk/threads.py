"""Threads for functions of the application, which may never end: a process does not wait for them at its own end, as it
would for those of a ``ThreadPoolExecutor``.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

__all__ = ["Threads"]

_T = TypeVar("_T")


class Threads(Executor):
    """At most so many, each begun when it is needed first; who comes when all are busy waits."""

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._changed = threading.Condition()
        self._work: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._begun = self._idle = 0
        self._over = False

    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        """RuntimeError: it was shut down, or there can be no thread at all."""
        future: Future[_T] = Future()
        with self._changed:
            if self._over:
                raise RuntimeError("these threads take no more work")
            if self._idle <= len(self._work) and self._begun < self._most:
                self._begin()
            self._work.append((future, lambda: fn(*args, **kwargs)))
            self._changed.notify()
        return future

    def _begin(self) -> None:
        try:
            threading.Thread(target=self._run, name=f"{self._name}-{self._begun}", daemon=True).start()
        except RuntimeError:
            if not self._begun:  # else those that there are do it
                raise
        else:
            self._begun += 1

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:
        """What is under way goes on, and nobody waits for it; what has not begun does, unless it is cancelled."""
        with self._changed:
            self._over = True
            left = list(self._work) if cancel_futures else []
            if cancel_futures:
                self._work.clear()
            self._changed.notify_all()
        for future, _ in left:
            future.cancel()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                while not self._work and not self._over:
                    self._changed.wait()
                self._idle -= 1
                if not self._work:
                    return
                future, work = self._work.popleft()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:
                    future.set_exception(error)
            del future, work  # nobody's while it waits
