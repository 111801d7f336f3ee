"""Documents of others that come to lie among ours: said to be what they are, and what to do with them."""

from __future__ import annotations

from collections.abc import Collection

MESH = "mesh"  # the name that Istio gives to all sidecars where gateways are named
IGNORE = "meshfast.io/ignore"  # the annotation that skips a document
SKIP = f'move it to another folder, or skip it: metadata: {{annotations: {{{IGNORE}: "true"}}}}'

_KUBERNETES = frozenset(("", "apps", "batch", "autoscaling", "policy", "extensions"))

# By the field that makes a rule of Dubbo's governance what it is: its name, and what does the same here.
_DUBBO = {
    "tags": ("tag", "define a TrafficLabel dubbo.tag and route to subset: $dubbo.tag"),
    "conditions": ("condition", "write it as a VirtualService with match"),
    "configs": ("override", "timeouts go into VirtualService http[].timeout, weights into endpoints[].weight"),
    "affinityAware": ("affinity", "write it as a VirtualService with sourceLabels"),
    "script": ("script", "write it as a VirtualService with match"),
}
_DUBBO_FIELDS = frozenset(
    "configVersion scope force runtime enabled priority key tags conditions configs affinityAware script valid dynamic"
    .split()
)  # fmt: skip


def dubbo_rule(fields: Collection[str]) -> tuple[str, str] | None:
    """Message and hint for a rule of Dubbo's registry, which has no kind; None for anything else."""
    if "dubbo" in fields:
        return "Dubbo's own configuration: it is not read here, only by Dubbo's own SDKs", "keep it in another folder"
    if not {"configVersion", *_DUBBO} & set(fields) or len(_DUBBO_FIELDS & set(fields)) < 2:
        return None
    name, instead = next((words for field, words in _DUBBO.items() if field in fields), ("", "write it as policy"))
    what = f"a Dubbo {name} rule" if name else "a Dubbo rule"
    return f"{what}: it is not read here, only by Dubbo's own SDKs", f"{instead}; keep the rule in another folder"


def kind(group: str, kind: str) -> tuple[str, str] | None:
    """Message and hint for a kind of Kubernetes or Dubbo; None for another."""
    if group in _KUBERNETES or group.endswith(".k8s.io"):
        return f"{kind} is a Kubernetes kind: it is not read", SKIP
    if group == "dubbo.apache.org" or group.endswith(".dubbo.apache.org"):
        return f"{kind} of {group} is a rule of Dubbo's own: it is not read", SKIP
    return None
