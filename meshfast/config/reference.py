"""The tables of docs/configuration.md and docs/dubbo.md, from the schema itself.

``python -m meshfast.config.reference docs/configuration.md docs/dubbo.md`` writes them anew between their marks; a test
compares.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from meshfast.config import (
    balancer,
    change,
    endpoint,
    fault,
    hostname,
    istio,
    lane,
    limit,
    locality,
    mirror,
    opaque,
    outlier,
    policy,
    pools,
    ratelimit,
    registration,
    registry,
    resource,
    retry,
    sidecar,
    switch,
    traffic_label,
)
from meshfast.config.dubbo import document, meshrule
from meshfast.config.field import Record

RECORDS: dict[str, type[Record]] = {
    "Sidecar": sidecar.SidecarSpec,
    "Sidecar workload": sidecar.Workload,
    "Sidecar listeners[]": sidecar.ListenerSpec,
    "Sidecar traceMemory": sidecar.TraceMemory,
    "Sidecar accessLog": sidecar.AccessLogSpec,
    "Sidecar dns": hostname.DnsSpec,
    "Sidecar registries[]": registry.RegistryRecord,
    "Sidecar endpoint": endpoint.EndpointSpec,
    "Sidecar registrations[]": registration.RegistrationRecord,
    "Sidecar advertise": registration.AdvertiseSpec,
    "ServiceEntry": resource.ServiceEntry,
    "ServiceEntry ports[]": resource.Port,
    "ServiceEntry endpoints[]": resource.Instance,
    "DestinationRule": resource.DestinationRule,
    "DestinationRule workloadSelector": resource.MatchLabels,
    "DestinationRule subsets[]": resource.SubsetSpec,
    "trafficPolicy": policy.TrafficPolicy,
    "trafficPolicy loadBalancer": policy.LoadBalancer,
    "trafficPolicy consistentHash": balancer.ConsistentHash,
    "trafficPolicy httpCookie": balancer.HttpCookie,
    "trafficPolicy ringHash": balancer.RingHash,
    "trafficPolicy maglev": balancer.Maglev,
    "trafficPolicy warmup": balancer.Warmup,
    "trafficPolicy retryBudget": retry.RetryBudget,
    "trafficPolicy localityLbSetting": locality.LocalityLbSetting,
    "localityLbSetting distribute[]": locality.Distribute,
    "localityLbSetting failover[]": locality.Failover,
    "trafficPolicy tls": policy.Tls,
    "trafficPolicy outlierDetection": outlier.OutlierDetection,
    "trafficPolicy connectionPool": pools.ConnectionPool,
    "trafficPolicy connectionPool.tcp": pools.TcpSettings,
    "trafficPolicy connectionPool.http": pools.HttpSettings,
    "trafficPolicy portLevelSettings[]": policy.PortPolicy,
    "port": policy.PortSelector,
    "VirtualService": resource.VirtualService,
    "VirtualService http[]": resource.HttpRoute,
    "VirtualService http[].delegate": resource.Delegate,
    "VirtualService http[].retries": retry.HttpRetry,
    "VirtualService http[].mirrors[]": resource.MirrorSpec,
    "mirror percentage": mirror.Percent,
    "VirtualService http[].match[]": resource.HttpMatch,
    "StringMatch": resource.StringMatch,
    "VirtualService tls[]": opaque.OpaqueRule,
    "VirtualService tls[].match[]": opaque.OpaqueMatch,
    "VirtualService tls[].route[].destination": opaque.OpaqueDestination,
    "VirtualService http[].route[]": resource.RouteDestination,
    "destination": resource.Destination,
    "fallback": resource.Fallback,
    "VirtualService http[].fault": fault.HttpFault,
    "fault delay": fault.FaultDelay,
    "fault abort": fault.FaultAbort,
    "percentage": fault.Percentage,
    "VirtualService http[].redirect": fault.HttpRedirect,
    "VirtualService http[].directResponse": fault.DirectResponse,
    "directResponse body": fault.DirectBody,
    "VirtualService http[].headers": change.HeaderChanges,
    "header operations": change.HeaderOperations,
    "VirtualService http[].rewrite": change.HttpRewrite,
    "rewrite uriRegexRewrite": change.RegexRewrite,
    "RateLimit": ratelimit.RateLimit,
    "ASMSwimLaneGroup": lane.LaneGroup,
    "ASMSwimLaneGroup services[]": lane.LaneService,
    "ASMSwimLaneGroup permissiveModeConfiguration": lane.Permissive,
    "ASMSwimLane": lane.Lane,
    "RegionSwitch": switch.RegionSwitch,
    "ASMHeaderPropagation": lane.HeaderPropagation,
    "TrafficLabel": traffic_label.TrafficLabel,
    "workloadSelector": resource.WorkloadSelector,
    "TrafficLabel rules[]": traffic_label.LabelRules,
    "TrafficLabel rules[] v1beta1": traffic_label.LabelRulesBeta,
    "TrafficLabel rules[].labels[]": traffic_label.LabelRule,
}

# Dubbo's own, which have a page of their own.
DUBBO: dict[str, type[Record]] = {
    "tag rule": document.TagRule,
    "tag rule tags[]": document.Tag,
    "match[]": document.ParamMatch,
    "value": document.StringMatch,
    "condition rule": document.ConditionRule,
    "condition rule conditions[]": document.Destinations,
    "condition rule conditions[].to[]": document.Weighted,
    "affinity rule": document.AffinityRule,
    "affinity rule affinityAware": document.AffinityAware,
    "configurator": document.Configurator,
    "configurator configs[]": document.Config,
    "configurator configs[].match": document.ConfigMatch,
    "configurator address": document.AddressMatch,
    "mesh DestinationRule": meshrule.MeshDestinationRule,
    "mesh DestinationRule subsets[]": meshrule.MeshSubset,
    "mesh VirtualService": meshrule.MeshVirtualService,
    "mesh dubbo[]": meshrule.MeshDubbo,
    "mesh routedetail[]": meshrule.RouteDetail,
    "mesh match[]": meshrule.MeshMatch,
    "mesh method": meshrule.MethodMatch,
    "mesh args[]": meshrule.ArgumentMatch,
    "mesh num_value": meshrule.NumberMatch,
    "mesh attachments": meshrule.AttachmentMatch,
    "mesh route[]": meshrule.MeshRoute,
    "mesh destination": meshrule.MeshDestination,
}

_MARK = re.compile(r"(<!-- table: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def fields(record: type[Record]) -> str:
    """A table of a record's fields."""
    acts = record.__module__ != sidecar.__name__  # else it is about the sidecar itself
    rows = ["| field | holds | default | acts on | |", "|---|---|---|---|---|"]
    rows = rows if acts else ["| field | holds | default | |", "|---|---|---|---|"]
    for field in dataclasses.fields(record):
        if "type" not in field.metadata:
            continue
        name = field.metadata["name"] or field.name
        on = f" {field.metadata['on'] or 'nothing'} |" if acts else ""
        rows.append(f"| `{name}` | {field.metadata['type'].words} | {_default(field)} |{on} {field.metadata['doc']} |")
    return "\n".join(rows)


def _default(field: dataclasses.Field[object]) -> str:
    if not field.metadata["on"] and not field.metadata["shown"]:
        return "none" if field.default in ("", False) else f"`{field.default}`"
    if field.metadata["shown"]:
        return str(field.metadata["shown"])
    if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
        return "required"
    return f"`{field.default}`" if field.default != "" else "none"


def limits() -> str:
    """The table of limits."""
    rows = ["| limit | unit | default | least | what it bounds |", "|---|---|---|---|---|"]
    rows += [f"| `{x.name}` | {x.unit} | {x.default} | {x.least} | {x.doc} |" for x in limit.LIMITS]
    return "\n".join(rows)


def unsupported() -> str:
    """What is known and refused."""
    rows = ["| in | refused | as otherwise |", "|---|---|---|"]
    rows += _known(istio.UNSUPPORTED)
    rows.append("| `tls` | `mode` but DISABLE | calls would go out in plain text; see the Sidecar's `tls` |")
    rows += [f"| {group} | {', '.join(sorted(kinds))} | |" for group, kinds in istio.UNSUPPORTED_KINDS.items()]
    return "\n".join(rows)


def quality() -> str:
    """What is known and taken with a warning."""
    return "\n".join(["| in | taken with a warning | its effect here |", "|---|---|---|", *_known(istio.QUALITY)])


def passed() -> str:
    """Kinds that are passed over."""
    rows = [f"| {group or 'v1'} | {', '.join(sorted(kinds))} |" for group, kinds in istio.PASSED_KINDS.items()]
    return "\n".join(["| group | kinds |", "|---|---|", *rows])


def _known(found: Mapping[str, Mapping[str, str]]) -> list[str]:
    """A row for all fields of a message that one reason is for."""
    rows: dict[tuple[str, str], list[str]] = {}
    for name, fields_ in found.items():
        for one, why in fields_.items():
            rows.setdefault((name, why), []).append(f"`{one}`")
    return [f"| {name} | {', '.join(each)} | {why} |" for (name, why), each in rows.items()]


def table(name: str) -> str:
    """The table that a mark asks for; raises KeyError for an unknown name."""
    if name == "limits":
        return limits()
    whole = {"unsupported": unsupported, "quality": quality, "passed": passed}.get(name)
    if whole is not None:
        return whole()
    return fields(RECORDS[name] if name in RECORDS else DUBBO[name])


def filled(text: str, tables: Callable[[str], str] = table) -> str:
    """A page with all of its tables as they should be; ``tables`` makes one by its name."""
    return _MARK.sub(lambda found: f"{found[1]}{tables(found[2])}\n{found[3]}", text)


def asked(text: str) -> set[str]:
    """The tables that a page has."""
    return {found[2] for found in _MARK.finditer(text)}


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(filled(path.read_text()))
