"""How the registry that the sidecar is for its application is used, for metrics and pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from meshfast.endpoint.dubbo import Endpoint, Wanted
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

METRICS = (*_NUMBERS, _OPERATIONS, _UNKNOWN, _REFUSED)


def families(endpoint: Endpoint | None) -> Iterator[Family]:
    """Nothing where there is none."""
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


def page(endpoint: Endpoint | None) -> Items:
    """All of it as plain data."""
    if endpoint is None:
        return Items([("endpoint", None)])
    return Items(
        [
            ("sessions", len(endpoint.server.sessions)),
            ("services", Rows(iter(endpoint.services))),
            ("unshown", dict(endpoint.unshown)),
            ("standbys", endpoint.standbys.shown if endpoint.standbys is not None else {}),
            ("without_standbys", dict(endpoint.standbys.unfit) if endpoint.standbys is not None else {}),
            ("wanted", Rows(_wanted(path, one) for path, one in sorted(endpoint.wanted.items()))),
            ("consumers", Rows(_consumer(path, endpoint) for path in sorted(endpoint.consumers))),
        ]
    )


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
