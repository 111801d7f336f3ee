"""What etcd's JSON gateway says and takes: keys and values are base64 there, and whole numbers are texts."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, TypeVar

import msgspec

__all__ = [
    "DENIED", "FAILED_PRECONDITION", "NOT_FOUND", "OUT_OF_RANGE", "UNAUTHENTICATED", "AuthReply", "DeleteReply",
    "Event", "Failed", "KeyValue", "LeaseReply", "Nonsense", "RangeReply", "TxnReply", "WatchLine", "WatchResult",
    "b64", "decode", "encode", "end_of", "failed", "reason",
]  # fmt: skip

#: Codes of gRPC that are told apart.
NOT_FOUND, DENIED, FAILED_PRECONDITION, OUT_OF_RANGE, UNAUTHENTICATED = 5, 7, 9, 11, 16

T = TypeVar("T")


class Failed(Exception):
    """etcd answered, and refuses. ``code``: of gRPC, 0 where it says none."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class Nonsense(Exception):
    """The answer is not one of etcd's."""


class Header(msgspec.Struct):
    revision: int = 0
    cluster_id: int = 0


class KeyValue(msgspec.Struct):
    key: bytes = b""
    value: bytes = b""
    lease: int = 0
    mod_revision: int = 0


class RangeReply(msgspec.Struct):
    header: Header = msgspec.field(default_factory=Header)
    kvs: list[KeyValue] = []
    more: bool = False


class TxnReply(msgspec.Struct):
    succeeded: bool = False


class DeleteReply(msgspec.Struct):
    deleted: int = 0


class LeaseReply(msgspec.Struct):
    """A grant; of a keepalive it is in ``result``. ``TTL`` 0: there is no such lease."""

    ID: int = 0
    TTL: int = 0
    result: LeaseReply | None = None
    error: Any = None


class AuthReply(msgspec.Struct):
    token: str = ""


class Event(msgspec.Struct):
    """``type``: "DELETE", or not said where something was put."""

    kv: KeyValue
    type: str = "PUT"


class WatchResult(msgspec.Struct):
    header: Header = msgspec.field(default_factory=Header)
    created: bool = False
    canceled: bool = False
    compact_revision: int = 0
    cancel_reason: str = ""
    events: list[Event] = []


class WatchLine(msgspec.Struct):
    result: WatchResult | None = None
    error: Any = None


class _Error(msgspec.Struct):
    error: Any = ""
    message: str = ""
    code: int = 0


def b64(text: str) -> str:
    return b64encode(text.encode()).decode()


def encode(body: Any) -> bytes:
    return msgspec.json.encode(body)


def decode(data: bytes, kind: type[T]) -> T:
    """:raises Nonsense: it is no such answer"""
    try:
        return msgspec.json.decode(data, type=kind, strict=False)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Nonsense(f"no answer of etcd's gateway: {error}") from None


def failed(status: int, data: bytes) -> Failed:
    """What an answer that is not 200 says."""
    try:
        found = decode(data, _Error)
    except Nonsense:
        text = data[:200].decode(errors="replace").strip()
        return Failed(f"HTTP status {status}: {text if text.isprintable() else 'no answer of etcd'}")
    return Failed(reason(found.error or found.message) or f"HTTP status {status}", found.code)


def reason(error: Any) -> str:
    """The text of an error, which a stream has in a message of its own."""
    text = error.get("message", "") if isinstance(error, dict) else error
    return text[:300] if isinstance(text, str) else ""


def end_of(prefix: str) -> str:
    """Where the keys below ``prefix``, which ends with a slash, end."""
    return prefix[:-1] + "0"
