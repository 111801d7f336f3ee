"""The answer of a sidecar's explain page (meshfast/explain.py), boiled down to a few words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from meshfast.demo.topology import LABEL


@dataclass(frozen=True, slots=True)
class Why:
    """``peer``: the address chosen, host:port, empty for none; ``reason``: why it is not an instance of the label."""

    peer: str
    reason: str


def why(page: Any, app: str) -> Why:
    """What a page says of a call to an application. There is one label here and each path names its applications, so
    both are left out of the page's words."""
    reason = page["why"].replace(f" of {app.lower()}", "").replace(f"{LABEL}=", "").replace(f" {LABEL}", "")
    return Why(page["address"].removeprefix("tcp://"), reason or page["error"])
