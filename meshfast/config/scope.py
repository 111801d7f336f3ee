"""For whom a document is: what of all that was read concerns this sidecar, and under which names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from meshfast import model
from meshfast.config.document import Report
from meshfast.config.read import Resource


def ours(found: Sequence[Resource], own: model.Sidecar, report: Report) -> list[Resource]:
    """Each kind and name once in a namespace, one Sidecar, and no document that is for others."""
    out = _unique(found, report)
    if not any(one.export_to or one.selector for one in out):
        return out
    out = [one for one in out if _exported(one, own, report) and _selected(one, own, report)]
    chosen = {one.host for one in out if one.kind == "DestinationRule" and one.selector}
    return [one for one in out if one.kind != "DestinationRule" or one.selector or one.host not in chosen]


def _unique(found: Iterable[Resource], report: Report) -> list[Resource]:
    seen: dict[tuple[str, str, str], Resource] = {}
    out: list[Resource] = []
    for resource in found:
        single = resource.kind == "Sidecar"
        key = (resource.kind, "" if single else resource.meta.namespace, "" if single else resource.name)
        first = seen.setdefault(key, resource)
        if first is resource:
            out.append(resource)
            continue
        what = "a Sidecar" if single else f"{resource.kind} {resource.name}"
        report.add(resource.named_at, f"{what} is there already", f"first at {first.named_at.origin()}")
    names = Counter(one.name for one in out if one.kind == "ServiceEntry")
    for one in out:
        one.called = f"{one.meta.namespace}/{one.name}" if names[one.name] > 1 and one.meta.namespace else one.name
    return out


def _exported(one: Resource, own: model.Sidecar, report: Report) -> bool:
    """Whether this sidecar's namespace may see it. Where that is not known, it may."""
    to = one.export_to
    if not to or "*" in to:
        return True
    if "~" in to:
        return _not(one, "exported to no namespace", report)
    if not own.namespace:
        if report.warnings is not None:
            hint = "say it as Sidecar workload.namespace; until then it is taken as if it were one of those"
            report.warn(one.at.at("exportTo"), "the namespace of this workload is not known", hint)
        return True
    meant = {one.meta.namespace or own.namespace if name == "." else name for name in to}
    return own.namespace in meant or _not(one, f"exported to {', '.join(sorted(meant))}", report)


def _selected(one: Resource, own: model.Sidecar, report: Report) -> bool:
    """Whether a DestinationRule that is for some workloads is for this one."""
    if one.kind != "DestinationRule" or not one.selector or one.selector.items() <= own.labels.items():
        return True
    labels = ", ".join(f"{k}={v}" for k, v in one.selector.items())
    return _not(one, f"for workloads labelled {labels}", report)


def _not(one: Resource, why: str, report: Report) -> bool:
    """It is passed over. Where it stands only those ask who show it: for that its text may have to be read again."""
    if report.warnings is not None:
        report.pass_over(one.at, one.kind, why)
    return False
