"""An HTTP/2 request as policy sees it: the service it means, and its headers."""

from __future__ import annotations

from collections.abc import Iterable

from meshfast.model import Http

__all__ = ["headers", "joined", "names", "param", "path"]

Pairs = Iterable[tuple[str, str]]

_STANDS_FOR = {"tri-service-group": "group", "tri-service-version": "version"}  # what Triple calls Dubbo's own


def names(http: Http) -> tuple[str, str, str]:
    """The service and the method that the path names, ``/service/method`` behind any context, and the host, which is
    the service where the path's is not listed. Empty where there is none."""
    before, slash, method = path(http).rpartition("/")
    service = before.rpartition("/")[2] if slash else ""
    host = http.authority
    if not host.endswith("]"):  # an IPv6 address without a port
        head, colon, port = host.rpartition(":")
        host = head if colon and port.isdigit() else host
    return (service, method, host) if service else (host, "", "")


def path(http: Http) -> str:
    """Without the query."""
    return http.path.partition("?")[0]


def param(http: Http, name: str) -> str | None:
    """The first of that name in the query, as it is sent; None where there is none."""
    for one in http.path.partition("?")[2].split("&") if "?" in http.path else ():
        key, _, value = one.partition("=")
        if key == name and one:
            return value
    return None


def headers(pairs: Pairs) -> list[tuple[str, str]]:
    """The headers by their names on the wire; behind them ``group`` and ``version``, where Triple's stand for them."""
    out = [(name.lower(), value) for name, value in pairs]
    return out + [(_STANDS_FOR[name], value) for name, value in out if name in _STANDS_FOR]


def joined(pairs: Pairs) -> dict[str, str]:
    """What conditions compare: a header that comes several times is one list, a cookie's pieces are one; of ``group``
    and ``version`` the last counts."""
    out: dict[str, str] = {}
    for name, value in pairs:
        if name in out and name not in _STANDS_FOR.values():
            value = out[name] + ("; " if name == "cookie" else ",") + value
        out[name] = value
    return out
