"""How registries are and what they list, for metrics and pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from meshfast import standing
from meshfast.exposition import Family, Metric
from meshfast.pretty import Items, Rows
from meshfast.registration import Registrations
from meshfast.source.feed import Feed
from meshfast.source.registries import Registries

__all__ = ["METRICS", "families", "page", "words"]

_OF = ("registry",)
_FEEDS: dict[Metric, Callable[[Feed], float]] = {
    Metric(f"meshfast_registry_{name}", kind, text, _OF): value
    for name, kind, text, value in (
        ("connected", "gauge", "1 while its session lives", lambda feed: int(feed.state.connected)),
        ("stale", "gauge", "1 while what is served of it is only what it listed once", lambda feed: int(feed.stale)),
        ("sessions_total", "counter", "sessions begun; one that is resumed is none", lambda feed: feed.state.sessions),
        ("wanted", "gauge", "services that it is asked for by name", lambda feed: len(feed.wanted - {"*"})),
        ("services", "gauge", "services that it lists", lambda feed: sum(map(bool, feed.told.values()))),
        ("instances", "gauge", "instances that it lists", lambda feed: feed.instances),
        ("retained", "gauge", "instances that it lists no longer and that are kept", lambda feed: feed.retained),
        ("changes_total", "counter", "listings that were other ones than before", lambda feed: feed.changes),
    )
}
_REFUSED = Metric(
    "meshfast_registry_refused_total", "counter",
    "what was listed and cannot be read or used, by reason; without a registry: `last_good` that is not to be trusted, "
    "`unwritten`", ("registry", "reason"),
)  # fmt: skip
_ALL: dict[Metric, Callable[[Registries], float]] = {
    Metric(f"meshfast_registries_{name}", kind, text): value
    for name, kind, text, value in (
        ("held", "gauge", "services whose listing contradicts policy and stays as it was", lambda all_: len(all_.held)),
        ("left_out", "gauge", "offers that a file says otherwise", lambda all_: len(all_.left_out)),
        ("written_total", "counter", "times that what is listed was kept in the state directory",
         lambda all_: all_.written),
    )
}  # fmt: skip

METRICS = (*_FEEDS, _REFUSED, *_ALL)


def families(registries: Registries) -> Iterator[Family]:
    """Nothing where there is no registry."""
    for metric, value in _FEEDS.items():
        yield metric, [[metric.line((feed.spec.name,), value(feed)) for feed in registries]]
    refused = _refused(registries)
    yield _REFUSED, [[_REFUSED.line(key, count) for key, count in sorted(refused.items())]]
    for metric, of in _ALL.items():
        yield metric, [[metric.line((), of(registries))]] if registries.feeds else []


def _refused(registries: Registries) -> Counter[tuple[str, str]]:
    out = Counter(registries.refused)
    for feed in registries:
        for reason, count in feed.state.refused.items():
            out[feed.spec.name, reason] += count
    return out


def words(registries: Registries) -> list[str]:
    """A line for each registry."""
    return [f"registry {feed.spec.name}: {_word(feed, registries.clock())}" for feed in registries]


def _word(feed: Feed, now: float) -> str:
    state = feed.state
    services = sum(map(bool, feed.told.values()))
    if state.connected:
        word = f"connected, {services} service(s), {feed.instances} instance(s)"
    else:
        since = f" for {now - state.since:.0f} s" if state.since else ""
        word = f"not connected{since}{f' ({state.error})' if state.error else ''}"
    return f"{word}; stale: what it listed once is served" if feed.stale else word


def page(registries: Registries, registrations: Registrations) -> Items:
    """All of it as plain data, without a password."""
    now, refused = registries.clock(), _refused(registries)
    kept = [
        {"registry": feed.spec.name, "service": service, "address": key[3], "for": round(now - one.since, 1)}
        for feed in registries
        for service, some in feed.kept.items()
        for key, one in some.items()
    ]
    return Items(
        [
            ("registries", Rows(_feed(feed, refused, now) for feed in registries)),
            ("registrations", standing.rows(registrations)),
            ("last_good", registries.last_good),
            ("demanded", sorted(registries.demand.wanted)),
            ("held", registries.held),
            ("left_out", {one.called: why for one, why in registries.left_out.items()}),
            ("retained", Rows(iter(kept))),
            ("services", Rows(_service(service, registries) for service in sorted(registries.offers))),
        ]
    )


def _feed(feed: Feed, refused: Counter[tuple[str, str]], now: float) -> dict[str, object]:
    spec, state = feed.spec, feed.state
    return {
        "name": spec.name,
        "kind": spec.kind,
        "hosts": list(spec.hosts),
        "root": spec.root,
        "namespace": spec.namespace,
        "group": spec.group,
        "connected": state.connected,
        "since": round(now - state.since, 1) if state.since else None,
        "sessions": state.sessions,
        "error": state.error,
        "stale": feed.stale,
        "wanted": sorted(feed.wanted),
        "services": sum(map(bool, feed.told.values())),
        "instances": feed.instances,
        "retained": feed.retained,
        "refused": {reason: count for (name, reason), count in sorted(refused.items()) if name == spec.name},
    }


def _service(service: str, registries: Registries) -> dict[str, object]:
    offers = [
        {
            "cluster": one.origin.document,
            "listed_by": one.origin.file,
            "group": one.offer.group,
            "version": one.offer.version,
            "instances": len(one.offer.instances),
            "refused": dict(one.refused),
        }
        for one in registries.offers.get(service, ())
    ]
    return {"service": service, "offers": offers}
