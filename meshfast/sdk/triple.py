"""Requests and answers of Triple and of gRPC, as the SDK writes and reads them.

A method of a Java interface has its arguments in a wrapper of Dubbo's, Hessian2 each; a method of protobuf has its one
message as it is. Which it is follows from the argument: a message of protobuf is what has ``SerializeToString``.

Source: Apache Dubbo 3.3, triple_wrapper.proto, ReflectionPackableMethod, StreamUtils, TripleHeaderEnum; gRPC over
HTTP/2.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, unquote_to_bytes

from meshfast import hessian, protobuf
from meshfast.errors import ProtocolError
from meshfast.http2 import ErrorCode
from meshfast.sdk.errors import BadAnswer, CallError, RemoteError, of_grpc
from meshfast.sdk.protocols import TRIPLE, is_message
from meshfast.sdk.values import Writer, descriptor_of, made, words

__all__ = ["PREFIX", "Answer", "Fields", "Request", "TripleTarget"]

#: Bytes before a message: whether it is compressed, and its length.
PREFIX = 5

Fields = list[tuple[bytes, bytes]]

_HESSIAN = (b"hessian4", b"hessian2")  # as Java writes it, and as it is called
_KIND = protobuf.field(1, _HESSIAN[0])
_OK = (b"grpc-status", b"0")
_THROWN = b"tri-exception-code"
_BINARY = "-bin"
_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_AUTHORITY = re.compile(r"[a-z0-9.-]+")
_SEGMENT = re.compile(r"[A-Za-z0-9_$.-]+")
#: Fields that are HTTP's, gRPC's or Triple's own: no attachments.
_OWN = frozenset({
    "_to", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "date", "expect",
    "host", "keep-alive", "proxy-connection", "server", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
})  # fmt: skip
_OWN_BEGIN = (":", "grpc-", "tri-", "rest-service-")


class Request:
    """``fields`` but those that say how long its caller waits; ``body``: all of its content; ``raw``: a message that is
    in no wrapper; ``milliseconds``: how long its caller waits; ``triple``: and says so as Dubbo does, too."""

    __slots__ = ("body", "fields", "milliseconds", "raw", "triple")

    def __init__(self, fields: Fields, body: bytes, milliseconds: int, raw: bool, triple: bool) -> None:
        self.fields, self.body, self.raw, self.triple = fields, body, raw, triple
        self.milliseconds = milliseconds

    def __len__(self) -> int:
        return len(self.body) + sum(len(name) + len(value) for name, value in self.fields)

    def within(self, milliseconds: int) -> Request:
        """The same for a caller that waits so long."""
        return Request(self.fields, self.body, milliseconds, self.raw, self.triple)

    def head(self) -> Fields:
        """All fields."""
        wait = self.milliseconds
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
        fields = self._heads.get(method) or self._head(method)
        message = _message(args, self.is_triple) if types is None else None
        if message is None:
            if not self.is_triple:
                raise TypeError(f"{method}: gRPC carries one argument, bytes or a message of protobuf")
            message = _wrapped(method, args, types)
            raw = False
        else:
            raw = True
        if attachments:
            fields = fields + _carried(attachments, own or {}, self.is_triple)
        return Request(fields, b"\0" + len(message).to_bytes(4, "big") + message, timeout, raw, self.is_triple)

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
        return _came(answer.fields + answer.trailers)

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


def _wrapped(method: str, args: Sequence[Any], types: Sequence[str] | None) -> bytes:
    """TripleRequestWrapper."""
    if types is None:
        types = [descriptor_of(one) for one in args]
    elif len(types) != len(args):
        raise TypeError(f"{method} has {len(args)} arguments and {len(types)} types: say one for each")
    out = [_KIND]
    try:
        for value, kind in zip(args, types, strict=True):
            writer = Writer()
            writer.argument(value, kind)
            out.append(protobuf.field(2, bytes(writer.out)))
    except RecursionError:
        raise TypeError(f"an argument of {method} is nested too deep, or holds itself") from None
    return b"".join(out) + _named(tuple(types))


_PRIMITIVES = {
    "Z": "boolean", "B": "byte", "C": "char", "D": "double", "F": "float", "I": "int", "J": "long", "S": "short",
    "V": "void",
}  # fmt: skip


@lru_cache(maxsize=4096)
def _named(types: tuple[str, ...]) -> bytes:
    return b"".join(protobuf.field(3, _class_name(kind).encode()) for kind in types)


def _class_name(descriptor: str) -> str:
    """As Class.getName() has it: "int", "java.lang.String", "[Ljava.lang.String;"."""
    if descriptor.startswith("["):
        return descriptor.replace("/", ".")
    return _PRIMITIVES.get(descriptor) or descriptor[1:-1].replace("/", ".")


def _carried(
    attachments: Mapping[str, hessian.Value], own: Mapping[str, hessian.Value], is_triple: bool
) -> Fields:  # fmt: skip
    """Attachments as fields, their names in lower case; ``tri-header-convert`` says how they are written."""
    found: Fields = []
    written: dict[str, str] = {}
    for key, value in attachments.items():
        name = key.lower()
        try:
            if name in _OWN or name.startswith(_OWN_BEGIN):
                raise ValueError(f"{key!r} is a field of HTTP or gRPC itself")
            if not _NAME.fullmatch(name):
                raise ValueError("letters, digits and -_. are for names")
            text = _text(name, value)
            if name.endswith(_BINARY) and not isinstance(value, (bytes, bytearray)):
                raise ValueError("a name that ends in -bin is for bytes")
        except ValueError as error:
            if key in own:
                raise ValueError(f"the attachment {key!r} cannot go along: {error}") from None
            continue
        if isinstance(value, (bytes, bytearray)) and not name.endswith(_BINARY):
            name, key = name + _BINARY, key + _BINARY
        found.append((name.encode(), text))
        if name != key:
            written[name.removesuffix(_BINARY)] = key.removesuffix(_BINARY)
    if written and is_triple:
        found.append((b"tri-header-convert", quote(json.dumps(written, separators=(",", ":"))).encode()))
    return found


def _text(name: str, value: hessian.Value) -> bytes:
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).rstrip(b"=")
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, (int, float)):
        return str(value).encode()
    if not isinstance(value, str):
        raise ValueError(f"{type(value).__name__} is none of text, number, bool and bytes")
    try:
        raw = value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("a field of HTTP has no characters beyond Latin-1: say it as bytes") from None
    if raw.strip(b" \t") != raw or any(byte < 0x20 and byte != 0x09 or byte == 0x7F for byte in raw):
        raise ValueError("a field of HTTP has no control characters, and no spaces at its ends: say it as bytes")
    return raw


def _came(fields: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    written: dict[str, str] = {}
    for name, value in fields:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        if key == "tri-header-convert":
            written |= _names(text)
        elif key in _OWN or key.startswith(_OWN_BEGIN):
            continue
        elif key.endswith(_BINARY):
            try:
                found[key.removesuffix(_BINARY)] = base64.b64decode(text + "=" * (-len(text) % 4))
            except (binascii.Error, ValueError):
                found[key] = text
        else:
            found[key] = text
    return {written.get(key, key): value for key, value in found.items()}


def _names(text: str) -> dict[str, str]:
    try:
        found = json.loads(unquote(text))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str) and value.lower() == key}


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


def _value(answer: Answer) -> Any:
    failure = _failure(answer)
    if failure is not None:
        raise failure
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
        value = _unwrapped(message)
        if not is_thrown:
            return made(value)
    except (ProtocolError, RecursionError, OverflowError) as error:
        raise BadAnswer(f"the answer cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise RemoteError("", words(value))
    text = words(value.get("detailMessage") or value.get("message") or "")
    raise RemoteError(words(value.get("class", "")), text, value)


def _unwrapped(message: bytes) -> Any:
    """TripleResponseWrapper."""
    kind, data = _HESSIAN[0], b""
    for number, value in protobuf.fields(message):
        if isinstance(value, bytes):
            if number == 1:
                kind = value
            elif number == 2:
                data = value
    if kind not in _HESSIAN:
        name = kind[:40].decode(errors="replace")
        raise BadAnswer(f"the provider answers in {name}: have it answer in the serialization that it is asked in")
    return hessian.Reader(data).next() if data else None
