"""What of a sidecar cannot change while it runs."""

from __future__ import annotations

from dataclasses import fields

from meshfast.errors import Problem
from meshfast.model import Origin, Sidecar

__all__ = ["changed"]

#: What may: it has gone into the policy that was compiled for this workload, or is followed.
FREE = ("advertise", "app", "labels", "locality", "namespace", "origin", "registrations", "registries", "said_at")


def changed(old: Sidecar, new: Sidecar) -> list[Problem]:
    """A problem for each field that is another, where it was said."""
    out: dict[str, Problem] = {}
    for field in fields(Sidecar):
        name = field.name
        if name in FREE or _plain(getattr(old, name)) == _plain(getattr(new, name)):
            continue
        at = new.said_at.get(name) or (name, new.origin or Origin("configuration", 1, 1))
        hint = "restart the sidecar to change it; policy can change while it runs"
        out[at[0]] = Problem(at[1], f"{at[0]} cannot change while it runs", hint, path=f"spec.{at[0]}")
    return list(out.values())


def _plain(value: object) -> object:
    """Without origins: a listener that moved to another line is the same listener."""
    if isinstance(value, tuple):
        return tuple(_plain(one) for one in value)
    names = getattr(type(value), "__slots__", ())
    return tuple(_plain(getattr(value, name)) for name in names if name != "origin") if names else value
