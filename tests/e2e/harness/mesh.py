"""The documents that describe a mesh of test instances, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .java import SERVICE
from .process import HOST

Document = dict[str, Any]
APP = "peer"
LABEL = "env"


def endpoint(address: int | str, **labels: str) -> Document:
    """An instance: a port of 127.0.0.1, or a UNIX socket's path."""
    if isinstance(address, int):
        return {"address": HOST, "ports": {"dubbo": address}, "labels": labels}
    return {"address": f"unix://{address}", "labels": labels}


def entry(endpoints: Iterable[Document], app: str = APP, hosts: Iterable[str] = (SERVICE,)) -> Document:
    """The application that offers ``hosts`` at ``endpoints``."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": app},
        "spec": {
            "hosts": list(hosts),
            "ports": [{"name": "dubbo", "number": 20880, "protocol": "TCP"}],
            "resolution": "STATIC",
            "endpoints": list(endpoints),
        },
    }


def label_policy(
    label: str = LABEL, trace: str = "x-request-id", hosts: Iterable[str] = (SERVICE,)
) -> list[Document]:
    """Route by ``label``: found in the request or by its trace id; without instances, the baseline."""
    return [
        {
            "apiVersion": "istio.alibabacloud.com/v1beta1",
            "kind": "TrafficLabel",
            "metadata": {"name": "label"},
            "spec": {"rules": [{"labels": [{"name": label, "valueFrom": [f"$getContext({trace})", "$(localLabel)"]}]}]},
        },
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "by-label"},
            "spec": {
                "hosts": list(hosts),
                "http": [{"name": "by-label", "route": [{"destination": {"subset": f"${label}"}}]}],
            },
        },
    ]


def header_policy(service: str, name: str) -> list[Document]:
    """Calls with the header ``dev`` go to dev, all others to base."""
    subsets = [{"name": env, "labels": {"env": env}} for env in ("base", "dev")]
    routes = [{"name": env, "route": [{"destination": {"host": APP, "subset": env}}]} for env in ("dev", "base")]
    routes[0]["match"] = [{"headers": {name: {"exact": "dev"}}}]
    return [
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "DestinationRule",
            "metadata": {"name": "environments"},
            "spec": {"host": APP, "subsets": subsets},
        },
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "by-header"},
            "spec": {"hosts": [service], "http": routes},
        },
    ]


def outbound(bind: str) -> Document:
    """Where an application calls through its sidecar. Calls that cannot be read go to the service too."""
    return {"name": "out", "bind": bind, "direction": "outbound", "service": SERVICE}


def inbound(bind: str, port: int) -> Document:
    """Where an application at ``port`` of 127.0.0.1 is called through its sidecar."""
    return {"name": "in", "bind": bind, "direction": "inbound", "forward": f"tcp://{HOST}:{port}"}


def sidecar(
    loop: str,
    admin: int,
    listeners: Iterable[Document],
    limits: Mapping[str, Any],
    labels: Mapping[str, str],
    workers: int = 1,
    more: Mapping[str, Any] | None = None,
) -> Document:
    """The sidecar itself; ``more`` goes into its specification."""
    return {
        "apiVersion": "meshfast.io/v1",
        "kind": "Sidecar",
        "metadata": {"name": "sidecar"},
        "spec": {
            "workload": {"app": "tests", "labels": dict(labels)},
            "workers": workers,
            "loop": loop,
            "listeners": list(listeners),
            "admin": f"tcp://{HOST}:{admin}",
            "limits": dict(limits),
            **(more or {}),
        },
    }
