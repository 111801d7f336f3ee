"""A ZooKeeper as Dubbo's registry, by kazoo; see ``registry.tree``.

kazoo connects once a client, over all hosts of the ensemble; when and how often ``registry.link`` decides: its own
retries have neither full jitter nor a clock that can be given.
"""

from __future__ import annotations

import logging
import queue
import struct
import time
from collections.abc import Callable
from typing import Any

from meshfast.registry import Tell, kazoosockets
from meshfast.registry.link import HANDSHAKE, Connect, Ensemble, Session, Told
from meshfast.registry.tree import Tree

__all__ = ["MOST_ANSWER", "ZooKeeper", "kazoo"]

#: Bytes of an answer. A longer one is passed over, as if the server had said that it cannot be read: ended, the
#: connection would be made anew for the same answer, and what others have written would be read no more.
MOST_ANSWER = 64 * 1024 * 1024
#: Bytes of what is passed over that are held at once; of an answer's head up to its error, and that error.
PIECE = 256 * 1024
_HEAD = struct.Struct(">iqi")
_MARSHALLING = -5


def available() -> None:
    """:raises ImportError: kazoo is not installed; the message says how it is"""
    try:
        import kazoo.client  # noqa: F401
    except ImportError:
        raise ImportError("a ZooKeeper registry needs kazoo: pip install 'meshfast[zookeeper]'") from None


def kazoo(ensemble: Ensemble, seconds: float, session: Session | None, told: Told) -> Any:
    """A started kazoo client; what it tells comes from its threads."""
    from kazoo.client import KazooClient, KazooState
    from kazoo.exceptions import ConnectionDropped
    from kazoo.handlers.threading import SequentialThreadingHandler
    from kazoo.retry import KazooRetry
    from kazoo.security import CREATOR_ALL_ACL

    said = _Said()

    class Handler(SequentialThreadingHandler):  # type: ignore[misc]
        """Tells when the thread of the connection ends, whatever by: an answer that is nonsense too. ``until``: when
        what is read must be whole."""

        until = float("inf")

        def spawn(self, func: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
            if getattr(func, "__name__", "") == "zk_loop":
                return super().spawn(watched, func)
            return super().spawn(func, *args, **kwargs)

        def select(self, reading: Any, writing: Any, failing: Any, timeout: float | None = None) -> Any:
            if not client.connected and timeout is not None:
                timeout = min(timeout, HANDSHAKE)
            if timeout is not None and self.until < float("inf"):
                timeout = min(timeout, self.until - time.monotonic())
            return kazoosockets.wait(reading, writing, timeout)

        def create_connection(self, *args: Any, **kwargs: Any) -> Any:
            kwargs["timeout"] = HANDSHAKE
            return kazoosockets.Buffered(super().create_connection(*args, **kwargs))

        def create_socket_pair(self) -> Any:
            return kazoosockets.wakers()

    def watched(loop: Callable[[], object]) -> None:
        try:
            loop()
        except BaseException as error:
            said.last = f"{type(error).__name__}: {error}"
        told("expired" if "expired" in said.last.lower() else "ended", said.last, None)

    def changed(state: str) -> None:
        if state == KazooState.CONNECTED:
            told("connected", "", client.client_id)
        elif state == KazooState.SUSPENDED:
            told("suspended", said.last, None)

    handler = Handler()
    handler.completion_queue = _AtOnce()
    retry = KazooRetry(max_tries=1, sleep_func=handler.sleep_func)
    log = logging.Logger("kazoo", logging.WARNING)  # apart from all others: what it says is in State.error
    log.addHandler(said)
    client = KazooClient(
        ensemble.hosts,
        timeout=seconds,
        client_id=session,
        handler=handler,
        connection_retry=retry,
        command_retry=retry.copy(),
        auth_data=[("digest", ensemble.secret)] if ensemble.secret else None,
        default_acl=CREATOR_ALL_ACL if ensemble.secret else None,  # of what is written, as Dubbo has it
        logger=log,
    )
    read = client._connection._read

    def whole(length: int, timeout: float) -> Any:
        """In as long as a session lives: nothing is said to the server while it is waited for."""
        handler.until = time.monotonic() + seconds
        try:
            if length <= MOST_ANSWER:
                return read(length, timeout)
            head = read(_HEAD.size, timeout)
            xid, zxid, _ = _HEAD.unpack(head)
            if not client.connected or xid < 0:  # it answers nothing that was asked
                raise ConnectionDropped(f"it says {length} bytes; the limit is {MOST_ANSWER}")
            left = length - len(head)
            while left:
                left -= len(read(min(left, PIECE), timeout))
            return _HEAD.pack(xid, zxid, _MARSHALLING)
        finally:
            handler.until = float("inf")

    client._connection._read = whole
    client.add_listener(changed)
    client.start_async()
    return client


class _AtOnce(queue.SimpleQueue[Any]):
    """Takes answers in the thread that read them: one thread less that waits for its turn with Python."""

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if callable(item):  # what ends a thread is not
            item()
        else:
            super().put(item)

    def task_done(self) -> None:
        """There is nobody who waits for it."""


class _Said(logging.Handler):
    """Remembers the last that was said of the connection."""

    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}: {record.exc_info[1]}"
        if "retry policy" not in text and "Transition" not in text:  # no news
            self.last = text


class ZooKeeper(Tree):
    """``address``: see ``Ensemble.parse``; what else there is, see ``Tree``.

    :raises ValueError: an address that is none
    :raises ImportError: kazoo is not there; the message says how to get it
    """

    def __init__(self, name: str, address: str, tell: Tell, *, connect: Connect = kazoo, **options: Any) -> None:
        if connect is kazoo:
            available()
        super().__init__(name, Ensemble.parse(address), tell, connect, **options)
