"""The connection to a ZooKeeper, made again whenever it ends. The session is taken along while it may still live.

kazoo connects once a client, over all hosts of the ensemble; when and how often is decided here: its own retries have
neither full jitter nor a clock that can be given.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import select
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from meshfast.registry.notes import Notes
from meshfast.registry.times import Hop, Later, Times

__all__ = ["Connect", "Ensemble", "Link", "Session", "kazoo"]

#: Seconds before another attempt: up to the first, doubled each time, up to the last; any number below, by luck.
FIRST_WAIT, LAST_WAIT = 0.5, 30.0
#: A connection that held this long makes the next attempt a first one.
STEADY = 5.0
#: Seconds for a host to accept, and for it to answer: one that starts or hangs takes a connection and says nothing.
HANDSHAKE = 3.0
#: How long ``close`` waits for the session's end to be said.
GOODBYE = 2.0

Session = tuple[int, bytes]
#: Takes what became of a client: "connected", "suspended", "ended"; and why, and its session.
Told = Callable[[str, str, Session | None], None]


@dataclass(frozen=True, slots=True)
class Ensemble:
    """``hosts``: ``10.0.0.1:2181,10.0.0.2:2181``; ``secret``: ``user:password`` or ""."""

    hosts: str
    secret: str = ""

    @classmethod
    def parse(cls, address: str) -> Ensemble:
        """``zookeeper://user:password@10.0.0.1:2181,10.0.0.2:2181``, also with ``?backup=`` as Dubbo writes it.

        :raises ValueError: what is wrong with it
        """
        scheme, slashes, rest = address.partition("://")
        if slashes and scheme != "zookeeper":
            raise ValueError(f"{scheme}:// is not zookeeper://")
        rest, _, query = (rest if slashes else address).partition("?")
        secret, _, hosts = rest.rpartition("@")
        for part in query.split("&"):
            name, _, value = part.partition("=")
            if name == "backup" and value:
                hosts = f"{hosts.rstrip('/')},{value}"
        found = [_host(each) for each in hosts.rstrip("/").split(",") if each]
        if not found:
            raise ValueError("it names no host: write it as zookeeper://10.0.0.1:2181")
        if secret and ":" not in secret:
            raise ValueError("a user needs a password: write it as zookeeper://user:password@10.0.0.1:2181")
        return cls(",".join(found), unquote(secret))


def _host(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, "2181"
    if not host or any(c in host for c in "/@? \t\r\n") or (":" in host) != (host[0] == "[" and host[-1] == "]"):
        raise ValueError(f'"{text}" is not a host and a port')
    if not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) <= 65535:
        raise ValueError(f'"{port}" is not a port')
    return f"{host}:{port}"


#: Makes a client that connects once: hosts and secret, seconds of its session, the session to resume.
Connect = Callable[[Ensemble, float, Session | None, Told], Any]


def available() -> None:
    """:raises ImportError: kazoo is not installed; the message says how it is"""
    try:
        import kazoo.client  # noqa: F401
    except ImportError:
        raise ImportError("a ZooKeeper registry needs kazoo: pip install 'meshfast[zookeeper]'") from None


def kazoo(ensemble: Ensemble, seconds: float, session: Session | None, told: Told) -> Any:
    """A started kazoo client; what it tells comes from its threads."""
    from kazoo.client import KazooClient, KazooState
    from kazoo.handlers.threading import SequentialThreadingHandler
    from kazoo.retry import KazooRetry
    from kazoo.security import CREATOR_ALL_ACL

    said = _Said()

    class Handler(SequentialThreadingHandler):  # type: ignore[misc]
        """Tells when the thread of the connection ends, whatever by: an answer that is nonsense too."""

        def spawn(self, func: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
            if getattr(func, "__name__", "") == "zk_loop":
                return super().spawn(watched, func)
            return super().spawn(func, *args, **kwargs)

        def select(self, reading: Any, writing: Any, failing: Any, timeout: float | None = None) -> Any:
            if not client.connected and timeout is not None:
                timeout = min(timeout, HANDSHAKE)
            return _select(reading, writing, timeout)

        def create_connection(self, *args: Any, **kwargs: Any) -> Any:
            kwargs["timeout"] = HANDSHAKE
            return super().create_connection(*args, **kwargs)

    def watched(loop: Callable[[], object]) -> None:
        try:
            loop()
        except BaseException as error:
            said.last = f"{type(error).__name__}: {error}"
        told("ended", said.last, None)

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


def _select(
    reading: Sequence[Any], writing: Sequence[Any], timeout: float | None
) -> tuple[list[Any], list[Any], list[Any]]:
    """As select.select, of any number of descriptors; kazoo's own makes and ends an epoll each time."""
    poll = select.poll()
    for each in reading:
        poll.register(each, select.POLLIN)
    for each in writing:
        poll.register(each, select.POLLOUT)
    ready = {fd for fd, _ in poll.poll(None if timeout is None else max(0.0, timeout) * 1000)}
    return (
        [each for each in reading if each.fileno() in ready],
        [each for each in writing if each.fileno() in ready],
        [],
    )


class _Said(logging.Handler):
    """Remembers the last that was said of the connection."""

    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}: {record.exc_info[1]}"
        if "retry policy" not in text and "Transition" not in text:  # no news
            self.last = text


class Link:
    """``client`` is there while it can be asked. ``up`` and ``down`` are called in the loop. ``session``: the one to
    resume, and later the one that there is."""

    def __init__(
        self,
        ensemble: Ensemble,
        seconds: float,
        notes: Notes,
        times: Times,
        up: Callable[[], None],
        down: Callable[[], None],
        connect: Connect = kazoo,
        session: Session | None = None,
    ) -> None:
        self.client: Any = None
        self.hop = Hop()
        self._ensemble, self._seconds, self._notes, self._times = ensemble, seconds, notes, times
        self._up, self._down, self._connect = up, down, connect
        self._current: Any = None  # the client that exists, connected or not
        self._number = 0  # what older ones tell is not listened to
        self._attempts = 0
        self._steady = False  # it held for a while, the last time
        self.session = session
        self._timer: Later | None = None
        self._farewells: list[threading.Thread] = []
        notes.state.since = times.now()

    def start(self) -> None:
        self._attempt()

    async def close(self) -> None:
        self._number += 1
        if self._timer is not None:
            self._timer.cancel()
        self.client, self._notes.state.connected = None, False
        if self._current is not None:
            self._leave(self._current)
        deadline = asyncio.get_running_loop().time() + GOODBYE
        while any(each.is_alive() for each in self._farewells) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.005)

    def _attempt(self) -> None:
        self._timer = None
        self._number += 1
        number = self._number
        state, now = self._notes.state, self._times.now()
        if self.session is not None and not state.connected and now - state.since > self._seconds:
            self.session = None  # it has ended by now

        def told(what: str, why: str, session: Session | None) -> None:
            self.hop.put(self._told, number, what, why, session)

        try:
            self._current = self._connect(self._ensemble, self._seconds, self.session, told)
        except Exception as error:
            self._current = None
            self._told(number, "ended", f"{type(error).__name__}: {error}", None)

    def _told(self, number: int, what: str, why: str, session: Session | None) -> None:
        if number != self._number:
            return
        if what == "connected":
            new = session is not None and (self.session is None or session[0] != self.session[0])
            if new:
                self._notes.state.sessions += 1
                self.session = session
            self._notes.connected(self._times.now(), not new)
            self.client = self._current
            self._up()
        elif what == "suspended":
            self._lost(why)
        else:
            self._ended(why)

    def _ended(self, why: str) -> None:
        expired = "expired" in why.lower()
        self._lost(why)
        self._number += 1
        if self._current is not None:
            self._leave(self._current)
            self._current = None
        if self._steady:
            self._attempts, self._steady = 0, False
        wait = self._times.luck() * min(LAST_WAIT, FIRST_WAIT * 2 ** min(self._attempts, 20))
        if expired and self.session is not None:
            wait = 0.0  # only what was resumed is gone: the server is there
        else:
            self._attempts += 1
        if expired:
            self.session = None
        self._timer = self._times.later(wait, self._attempt)

    def _lost(self, why: str) -> None:
        was, self.client = self.client, None
        state = self._notes.state
        self._steady |= state.connected and self._times.now() - state.since >= STEADY
        self._notes.lost(self._times.now(), why)
        if was is not None:
            self._down()

    def _leave(self, client: Any) -> None:
        """Says goodbye in a thread of its own: that may take as long as a connect takes."""

        def leave() -> None:
            for step in (client.stop, client.close):
                try:
                    step()
                except Exception:  # its thread hangs: nothing is left that could be done
                    continue

        self._farewells = [each for each in self._farewells if each.is_alive()]
        thread = threading.Thread(target=leave, name="registry-goodbye", daemon=True)
        thread.start()
        self._farewells.append(thread)
