"""Calls that go on while something else happens."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from .driver import Driver


@contextlib.contextmanager
def loaded(caller: Driver, ref: str, **fields: Any) -> Iterator[Callable[..., dict[str, Any]]]:
    """A steady load meanwhile; gives what asks for its report, and with ``end=True`` for its last one."""
    caller.do("load", ref=ref, load=ref, **{"threads": 8, "pause": 5, **fields})
    stopped = False

    def report(end: bool = False) -> dict[str, Any]:
        nonlocal stopped
        stopped = end
        told: dict[str, Any] = caller.do("stop" if end else "progress", load=ref)
        return told

    try:
        yield report
    finally:
        if not stopped:
            report(end=True)
