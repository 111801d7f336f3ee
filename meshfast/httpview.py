"""An HTTP/2 request as policy sees it: the core's own view of one, for questions that are asked in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from meshfast import _core
from meshfast.model import Http

__all__ = ["View", "param", "path", "view"]

Pairs = Iterable[tuple[str, str]]

GRPC = ("content-type", "application/grpc")


@dataclass(frozen=True, slots=True)
class View:
    """``service``, ``method``: what it means, and ``alias``: how its service may be listed instead. ``http``: with its
    authority as it is compared. ``headers``: as the table is asked with them, ``shown``: as conditions see them,
    ``labels``: as labels are found in them, of which the last of a name counts. ``refused``: why no rule is asked at
    all; empty otherwise."""

    service: str
    method: str
    alias: str
    http: Http
    headers: list[tuple[str, str]]
    shown: dict[str, str]
    labels: list[tuple[str, str]]
    refused: str


def view(http: Http, pairs: Pairs) -> View:
    """A POST that says nothing of its content is taken for one of gRPC where its path can be."""
    given = [(name.lower(), value) for name, value in pairs]
    before, _, last = path(http).rpartition("/")
    rpc = bool(last and before.rpartition("/")[2])
    plain = not rpc or http.method != "POST" or any(name == GRPC[0] for name, _ in given)
    fields = given if plain else [*given, GRPC]
    asked = (http.method or None, http.scheme or None, http.authority or None, http.path)
    refused, service, method, alias, authority, headers, lists, labels = _core.h2_view(asked, fields)
    if not plain:
        headers = [pair for pair in headers if pair != GRPC]
    compared = replace(http, authority=authority)
    return View(service, method, alias, compared, headers, dict(headers + lists), labels, refused or "")


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
