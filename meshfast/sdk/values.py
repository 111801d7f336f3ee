"""Python values as Java ones: the types of arguments, and classes of the application's own.

A dataclass with ``@java("com.x.Order")`` goes as an object of that class, its fields by their names, and comes back as
that dataclass; what is not such a class comes as ``meshfast.hessian`` has it. Nothing but a dataclass that the
application has named so is ever made of what a peer sends.
"""

from __future__ import annotations

import dataclasses
import reprlib
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar, get_args, get_type_hints

from meshfast import hessian

__all__ = ["Writer", "descriptor", "descriptor_of", "java", "java_name", "made", "moment", "words", "write"]

_T = TypeVar("_T")
_PRIMITIVES = {
    "boolean": "Z", "byte": "B", "char": "C", "double": "D", "float": "F", "int": "I", "long": "J", "short": "S",
    "void": "V",
}  # fmt: skip
#: Those whose numbers are written as an int of Java.
_INTS = frozenset({"I", "S", "B", "Ljava/lang/Integer;", "Ljava/lang/Short;", "Ljava/lang/Byte;"})
#: Characters of what others say went wrong.
WORDS = 4096
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_classes: dict[str, type] = {}
_named: dict[type, str] = {}
_fields: dict[type, tuple[str, ...]] = {}


def java(name: str) -> Callable[[type[_T]], type[_T]]:
    """Says which class of Java a dataclass is. TypeError for no dataclass, ValueError for a name that another has."""

    def named(cls: type[_T]) -> type[_T]:
        if not dataclasses.is_dataclass(cls):
            raise TypeError(f"{cls.__qualname__}: put @java above @dataclass, it needs one")
        before = _classes.get(name)
        if before is not None and (before.__module__, before.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"{name} is {before.__qualname__} already: one dataclass for one class of Java")
        _classes[name], _named[cls] = cls, name
        _fields[cls] = tuple(field.name for field in dataclasses.fields(cls))
        return cls

    return named


def java_name(cls: type) -> str | None:
    """What ``java`` has named it; None for any other."""
    return _named.get(cls)


@lru_cache(maxsize=4096)
def descriptor(name: str) -> str:
    """The JVM descriptor of a type as Java writes it: "int" is I, "java.lang.String[]" is [Ljava/lang/String;.

    ValueError for what is no name.
    """
    base, arrays = name, 0
    while base.endswith("[]"):
        base, arrays = base[:-2], arrays + 1
    if not base or not all(part.isidentifier() for part in base.replace("$", "_").split(".")):
        raise ValueError(f"{name!r} is no type of Java: write it in full, as java.lang.String or int[]")
    return "[" * arrays + (_PRIMITIVES.get(base) or f"L{base.replace('.', '/')};")


def descriptor_of(value: Any) -> str:
    """That of a value: hessian's table, a dataclass's own class, java.util.Date for a datetime."""
    name = _named.get(type(value))
    if name is not None:
        return descriptor(name)
    if isinstance(value, datetime):
        return "Ljava/util/Date;"
    return hessian.descriptor(value)


@lru_cache(maxsize=4096)
def _fits(cls: type) -> dict[str, Callable[[int], Any]]:
    """Fields whose annotation wants more than the number that comes: a float, or a moment in time."""
    try:
        hints = get_type_hints(cls)
    except NameError:  # of a name that is known inside of a function only
        return {}
    wanted: dict[Any, Callable[[int], Any]] = {datetime: moment, float: float}
    kinds = {name: [one for one in get_args(hint) or (hint,) if one is not type(None)] for name, hint in hints.items()}
    return {name: wanted[kind[0]] for name, kind in kinds.items() if len(kind) == 1 and kind[0] in wanted}


def moment(milliseconds: int) -> datetime:
    """A java.util.Date."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


_short = reprlib.Repr()
_short.maxlevel, _short.maxstring, _short.maxother = 3, 256, 256


def words(value: Any) -> str:
    """A text that came; of another value how it begins, as one of a hundred bytes may be in itself so often that no
    memory holds all of its words."""
    return value if isinstance(value, str) else _short.repr(value)[:WORDS]


class Writer:
    """The values of one body, which share their classes."""

    __slots__ = ("_classes", "out")

    def __init__(self) -> None:
        self.out = bytearray()
        self._classes: dict[type, int] = {}

    def argument(self, value: Any, kind: str) -> None:
        """That of a call, whose descriptor is ``kind``; as ``value``."""
        if type(value) is int and kind in _INTS:
            self.out += integer(value)
        else:
            self.value(value)

    def value(self, value: Any) -> None:
        """TypeError for what Hessian2 cannot carry, OverflowError for an int beyond a long."""
        kind = type(value)
        if kind is str or kind is int or kind is bool or value is None or kind is float or kind is bytes:
            self.out += hessian.encode(value)
        elif kind in _named:
            self._object(kind, value)
        elif isinstance(value, Mapping):
            self.out += b"H"
            for key, one in value.items():
                self.value(key)
                self.value(one)
            self.out += b"Z"
        elif isinstance(value, list | tuple):
            self.out += b"\x58" + integer(len(value))
            for one in value:
                self.value(one)
        elif isinstance(value, datetime):
            at = value if value.tzinfo else value.astimezone()
            self.out += b"J" + struct.pack(">q", (at - _EPOCH) // timedelta(milliseconds=1))
        elif dataclasses.is_dataclass(kind):
            raise TypeError(f"{kind.__qualname__} has no class of Java: put @java('com.x.{kind.__name__}') above it")
        else:
            self.out += hessian.encode(value)

    def _object(self, kind: type, value: Any) -> None:
        number = self._classes.get(kind)
        names = _fields[kind]
        if number is None:
            number = self._classes[kind] = len(self._classes)
            self.out += b"C" + hessian.encode(_named[kind]) + integer(len(names))
            for name in names:
                self.out += hessian.encode(name)
        self.out += bytes([0x60 + number]) if number < 16 else b"O" + integer(number)
        for name in names:
            self.value(getattr(value, name))


def integer(value: int) -> bytes:
    """An int of Java. OverflowError for one that does not fit."""
    if -16 <= value <= 47:
        return bytes([0x90 + value])
    try:
        return b"I" + struct.pack(">i", value)
    except struct.error:
        raise OverflowError(f"{value} does not fit an int") from None


def write(args: Sequence[Any], types: Sequence[str]) -> bytes | bytearray:
    """The arguments of a call, whose descriptors are ``types``."""
    writer = Writer()
    for value, kind in zip(args, types, strict=True):
        writer.argument(value, kind)
    return writer.out


def made(value: Any, seen: dict[int, Any] | None = None) -> Any:
    """What was read, with the application's dataclasses in place of dicts of their class.

    A field that the dataclass has not is left out; one that did not come has its default, else None.
    """
    if not isinstance(value, dict | list):
        return value
    seen = {} if seen is None else seen
    if id(value) in seen:
        return seen[id(value)]
    if isinstance(value, list):
        items: list[Any] = []
        seen[id(value)] = items
        items.extend(made(one, seen) for one in value)
        return items
    cls = _classes.get(name) if isinstance(name := value.get("class"), str) else None
    if cls is None:
        entries: dict[Any, Any] = {}
        seen[id(value)] = entries
        entries.update((key, made(one, seen)) for key, one in value.items())
        return entries
    instance: Any = object.__new__(cls)
    seen[id(value)] = instance
    fits = _fits(cls)
    for field in dataclasses.fields(cls):
        if field.name in value:
            filled = made(value[field.name], seen)
            if isinstance(filled, int) and not isinstance(filled, bool) and (fit := fits.get(field.name)) is not None:
                filled = fit(filled)
        elif field.default is not dataclasses.MISSING:
            filled = field.default
        elif field.default_factory is not dataclasses.MISSING:
            filled = field.default_factory()
        else:
            filled = None
        object.__setattr__(instance, field.name, filled)
    return instance
