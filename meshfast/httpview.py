"""An HTTP/2 request as policy sees it: the service it means, and its headers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from meshfast import _core
from meshfast.model import Http, Speaks

__all__ = ["View", "joined", "param", "path", "view"]

Pairs = Iterable[tuple[str, str]]

_FLAVOURS = (Speaks.HTTP, Speaks.GRPC, Speaks.TRIPLE)  # enum mf_h2_flavour
_GRPC = ("content-type", "application/grpc")
_LAST = ("group", "version")  # Dubbo's own, of which the last counts


class View(NamedTuple):
    """What the core makes of a request. ``other``: another name of the service; ``labels``, ``headers``: its fields as
    labels and as conditions find them; ``error``: why its path is refused, or ""."""

    speaks: Speaks
    service: str
    method: str
    other: str
    labels: list[tuple[str, str]]
    headers: list[tuple[str, str]]
    error: str


def view(http: Http, pairs: Pairs) -> View:
    """A request as calls on the wire are seen. One without a content type is taken for gRPC's, where its path names a
    service and a method."""
    fields = [(name.lower(), value) for name, value in pairs]
    _, service, method = ("//" + path(http)).rsplit("/", 2)
    if service and method and not any(name == "content-type" for name, _ in fields):
        found = _view(http, [*fields, _GRPC])
        labels, shown = ([one for one in pairs if one != _GRPC] for pairs in (found.labels, found.headers))
        return found._replace(labels=labels, headers=shown)
    return _view(http, fields)


def _view(http: Http, fields: list[tuple[str, str]]) -> View:
    sent = (http.method or None, http.scheme or None, http.authority or None, http.path or None)
    found = _core.h2_view(sent, fields)
    return View(_FLAVOURS[found[0]], *found[1:])


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


def joined(pairs: Pairs) -> dict[str, str]:
    """What conditions compare: a header that comes several times is one list, a cookie's pieces are one; of ``group``
    and ``version`` the last counts."""
    out: dict[str, str] = {}
    for name, value in pairs:
        if name in out and name not in _LAST:
            value = out[name] + ("; " if name == "cookie" else ",") + value
        out[name] = value
    return out
