"""Requests and answers of Triple and of gRPC, as the SDK writes and reads them.

A method of a Java interface has its arguments in a wrapper of Dubbo's, Hessian2 each; a method of protobuf has its one
message as it is. Which it is follows from the argument: a message of protobuf is what has ``SerializeToString``.

Source: Apache Dubbo 3.3, triple_wrapper.proto, ReflectionPackableMethod, StreamUtils, TripleHeaderEnum; gRPC over
HTTP/2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from meshfast import hessian
from meshfast.errors import ProtocolError
from meshfast.http2 import ErrorCode
from meshfast.sdk import wrapped
from meshfast.sdk.errors import BadAnswer, CallError, RemoteError, of_grpc
from meshfast.sdk.fields import Fields, read, written
from meshfast.sdk.flows import PREFIX, Flow
from meshfast.sdk.protocols import TRIPLE, is_message
from meshfast.sdk.values import made, words

__all__ = ["PREFIX", "Answer", "Fields", "Request", "TripleTarget", "ended", "item"]

_OK = (b"grpc-status", b"0")
_THROWN = b"tri-exception-code"
_AUTHORITY = re.compile(r"[a-z0-9.-]+")
_SEGMENT = re.compile(r"[A-Za-z0-9_$.-]+")


class Request:
    """``fields`` but those that say how long its caller waits; ``body``: all of its content; ``raw``: a message that is
    in no wrapper; ``milliseconds``: how long its caller waits, 0 for a
    stream that has no end; ``triple``: and says so as Dubbo does, too; ``flow``: its content, where it streams."""

    __slots__ = ("body", "fields", "flow", "milliseconds", "raw", "triple")

    def __init__(
        self, fields: Fields, body: bytes, milliseconds: int, raw: bool, triple: bool, flow: Flow | None = None
    ) -> None:  # fmt: skip
        self.fields, self.body, self.raw, self.triple, self.flow = fields, body, raw, triple, flow
        self.milliseconds = milliseconds

    def __len__(self) -> int:
        return len(self.body) + sum(len(name) + len(value) for name, value in self.fields)

    def within(self, milliseconds: int) -> Request:
        """The same for a caller that waits so long."""
        left = milliseconds if self.milliseconds else 0
        return Request(self.fields, self.body, left, self.raw, self.triple, self.flow)

    def head(self) -> Fields:
        """All fields."""
        wait = self.milliseconds
        if not wait:
            return self.fields
        # At most 8 digits of gRPC's: more than a day is said in seconds.
        timeout = [(b"grpc-timeout", b"%dm" % wait if wait < 100_000_000 else b"%dS" % (wait // 1000))]
        # Java's providers count down from ``_to``.
        return self.fields + timeout + ([(b"_to", b"%d" % wait)] if self.triple else [])


class Answer(NamedTuple):
    """``code``: what its stream was reset with, None where it ended by itself; ``raw`` as in its request."""

    fields: Fields
    body: bytes
    trailers: Fields
    raw: bool
    code: int | None = None


class TripleTarget:
    """A service as requests name it. ``protocol``: "tri", or "grpc": without Dubbo's fields, messages alone. ``app``:
    who calls. ValueError: a name that no path can have."""

    def __init__(self, service: str, group: str = "", version: str = "", protocol: str = TRIPLE, app: str = "") -> None:
        if not _SEGMENT.fullmatch(service):
            raise ValueError(f"{service!r} is no name of a service: a path of HTTP/2 is to have it")
        self.service, self.is_triple = service, protocol == TRIPLE
        self._heads: dict[str, Fields] = {}
        authority = service.lower()
        self._fields: Fields = [
            (b":authority", (authority if _AUTHORITY.fullmatch(authority) else "dubbo").encode()),
            (b"content-type", b"application/grpc+proto"), (b"te", b"trailers"),
            (b"grpc-accept-encoding", b"identity"),
        ]  # fmt: skip
        said = {"tri-consumer-appname": app, "tri-service-group": group, "tri-service-version": version}
        if self.is_triple:
            self._fields += [(name.encode(), value.encode()) for name, value in said.items() if value]
        elif group or version:
            raise ValueError(f'{service}: gRPC has no group and no version: say protocol="tri"')

    def request(
        self, number: int, method: str, args: Sequence[Any], types: Sequence[str] | None,
        attachments: Mapping[str, hessian.Value] | None, timeout: int, two_way: bool = True,
        own: Mapping[str, hessian.Value] | None = None,
    ) -> Request:  # fmt: skip
        """``types``: descriptors, else by the values; ``timeout``: milliseconds; ``own``: those of ``attachments`` that
        the call has itself: of others, what no field can carry is left out.

        TypeError for a value that cannot be carried or another number of types than of arguments, OverflowError for an
        int beyond a long, ValueError for an attachment or a method that no field can carry.
        """
        if not two_way:
            raise TypeError(f"{method}: calls one way are Dubbo2's; call it, and leave what it gives")
        fields = self._fields_of(method, attachments, own)
        message, raw = self.message(method, args, types)
        return Request(fields, b"\0" + len(message).to_bytes(4, "big") + message, timeout, raw, self.is_triple)

    def stream(
        self, method: str, attachments: Mapping[str, hessian.Value] | None, timeout: int,
        own: Mapping[str, hessian.Value] | None, flow: Flow,
    ) -> Request:  # fmt: skip
        """One that streams. ``timeout`` 0: its caller waits for as long as it lasts."""
        return Request(self._fields_of(method, attachments, own), b"", timeout, False, self.is_triple, flow)

    def message(self, method: str, args: Sequence[Any], types: Sequence[str] | None) -> tuple[bytes, bool]:
        """What it says; and whether that is in no wrapper. As ``request``."""
        message = _message(args, self.is_triple) if types is None else None
        if message is not None:
            return message, True
        if not self.is_triple:
            raise TypeError(f"{method}: gRPC carries one argument, bytes or a message of protobuf")
        return wrapped.request(method, args, types), False

    def _fields_of(
        self, method: str, attachments: Mapping[str, hessian.Value] | None, own: Mapping[str, hessian.Value] | None
    ) -> Fields:  # fmt: skip
        fields = self._heads.get(method) or self._head(method)
        return fields + written(attachments, own or {}, self.is_triple) if attachments else fields

    def _head(self, method: str) -> Fields:
        if not _SEGMENT.fullmatch(method):
            raise ValueError(f"{method!r} is no name of a method")
        if len(self._heads) >= 1000:  # methods come from the application's code: this is to be no leak, no more
            self._heads.clear()
        path = f"/{self.service}/{method}".encode()
        found = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), *self._fields]
        self._heads[method] = found
        return found

    @staticmethod
    def answered(answer: Answer) -> Any:
        """What the provider gave back, of a message its bytes; raises what it threw, or what its status means."""
        return _value(answer)

    @staticmethod
    def attachments_of(answer: Answer) -> dict[str, Any]:
        """What came back with an answer, in its fields or behind its content."""
        return read(answer.fields + answer.trailers)

    @staticmethod
    def size(answer: Answer) -> int:
        """Bytes that are to be read: none of a message, which is given as it is."""
        return 0 if answer.raw else len(answer.body)

    @staticmethod
    def lost(answer: Answer) -> bool:
        """Whether it says that the connection behind the sidecar ended before the provider's answer, or its stream
        did."""
        return isinstance(_failure(answer), ConnectionError)


def _message(args: Sequence[Any], is_triple: bool) -> bytes | None:
    """The one argument as it is; None: arguments of a Java interface."""
    if len(args) == 1 and is_message(args[0]):
        return bytes(args[0].SerializeToString())
    if not is_triple and len(args) == 1 and isinstance(args[0], (bytes, bytearray, memoryview)):
        return bytes(args[0])
    if any(map(is_message, args)):
        raise TypeError(f"{len(args)} arguments, and a message of protobuf among them: such a method has one argument")
    return None


def _failure(answer: Answer) -> CallError | None:
    """What its status says; None: all is well."""
    if answer.code is not None:
        return _reset(answer.code)
    if _OK in answer.trailers:
        return None
    said = dict(answer.fields) | dict(answer.trailers)
    status, text = said.get(b"grpc-status"), unquote_to_bytes(said.get(b"grpc-message", b"")).decode(errors="replace")
    if status is not None and status.isdigit() and len(status) < 4:
        return of_grpc(int(status), text) if int(status) else None
    http = said.get(b":status", b"none").decode("latin-1")
    words = answer.body[:200].decode(errors="replace").strip()
    return of_grpc(_OF_HTTP.get(http, 2), f"an answer without grpc-status, its :status is {http}: {text or words}")


#: What gRPC makes of the status of an answer that is not its own.
_OF_HTTP = {"400": 13, "431": 13, "401": 16, "403": 7, "404": 12, "429": 14, "502": 14, "503": 14, "504": 14}
_OF_RESET = {ErrorCode.CANCEL: 1, ErrorCode.ENHANCE_YOUR_CALM: 8, ErrorCode.INADEQUATE_SECURITY: 7}


def _reset(code: int) -> CallError:
    name = ErrorCode(code).name if code in set(ErrorCode) else f"code {code}"
    text = f"its stream was reset ({name})"
    if code in _OF_RESET:
        return of_grpc(_OF_RESET[ErrorCode(code)], text)
    return of_grpc(None, text)


def ended(answer: Answer) -> None:
    """Raises what a stream ended with, if that is not well."""
    failure = _failure(answer)
    if failure is not None:
        raise failure


def item(message: bytes, raw: bool) -> Any:
    """One message of a stream; BadAnswer: it cannot be read."""
    if raw:
        return message
    try:
        return made(wrapped.value(message))
    except (ProtocolError, RecursionError, OverflowError) as error:
        raise BadAnswer(f"the answer cannot be read: {error}") from None


def _value(answer: Answer) -> Any:
    ended(answer)
    body = answer.body
    if len(body) < PREFIX or len(body) - PREFIX != int.from_bytes(body[1:PREFIX], "big"):
        raise BadAnswer(f"the answer is not one message, but {len(body)} bytes of something else")
    if body[0]:
        way = dict(answer.fields).get(b"grpc-encoding", b"").decode("latin-1")
        raise BadAnswer(f"the answer is compressed ({way}), which was not asked for: have the provider not compress")
    message = body[PREFIX:]
    if answer.raw:
        return message
    is_thrown = any(name == _THROWN for name, _ in answer.fields + answer.trailers)
    try:
        value = wrapped.value(message)
        if not is_thrown:
            return made(value)
    except (ProtocolError, RecursionError, OverflowError) as error:
        raise BadAnswer(f"the answer cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise RemoteError("", words(value))
    text = words(value.get("detailMessage") or value.get("message") or "")
    raise RemoteError(words(value.get("class", "")), text, value)
