"""What the system refuses, in words: what it was about, why, and what to do."""

from __future__ import annotations

import errno
import os

__all__ = ["News", "about", "told"]

HINTS = {
    errno.EADDRINUSE: "another process has it: stop that one, or choose another address",
    errno.EADDRNOTAVAIL: "no interface of this machine has it",
    errno.EACCES: "this user may not: ports below 1024 and paths need permission",
    errno.EPERM: "this user may not",
    errno.ENOENT: "make the directory first",
    errno.ENOTDIR: "a part of the path is no directory",
    errno.ENXIO: "nobody reads this FIFO: start its reader first (a UNIX socket cannot be opened as a file)",
    errno.EISDIR: "it is a directory: name a file in it",
    errno.EROFS: "nothing can be written there",
    errno.ELOOP: "its links lead back to themselves",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENOSYS: "this kernel does not have it: choose another loop",
}


def about(what: str, error: OSError) -> OSError:
    """The same error, saying what it was about."""
    return OSError(error.errno, f"{what}: {os.strerror(error.errno) if error.errno else error}")


def told(error: BaseException) -> str:
    """One line for the log; a ConfigError has one a problem."""
    if isinstance(error, MemoryError):
        return str(error) or "no memory"
    if not isinstance(error, OSError) or error.errno is None:
        return str(error) or type(error).__name__
    text = error.strerror or os.strerror(error.errno)
    if error.filename is not None:
        text = f"{error.filename}: {text}"
    hint = HINTS.get(error.errno)
    return f"{text}; {hint}" if hint else text


class News:
    """What goes wrong and is tried again: it is told once, and once more when it was over meanwhile, or is another."""

    def __init__(self) -> None:
        self._last = ""

    def is_new(self, text: str) -> bool:
        new, self._last = text != self._last, text
        return new

    def over(self) -> None:
        self._last = ""
