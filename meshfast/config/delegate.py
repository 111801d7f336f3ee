"""Rules that a VirtualService hands on to another one (``delegate``), as Istio joins them: each match of the one with
each of the other, where they do not contradict each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from meshfast.config import fqdn
from meshfast.config.document import Place, Report
from meshfast.config.field import Record
from meshfast.config.read import Resource
from meshfast.config.resource import HttpMatch, HttpRoute, StringMatch

Key = tuple[str, str]  # namespace and name
MIRROR = ("mirror", "mirrors", "mirror_percentage", "mirror_percent", "mirror_percent_old")


class Delegates:
    """The VirtualServices without hosts, which others hand rules on to."""

    def __init__(self, found: Iterable[Resource]) -> None:
        bare = [one for one in found if one.kind == "VirtualService" and one.bare]
        self._known = {(one.meta.namespace, one.name): one for one in bare}
        self._asked: set[Key] = set()

    def find(self, key: Key) -> Resource | None:
        self._asked.add(key)
        return self._known.get(key)

    def advise(self, report: Report) -> None:
        """Warns of those that nobody hands anything to."""
        for key, one in self._known.items():
            if key not in self._asked:
                report.warn(one.at, "it has no hosts, and no rule hands on to it", "add hosts, or a rule with delegate")

    def expand(self, root: Resource, routes: Iterable[HttpRoute], used: dict[Key, Resource | None],
               report: Report) -> tuple[HttpRoute, ...]:  # fmt: skip
        """The rules of ``root`` with those that it hands on in their place; ``used`` takes in which ones that were."""
        out: list[HttpRoute] = []
        for route in routes:
            _check(route, report)
            if route.delegate is None:
                if not (route.route or route.redirect or route.direct or route.at.bad):
                    report.add(route.at, "route is missing", "route: a list of mappings")
                out.append(route)
                continue
            key = (route.delegate.namespace or root.meta.namespace, route.delegate.name)
            found = used[key] = self.find(key)
            if found is None:
                if not report.incomplete:
                    what = f"no VirtualService {route.delegate.name} without hosts is there"
                    report.warn(route.delegate.at, what, "this rule is left out, as with Istio")
                continue
            rules = found.spec.http
            if found.meta.namespace and found.meta.namespace != root.meta.namespace:
                rules = fqdn.qualified(rules, found.meta.namespace)
            for each in rules:
                if each.delegate is not None:
                    words = "that rule is left out, as with Istio"
                    report.warn(each.delegate.at, "a delegate hands on once more", words)
                elif (made := _joined(route, each)) is not None:
                    _check(each, report)
                    out.append(made)
                else:
                    words = "this rule is left out, as with Istio"
                    report.warn(each.at, f"its match contradicts the one at {route.at.origin()}", words)
        return tuple(out)


def _check(route: HttpRoute, report: Report) -> None:
    """What of a rule excludes each other."""
    kinds = [
        (name, at)
        for name, at in (
            ("route", route.at.at("route") if route.route else None),
            ("redirect", _at(route.redirect)),
            ("directResponse", _at(route.direct)),
            ("delegate", _at(route.delegate)),
        )
        if at is not None
    ]
    if len(kinds) > 1:
        report.add(kinds[1][1], f"{kinds[0][0]} and {kinds[1][0]} exclude each other", "keep one of them")
    for other, at in (("redirect", _at(route.redirect)), ("directResponse", _at(route.direct))):
        if at is None:
            continue
        if route.fault is not None:
            report.add(route.fault.at, f"fault and {other} exclude each other", "keep one of them")
        if route.rewrite is not None:
            report.add(route.rewrite.at, f"rewrite and {other} exclude each other", "keep one of them")


def _at(record: Record | None) -> Place | None:
    return None if record is None else record.at


def _joined(root: HttpRoute, leaf: HttpRoute) -> HttpRoute | None:
    if not root.match or not leaf.match:
        matches = leaf.match or root.match
    else:
        matches = ()
        for one in leaf.match:
            fitting = [each for each in root.match if not _conflict(each, one)]
            if not fitting:
                return None
            matches += tuple(_both(each, one) for each in fitting)
    source = leaf if leaf.mirror is not None or leaf.mirrors else root
    return replace(
        leaf,
        name=_name(root.name, leaf.name),
        match=matches,
        timeout=leaf.timeout or root.timeout,
        retries=leaf.retries or root.retries,
        fault=leaf.fault or root.fault,
        headers=leaf.headers or root.headers,
        rewrite=leaf.rewrite or root.rewrite,
        **{name: getattr(source, name) for name in MIRROR},
    )


def _name(root: str, leaf: str) -> str:
    return "-".join(filter(None, (root, leaf)))


def _both(root: HttpMatch, leaf: HttpMatch) -> HttpMatch:
    return replace(
        leaf,
        name=_name(root.name, leaf.name),
        uri=leaf.uri or root.uri,
        scheme=leaf.scheme or root.scheme,
        method=leaf.method or root.method,
        authority=leaf.authority or root.authority,
        headers={**root.headers, **leaf.headers},
        without_headers={**root.without_headers, **leaf.without_headers},
        query_params={**root.query_params, **leaf.query_params},
        source_labels={**root.source_labels, **leaf.source_labels},
        port=leaf.port or root.port,
        source_namespace=leaf.source_namespace or root.source_namespace,
        gateways=leaf.gateways or root.gateways,
        labels={**root.labels, **leaf.labels},
    )


def _conflict(root: HttpMatch, leaf: HttpMatch) -> bool:
    """Whether the narrower one is not within the wider one, as far as Istio tells."""
    single = [
        (root.uri, leaf.uri), (root.scheme, leaf.scheme), (root.method, leaf.method), (root.authority, leaf.authority),
    ]  # fmt: skip
    named = (
        (root.headers, leaf.headers), (root.without_headers, leaf.without_headers),
        (root.query_params, leaf.query_params),
    )  # fmt: skip
    pairs = [*single, *(pair for a, b in named for pair in _common(a, b))]
    return (
        any(not _narrower(a, b) for a, b in pairs)
        or root.ignore_uri_case != leaf.ignore_uri_case
        or bool(root.port and leaf.port and root.port != leaf.port)
        or bool(root.source_namespace and leaf.source_namespace != root.source_namespace)
        or any(root.source_labels.get(k, v) != v for k, v in leaf.source_labels.items())
        or bool(root.gateways and not set(leaf.gateways) <= set(root.gateways))
        or not root.labels.keys().isdisjoint(leaf.labels)
    )


def _common(root: Mapping[str, StringMatch], leaf: Mapping[str, StringMatch]) -> list[tuple[StringMatch, StringMatch]]:
    return [(root[name], leaf[name]) for name in leaf if name in root]


def _narrower(root: StringMatch | None, leaf: StringMatch | None) -> bool:
    if root is None or leaf is None:
        return True
    if root.regex or leaf.regex:
        return False
    if root.exact:
        return not leaf.prefix and leaf.exact == root.exact
    if root.prefix:
        return (leaf.prefix or leaf.exact or "").startswith(root.prefix)
    return False
