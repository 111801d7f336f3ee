"""Who runs in which data centre, and where each call may go: the demonstration's own idea of the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from meshfast.demo.topology import Instance

HOME, NEXT, FAR = REGIONS = ("hz", "sh", "bj")  # the callers' own, where its calls go on to, and the last one
MOVED, OTHER = APPS = ("cart", "stock")
COPIES = {MOVED: 2, OTHER: 1}  # in each data centre
CALLERS = (MOVED, MOVED, MOVED, OTHER)  # of each protocol
START = tuple(
    Instance(app, f"{region}-{n}") for region in REGIONS for app in APPS for n in range(1, COPIES[app] + 1)
)  # fmt: skip
_BY_NAME = {str(instance): instance for instance in START}

Shares = Mapping[str, Mapping[str, float]]  # by application and data centre, in percent


def region(instance: Instance) -> str:
    return instance.env.partition("-")[0]


def answered_in(app: str, text: str) -> str:
    """The data centre that an answer of this application comes from; empty where it is no such answer."""
    found = _BY_NAME.get(text)
    return region(found) if found and found.app == app else ""


@dataclass(frozen=True, slots=True, eq=False)
class Stand:
    """Where calls go for a while. ``shares``: what a sidecar in HOME must say of each application."""

    name: str
    shares: Shares

    def allowed(self, app: str) -> frozenset[str]:
        return frozenset(where for where, share in self.shares[app].items() if share)


def _stand(name: str, moved: Mapping[str, float], other: Mapping[str, float]) -> Stand:
    nothing = dict.fromkeys(REGIONS, 0.0)
    return Stand(name, {MOVED: nothing | dict(moved), OTHER: nothing | dict(other)})


_AT_HOME = {HOME: 100.0}
WELL = _stand("all is well", _AT_HOME, _AT_HOME)
DEAD = _stand(f"{HOME} is dead", {NEXT: 100.0}, {NEXT: 100.0})
BACK = _stand(f"{HOME} is back", _AT_HOME, _AT_HOME)
LEFT = _stand(f"{MOVED} has left {HOME}", {FAR: 100.0}, _AT_HOME)
HALF = _stand(f"half of {MOVED} is back", {HOME: 50.0, FAR: 50.0}, _AT_HOME)
DONE = _stand("the document is gone", _AT_HOME, _AT_HOME)
BY_HAND = (LEFT, HALF, DONE)
