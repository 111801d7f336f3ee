"""Writes down what SDKs ask of their registry, for the test that asks a real one the same:

python tests/e2e/record_endpoint.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / name) for name in ("tests", "tests/py", "tests/e2e")]

from harness.java import SERVICE  # noqa: E402
from harness.process import until  # noqa: E402
from harness.registered import Registered  # noqa: E402
from test_endpoint_dubbo import Played  # noqa: E402

from meshfast.endpoint import jute, zookeeper  # noqa: E402

RECORDED = ROOT / "tests" / "e2e" / "recorded"


def record(version: str) -> None:
    """One application that offers a service and calls it; a line is a session's number, an operation and its record."""
    lines: list[str] = []
    sessions: dict[int, int] = {}
    answer = zookeeper.answer

    def recorded(tree: Any, asker: Any, op: int, request: Any) -> Any:
        number = sessions.setdefault(asker.session_id, len(sessions))
        lines.append(f"{number} {op} {jute.write(request).hex()}\n")
        return answer(tree, asker, op, request)

    zookeeper.answer = recorded
    played, java = Played(1), Registered(version, "recording")
    try:
        played.list(SERVICE)
        port = java.export("X", registry=played.registry, group="g", version="1.0.0")
        until("it to register", lambda: played.do(lambda: played.whole.wanted))
        java.refer("ref", registry=played.registry, group="g", version="1.0.0")
        until("it to look", lambda: played.interested)
        java.leave(port)
        until("it to leave", lambda: not played.do(lambda: played.whole.wanted))
    finally:
        java.close()
        played.close()
        zookeeper.answer = answer
    (RECORDED / f"registry-{version}.txt").write_text("".join(lines))


for name in ("java-3.3", "java-2.7"):
    record(name)
