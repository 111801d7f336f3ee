"""Where meshes come from. A source yields whole meshes, or why there is no new one; it never touches native tables."""

from __future__ import annotations

from dataclasses import dataclass

from meshfast.errors import MeshfastError
from meshfast.model import Mesh

__all__ = ["Bad", "Event", "Good", "Moved", "Same"]


@dataclass(frozen=True, slots=True)
class Good:
    """A mesh to go over to."""

    mesh: Mesh


@dataclass(frozen=True, slots=True)
class Bad:
    """What is there now is refused (ConfigError) or cannot be read; the last good mesh stays."""

    error: MeshfastError


@dataclass(frozen=True, slots=True)
class Same:
    """It was asked for, and nothing is new."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The mesh in force with other instances: names of hosts have other addresses now, or ``by`` lists others."""

    mesh: Mesh
    by: str = "DNS"


Event = Good | Bad | Moved | Same
