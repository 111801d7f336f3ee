"""What a load leaves to the next one, of use where only RegionSwitches are other ones: nothing rests on them but the
policies of the clusters that they name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from meshfast import model
from meshfast.config import scope
from meshfast.config.cluster import Clusters
from meshfast.config.document import Report
from meshfast.config.near import Near
from meshfast.config.read import Resource
from meshfast.errors import Problem

SWITCH = "RegionSwitch"


@dataclass(slots=True)
class Kept:
    """``rest``: all that was read, but the RegionSwitches; ``noted``: what every load says of it."""

    rest: list[Resource]
    clusters: Clusters
    mesh: model.Mesh
    noted: list[Problem]

    def switched(self, rest: list[Resource], switches: Sequence[Resource], report: Report) -> model.Mesh | None:
        """The mesh with these switches in the place of those before; None where it has to be made anew."""
        # Where something passes, what hosts mean changed after the switches had been looked at.
        if report.warnings is not None or report.problems or self.clusters.passing or self.rest != rest:
            return None
        report.noted += self.noted
        near = Near(self.mesh.sidecar)
        near.asked = self.clusters.near.asked
        near.take(scope.ours(switches, self.mesh.sidecar, report), self.clusters.told, report)
        if not report.problems:
            self.mesh = replace(self.mesh, clusters=self.clusters.resealed(near, self.mesh.clusters))
        return self.mesh


def split(found: Sequence[Resource]) -> tuple[list[Resource], list[Resource]]:
    """All but the switches, and the switches."""
    return [one for one in found if one.kind != SWITCH], [one for one in found if one.kind == SWITCH]
