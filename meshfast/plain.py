"""The frozen picture as plain data, as JSON can have it, and back; by what its classes say of their fields.

What is as it is by default is left out, and so is where something was written (``origin``): that is for whoever wrote
it. A class that can be read by msgspec alone is, which is what most of a large mesh is made of.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import IntEnum, IntFlag
from functools import cache
from types import NoneType, UnionType
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from meshfast.model import Match
from meshfast.policies import Limit

__all__ = ["LEFT_OUT", "picture", "plain", "prepare"]

#: Fields that are of use only to whoever shows where a rule came from, or listed an instance.
LEFT_OUT = frozenset(("origin", "offer"))
#: What fields hold whose classes cannot say it, as it is made above them.
_HOLDS: dict[tuple[type, str], Any] = {(Limit, "matches"): tuple[Match, ...]}
_NATIVE = (str, int, float, bool, bytes, NoneType)

T = TypeVar("T")


def prepare(*kinds: type) -> None:
    """Looks at classes now, which else takes the first that is read some ms."""
    for kind in kinds:
        _form(kind)


class _Form(NamedTuple):
    """Of a type: how its values become plain, and are made of that again. ``native``: msgspec makes them itself."""

    plain: Callable[[Any], Any]
    picture: Callable[[Any], Any]
    native: bool


def plain(value: object) -> Any:
    """A record of the picture as texts, numbers, lists and mappings by text."""
    kind: Any = type(value)
    return _form(kind).plain(value)


def picture(hint: type[T], data: Any) -> T:
    """What ``plain`` was given.

    :raises ValueError: it is not of that type; msgspec's own error is one, too
    """
    kind: Any = hint
    found: T = _form(kind).picture(data)
    return found


@cache
def _form(hint: Any) -> _Form:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is bytes:
        return _native(hint, lambda value: base64.b64encode(value).decode())
    if hint in _NATIVE:
        return _native(hint, _same)
    if origin in (Union, UnionType):
        return _union(hint, arguments)
    if origin is tuple:
        return _tuple(hint, arguments)
    if origin is frozenset:
        inner = _form(arguments[0])
        assert inner.native
        return _native(hint, lambda value: sorted(map(inner.plain, value)))
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(hint, *arguments)
    if is_dataclass(hint):
        return _record(hint)  # type: ignore[arg-type]
    if issubclass(hint, IntEnum | IntFlag):
        return _native(hint, int)
    assert issubclass(hint, tuple) and hasattr(hint, "_fields"), f"{hint} has no plain form"
    return _native(hint, list)


def _same(value: Any) -> Any:
    return value


def _native(hint: Any, to: Callable[[Any], Any]) -> _Form:
    return _Form(to, lambda data: msgspec.convert(data, hint), True)


def _union(hint: Any, arguments: tuple[Any, ...]) -> _Form:
    """Something or None; or text or bytes, which are told apart by a list around them."""
    if NoneType in arguments:
        (inner,) = (_form(one) for one in arguments if one is not NoneType)
        to = lambda value: None if value is None else inner.plain(value)  # noqa: E731
        if inner.native:
            return _native(hint, to)
        return _Form(to, lambda data: None if data is None else inner.picture(data), False)
    assert set(arguments) == {str, bytes}, f"{hint} has no plain form"
    return _Form(lambda value: value if isinstance(value, str) else [_form(bytes).plain(value)], _text_or_bytes, False)


def _text_or_bytes(data: Any) -> str | bytes:
    if isinstance(data, str):
        return data
    try:
        (text,) = msgspec.convert(data, list[str])
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise ValueError("neither a text nor a list of one in base64") from None


def _tuple(hint: Any, arguments: tuple[Any, ...]) -> _Form:
    if arguments[-1] is not Ellipsis:
        forms = [_form(one) for one in arguments]
        assert all(one.native for one in forms)
        return _native(hint, lambda value: [one.plain(each) for one, each in zip(forms, value, strict=True)])
    inner = _form(arguments[0])
    to = lambda value: [inner.plain(one) for one in value]  # noqa: E731
    if inner.native:
        return _native(hint, to)
    return _Form(to, lambda data: tuple(inner.picture(one) for one in _list(data)), False)


def _mapping(hint: Any, key: Any, value: Any) -> _Form:
    """By text a mapping; by anything else a list of pairs."""
    keys, values = _form(key), _form(value)
    if key is not str:
        return _Form(
            lambda given: [[keys.plain(k), values.plain(v)] for k, v in given.items()],
            lambda data: {keys.picture(k): values.picture(v) for k, v in map(_list, _list(data))}, False,
        )  # fmt: skip
    if value is str:
        return _native(hint, dict)
    to = lambda given: {k: values.plain(v) for k, v in given.items()}  # noqa: E731
    if values.native:
        return _native(hint, to)
    return _Form(to, lambda data: {k: values.picture(v) for k, v in _by_text(data).items()}, False)


def _record(kind: type) -> _Form:
    hints = get_type_hints(kind)
    forms: dict[str, _Form] = {}
    defaults: dict[str, Any] = {}
    needed: set[str] = set()
    for one in fields(kind):
        if one.name in LEFT_OUT:
            continue
        forms[one.name] = _form(_HOLDS.get((kind, one.name), hints[one.name]))
        if one.default is not MISSING:
            defaults[one.name] = one.default
        elif one.default_factory is not MISSING:
            defaults[one.name] = one.default_factory()
        else:
            needed.add(one.name)
    steps = [(name, form.plain, defaults.get(name, MISSING)) for name, form in forms.items()]

    def to(value: Any) -> dict[str, Any]:
        out = {}
        for name, made, default in steps:
            found = getattr(value, name)
            if found is not default and found != default:
                out[name] = made(found)
        return out

    def back(data: Any) -> Any:
        given = _by_text(data)
        if not needed <= given.keys() <= forms.keys():
            wrong = sorted(needed - given.keys()) or sorted(given.keys() - forms.keys())
            raise ValueError(f"{kind.__name__} with or without {', '.join(wrong)[:100]}")
        return kind(**{name: forms[name].picture(found) for name, found in given.items()})

    if all(form.native for form in forms.values()):
        return _native(kind, to)
    return _Form(to, back, False)


def _list(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise ValueError(f"a list is wanted, not {type(data).__name__}")
    return data


def _by_text(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError(f"a mapping is wanted, not {type(data).__name__}")
    return data
