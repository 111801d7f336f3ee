"""Where admin pages are, as people write it."""

from __future__ import annotations

__all__ = ["pages"]


def pages(address: str) -> str:
    """``host:port``, ``tcp://host:port`` and ``http://host:port/`` -> ``host:port``; ``unix://...`` stays.

    :raises ValueError: it is no such address
    """
    scheme, slashes, rest = address.rpartition("://")
    host, _, port = rest.removesuffix("/").rpartition(":")
    if scheme == "unix" and rest[:1] in ("/", "@") and len(rest) > 1:
        return address
    good = scheme in (("tcp", "http") if slashes else ("",)) and host and not any(c in host for c in "/ @")
    if not good or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        hint = "write tcp://host:port, http://host:port or unix:///path"
        raise ValueError(f"{address!r} is not where admin pages are: {hint}")
    return f"{host}:{port}"
