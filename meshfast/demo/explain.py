"""The answer of a sidecar's explain page, boiled down to a few words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Why:
    """``peer``: the address chosen, host:port, empty for none; ``reason``: why it is not an instance of the label."""

    peer: str
    reason: str


def why(page: Any) -> Why:
    raise NotImplementedError
