"""Documents of others that come to lie among ours: said to be what they are, and what to do with them."""

from __future__ import annotations

from collections.abc import Collection

MESH = "mesh"  # the name that Istio gives to all sidecars where gateways are named
IGNORE = "meshfast.io/ignore"  # the annotation that skips a document
SKIP = f'move it to another folder, or skip it: metadata: {{annotations: {{{IGNORE}: "true"}}}}'

_KUBERNETES = frozenset(("", "apps", "batch", "autoscaling", "policy", "extensions"))

_DUBBO_FIELDS = frozenset("configVersion scope force runtime enabled priority key script valid dynamic".split())


def dubbo_rule(fields: Collection[str]) -> tuple[str, str] | None:
    """Message and hint for what looks like a rule of Dubbo's registry and is none that is read; None for anything
    else."""
    if "dubbo" in fields:
        return "Dubbo's own configuration: it is not read here, only by Dubbo's own SDKs", "keep it in another folder"
    if not {"configVersion", "script"} & set(fields) or len(_DUBBO_FIELDS & set(fields)) < 2:
        return None
    if "script" in fields:
        return "a Dubbo script rule: no scripts are run here", "write it as a condition rule"
    return "a Dubbo rule without rules", "one of tags, conditions, affinityAware or configs makes it what it is"


def kind(group: str, kind: str) -> tuple[str, str] | None:
    """Message and hint for a kind of Kubernetes or Dubbo; None for another."""
    if group in _KUBERNETES or group.endswith(".k8s.io"):
        return f"{kind} is a Kubernetes kind: it is not read", SKIP
    if group == "dubbo.apache.org" or group.endswith(".dubbo.apache.org"):
        return f"{kind} of {group} is a rule of Dubbo's own: it is not read", SKIP
    return None
