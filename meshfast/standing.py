"""How the application's registrations are, for metrics and pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from meshfast.exposition import Family, Metric
from meshfast.pretty import Rows
from meshfast.registration import Registrations

__all__ = ["METRICS", "STATES", "families", "rows"]

STATES = ("registered", "pending", "leaving")

_WANTED = Metric("meshfast_registration_wanted", "gauge", "services that are wanted to be registered")
_HEALTHY = Metric(
    "meshfast_registration_healthy", "gauge", "those of them whose application takes calls, as far as is known"
)
_WITHDRAWN = Metric(
    "meshfast_registration_withdrawn_total", "counter", "times that an application's port was found to take no calls"
)
_STANDS = Metric(
    "meshfast_registration_services", "gauge",
    "what has become of them: registered, pending (to be written), leaving (to be taken away)", ("registry", "state"),
)  # fmt: skip
_REPAIRED = Metric(
    "meshfast_registration_repaired_total", "counter",
    "nodes that were gone, or another session's, and were written again", ("registry",),
)  # fmt: skip
_CONFLICTS = Metric(
    "meshfast_registration_conflicts_total", "counter",
    "times that the application was found registered by itself, besides its sidecar", ("registry",),
)  # fmt: skip
METRICS = (_WANTED, _HEALTHY, _WITHDRAWN, _STANDS, _REPAIRED, _CONFLICTS)


def families(registrations: Registrations) -> Iterator[Family]:
    """Nothing where nothing is registered anywhere."""
    shown = list(registrations.shown())
    writers = registrations.writers
    here = bool(writers)
    yield _WANTED, [[_WANTED.line((), len(shown))]] if here else []
    yield _HEALTHY, [[_HEALTHY.line((), sum(one.healthy is True for one in shown))]] if here else []
    yield _WITHDRAWN, [[_WITHDRAWN.line((), registrations.withdrawn)]] if here else []
    states = Counter((name, found.state) for one in shown for name, found in one.registries.items())
    yield _STANDS, [[_STANDS.line((name, state), states[name, state]) for name in writers for state in STATES]]
    yield _REPAIRED, [[_REPAIRED.line((name,), one.repaired) for name, one in writers.items()]]
    yield _CONFLICTS, [[_CONFLICTS.line((name,), one.conflicts) for name, one in writers.items()]]


def rows(registrations: Registrations) -> Rows:
    """Each of them as plain data."""
    return Rows(
        {
            "service": one.registration.service,
            "group": one.registration.group,
            "version": one.registration.version,
            "protocol": one.registration.protocol,
            "address": one.registration.address,
            "application": one.registration.behind,
            "healthy": one.healthy,
            "health": one.health,
            "registries": {
                name: {"state": found.state, "error": found.error, "conflicts": list(found.conflicts)}
                for name, found in one.registries.items()
            },
        }
        for one in registrations.shown()
    )
