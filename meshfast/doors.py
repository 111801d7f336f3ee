"""How the registries that the sidecar is for its application are used, for metrics and pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from meshfast.endpoint.dubbo import Endpoint, Wanted
from meshfast.endpoint.http import Api
from meshfast.endpoint.nacos import Nacos
from meshfast.exposition import Family, Metric
from meshfast.pretty import Items, Rows

__all__ = ["METRICS", "families", "page"]


def _standbys(endpoint: Endpoint) -> int:
    return endpoint.standbys.count if endpoint.standbys is not None else 0


_NUMBERS: dict[Metric, Callable[[Endpoint], float]] = {
    Metric(f"meshfast_endpoint_{name}", kind, text): value
    for name, kind, text, value in (
        ("sessions", "gauge", "sessions of the application", lambda one: len(one.server.sessions)),
        ("connections", "gauge", "its connections", lambda one: len(one.server.connections)),
        ("nodes", "gauge", "nodes that it made", lambda one: one.server.used.now["nodes"]),
        ("watches", "gauge", "watches that it set", lambda one: one.server.used.now["watches"]),
        ("services", "gauge", "services that it has looked for", lambda one: len(one.services)),
        ("wanted", "gauge", "registrations of its own that are kept here", lambda one: len(one.wanted)),
        ("standbys", "gauge", "instances that are shown beside the sidecar", _standbys),
        ("waits_total", "counter", "first looks at a service that had to wait for registries", lambda one: one.waits),
        ("unanswered_total", "counter", "of those, in vain", lambda one: one.unanswered),
    )
}
_OPERATIONS = Metric("meshfast_endpoint_operations_total", "counter", "what it asked for", ("op",))
_UNKNOWN = Metric(
    "meshfast_endpoint_unknown_total", "counter", "what it asked for that is not done here, by operation", ("op",)
)  # fmt: skip
_REFUSED = Metric(
    "meshfast_endpoint_refused_total", "counter",
    "what was refused: by the name of the limit, or by what cannot be read of its registrations", ("reason",),
)  # fmt: skip

_SAID: dict[Metric, Callable[[Api], float]] = {
    Metric(f"meshfast_endpoint_http_{name}", "gauge", text): value
    for name, text, value in (
        ("connections", "connections of SDKs of meshfast", lambda one: one.used.connections),
        ("registrations", "what they offer", lambda one: len(one.wanted)),
        ("services", "services that they call", lambda one: len(one.consumed)),
        ("watchers", "who is told how the sidecar is", lambda one: one.watchers),
    )
}
_ASKED = Metric("meshfast_endpoint_http_operations_total", "counter", "what SDKs of meshfast asked for", ("op",))
_TURNED_AWAY = Metric(
    "meshfast_endpoint_http_refused_total", "counter",
    "what of it was refused: by the name of the limit, or why; `peer`: another user's process", ("reason",),
)  # fmt: skip

_OF_NACOS: dict[Metric, Callable[[Nacos], float]] = {
    Metric(f"meshfast_endpoint_nacos_{name}", kind, text): value
    for name, kind, text, value in (
        ("sessions", "gauge", "sessions of clients of Nacos", lambda one: one.sessions),
        ("connections", "gauge", "their connections", lambda one: len(one.server.shared.connections)),
        ("services", "gauge", "services that they look for", lambda one: len(one.naming.services)),
        ("subscriptions", "gauge", "of what they are told when it changes", lambda one: one.used.now["watches"]),
        ("configurations", "gauge", "configurations that they wrote", lambda one: one.used.now["nodes"]),
        ("wanted", "gauge", "registrations of theirs that are kept here", lambda one: len(one.wanted)),
        ("awaited", "gauge", "of those, whose connection has ended and who may come back", lambda one: one.awaited),
        ("waits_total", "counter", "first looks at a service that waited for registries", lambda one: one.naming.waits),
        ("unanswered_total", "counter", "of those, in vain", lambda one: one.naming.unanswered),
    )
}
_OF_NACOS_ASKED = Metric("meshfast_endpoint_nacos_operations_total", "counter", "what they asked for", ("op",))
_OF_NACOS_UNKNOWN = Metric(
    "meshfast_endpoint_nacos_unknown_total", "counter", "what they asked for that is not done here", ("op",)
)  # fmt: skip
_OF_NACOS_REFUSED = Metric(
    "meshfast_endpoint_nacos_refused_total", "counter",
    "what was refused: by the name of the limit, or by what cannot be read of their registrations", ("reason",),
)  # fmt: skip

METRICS = (
    *_NUMBERS, _OPERATIONS, _UNKNOWN, _REFUSED, *_OF_NACOS, _OF_NACOS_ASKED, _OF_NACOS_UNKNOWN, _OF_NACOS_REFUSED,
    *_SAID, _ASKED, _TURNED_AWAY,
)  # fmt: skip


def families(endpoint: Endpoint | None, api: Api | None, nacos: Nacos | None = None) -> Iterator[Family]:
    """Of those that there are."""
    yield from _by_zookeeper(endpoint)
    yield from _by_nacos(nacos)
    if api is None:
        return
    for metric, value in _SAID.items():
        yield metric, [[metric.line((), value(api))]]
    for metric, counted in ((_ASKED, api.operations), (_TURNED_AWAY, api.refused)):
        yield metric, [[metric.line((name,), count) for name, count in sorted(counted.items())]]


def _by_zookeeper(endpoint: Endpoint | None) -> Iterator[Family]:
    if endpoint is None:
        return
    for metric, value in _NUMBERS.items():
        yield metric, [[metric.line((), value(endpoint))]]
    server = endpoint.server
    for metric, counted in (
        (_OPERATIONS, server.operations),
        (_UNKNOWN, server.unknown),
        (_REFUSED, server.used.refused + endpoint.refused),
    ):
        yield metric, [[metric.line((name,), count) for name, count in sorted(counted.items())]]


def _by_nacos(nacos: Nacos | None) -> Iterator[Family]:
    if nacos is None:
        return
    for metric, value in _OF_NACOS.items():
        yield metric, [[metric.line((), value(nacos))]]
    for metric, counted in (
        (_OF_NACOS_ASKED, nacos.operations),
        (_OF_NACOS_UNKNOWN, nacos.answers.unknown),
        (_OF_NACOS_REFUSED, nacos.turned_away),
    ):
        yield metric, [[metric.line((name,), count) for name, count in sorted(counted.items())]]


def page(endpoint: Endpoint | None, api: Api | None, nacos: Nacos | None = None) -> Items:
    """All of it as plain data."""
    more: list[tuple[str, object]] = [] if api is None else [("http", _said(api))]
    if nacos is not None:
        more.append(("nacos", _of_nacos(nacos)))
    if endpoint is None:
        return Items(more or [("endpoint", None)])
    return Items(
        [
            *more,
            ("sessions", len(endpoint.server.sessions)),
            ("services", Rows(iter(endpoint.services))),
            ("unshown", dict(endpoint.unshown)),
            ("standbys", endpoint.standbys.shown if endpoint.standbys is not None else {}),
            ("without_standbys", dict(endpoint.standbys.unfit) if endpoint.standbys is not None else {}),
            ("wanted", Rows(_wanted(path, one) for path, one in sorted(endpoint.wanted.items()))),
            ("consumers", Rows(_consumer(path, endpoint) for path in sorted(endpoint.consumers))),
        ]
    )


def _said(api: Api) -> dict[str, object]:
    return {
        "connections": api.used.connections,
        "watchers": api.watchers,
        "services": sorted(api.consumed),
        "wanted": [_wanted(path, one) for path, one in sorted(api.wanted.items())],
    }


def _of_nacos(nacos: Nacos) -> dict[str, object]:
    return {
        "sessions": nacos.sessions,
        "services": nacos.naming.services,
        "unshown": dict(nacos.naming.unshown),
        "wanted": [_wanted(path, one) for path, one in sorted(nacos.wanted.items())],
    }


def _wanted(path: str, one: Wanted) -> dict[str, object]:
    found = one.provider
    if found is None:
        return {"path": path, "level": "instance"}
    return {
        "level": "interface",
        "service": found.service,
        "group": found.group,
        "version": found.version,
        "protocol": found.instance.protocol,
        "address": found.instance.address,
    }


def _consumer(path: str, endpoint: Endpoint) -> dict[str, object]:
    url = endpoint.consumers[path]
    return {
        "service": url.parameters.get("interface", url.path),
        "group": url.parameters.get("group", ""),
        "version": url.parameters.get("version", ""),
        "application": url.parameters.get("application", ""),
        "release": url.parameters.get("release", ""),
    }
