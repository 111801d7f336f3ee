"""Where the instances of a ServiceEntry are: listed, selected, or wherever its callers dial."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from meshfast import model
from meshfast.config import value
from meshfast.config.document import Report
from meshfast.config.hostname import BY_DNS
from meshfast.config.read import Resource
from meshfast.config.resource import OPAQUE, ServiceEntry


def select(found: Resource, workloads: Sequence[Resource]) -> tuple[Resource, ...]:
    """The WorkloadEntries that a ServiceEntry selects: of its own namespace, with all of its labels."""
    if not found.selector:
        return ()
    return tuple(
        one
        for one in workloads
        if one.meta.namespace == found.meta.namespace and found.selector.items() <= one.labels.items()
    )


def outward(entry: ServiceEntry, report: Report) -> bool:
    """Whether calls go where their callers dialled. What contradicts itself is reported."""
    given = entry.at.at("endpoints") is not entry.at
    if entry.workload_selector is not None:
        at = entry.workload_selector.at
        if given:
            report.add(at, "workloadSelector and endpoints exclude each other", "keep one of them")
        elif not entry.workload_selector.labels and not at.bad:
            report.add(at, "workloadSelector has no labels", "name those that its instances carry")
    at = entry.at.at("resolution")
    match entry.resolution:
        case "":
            return bool(entry.ports) and not given and entry.workload_selector is None
        case "NONE":
            if entry.endpoints:
                report.add(at, "with resolution NONE no endpoint is used", "write STATIC")
            return not entry.endpoints
        case "DNS_ROUND_ROBIN" if len(entry.endpoints) > 1:
            report.add(at, "DNS_ROUND_ROBIN is for one endpoint", "write DNS")
        case "DNS" | "DNS_ROUND_ROBIN" | "DYNAMIC_DNS" if not entry.endpoints and entry.workload_selector is None:
            if entry.ports and all(port.protocol in OPAQUE for port in entry.ports):
                return True
            if not entry.ports or any("*" in one for one in entry.hosts):
                what = "no host can be asked for" if entry.ports else "no port is given"
                report.warn(at, what, "calls go where they were dialled, as with NONE")
                return True
    return False


def own_names(entry: ServiceEntry) -> bool:
    """Whether its hosts are themselves what is resolved: each is a service of its own then."""
    return entry.resolution in BY_DNS and not entry.endpoints and entry.workload_selector is None


def check_listeners(found: Iterable[Resource], own: model.Sidecar, report: Report) -> None:
    """Only a transparent listener knows where a call was dialled."""
    why = unfit(own)
    for resource in found if why is not None else ():
        if resource.kind == "ServiceEntry" and resource.draft is not None and resource.draft[0].passes:
            assert why is not None
            report.add(resource.at.at("resolution"), why[0], f"{why[1]}, or list endpoints")


def unfit(own: model.Sidecar) -> tuple[str, str] | None:
    """Why calls cannot go where they were dialled, and what to do; None where they can."""
    out = [one for one in own.listeners if one.direction == "outbound"]
    other = next((one for one in out if not one.transparent or one.unknown == "refuse"), None)
    if other is None:
        return None
    why = "which the listener {} does not know" if not other.transparent else "and the listener {} refuses them"
    message = f"its calls go where they were dialled, {why.format(other.name)}"
    return message, "make it transparent" if not other.transparent else "write unknown: forward there"


def advise(found: Iterable[Resource], listeners: Iterable[model.Listener], report: Report) -> None:
    """Warns of applications that have no instance, and of instances that are ``listeners``, which route calls again."""
    binds = [(listener.name, listener.bind) for listener in listeners]
    for resource in found:
        if resource.kind != "ServiceEntry" or resource.draft[0].passes:
            continue
        endpoints = resource.draft[0].cluster.endpoints
        if not endpoints and not resource.draft[0].cluster.named:
            hint = "its calls are answered with status 80: add endpoints"
            report.warn(resource.at.at("endpoints"), f"{resource.called} has no instance", hint)
        listed_here = not resource.draft[0].picked
        for i, endpoint in enumerate(endpoints if binds and listed_here else ()):
            places = [address for address in (endpoint.address, endpoint.http) if address]
            met = next(((p, name) for p in places for name, bind in binds if value.reaches(p, bind)), None)
            if met is not None:
                address, name = met
                message = f"{address} is this sidecar's own listener {name}: a call would be routed again"
                report.warn(resource.at.at("endpoints", i), message, "name the application's own address")
