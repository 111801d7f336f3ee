"""Values in the wrappers that Triple has for methods of a Java interface: Hessian2 in messages of protobuf.

Source: Apache Dubbo 3.3, triple_wrapper.proto, ReflectionPackableMethod.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from meshfast import hessian, protobuf
from meshfast.errors import ProtocolError
from meshfast.sdk.errors import BadAnswer
from meshfast.sdk.values import Writer, descriptor_of

__all__ = ["answer", "arguments", "request", "thrown", "value"]

_HESSIAN = (b"hessian4", b"hessian2")  # as Java writes it, and as it is called
_KIND = protobuf.field(1, _HESSIAN[0])
_THROWN = b"C" + hessian.encode("java.lang.RuntimeException") + b"\x91" + hessian.encode("detailMessage") + b"\x60"
_EXCEPTION = protobuf.field(3, b"java.lang.Exception")


def request(method: str, args: Sequence[Any], types: Sequence[str] | None) -> bytes:
    """TripleRequestWrapper. ``types``: descriptors, else by the values.

    :raises TypeError: a value that cannot be carried, or another number of types than of arguments
    :raises OverflowError: an int beyond a long
    """
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


def arguments(message: bytes, most: int) -> list[Any]:
    """Those of a TripleRequestWrapper, as plain values. ``most``: of values, each of which may be a byte.

    :raises ProtocolError: it cannot be read, or is in another serialization
    :raises LimitError: it has more values
    """
    kind, found = _HESSIAN[0], []
    try:
        for number, part in protobuf.fields(message):
            if not isinstance(part, bytes):
                continue
            if number == 1:
                kind = part
            elif number == 2:
                found.append(part)
        if kind not in _HESSIAN:
            name = kind[:40].decode(errors="replace")
            raise ProtocolError(f"{name} is not read here: use serialization=hessian2")
        left, values = most if len(message) > most else None, []
        for part in found:
            reader = hessian.Reader(part, 0, left)
            values.append(reader.next())
            left = reader.left
        return values
    except (RecursionError, OverflowError) as error:
        raise ProtocolError(f"values nested too deep, or too large: {error}") from None


def value(message: bytes) -> Any:
    """What a TripleResponseWrapper has.

    :raises BadAnswer: it is in another serialization
    :raises ProtocolError, RecursionError, OverflowError: it cannot be read
    """
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


def answer(found: Any) -> bytes:
    """TripleResponseWrapper.

    :raises TypeError: a value that Hessian2 does not have
    """
    try:
        data = hessian.encode(found)
    except OverflowError as error:
        raise TypeError(str(error)) from None
    except RecursionError:
        raise TypeError("the result is nested too deep, or holds itself") from None
    name = _class_name(hessian.descriptor(found))
    return _KIND + protobuf.field(2, data) + protobuf.field(3, name.encode())


def thrown(text: str) -> bytes:
    """The same of a ``java.lang.RuntimeException`` with these words."""
    return _KIND + protobuf.field(2, _THROWN + hessian.encode(text)) + _EXCEPTION
