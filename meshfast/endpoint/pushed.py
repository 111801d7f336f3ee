"""The properties of an application that asks its registry for its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

__all__ = ["PATH", "push", "text"]

#: Where Dubbo looks for them, whatever the registry's own root.
PATH = "/dubbo/config/dubbo/dubbo.properties"
_ESCAPED = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\f": "\\f", **{one: "\\" + one for one in "\\:=#!"}}


class Shows(Protocol):
    """A tree."""

    def show(self, path: str, data: bytes = b"") -> bool: ...


def push(tree: Shows, properties: Mapping[str, str]) -> None:
    """Shows them, before anybody has written there; nothing where there are none."""
    if properties:
        tree.show(PATH, text(properties).encode())


def text(properties: Mapping[str, str]) -> str:
    """As Java's Properties are written; ASCII alone."""
    return "".join(f"{_name(name)}={_value(value)}\n" for name, value in properties.items())


def _name(text: str) -> str:
    return _escaped(text).replace(" ", "\\ ")


def _value(text: str) -> str:
    found = _escaped(text)
    return "\\" + found if found.startswith(" ") else found


def _escaped(text: str) -> str:
    return "".join(_ESCAPED.get(one) or (one if " " <= one <= "~" else _units(one)) for one in text)


def _units(one: str) -> str:
    return "".join(f"\\u{unit:04x}" for unit in memoryview(one.encode("utf-16-le", "replace")).cast("H"))
