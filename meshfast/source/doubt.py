"""Which files may be half of what they will be.

A file that was replaced by rename, or that a link leads to anew, is whole. One that is written where it lies, or that
comes or goes, is taken for whole once it has rested.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

Seen = tuple[str | int | None, ...]  # a path, and device, inode, size and times or the error's number
Look = tuple[Seen, ...]

__all__ = ["Doubt", "Look", "Seen"]


class Doubt:
    """Follows the looks at the files. ``rest``: seconds without a change after which a file is taken for whole."""

    def __init__(self, rest: float) -> None:
        self.rest = rest
        self.links: Container[str] = ()  # of the files that were read last: a link goes at once, and whole
        self._seen: Look | None = None
        self._since: dict[str, float] = {}

    def see(self, look: Look, now: float) -> None:
        """What is there at ``now``, a monotonic time."""
        before, self._seen = self._seen, look
        if before is None or before == look:
            return
        was, there = _by_name(before), _by_name(look)
        for name in was.keys() | there.keys():
            if was.get(name) == there.get(name):
                continue
            if _replaced(was, there, name) or (name not in there and name in self.links):
                self._since.pop(name, None)
            else:
                self._since[name] = now

    def until(self, now: float) -> dict[str, float]:
        """The files that are in doubt at ``now``, and until when."""
        self._since = {name: since for name, since in self._since.items() if now < since + self.rest}
        return {name: since + self.rest for name, since in self._since.items()}


def _by_name(look: Look) -> dict[str, Seen]:
    return {str(seen[0]): seen[1:] for seen in look}


def _replaced(was: Mapping[str, Seen], there: Mapping[str, Seen], name: str) -> bool:
    """Whether another file has the name, without a moment in which none was seen to have it."""
    old, new = was.get(name, ()), there.get(name, ())
    return len(old) > 1 and len(new) > 1 and old[:2] != new[:2]
