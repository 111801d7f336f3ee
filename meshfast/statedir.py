"""The directory in which a sidecar keeps what the next one with the same directory goes on with.

One process has it at a time. A file is replaced as a whole, and read only where it is ours alone and as it was written.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat

from meshfast.errors import SourceError, StateError

__all__ = ["StateDir", "read", "trusted"]

FORMAT = b"meshfast state 1"
MOST = 64 << 20  # bytes of a file


class StateDir:
    """A directory that is had until ``close``. ``at``: the descriptor by which the process has it that this one takes
    over from. Both have it then; until ``own`` it is read here, and what is to be written waits.

    :raises StateError: another process has it, or others may write to it
    :raises OSError: it cannot be made or opened
    """

    def __init__(self, path: str, at: int | None = None) -> None:
        self.path = path
        self._waiting: dict[str, bytes] | None = None if at is None else {}
        if at is None:
            os.makedirs(path, mode=0o700, exist_ok=True)
        self._at = os.open(path, os.O_RDONLY | os.O_DIRECTORY) if at is None else at
        try:
            _check(os.fstat(self._at), path, 0o022)
            if at is not None and not os.path.samestat(os.fstat(at), os.stat(path)):
                raise StateError(f"{path} is another directory than the one that the running sidecar has")
            fcntl.flock(self._at, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise StateError(f"{path} is in use by another sidecar: each has a directory of its own") from None
        except BaseException:
            self.close()
            raise

    @property
    def owned(self) -> bool:
        """Whether no other process writes here."""
        return self._waiting is None

    @property
    def fd(self) -> int:
        """By which it is had: whoever gets a copy has it, too."""
        return self._at

    def own(self) -> None:
        """The process before writes nothing any more.

        :raises OSError: what has waited cannot be written
        """
        waiting, self._waiting = self._waiting, None
        for name, data in (waiting or {}).items():
            self.write(name, data)

    def close(self) -> None:
        if self._at >= 0:
            os.close(self._at)
            self._at = -1

    def read(self, name: str) -> bytes | None:
        """What was written last under a name; None: nothing was.

        :raises SourceError: it is not to be trusted
        """
        return _read(self._at, self.path, name, MOST)

    def write(self, name: str, data: bytes) -> None:
        """Replaces a file; after a crash it is the old one or the new one.

        :raises OSError: it cannot be written; the old one stays
        """
        if len(data) > MOST - 128:
            raise OSError(f"{self.path}/{name} would be longer than {MOST} bytes")
        if self._waiting is not None:
            self._waiting[name] = data
            return
        made = f".{name}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with contextlib.suppress(FileNotFoundError):
            os.unlink(made, dir_fd=self._at)
        try:
            with open(os.open(made, flags, 0o600, dir_fd=self._at), "wb") as file:
                file.write(_head(data) + b"\n" + data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(made, name, src_dir_fd=self._at, dst_dir_fd=self._at)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(made, dir_fd=self._at)
            raise
        os.fsync(self._at)


def read(path: str, name: str, most: int = MOST) -> bytes | None:
    """A file of a directory that another process may have, or that one had which is dead; None: there is none. It is of
    this very user, root is no exception: who may do more than the writer is not to go by what that one wrote.

    :param most: bytes of the file
    :raises SourceError: it is not to be trusted
    """
    try:
        at = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from None
    try:
        _trusted(os.fstat(at), path, 0o022)
        return _read(at, path, name, most)
    finally:
        os.close(at)


def _read(directory: int, path: str, name: str, most: int) -> bytes | None:
    try:
        at = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SourceError(f"{path}/{name}: {error.strerror}") from None
    try:
        found = os.fstat(at)
        _trusted(found, f"{path}/{name}", 0o077)
        if not stat.S_ISREG(found.st_mode) or found.st_size > most:
            raise SourceError(f"{path}/{name} is not a file of at most {most} bytes")
        with open(at, "rb", closefd=False) as file:
            head, _, data = file.read(most).partition(b"\n")
    finally:
        os.close(at)
    if head.rpartition(b" ")[0] != FORMAT:
        raise SourceError(f"{path}/{name} is of another version, or none of ours")
    if head != _head(data):
        raise SourceError(f"{path}/{name} is not as it was written: its checksum differs")
    return data


def trusted(found: os.stat_result, path: str) -> None:
    """
    :raises StateError: a directory is not this user's alone to write to
    """
    _check(found, path, 0o022)


def _trusted(found: os.stat_result, what: str, others: int) -> None:
    try:
        _check(found, what, others)
    except StateError as error:
        raise SourceError(str(error)) from None


def _head(data: bytes) -> bytes:
    return FORMAT + b" " + hashlib.sha256(data).hexdigest().encode()


def _check(found: os.stat_result, what: str, others: int) -> None:
    if found.st_uid != os.geteuid():
        raise StateError(f"{what} is not of the user that runs this")
    if found.st_mode & others:
        raise StateError(f"{what} has mode {stat.S_IMODE(found.st_mode):04o}: it is to be this user's alone")
