"""Where the instances of a ServiceEntry are: listed, selected, or wherever its callers dial."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from meshfast import model
from meshfast.config.document import Report
from meshfast.config.read import Resource
from meshfast.config.resource import ServiceEntry


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
        case "DNS" | "DNS_ROUND_ROBIN" | "DYNAMIC_DNS":
            names = [one for one in entry.endpoints if not one.at.bad and not _is_place(one.address)]
            if names:
                words = "names are not resolved yet: calls would go where they were dialled, not to these instances"
                report.add(names[0].at.at("address"), words, "list their IP addresses with resolution STATIC")
            elif not entry.endpoints:
                report.warn(at, "names are not resolved yet", "calls go where they were dialled, as with NONE")
                return True
            return bool(names)
    return False


def _is_place(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return address.startswith("unix://")
    return True


def check_listeners(found: Iterable[Resource], own: model.Sidecar, report: Report) -> None:
    """Only a transparent listener knows where a call was dialled."""
    out = [one for one in own.listeners if one.direction == "outbound"]
    other = next((one for one in out if not one.transparent or one.unknown == "refuse"), None)
    for resource in found if other is not None else ():
        if resource.kind == "ServiceEntry" and resource.draft is not None and resource.draft.passes:
            assert other is not None
            why = "which the listener {} does not know" if not other.transparent else "and the listener {} refuses them"
            message = f"its calls go where they were dialled, {why.format(other.name)}"
            hint = "make it transparent" if not other.transparent else "write unknown: forward there"
            report.add(resource.at.at("resolution"), message, f"{hint}, or list endpoints")
