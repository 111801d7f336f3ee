"""Requests and answers of Dubbo2 in Hessian2, as the SDK writes and reads them: short ways for what every call has.

``meshfast.dubbo`` does the same for tests and tools, and is what this is compared with.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from meshfast import dubbo, hessian
from meshfast.errors import ProtocolError
from meshfast.sdk.errors import BadAnswer, RemoteError, of_status
from meshfast.sdk.values import descriptor_of, made, words, write

__all__ = ["HEAD", "Answer", "Target", "answered", "attachments_of", "lost"]

#: Magic, flags, status, id, length of the body.
HEAD = struct.Struct(">HBBqi")
_MAGIC = 0xDABB
_TWO_WAY, _ONE_WAY = 0xC0 | dubbo.HESSIAN2, 0x80 | dubbo.HESSIAN2
_TIMEOUT = hessian.encode("timeout")

#: The flags and status of an answer's head, and its body.
Answer = tuple[int, int, bytes]


class Target:
    """A service as requests name it."""

    __slots__ = ("_end", "_heads", "service", "version")

    def __init__(self, service: str, group: str = "", version: str = "") -> None:
        self.service, self.version = service, version or "0.0.0"
        fixed = {"path": service, "interface": service, "version": self.version} | ({"group": group} if group else {})
        self._end = b"H" + b"".join(hessian.encode(part) for pair in fixed.items() for part in pair)
        self._heads: dict[tuple[str, str], bytes] = {}

    def request(
        self, number: int, method: str, args: Sequence[Any], types: Sequence[str] | None,
        attachments: Mapping[str, hessian.Value] | None, timeout: int, two_way: bool = True,
        own: Mapping[str, hessian.Value] | None = None,
    ) -> bytes:  # fmt: skip
        """A whole frame. ``types``: descriptors, else by the values; ``timeout``: milliseconds; ``own`` is for Triple:
        here every attachment can be carried.

        TypeError for a value that cannot be carried or another number of types than of arguments, OverflowError for an
        int beyond a long.
        """
        if types is None:
            types = [descriptor_of(one) for one in args]
        elif len(types) != len(args):
            raise TypeError(f"{method} has {len(args)} arguments and {len(types)} types: say one for each")
        try:
            body = b"".join((
                self._head(method, "".join(types)), write(args, types), self._end, _said(timeout),
                _pairs(attachments) if attachments else b"", b"Z",
            ))  # fmt: skip
        except RecursionError:
            raise TypeError(f"an argument of {method} is nested too deep, or holds itself") from None
        return HEAD.pack(_MAGIC, _TWO_WAY if two_way else _ONE_WAY, 0, number, len(body)) + body

    @staticmethod
    def answered(answer: Answer) -> Any:
        """See ``answered``."""
        return answered(answer)

    @staticmethod
    def attachments_of(answer: Answer) -> dict[str, Any]:
        """See ``attachments_of``."""
        return attachments_of(answer)

    @staticmethod
    def size(answer: Answer) -> int:
        """Bytes that are to be read."""
        return len(answer[2])

    @staticmethod
    def lost(answer: Answer) -> bool:
        """See ``lost``."""
        return lost(answer)

    def _head(self, method: str, types: str) -> bytes:
        found = self._heads.get((method, types))
        if found is None:
            if len(self._heads) >= 1000:  # methods come from the application's code: this is to be no leak, no more
                self._heads.clear()
            found = b"".join(map(hessian.encode, ("2.0.2", self.service, self.version, method, types)))
            self._heads[method, types] = found
        return found


@lru_cache(maxsize=1024)
def _said(timeout: int) -> bytes:
    return _TIMEOUT + hessian.encode(str(timeout))


def _pairs(attachments: Mapping[str, hessian.Value]) -> bytes:
    return b"".join(hessian.encode(part) for pair in attachments.items() for part in pair)


def answered(answer: Answer) -> Any:
    """What the provider gave back; raises what it threw, or what the answer's status means (sdk/errors.py)."""
    flags, status, body = answer
    if flags & 0x1F != dubbo.HESSIAN2:
        name = dubbo.serialization_name(flags & 0x1F)
        raise BadAnswer(f"the provider answers in {name}: have it answer in the serialization that it is asked in")
    try:
        if status == dubbo.Status.OK:
            at = 1 if body and 0x90 <= body[0] <= 0x95 else 0
            reader = hessian.Reader(body, at)
            kind = body[0] - 0x90 if at else reader.next()
            if kind in (2, 5):  # null, without attachments and with
                return None
            if kind in (1, 4):
                return made(reader.next())
            if kind not in (0, 3):
                raise ProtocolError("the answer does not start with its kind", 0)
            thrown = reader.next()
        else:
            raise of_status(status, words(hessian.Reader(body).next()))
    except (ProtocolError, RecursionError, OverflowError) as error:  # the last of a date beyond all calendars
        raise BadAnswer(f"the answer cannot be read: {error}") from None
    if not isinstance(thrown, dict):
        raise RemoteError("", words(thrown))
    raise RemoteError(words(thrown.get("class", "")), _message(thrown), thrown)


def lost(answer: Answer) -> bool:
    """Whether it says that the connection behind the sidecar ended before the provider's answer."""
    return answer[1] == dubbo.Status.CHANNEL_INACTIVE


def _message(thrown: dict[Any, Any]) -> str:
    return words(next((thrown[key] for key in ("detailMessage", "message") if thrown.get(key)), ""))


def attachments_of(answer: Answer) -> dict[str, Any]:
    """What came back with an answer of status OK; empty where there is none, or it is no map."""
    flags, status, body = answer
    if status != dubbo.Status.OK or flags & 0x1F != dubbo.HESSIAN2 or not body or body[0] not in (0x93, 0x94, 0x95):
        return {}
    try:
        reader = hessian.Reader(body, 1)
        if body[0] != 0x95:
            reader.next()
        found = reader.next()
    except (ProtocolError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
