"""The answer of a sidecar's explain page, boiled down to a few words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Why:
    """``peer``: the address chosen, host:port, empty for none; ``reason``: why it is not an instance of the label."""

    peer: str
    reason: str


def why(page: Any, label: str) -> Why:
    """What a page says of a request labelled `label`; its steps are those of ``enum mf_route_step_kind``."""
    reasons = {
        "no_label": "no label",
        "no_subset": f"no instance labelled {label}",
        "empty": f"no instance labelled {label}",
        "down": f"no instance labelled {label} is available",
    }
    peer, reason = "", ""
    for step in page["steps"]:
        if step["kind"] == "peer":
            peer = step["text"].removeprefix("tcp://")
        elif not reason:
            reason = reasons.get(step["kind"], "")
    return Why(peer, reason)
