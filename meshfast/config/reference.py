"""The tables of docs/configuration.md, from the schema itself.

``python -m meshfast.config.reference docs/configuration.md`` writes them anew between their marks; a test compares.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable
from pathlib import Path

from meshfast.config import limit, resource, sidecar
from meshfast.config.field import Record
from meshfast.config.istio import UNSUPPORTED, UNSUPPORTED_KINDS

RECORDS: dict[str, type[Record]] = {
    "Sidecar": sidecar.SidecarSpec,
    "Sidecar workload": sidecar.Workload,
    "Sidecar listeners[]": sidecar.ListenerSpec,
    "Sidecar traceMemory": sidecar.TraceMemory,
    "Sidecar accessLog": sidecar.AccessLogSpec,
    "ServiceEntry": resource.ServiceEntry,
    "ServiceEntry ports[]": resource.Port,
    "ServiceEntry endpoints[]": resource.Instance,
    "DestinationRule": resource.DestinationRule,
    "DestinationRule subsets[]": resource.SubsetSpec,
    "VirtualService": resource.VirtualService,
    "VirtualService http[]": resource.HttpRoute,
    "VirtualService http[].match[]": resource.HttpMatch,
    "StringMatch": resource.StringMatch,
    "VirtualService http[].route[]": resource.RouteDestination,
    "destination": resource.Destination,
    "fallback": resource.Fallback,
    "TrafficLabel": resource.TrafficLabel,
    "workloadSelector": resource.WorkloadSelector,
    "TrafficLabel rules[]": resource.LabelRules,
    "TrafficLabel rules[] v1beta1": resource.LabelRulesBeta,
    "TrafficLabel rules[].labels[]": resource.LabelRule,
}

_MARK = re.compile(r"(<!-- table: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def fields(record: type[Record]) -> str:
    """A table of a record's fields."""
    rows = ["| field | holds | default | |", "|---|---|---|---|"]
    for field in dataclasses.fields(record):
        if "type" not in field.metadata:
            continue
        name = field.metadata["name"] or field.name
        rows.append(f"| `{name}` | {field.metadata['type'].words} | {_default(field)} | {field.metadata['doc']} |")
    return "\n".join(rows)


def _default(field: dataclasses.Field[object]) -> str:
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
    rows = ["| in | known, not supported yet |", "|---|---|"]
    rows += [f"| {name} | {', '.join(f'`{f}`' for f in sorted(found))} |" for name, found in UNSUPPORTED.items()]
    rows += [f"| {group} | {', '.join(sorted(kinds))} |" for group, kinds in UNSUPPORTED_KINDS.items()]
    return "\n".join(rows)


def table(name: str) -> str:
    """The table that a mark asks for; raises KeyError for an unknown name."""
    if name == "limits":
        return limits()
    if name == "unsupported":
        return unsupported()
    return fields(RECORDS[name])


def filled(text: str, tables: Callable[[str], str] = table) -> str:
    """A page with all of its tables as they should be; ``tables`` makes one by its name."""
    return _MARK.sub(lambda found: f"{found[1]}{tables(found[2])}\n{found[3]}", text)


def asked(text: str) -> set[str]:
    """The tables that a page has."""
    return {found[2] for found in _MARK.finditer(text)}


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(filled(path.read_text()))
