"""Attachments as fields of HTTP/2, and fields as attachments, as Triple and gRPC have them.

Source: Apache Dubbo 3.3, StreamUtils, TripleHeaderEnum; gRPC over HTTP/2.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from meshfast import hessian

__all__ = ["Fields", "read", "written"]

Fields = list[tuple[bytes, bytes]]

_BINARY = "-bin"
_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
#: Fields that are HTTP's, gRPC's or Triple's own: no attachments.
_OWN = frozenset({
    "_to", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "date", "expect",
    "host", "keep-alive", "proxy-connection", "server", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
})  # fmt: skip
_OWN_BEGIN = (":", "grpc-", "tri-", "rest-service-")


def written(
    attachments: Mapping[str, hessian.Value], own: Mapping[str, hessian.Value], is_triple: bool
) -> Fields:  # fmt: skip
    """Attachments as fields, their names in lower case; ``tri-header-convert`` says how they are written."""
    found: Fields = []
    names: dict[str, str] = {}
    for key, value in attachments.items():
        try:
            if not isinstance(key, str):
                raise ValueError("a name is text")
            name = key.lower()
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
            names[name.removesuffix(_BINARY)] = key.removesuffix(_BINARY)
    if names and is_triple:
        found.append((b"tri-header-convert", quote(json.dumps(names, separators=(",", ":"))).encode()))
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


def read(fields: Fields) -> dict[str, Any]:
    """The attachments among fields; those of ``-bin`` are bytes, their names without it."""
    found: dict[str, Any] = {}
    names: dict[str, str] = {}
    for name, value in fields:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        if key == "tri-header-convert":
            names |= _names(text)
        elif key in _OWN or key.startswith(_OWN_BEGIN):
            continue
        elif key.endswith(_BINARY):
            try:
                found[key.removesuffix(_BINARY)] = base64.b64decode(text + "=" * (-len(text) % 4))
            except (binascii.Error, ValueError):
                found[key] = text
        else:
            found[key] = text
    return {names.get(key, key): value for key, value in found.items()}


def _names(text: str) -> dict[str, str]:
    try:
        found = json.loads(unquote(text))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str) and value.lower() == key}
