"""A target of a rule while it is made."""

from __future__ import annotations

from dataclasses import dataclass

from meshfast.config.document import Place
from meshfast.model import FallbackCase, TargetKind


@dataclass(slots=True)
class Draft:
    """A target being made."""

    cluster: str
    kind: TargetKind
    text: str
    at: Place
    weight: int = 0
    on: FallbackCase = FallbackCase.NO_AVAILABLE
    fallback: int | None = None


def shown(draft: Draft) -> str:
    return ("$" if draft.kind is TargetKind.LABEL else "") + (draft.text or draft.cluster)


def find(drafts: list[Draft], wanted: Draft) -> int:
    """The number of an equal draft, or of this one added."""
    for i, draft in enumerate(drafts):
        if (draft.cluster, draft.kind, draft.text) == (wanted.cluster, wanted.kind, wanted.text):
            return i
    drafts.append(wanted)
    return len(drafts) - 1
