"""Paths and authorities that requests are given: nothing in them may begin another line, or be read in two ways."""

from __future__ import annotations

import re

from meshfast.config.document import Refused
from meshfast.config.field import Parsed

MAX_PATH = 4096

_TRICK = re.compile(r"%2f|%5c|%00|/(\.|%2e){1,2}(?=[/;]|$)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(:\d{1,5})?")


def path(text: str) -> str:
    """What takes the place of a path, or of its beginning."""
    if "?" in text:
        raise Refused(f'"{text}": the query stays as it is', "write the path alone")
    return path_and_query(text)


def path_and_query(text: str) -> str:
    if not text.startswith("/"):
        raise Refused(f'"{text}" is not a path', "it begins with /")
    return part(text)


def part(text: str) -> str:
    """Any part of a path."""
    bad = next((c for c in text if not "!" <= c <= "~" or c in "#\\"), "")
    if bad:
        raise Refused(f"a path cannot have {_shown(bad)}", f"write %{ord(bad):02X}" if bad in " #" else "")
    if _TRICK.search(text.partition("?")[0]):
        raise Refused(f'"{text}" is a path that could be read in two ways', "requests for such are refused")
    if len(text) > MAX_PATH:
        raise Refused(f"longer than {MAX_PATH} bytes")
    return text


def authority(text: str) -> str:
    if not _AUTHORITY.fullmatch(text):
        raise Refused(f'"{text}" is not an authority', "write host or host:port")
    return text


def _shown(c: str) -> str:
    return {" ": "a space", "\r": "a line's end", "\n": "a line's end", "\0": "a zero byte"}.get(
        c, f'"{c}"' if c.isprintable() else "a control character"
    )


PATH = Parsed("a path", path, "/")
AUTHORITY = Parsed("an authority", authority, "")
