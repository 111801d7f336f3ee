"""What rules make of clusters besides what is declared: subsets by their members, and the same instances with weights
of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from meshfast import model


class Narrowed:
    """By cluster. ``weighed``: by name, of which cluster and what it is."""

    def __init__(self) -> None:
        self.weighed: dict[str, tuple[str, model.Cluster]] = {}
        self._subsets: dict[str, dict[str, model.Subset]] = {}

    def take(
        self, subsets: Mapping[str, Mapping[str, model.Subset]], weighed: Mapping[str, tuple[str, model.Cluster]]
    ) -> str:  # fmt: skip
        """Takes some in; the name of a subset that is another one already, or ""."""
        self.weighed |= weighed
        for cluster, some in subsets.items():
            known = self._subsets.setdefault(cluster, {})
            for name, one in some.items():
                if known.setdefault(name, one).members != one.members:
                    return name
        return ""

    def of(self, cluster: str) -> Iterable[model.Subset]:
        return self._subsets.get(cluster, {}).values()
