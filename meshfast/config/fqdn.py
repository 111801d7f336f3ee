"""Names of services as Kubernetes has them: ``reviews`` is ``reviews.<namespace>.svc.cluster.local``.

What is written that way anywhere is looked for as it is first; a short name is that of the namespace it stands in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from meshfast.config.resource import Destination, HttpRoute

DOMAIN = "svc.cluster.local"
_SVC = ".svc."


def split(host: str) -> tuple[str, str] | None:
    """Service and namespace of a whole name; None for another."""
    before, found, domain = host.partition(_SVC)
    service, dot, namespace = before.partition(".")
    return (service, namespace) if found and domain and dot and namespace and "." not in namespace else None


def parts(host: str) -> tuple[str, str]:
    """The same, also of ``namespace/name``; empty for another."""
    namespace, slash, name = host.partition("/")
    return split(host) or ((name, namespace) if slash and namespace != "*" else ("", ""))


def is_short(host: str) -> bool:
    return not any(c in host for c in "./*$")


def whole(host: str, namespace: str) -> str:
    return f"{host}.{namespace}.{DOMAIN}"


def aliases(host: str, own: str) -> tuple[str, ...]:
    """The other names by which workloads of the namespace ``own`` call a service; "": not known which it is."""
    found = split(host)
    if found is None:
        return ()
    service, namespace = found
    short = (service,) if own in ("", namespace) else ()
    return (f"{service}.{namespace}.svc", f"{service}.{namespace}", *short)


def qualified(routes: Iterable[HttpRoute], namespace: str) -> list[HttpRoute]:
    """Rules of a namespace for the use in another: destinations by whole names."""
    return [
        replace(
            route,
            route=tuple(
                replace(one, destination=_qualified(one.destination, namespace)) if one.destination else one
                for one in route.route
            ),
            mirror=_qualified(route.mirror, namespace) if route.mirror else None,
            mirrors=tuple(
                replace(one, destination=_qualified(one.destination, namespace)) if one.destination else one
                for one in route.mirrors
            ),
        )
        for route in routes
    ]


def _qualified(destination: Destination, namespace: str) -> Destination:
    host = destination.host
    return replace(destination, host=whole(host, namespace)) if host and is_short(host) else destination
