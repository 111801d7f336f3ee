"""The part of a mesh that one application calls, in its sidecar's directory: what it goes on with when that is gone.

``only`` takes that part, ``write`` leaves it behind, ``read`` gives it back as ``routing.Table.publish`` takes it. A
lookup of a service that is in it, with the same labels, finds what the sidecar's table would, but for what that one has
learnt by calls: who is down, what limits have counted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from meshfast import collector, statedir
from meshfast.errors import LimitError, SourceError
from meshfast.model import Cluster, IdleLabel, Label, LabelSource, Mesh, Pattern, Rule, Service, Sidecar
from meshfast.plain import picture, plain, prepare
from meshfast.statedir import StateDir

__all__ = ["MOST", "NAME", "Snapshot", "last", "only", "pack", "put", "read", "ready", "write"]

NAME = "snapshot.json"
FORMAT = 1
MOST = 16 << 20  # bytes of the file


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``app``: whose it is; ``version`` grows with each that is another one; ``written``: seconds since 1970, when it
    was still so."""

    app: str
    version: int
    written: float
    mesh: Mesh

    @property
    def age(self) -> float:
        """Seconds since it was known to be so; 0 where the clock went back."""
        return max(0.0, time.time() - self.written)


class _Side(msgspec.Struct):
    """What is kept of the sidecar itself. All else is of its own life, and some of it is secret."""

    app: str
    labels: dict[str, str]
    namespace: str
    locality: str
    limits: dict[str, int]
    trace_entries: int
    trace_ttl_ms: int


class _Mesh(msgspec.Struct):
    """As ``model.Mesh``; the lists hold what ``plain`` gives."""

    clusters: list[Any]
    services: list[Any]
    labels: list[Any]
    traces: list[Any]
    idle: list[Any]
    sidecar: _Side


class _File(msgspec.Struct):
    format: int
    app: str
    version: int
    written: float
    mesh: _Mesh


def only(mesh: Mesh, services: Iterable[str]) -> Mesh:
    """What some services need, as callers name them. One that only a pattern names stands there by its own name: what
    is not asked for is not in it, even where a pattern would take it."""
    exact = {one.name: one for one in mesh.services if one.pattern is Pattern.EXACT}
    patterns = [one for one in mesh.services if one.pattern is not Pattern.EXACT]
    found = [one for name in sorted(set(services)) if (one := exact.get(name) or _by_pattern(patterns, name))]
    clusters = dict.fromkeys(name for one in found for rule in one.rules for name in _clusters(rule))
    return replace(
        mesh, services=tuple(found), sidecar=_side(_kept(mesh.sidecar)),
        clusters={name: mesh.clusters[name] for name in clusters if name in mesh.clusters},
    )  # fmt: skip


def _by_pattern(patterns: list[Service], name: str) -> Service | None:
    """The nearest pattern, as the core finds it: the longest, of two the prefix, at last the one for any."""
    best: tuple[int, bool] = (-1, False)
    found: Service | None = None
    for one in patterns:
        length, prefix = len(one.name.encode()), one.pattern is Pattern.PREFIX
        if one.pattern is Pattern.ANY:
            length = -1
        elif not (name.startswith(one.name) if prefix else name.endswith(one.name) and name != one.name):
            continue
        if found is None or (length, prefix) >= best:  # of one that is there twice the last holds
            best, found = (length, prefix), one
    return None if found is None else replace(found, name=name, pattern=Pattern.EXACT)


def _clusters(rule: Rule) -> Iterator[str]:
    for target in rule.targets:
        yield target.cluster
    for mirror in rule.actions.mirrors if rule.actions is not None else ():
        yield mirror.cluster


def pack(mesh: Mesh) -> bytes:
    """A mesh that ``only`` gave, as JSON. It is made piece by piece, so that other threads go on meanwhile."""
    clusters, services = _each(mesh.clusters.values()), _each(mesh.services)
    made = _Mesh(clusters, services, _each(mesh.labels), _each(mesh.traces), _each(mesh.idle), _kept(mesh.sidecar))
    return msgspec.json.encode(made)


def _each(some: Iterable[object]) -> list[Any]:
    return [msgspec.Raw(msgspec.json.encode(plain(one))) for one in some]


def _unpack(found: _Mesh) -> Mesh:
    clusters = [picture(Cluster, one) for one in found.clusters]
    mesh = Mesh(
        {one.name: one for one in clusters},
        tuple(picture(Service, one) for one in found.services),
        tuple(picture(Label, one) for one in found.labels),
        tuple(picture(LabelSource, one) for one in found.traces),
        _side(found.sidecar),
        tuple(picture(IdleLabel, one) for one in found.idle),
    )
    for service in mesh.services:
        for rule in service.rules:
            if not mesh.clusters.keys() >= {*_clusters(rule)}:
                raise ValueError(f"a rule of {service.name[:100]} leads to what is not there")
    return mesh


def _kept(side: Sidecar) -> _Side:
    return _Side(**{name: getattr(side, name) for name in _Side.__struct_fields__})


def _side(kept: _Side) -> Sidecar:
    return Sidecar(**msgspec.structs.asdict(kept))


def ready() -> None:
    """Makes the next read as fast as those after it."""
    prepare(Cluster, Service, Label, LabelSource, IdleLabel)


def write(directory: StateDir, snapshot: Snapshot) -> int:
    """Replaces the one in a directory; how many bytes it has.

    :raises LimitError: it would be too long
    :raises OSError: it cannot be written; in either case the one before stays
    """
    return put(directory, snapshot, pack(snapshot.mesh))


def put(directory: StateDir, snapshot: Snapshot, mesh: bytes) -> int:
    """The same with its mesh as ``pack`` and JSON have it."""
    head = {"format": FORMAT, "app": snapshot.app, "version": snapshot.version, "written": snapshot.written}
    data = msgspec.json.encode({**head, "mesh": msgspec.Raw(mesh)})
    if len(data) > MOST - 128:
        services = len(snapshot.mesh.services)
        what = f"the snapshot of {services} service(s) would have {len(data)} bytes; the limit is {MOST}"
        raise LimitError(f"{what}: let this application ask for fewer services")
    directory.write(NAME, data)
    return len(data)


def read(path: str | os.PathLike[str], app: str = "") -> Snapshot:
    """The snapshot in a sidecar's directory (or at the path of the file itself), whether that sidecar runs or not.

    :param app: whose it has to be; "": whoever's it is
    :raises SourceError: there is none, it is not to be trusted, or it is another application's
    """
    folder, at = os.fspath(path), f"{os.fspath(path)}/{NAME}"
    if os.path.basename(folder) == NAME:
        folder, at = os.path.dirname(folder) or ".", folder
    data = statedir.read(folder, NAME, MOST)
    if data is None:
        raise SourceError(f"{at} is not there: its sidecar has written none yet, or has another `state`")
    found = _read(data, at)
    if app and found.app != app:
        what = f"{at} is of the application {found.app!r}, not of {app!r}"
        raise SourceError(f"{what}: give the directory of its sidecar")
    return found


def last(directory: StateDir) -> Snapshot | None:
    """What the sidecar before wrote last in a directory that one has; None: nothing.

    :raises SourceError: it is not to be trusted
    """
    data = directory.read(NAME)
    return None if data is None else _read(data, f"{directory.path}/{NAME}")


def _read(data: bytes, at: str) -> Snapshot:
    try:
        with collector.paused():
            found = msgspec.json.decode(data, type=_File)
            if found.format != FORMAT:
                raise ValueError(f"its format is {found.format}, not {FORMAT}: it is another version's")
            mesh = _unpack(found.mesh)
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise SourceError(f"{at} is no snapshot: {error}") from None
    return Snapshot(found.app, found.version, found.written, mesh)
