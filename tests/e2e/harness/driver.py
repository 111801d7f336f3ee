"""A peer that takes commands as JSON lines and answers each with its id; commands run side by side."""

from __future__ import annotations

import itertools
import json
import threading
from concurrent.futures import Future
from typing import Any

from .process import Process


class PeerError(Exception):
    """What the peer's SDK threw. ``kind``: its class, ``text``: its message, ``code``: that of an RpcException."""

    def __init__(self, kind: str, text: str, code: int | None = None) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text
        self.code = code


class Driver(Process):
    """The test's end of a peer's stdin and stdout."""

    def __init__(self, name: str, command: list[str], env: dict[str, str] | None = None) -> None:
        super().__init__(name, command, pipes=True, env=env)
        self._ids = itertools.count(1)
        self._waiting: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # another one: a peer may not read on until what it says is read
        self._reader = threading.Thread(target=self._read, name=f"{name}-reader", daemon=True)
        self._reader.start()

    def start(self, op: str, **fields: Any) -> Future[Any]:
        """Send a command; the future gives its value or ``PeerError``."""
        number = next(self._ids)
        future: Future[Any] = Future()
        line = json.dumps({"id": number, "op": op, **fields})
        with self._lock:
            self._waiting[number] = future
        with self._writing:
            assert self.child.stdin is not None
            self.child.stdin.write(line + "\n")
            self.child.stdin.flush()
        return future

    def do(self, op: str, seconds: float = 60.0, **fields: Any) -> Any:
        """Send a command and wait for its value."""
        return self.start(op, **fields).result(seconds)

    def call(self, ref: str, method: str, *args: Any, attachments: dict[str, Any] | None = None) -> Any:
        """The value of one call of the service."""
        return self.call_full(ref, method, *args, attachments=attachments)["value"]

    def call_full(self, ref: str, method: str, *args: Any, attachments: dict[str, Any] | None = None) -> dict[str, Any]:
        """One call: ``value``, and the ``attachments`` that came back."""
        reply: dict[str, Any] = self.do("call", ref=ref, method=method, args=list(args), attachments=attachments or {})
        return reply

    def close(self) -> None:
        super().close()
        self._reader.join(5)

    def _read(self) -> None:
        assert self.child.stdout is not None
        try:
            for line in self.child.stdout:
                self._settle(json.loads(line))
        except ValueError as error:
            # Also how a closed pipe shows; what still waits is told below either way.
            self._fail_all(f"{self.name}: {error}")
        self._fail_all(f"{self.name} ended:\n{self.tail()}")

    def _settle(self, reply: dict[str, Any]) -> None:
        with self._lock:
            future = self._waiting.pop(reply["id"])
        if reply["ok"]:
            future.set_result(reply.get("value"))
        else:
            future.set_exception(PeerError(reply["error"], reply["message"], reply.get("code")))

    def _fail_all(self, text: str) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            future.set_exception(RuntimeError(text))
