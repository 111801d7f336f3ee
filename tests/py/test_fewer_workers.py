"""Sockets that a process of more workers listened on: one of fewer goes on with them, or says what it lacks."""

from __future__ import annotations

import socket

import pytest

from meshfast import _core
from meshfast.errors import LimitError

MOST = 32  # listeners of an engine


def queues(at: str | tuple[str, int], copies: int) -> list[int]:
    """A socket that listens, and copies of it, one for each worker that there was."""
    with socket.socket(socket.AF_UNIX if isinstance(at, str) else socket.AF_INET) as sock:
        sock.bind(at)
        sock.listen()
        return [sock.dup().detach() for _ in range(copies)]


def test_unix_sockets_take_one_place_each(tmp_path):
    engine = _core.Engine(_core.Table(), workers=1)
    for n in range(MOST):
        path = str(tmp_path / f"{n}.sock")
        engine.listen(f"in{n}", f"unix://{path}", fds=queues(path, 4))
    engine.start()
    copies = engine.copies("in0")
    assert len(copies) == 1
    socket.close(copies[0])
    engine.stop()


def test_what_does_not_fit_says_why():
    engine = _core.Engine(_core.Table(), workers=1)
    given = queues(("127.0.0.1", 0), MOST + 1)
    with pytest.raises(LimitError, match="start with as many workers"):
        engine.listen("in", "127.0.0.1:0", fds=given)
