"""Standard streams whose reader may have gone: ``meshfast check policy | true``. What is said then is lost, and that is
no mistake of what was asked: the exit code stays its own."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO, cast

__all__ = ["guard"]


class _Guarded:
    """A text stream that goes on into nothing when nobody reads it any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def writelines(self, lines: list[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        """What is still in the stream's buffers goes where all the rest will."""
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self._stream.fileno())
        os.close(nothing)


def guard() -> None:
    """Guards the standard output and the standard error."""
    sys.stdout, sys.stderr = cast(TextIO, _Guarded(sys.stdout)), cast(TextIO, _Guarded(sys.stderr))
