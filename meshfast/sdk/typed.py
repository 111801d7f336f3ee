"""Stubs of services whose methods and types are written down as a ``Protocol`` or another class.

    class Cart(Protocol):
        async def add(self, item: str, count: Int) -> int: ...

    cart = mesh.stub(Cart, "com.x.Cart")
    total = await cart.add("book", 2)

| annotation | Java |
|---|---|
| str, bytes, bool | java.lang.String, byte[], boolean |
| int, float | long, double |
| Int, Short, Byte, Float, ``Annotated[..., Java("...")]`` | int, short, byte, float, what it says |
| the same ``| None`` | java.lang.Long and so on |
| list, dict, of anything | java.util.List, java.util.Map |
| datetime | java.util.Date |
| a dataclass with ``@java`` | its class |
| Any, object | java.lang.Object |
| a message of protobuf, alone | by Triple: a message, and so is what comes back |
| AsyncIterator of any of these, as the one argument | by Triple: a stream of requests |

A method that gives an AsyncIterator streams its answers, and is written as a plain ``def``; what it gives is a
``meshfast.sdk.streaming.Stream``. Where calls wait, Iterator is the word for both.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from meshfast.sdk.errors import BadAnswer
from meshfast.sdk.protocols import DUBBO, GRPC, is_message
from meshfast.sdk.shapes import item_of
from meshfast.sdk.values import descriptor, java_name, moment

__all__ = ["Byte", "Float", "Int", "Java", "Short", "bound", "idempotent", "named"]

_S = TypeVar("_S")
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclasses.dataclass(frozen=True, slots=True)
class Java:
    """What a type is in Java: ``Annotated[str, Java("java.lang.CharSequence")]``."""

    name: str


Int = Annotated[int, Java("int")]
Short = Annotated[int, Java("short")]
Byte = Annotated[int, Java("byte")]
Float = Annotated[float, Java("float")]

_PLAIN = {
    str: "java.lang.String", bool: "boolean", int: "long", float: "double", bytes: "byte[]", datetime: "java.util.Date",
    Any: "java.lang.Object", object: "java.lang.Object", list: "java.util.List", dict: "java.util.Map",
    Sequence: "java.util.List", Mapping: "java.util.Map",
}  # fmt: skip
_BOXED = {"boolean": "Boolean", "byte": "Byte", "short": "Short", "int": "Integer", "long": "Long", "float": "Float"}
_BOXED = {name: f"java.lang.{box}" for name, box in (_BOXED | {"double": "Double"}).items()}


def named(name: str) -> Callable[[_F], _F]:
    """The method's name in Java, where it is another: ``@named("addAll")``."""

    def mark(function: _F) -> _F:
        function.__dict__["meshfast_name"] = name
        return function

    return mark


def idempotent(function: _F) -> _F:
    """The method may be executed twice: see ``Service.call``."""
    function.__dict__["meshfast_idempotent"] = True
    return function


def java_type(hint: Any) -> str:
    """The type in Java for an annotation. TypeError for one that has none."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        said = [one.name for one in args[1:] if isinstance(one, Java)]
        return said[-1] if said else java_type(args[0])
    if origin in (Union, types.UnionType):
        rest = [one for one in args if one is not type(None)]
        if len(rest) != 1:
            raise TypeError(f"{hint} is more than one type: say one, or Any")
        name = java_type(rest[0])
        return _BOXED.get(name, name)
    plain = _PLAIN.get(origin or hint)
    if plain is not None:
        return plain
    if isinstance(hint, type) and (name := java_name(hint) or ""):
        return name
    hint_text = getattr(hint, "__qualname__", hint)
    raise TypeError(f"{hint_text} has no type in Java: use one that meshfast.sdk.typed lists, or @java on a dataclass")


def fitted(value: Any, hint: Any, where: str, seen: dict[tuple[int, int], Any] | None = None) -> Any:
    """A value that came, as its annotation has it. BadAnswer where it is of another type. ``seen``: what was made of
    each value for each annotation, as one of few bytes may be in an answer in millions of places."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any or hint is object or hint is inspect.Parameter.empty:
        return value
    if origin is Annotated:
        return fitted(value, args[0], where, seen)
    if origin in (Union, types.UnionType):
        rest = [one for one in args if one is not type(None)]
        return None if value is None and len(rest) < len(args) else fitted(value, rest[0], where, seen)
    kind: Any = origin or hint
    if kind is None or kind is type(None):
        return None
    if value is not None:
        if type(value) is bytes and is_message(kind):
            try:
                return kind.FromString(value)
            except Exception as error:  # whatever the library of the application raises
                raise BadAnswer(f"{where} gave no {kind.__name__}: {error}") from None
        if kind is float and type(value) is int:
            return float(value)
        if kind is datetime and type(value) is int and abs(value) < 1 << 45:  # of which calendars know
            return moment(value)
        is_list = kind in (list, Sequence) and isinstance(value, list)
        if is_list or (kind in (dict, Mapping) and isinstance(value, dict)):
            return _filled(value, hint, args, where, {} if seen is None else seen) if args else value
        if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
            return value
    raise BadAnswer(f"{where} gave {type(value).__name__}, which is no {getattr(kind, '__name__', kind)}")


def _filled(value: Any, hint: Any, args: tuple[Any, ...], where: str, seen: dict[tuple[int, int], Any]) -> Any:
    """A list or a dict with what is in it fitted."""
    found = seen.get((id(value), id(hint)))
    if found is None:
        if isinstance(value, list):
            found = [fitted(one, args[0], where, seen) for one in value]
        else:
            key, kind = args
            found = {fitted(k, key, where, seen): fitted(one, kind, where, seen) for k, one in value.items()}
        seen[id(value), id(hint)] = found
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class _Method:
    name: str
    signature: inspect.Signature
    count: int
    types: tuple[str, ...] | None
    gives: Any
    idempotent: bool
    streams: bool  # its answers; ``gives`` is of one
    takes: bool  # a stream of requests; ``types`` are of one


def _method(kind: type, name: str, function: Callable[..., Any], is_async: bool, protocol: str) -> _Method:
    where = f"{kind.__qualname__}.{name}"
    hints = get_type_hints(function, include_extras=True)
    gives = hints.get("return", inspect.Parameter.empty)
    given = item_of(gives)
    if inspect.iscoroutinefunction(function) is not (is_async and given is None):
        word = "`async def`" if is_async and given is None else "plain `def`"
        raise TypeError(f"{where}: write it as {word}: {'it streams' if given is not None else 'this face waits'}")
    signature = inspect.signature(function)
    signature = signature.replace(parameters=list(signature.parameters.values())[1:])  # without self
    for one in signature.parameters.values():
        if one.kind not in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD):
            raise TypeError(f"{where}: {one} cannot go to Java, whose arguments have places only")
        if one.name not in hints:
            raise TypeError(f"{where}: say the type of {one.name}")
    kinds = [hints[one] for one in signature.parameters]
    items = [item_of(one) for one in kinds]
    takes = any(one is not None for one in items)
    if takes and len(items) != 1:
        raise TypeError(f"{where}: a stream of requests is the one argument of its method")
    if (takes or given is not None) and protocol == DUBBO:
        raise TypeError(f'{where}: Dubbo2 has no streams: say protocol="tri"')
    kinds = items if takes else kinds
    names: tuple[str, ...] | None = None
    if not _is_message(kinds, protocol, where):
        names = tuple(java_type(one) for one in kinds)
        for java in names:
            descriptor(java)  # a name that is none is told now
    said = function.__dict__
    name, count = said.get("meshfast_name", name), len(signature.parameters)
    gives = gives if given is None else given
    return _Method(name, signature, count, names, gives, "meshfast_idempotent" in said, given is not None, takes)


def _is_message(kinds: Sequence[Any], protocol: str, where: str) -> bool:
    """Whether its one argument goes as it is, in no wrapper. TypeError for a method that cannot be called so."""
    found = [one for one in kinds if is_message(one) or (protocol == GRPC and one is bytes)]
    if not found and protocol != GRPC:
        return False
    if len(kinds) != 1 or not found:
        raise TypeError(f"{where}: gRPC and messages of protobuf have one argument, a message; of gRPC, or bytes")
    if protocol == DUBBO:
        raise TypeError(f'{where}: messages of protobuf go by Triple: say protocol="tri"')
    return True


def bound(
    kind: type[_S], name: str, service: Callable[[str], Any], is_async: bool, protocol: str = DUBBO
) -> _S:  # fmt: skip
    """An object whose methods call the service ``name``, else one that is named as the class is.

    TypeError, ValueError: a method that cannot be called in Java as it is written.
    """
    functions = {
        key: one
        for base in reversed(kind.__mro__)
        for key, one in vars(base).items()
        if inspect.isfunction(one) and not key.startswith("_") and base is not object
    }
    if not functions:
        raise TypeError(f"{kind.__qualname__} has no methods to call")
    target = service(name or kind.__name__)
    members: dict[str, Any] = {"__slots__": (), "__doc__": kind.__doc__}
    for key, function in functions.items():
        method = _method(kind, key, function, is_async, protocol)
        make = _streaming if method.streams or method.takes else _waiting if is_async else _blocking
        members[key] = make(target, method, f"{name or kind.__name__}.{key}")
    return cast(_S, type(f"{kind.__name__}Stub", (), members)())


def _waiting(service: Any, method: _Method, where: str) -> Callable[..., Any]:
    fit = partial(fitted, hint=method.gives, where=where)

    async def call(self: Any, /, *args: Any, **keywords: Any) -> Any:
        found = _placed(method, args, keywords)
        return await service.fitting(method.name, found, method.types, method.idempotent, fit)

    return call


def _blocking(service: Any, method: _Method, where: str) -> Callable[..., Any]:
    def call(self: Any, /, *args: Any, **keywords: Any) -> Any:
        found = _placed(method, args, keywords)
        value = service.call(method.name, *found, types=method.types, idempotent=method.idempotent)
        return fitted(value, method.gives, where)

    return call


def _streaming(service: Any, method: _Method, where: str) -> Callable[..., Any]:
    """A stream; where only requests are, its one answer, or what is to be awaited for it."""

    def call(self: Any, /, *args: Any, **keywords: Any) -> Any:
        found = _placed(method, args, keywords)
        requests, found = (found[0], ()) if method.takes else (None, found)
        fit = partial(fitted, hint=method.gives, where=where)
        stream = service.streaming(method.name, found, requests, False, method.types, None, None, fit)
        return stream if method.streams else stream.answer()

    return call


def _placed(method: _Method, args: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, ...]:
    if not keywords and len(args) == method.count:
        return args
    given = method.signature.bind(*args, **keywords)
    given.apply_defaults()
    return given.args
