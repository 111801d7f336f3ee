"""Listening where only this machine can reach, and dialling there: loopback addresses and UNIX sockets."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import ipaddress
import os
import re
import socket
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from meshfast.hints import about

__all__ = ["Listen", "Listening", "adopted", "connect", "dial", "here", "listening", "reach"]

_Protocol = TypeVar("_Protocol", bound=asyncio.BaseProtocol)

#: How long another process may look after the same directory, seconds.
PATIENCE = 2.0


class Listening:
    """A bound socket. ``text`` is its address, with its real port; ``give_back`` removes a path that is still ours,
    unless it is ``handed`` to another process."""

    def __init__(self, sock: socket.socket, text: str, path: str = "") -> None:
        self.sock, self.text, self.handed = sock, text, False
        self._path = path
        self._was = _identity(path)

    def give_back(self) -> None:
        self.sock.close()
        if self._path and not self.handed and self._was is not None and _identity(self._path) == self._was:
            os.unlink(self._path)


#: What to listen on: what it is for, and the address. See ``listening``.
Listen = Callable[[str, str], Awaitable[Listening]]


def adopted(fd: int, address: str) -> Listening:
    """A socket that another process made of an address; the descriptor is its own from now on."""
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    if address.startswith("unix://"):
        return Listening(sock, address, "" if address.startswith("unix://@") else address.removeprefix("unix://"))
    return Listening(sock, _text(sock))


def _identity(path: str) -> tuple[int, int, int] | None:
    """What tells this file from another of its name."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


async def listening(what: str, address: str) -> Listening:
    """Binds ``host:port``, ``tcp://host:port``, ``unix:///path`` or ``unix://@name``.

    :raises ValueError: an address that other machines could reach
    :raises OSError: taken, or not to be had; the message names ``what`` and the address
    """
    try:
        if address.startswith("unix://@"):
            return _bound(socket.AF_UNIX, "\0" + address.removeprefix("unix://@"), address)
        if address.startswith("unix://"):
            return await _at_path(address.removeprefix("unix://"), address)
        host, port = _split(address)
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"{what} {address}: only loopback or unix:// is served; use 127.0.0.1")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return _bound(family, (host, port), "")
    except OSError as error:
        raise about(f"{what} {address}", error) from None


async def dial(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connects to such an address, or to ``http://host:port``.

    :raises OSError: nobody listens there, or it is no address
    """
    where = _where(address)
    return await (asyncio.open_unix_connection(where) if isinstance(where, str) else asyncio.open_connection(*where))


async def connect(address: str, protocol: Callable[[], _Protocol]) -> _Protocol:
    """As ``dial``, with a protocol of one's own in place of streams."""
    loop, where = asyncio.get_running_loop(), _where(address)
    if isinstance(where, str):
        return (await loop.create_unix_connection(protocol, where))[1]
    return (await loop.create_connection(protocol, *where))[1]


def reach(address: str, seconds: float) -> socket.socket:
    """As ``dial``, for a thread that waits: at most so long, and for each answer too until that is set anew."""
    where = _where(address)
    if isinstance(where, tuple):
        sock = socket.create_connection(where, seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(seconds)
        sock.connect(where)
    except BaseException:
        sock.close()
        raise
    return sock


def _where(address: str) -> str | tuple[str, int]:
    """The path of a UNIX socket, or host and port."""
    if address.startswith("unix://"):
        path = address.removeprefix("unix://")
        return "\0" + path[1:] if path.startswith("@") else path
    try:
        return _split(address.removeprefix("http://").rstrip("/"))
    except ValueError:
        raise OSError("no address: write it as tcp://host:port or unix:///path") from None


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return host.strip("[]"), int(port)


def _bound(family: int, where: str | tuple[str, int], text: str) -> Listening:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        sock.listen()
    except BaseException:
        sock.close()
        raise
    text = text or _text(sock)
    return Listening(sock, text, where if text.startswith("unix:///") and isinstance(where, str) else "")


def _text(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _at_path(path: str, text: str) -> Listening:
    """Two that start at once must not take each other's socket for one that was left behind."""
    async with _alone(os.path.dirname(path)):
        _remove_stale(path)
        old = os.umask(0o177)  # mode 0600 from the first moment
        try:
            return _bound(socket.AF_UNIX, path, text)
        finally:
            os.umask(old)


@asynccontextmanager
async def _alone(directory: str) -> AsyncIterator[None]:
    fd = os.open(directory or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise OSError(errno.EADDRINUSE, "") from None
                await asyncio.sleep(0.01)
        yield
    finally:
        os.close(fd)


def _remove_stale(path: str) -> None:
    """Removes a socket that nobody listens on. What is anything else stays, and binding says so."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError:
            pass  # somebody is there, though too busy for us or not for us


def here(host: str) -> bool:
    """Whether a Host or an authority names this machine: ``localhost`` or a loopback address, with any port."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([a-zA-Z0-9.-]+))(?::\d{1,5})?", host)
    if not found:
        return False
    name = (found[1] or found[2]).lower()
    if name == "localhost":
        return found[1] is None
    try:
        return ipaddress.ip_address(name).is_loopback and (":" in name) is (found[1] is not None)
    except ValueError:
        return False
