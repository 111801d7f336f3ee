"""Paths and rules of access, as ZooKeeper wants them."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from collections.abc import Iterable, Iterator

from meshfast.endpoint.jute import ANYONE, Acl

__all__ = ["above", "allowed", "digest", "parent", "proper"]

_IMPROPER = re.compile("[\0-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\U0010ffff]|//|/\\.{1,2}(?:/|$)|.[/]$", re.S)


def proper(path: str) -> bool:
    """Whether a node may be called so. Nothing beyond the basic plane: Java has two characters there."""
    return path[:1] == "/" and not _IMPROPER.search(path)


def parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def above(path: str) -> Iterator[str]:
    """The folders of a path from the top, without the root."""
    at = path.find("/", 1)
    while at > 0:
        yield path[:at]
        at = path.find("/", at + 1)


def digest(auth: bytes) -> str:
    """Who is meant by ``user:password``."""
    text = auth.decode(errors="replace")
    return f"{text.partition(':')[0]}:{base64.b64encode(hashlib.sha1(text.encode()).digest()).decode()}"


def allowed(acl: Iterable[Acl], who: Iterable[tuple[str, str]]) -> tuple[Acl, ...] | None:
    """The rules as they are kept, "auth" being who set them; None where they are none or cannot be. Nobody is held to
    them: all who reach the endpoint are one application."""
    kept: list[Acl] = []
    for rule in dict.fromkeys(acl):
        if rule.scheme == "auth":
            mine = [Acl(rule.permissions, scheme, id) for scheme, id in who if scheme != "ip"]
            if not mine:
                return None
            kept += mine
        elif _known(rule):
            kept.append(rule)
        else:
            return None
    if not kept:
        return None
    return ANYONE if tuple(kept) == ANYONE else tuple(kept)


def _known(rule: Acl) -> bool:
    match rule.scheme:
        case "world":
            return rule.id == "anyone"
        case "digest":
            return len(rule.id.rstrip(":").split(":")) == 2
        case "ip":
            address, _, bits = rule.id.partition("/")
            try:
                most = ipaddress.ip_address(address).max_prefixlen
                return not bits or 0 <= int(bits) <= most
            except ValueError:
                return False
    return False
