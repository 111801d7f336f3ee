"""Messages with descriptors between two processes of one user, over a UNIX socket in a directory of theirs.

A message is a JSON object of at most 64 KiB and at most 200 descriptors; each comes whole or not at all.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import json
import os
import select
import socket
import stat
import struct
from collections.abc import Sequence
from typing import Any

from meshfast.errors import ProtocolError

__all__ = ["MOST", "SIDECAR", "Channel", "Door", "custodian", "dial", "stranger"]

#: The name of a running sidecar's socket, in its state directory.
SIDECAR = "handover.sock"
#: Descriptors of one message (the kernel takes 253).
MOST = 200
LONGEST = 65536  # bytes of one message
NOFILE = "raise its limit of open files (ulimit -n)"


def custodian(port: int) -> str:
    """The name of the socket of who keeps the listeners that forward to a port."""
    return f"custody-{port}.sock"


def stranger(sock: socket.socket) -> str:
    """Why its other end may not say anything: it is of another user, who is not root. "" where it may."""
    pid, uid, _ = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    own = os.geteuid()
    if uid in (0, own):
        return ""
    return f"process {pid} is of user {uid}: run it as user {own}, whose this sidecar is, or as root"


class Channel:
    """A connection. ``recv`` gives None at its end."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock

    @property
    def pid(self) -> int:
        """The other end's."""
        pid: int = struct.unpack("iII", self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        return pid

    async def send(self, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """
        :raises OSError: the other end has gone
        """
        data = json.dumps(message).encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        while True:
            try:
                self._sock.sendmsg([data], rights, socket.MSG_NOSIGNAL)
                return
            except BlockingIOError:
                await _until(self._sock, write=True)

    @property
    def told(self) -> bool:
        """Something, or the end, is there to be received."""
        poll = select.poll()  # which knows descriptors of any number
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(0))

    async def recv(self, within: float | None = None) -> tuple[dict[str, Any], list[int]] | None:
        """A message and its descriptors, which are the caller's to close. None: the other end has gone. What is there
        is given, also where this process slept over the seconds ``within`` which it was to come.

        :raises ProtocolError: it is none
        :raises TimeoutError: there is none
        """
        if within is None:
            return await self._recv()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                return await self._recv()
        async with asyncio.timeout(0):
            return await self._recv()

    async def _recv(self) -> tuple[dict[str, Any], list[int]] | None:
        ended = False
        while True:
            try:
                data, fds, flags, _ = socket.recv_fds(self._sock, LONGEST, MOST, socket.MSG_CMSG_CLOEXEC)
                break
            except BlockingIOError:
                await _until(self._sock, write=False)
            except ConnectionError:  # it ended and had not read all that it was told; what it said before comes yet
                if ended:
                    return None
                ended = True
        try:
            if not data:
                return None
            if flags & socket.MSG_TRUNC:
                raise ProtocolError(f"a message of more than {LONGEST} bytes")
            if flags & socket.MSG_CTRUNC:
                raise ProtocolError(f"more than {MOST} descriptors, or than this process has room for: {NOFILE}")
            found = json.loads(data)
            if not isinstance(found, dict):
                raise ProtocolError("a message that is no JSON object")
        except (ValueError, RecursionError, ProtocolError) as error:
            _close(fds)
            raise ProtocolError(f"what process {self.pid} says cannot be read: {error}") from None
        return found, list(fds)

    def close(self) -> None:
        self._sock.close()


class Door:
    """Where others dial: a socket of mode 0600 under a name in an open ``directory``, in the place of what is there.
    ``directory`` is used for as long as it is open."""

    def __init__(self, directory: int, name: str) -> None:
        self._name, self._at = name, os.dup(directory)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._sock.setblocking(False)
            made = f".{name}.{os.getpid()}"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(made, dir_fd=self._at)
            self._sock.bind(_path(self._at, made))
            os.chmod(_path(self._at, made), 0o600)
            self._sock.listen(16)
            os.rename(made, name, src_dir_fd=self._at, dst_dir_fd=self._at)  # it is never there and refuses
            self._was = self._now()
        except BaseException:
            self._sock.close()
            os.close(self._at)
            raise

    async def accept(self) -> Channel:
        """The next that is of this user, or root."""
        while True:
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, ConnectionError):
                await _until(self._sock, write=False)
                continue
            if stranger(sock):
                sock.close()
                continue
            return Channel(sock)

    def close(self, *, handed: bool = False) -> None:
        """Removes it, unless another has taken the name. ``handed``: one is about to, and would lose its own."""
        self._sock.close()
        if self._at >= 0 and not handed and self._now() == self._was:
            with contextlib.suppress(OSError):
                os.unlink(self._name, dir_fd=self._at)
        if self._at >= 0:
            os.close(self._at)
        self._at = -1

    def _now(self) -> tuple[int, int, int] | None:
        try:
            found = os.lstat(self._name, dir_fd=self._at)
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_ctime_ns if stat.S_ISSOCK(found.st_mode) else 0


async def dial(directory: str, name: str) -> Channel | None:
    """None: nobody is there.

    :raises OSError: it cannot be asked, or who is there is of another user
    """
    try:
        at = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.setblocking(False)
        sock.connect(_path(at, name))
        if why := stranger(sock):
            raise PermissionError(why)
        return Channel(sock)
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    except BaseException:
        sock.close()
        raise
    finally:
        os.close(at)


def _path(directory: int, name: str) -> str:
    """Short enough for a socket's address, however long the directory's own is."""
    return f"/proc/self/fd/{directory}/{name}"


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


async def _until(sock: socket.socket, *, write: bool) -> None:
    """Until it can be written to, or read."""
    loop, fd = asyncio.get_running_loop(), sock.fileno()
    if fd < 0:
        raise ConnectionAbortedError("it is closed")
    ready: asyncio.Future[None] = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    add(fd, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        remove(fd)
