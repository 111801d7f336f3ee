"""A request of Dubbo2 as it is served: which method of what, its arguments and attachments, and what is answered.

Source: Apache Dubbo DecodeableRpcInvocation, DubboProtocol.getInvoker, GenericFilter, EchoFilter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from meshfast import dubbo, hessian
from meshfast.dubbo import HEAD_LENGTH, Status
from meshfast.errors import LimitError, ProtocolError

__all__ = [
    "Invocation", "Key", "answer", "bounded", "echo", "plain", "read", "speechless", "thrown", "words",
]  # fmt: skip

#: Of ``getUser(long[], String)``: ``[JLjava/lang/String;``.
_TYPE = re.compile(r"\[*(?:[ZBCDFIJSV]|L[^;\[]+;)")
#: What calls a method by its name, and where that stands among its arguments: its name, their types, and they.
GENERIC = frozenset(("$invoke", "$invokeAsync"))
#: Kinds of generic calls whose arguments are plain values.
PLAIN = frozenset(("", "true", "raw.return"))
ECHO = "$echo"
#: Characters of an error's words that are told.
MESSAGE = 4096
#: The tag of a reference, without which no value is in two places.
REFERENCE = b"Q"


class Key(NamedTuple):
    """What is offered; "" is none."""

    service: str
    group: str = ""
    version: str = ""

    def __str__(self) -> str:
        group = f"{self.group}/" if self.group else ""
        return group + self.service + (f":{self.version}" if self.version else "")


class Invocation(NamedTuple):
    """``arguments`` are plain values, as ``hessian.decode`` makes them; ``attachments``: those that are text;
    ``shared``: a value may be in more than one place."""

    key: Key
    method: str
    arguments: list[Any]
    attachments: Mapping[str, str]
    shared: bool


def read(frame: bytes, most: int) -> Invocation:
    """``most``: of values, each of which may be a byte.

    :raises ProtocolError: it cannot be read
    :raises LimitError: it has more values
    """
    reader = hessian.Reader(frame, HEAD_LENGTH, most if len(frame) > most else None)
    try:
        reader.next()  # the version of Dubbo's protocol
        service, version, method, types = (_text(reader) for _ in range(4))
        arguments = [reader.next() for _ in range(_count(types))]
        found = reader.next() if reader.at < len(frame) else None
    except RecursionError:
        raise ProtocolError("values nested too deep") from None
    if found is not None and not isinstance(found, dict):
        raise ProtocolError("the attachments are not a map", reader.at)
    said = {name: text for name, text in (found or {}).items() if isinstance(name, str) and isinstance(text, str)}
    version = said.get("version", version)
    key = Key(said.get("path") or service, said.get("group", ""), "" if version == "0.0.0" else version)
    method, arguments = plain(method, arguments, said)
    return Invocation(key, method, arguments, said, REFERENCE in frame)


def plain(method: str, arguments: list[Any], said: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Method and arguments of what may be a generic call.

    :raises ProtocolError: of a kind that is not served
    """
    if method not in GENERIC or len(arguments) != 3:
        return method, arguments
    if said.get("generic", "") not in PLAIN:
        raise ProtocolError(f"generic calls of the kind {said['generic'][:40]!r} are not served: use generic=true")
    name, arguments = arguments[0], arguments[2] if arguments[2] is not None else []
    if not isinstance(name, str) or not isinstance(arguments, list):
        raise ProtocolError("a generic call is not a name, types and a list of arguments")
    return name, arguments


def echo(frame: bytes) -> bytes | None:
    """The answer to a call of ``$echo``, its argument's own bytes; None: it is another call, or says more than one."""
    reader = hessian.Reader(frame, HEAD_LENGTH)
    reader.next()
    _, _, method, types = (_text(reader) for _ in range(4))
    if method != ECHO or _count(types) != 1:
        return None
    start = reader.at
    reader.next()
    body = b"\x91" + frame[start : reader.at]
    return bytes((0xDA, 0xBB, dubbo.HESSIAN2, Status.OK)) + frame[4:12] + len(body).to_bytes(4, "big") + body


def answer(
    request_id: int, value: Any, shared: bool, items: int, attachments: Mapping[str, Any] | None = None
) -> bytes:  # fmt: skip
    """The whole frame.

    :raises TypeError: a value that Hessian2 does not have
    :raises LimitError: it has more than so many values, of which some are in more than one place
    """
    bounded(value, shared, items)
    try:
        return dubbo.encode_response(request_id, value, attachments)
    except OverflowError as error:
        raise TypeError(str(error)) from None
    except RecursionError:
        raise TypeError("the result is nested too deep, or holds itself") from None


def bounded(value: Any, shared: bool, items: int) -> None:
    """
    :raises LimitError: it has more than so many values, of which some are in more than one place
    """
    if shared and more(value, items):
        raise LimitError(f"the result has more than {items} values (the limit `items`)")


def thrown(request_id: int, error: BaseException, silent: bool = False) -> bytes:
    """The answer to a call that ended so: a ``java.lang.RuntimeException`` with the error's words, not its stack, or
    its class alone."""
    return dubbo.encode_response(request_id, exception=words(error, silent))


def words(error: BaseException, silent: bool = False) -> str:
    """An error's, or what it is."""
    try:
        text = "" if silent else str(error)[:MESSAGE]
    except BaseException:  # its own, whatever it is
        text = ""
    return text or type(error).__name__


def speechless(error: BaseException, most: int) -> bool:
    """Whether an error, or one that led to it, was given more values than that: where some are in more than one place
    no memory may hold its words."""
    waiting: list[BaseException] = [error]
    seen = set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if len(seen) > most or more(one.args, most):
            return True
        waiting += [each for each in (one.__cause__, one.__context__) if each is not None]
        waiting += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
    return False


def more(value: Any, most: int) -> bool:
    """Whether it has more values than that, what is there twice counted twice; 64 characters are another value."""
    waiting, count = [value], 0
    while waiting:
        one = waiting.pop()
        count += 1
        if isinstance(one, Mapping):
            waiting += one.values()
            waiting += one.keys()
        elif isinstance(one, (list, tuple)):
            waiting += one
        elif isinstance(one, (str, bytes)):
            count += len(one) >> 6
        if count + len(waiting) > most:
            return True
    return False


def _text(reader: hessian.Reader) -> str:
    found = reader.next()
    if found is None:
        return ""
    if not isinstance(found, str):
        raise ProtocolError("a text was expected", reader.at)
    return found


def _count(types: str) -> int:
    at = count = 0
    while at < len(types):
        found = _TYPE.match(types, at)
        if not found:
            raise ProtocolError(f"{types[:80]!r} are not the types of arguments")
        at, count = found.end(), count + 1
    return count
