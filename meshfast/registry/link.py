"""The connection to a registry of nodes, made again whenever it ends. The session is taken along while it may live.

A client connects once, over all hosts of the ensemble; when and how often is decided here, whatever it speaks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from meshfast.registry.notes import Notes
from meshfast.registry.times import Hop, Later, Times

__all__ = ["HANDSHAKE", "Connect", "Ensemble", "Link", "Session", "Told"]

#: Seconds before another attempt: up to the first, doubled each time, up to the last; any number below, by luck.
FIRST_WAIT, LAST_WAIT = 0.5, 30.0
#: A connection that held this long makes the next attempt a first one.
STEADY = 5.0
#: Seconds for a host to accept, and for it to answer: one that starts or hangs takes a connection and says nothing.
HANDSHAKE = 3.0
#: How long ``close`` waits for the session's end to be said.
GOODBYE = 2.0

Session = tuple[int, bytes]
#: Takes what became of a client: "connected", "suspended", "ended", "expired" where it did with its session; and why,
#: and its session.
Told = Callable[[str, str, Session | None], None]


@dataclass(frozen=True, slots=True)
class Ensemble:
    """``hosts``: ``10.0.0.1:2181,10.0.0.2:2181``; ``secret``: ``user:password`` or ""."""

    hosts: str
    secret: str = ""

    @classmethod
    def parse(cls, address: str, kind: str = "zookeeper", port: int = 2181) -> Ensemble:
        """``zookeeper://user:password@10.0.0.1:2181,10.0.0.2:2181``, also with ``?backup=`` as Dubbo writes it.
        ``kind``: what it must be; ``port``: of hosts that have none.

        :raises ValueError: what is wrong with it
        """
        scheme, slashes, rest = address.partition("://")
        if slashes and scheme != kind:
            raise ValueError(f"{scheme}:// is not {kind}://")
        rest, _, query = (rest if slashes else address).partition("?")
        secret, _, hosts = rest.rpartition("@")
        for part in query.split("&"):
            name, _, value = part.partition("=")
            if name == "backup" and value:
                hosts = f"{hosts.rstrip('/')},{value}"
        found = [_host(each, port) for each in hosts.rstrip("/").split(",") if each]
        if not found:
            raise ValueError(f"it names no host: write it as {kind}://10.0.0.1:{port}")
        if secret and ":" not in secret:
            raise ValueError(f"a user needs a password: write it as {kind}://user:password@10.0.0.1:{port}")
        return cls(",".join(found), unquote(secret))


def _host(text: str, usual: int) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(usual)
    if not host or any(c in host for c in "/@? \t\r\n") or (":" in host) != (host[0] == "[" and host[-1] == "]"):
        raise ValueError(f'"{text}" is not a host and a port')
    if not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) <= 65535:
        raise ValueError(f'"{port}" is not a port')
    return f"{host}:{port}"


#: Makes a client that connects once: hosts and secret, seconds of its session, the session to resume. What is asked of
#: it is what kazoo's clients take: ``get_children_async``, ``get_async``, ``exists_async``, ``create_async`` and
#: ``delete_async``, with answers that have ``rawlink``, and ``stop`` and ``close``, which a thread of its own calls.
Connect = Callable[[Ensemble, float, Session | None, Told], Any]


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
        connect: Connect,
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

    async def close(self, handed: bool = False) -> None:
        """``handed``: its session goes on in another process; what is left of this connection ends with that."""
        self._number += 1
        if self._timer is not None:
            self._timer.cancel()
        self.client, self._notes.state.connected = None, False
        if self._current is not None:
            self._leave(self._current, handed)
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
            self._ended(why, what == "expired")

    def _ended(self, why: str, expired: bool) -> None:
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

    def _leave(self, client: Any, handed: bool = False) -> None:
        """Says goodbye in a thread of its own: that may take as long as a connect takes."""

        def leave() -> None:
            for step in (client.close,) if handed else (client.stop, client.close):
                try:
                    step()
                except Exception:  # its thread hangs: nothing is left that could be done
                    continue

        self._farewells = [each for each in self._farewells if each.is_alive()]
        thread = threading.Thread(target=leave, name="registry-goodbye", daemon=True)
        thread.start()
        self._farewells.append(thread)
