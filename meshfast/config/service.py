"""Which VirtualService is for which service, and the services that come of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from meshfast import model
from meshfast.config import fqdn
from meshfast.config.cluster import Clusters
from meshfast.config.delegate import Delegates
from meshfast.config.document import Place, Report, listed
from meshfast.config.read import Resource
from meshfast.config.route import Routes
from meshfast.model import Pattern


@dataclass(slots=True)
class _Claim:
    """A VirtualService's word about a host: which of its hosts."""

    routes: Routes
    number: int

    @property
    def at(self) -> Place:
        return self.routes.host_at(self.number)


class Services:
    """The claims of all VirtualServices. An exact name beats its application, that the longest pattern, that ``*``."""

    def __init__(self, clusters: Clusters, namespace: str, report: Report) -> None:
        self._clusters, self._namespace, self._report = clusters, namespace, report
        self.exact: dict[str, _Claim] = {}
        self.apps: dict[str, _Claim] = {}
        self.prefixes: dict[str, _Claim] = {}  # by the prefix with its dot; "" is ``*``
        self.suffixes: dict[str, _Claim] = {}  # by the suffix with its dot

    def claim(self, host: str, claim: _Claim) -> None:
        if host in ("*", "*/*"):
            self._put(self.prefixes, "", host, claim)
        elif host.endswith(".*") and "*" not in host[:-1]:
            self._put(self.prefixes, host[:-1], host, claim)
        elif host.startswith("*.") and len(host) > 2 and "*" not in host[1:]:
            self._put(self.suffixes, host[1:], host, claim)
        elif "*" in host.removesuffix("/*"):
            glob = host[-1] == "*" and "*" not in host[:-1] and host[:-1].strip(".")
            hint = f"did you mean {glob}.*?" if glob else "write a service, app/*, prefix.*, *.suffix or *"
            self._report.add(claim.at, f'"{host}" is not a host', hint)
        elif (meant := self._clusters.meant(host, claim.routes.namespace)) in self._clusters.by_service:
            self._put(self.exact, meant, host, claim)
            for name in self._clusters.offered_by(meant):
                if name not in self.apps or self.apps[name].routes is not claim.routes:
                    self._put(self.apps, name, host, claim)
        elif (app := self._clusters.find(meant)) is not None:
            self._put(self.apps, app, host, claim)
        elif host.endswith("/*") or not claim.routes.explicit:
            if not self._report.incomplete:
                self._report.add(claim.at, f"unknown host {host}", self._clusters.hint(host, self._report))
        else:
            self._put(self.exact, host, host, claim)

    def advise(self) -> None:
        """Warns of hosts that are for nothing that is listed."""
        services = self._clusters.by_service
        for host, claim in self.exact.items():
            if host not in services:
                hint = self._report.near(host, services, "the rules are for callers that name it all the same")
                self._report.warn(claim.at, f"no ServiceEntry lists the service {host}", hint)
        for claim, said in (
            *((claim, f"{prefix}*") for prefix, claim in self.prefixes.items()),
            *((claim, f"*{suffix}") for suffix, claim in self.suffixes.items()),
        ):
            if not any(name.startswith(said[:-1]) if said[-1] == "*" else name.endswith(said[1:]) for name in services):
                hint = listed("listed are", services, "no service is listed", most=4)
                self._report.warn(claim.at, f"no service that is listed is {said}", hint)

    def _put(self, where: dict[str, _Claim], key: str, host: str, claim: _Claim) -> None:
        before = where.setdefault(key, claim)
        if before is claim:
            return
        if before.routes is claim.routes:
            self._report.add(claim.at, f"{host} is routed twice", f"first at {before.at.origin()}")
            return
        first, later = sorted((before, claim), key=lambda one: one.routes.order)
        where[key] = first
        if not later.routes.order[0]:
            hint = "the older one or the first by name decides, as with Istio: put the rules into one"
            self._report.warn(later.at, f"{host} is routed by {first.routes.label}, this one is never asked", hint)

    def _for(self, service: str, app: str | None) -> _Claim | None:
        claim = self.exact.get(service) or (self.apps.get(app) if app is not None else None)
        if claim is None and (self.prefixes or self.suffixes):
            fits = self._fitting(service)
            claim = max(fits, key=lambda each: each[0])[1] if fits else self.prefixes.get("")
        return claim

    def _fitting(self, service: str) -> list[tuple[tuple[int, bool], _Claim]]:
        """The patterns that a service is, with what says which of them is nearest: the longest, of two the prefix."""
        dots = [i for i, c in enumerate(service) if c == "."]
        found = [(i + 1, True, self.prefixes.get(service[: i + 1])) for i in dots]
        whole = service.removeprefix("*")  # of a pattern that is listed: also its own
        if self.suffixes:
            found += [
                (len(service) - i, False, self.suffixes.get(service[i:]))
                for i in dots
                if i or whole is not service
            ]
        return [((length, prefix), claim) for length, prefix, claim in found if claim is not None]

    def _one(self, name: str, app: str | None) -> model.Service | None:
        """What a service is where an application offers it; None: where nobody does."""
        claim = self._for(name, app)
        if claim is not None and (app is not None or claim.routes.serves):
            plain = () if app is None or claim.routes.serves else self._clusters.plain(name, app).rules
            if name[0] == "*":
                return claim.routes.service(name[1:], Pattern.SUFFIX, app, claim.number, plain)
            return claim.routes.service(name, Pattern.EXACT, app, claim.number, plain)
        return self._clusters.plain(name, app) if app is not None else None

    def build(self) -> tuple[model.Service, ...]:
        """Every service, exact ones first, in the order in which the documents name them."""
        out: list[model.Service] = []
        known = dict.fromkeys([*self._clusters.by_service, *self.exact])
        further: dict[str, model.Service | None] = {}
        for name in known:
            apps = self._clusters.by_service.get(name, ())
            made = [one for app in apps or (None,) if (one := self._one(name, app)) is not None]
            made = [self._clusters.together(name, made)] if len(made) > 1 else made
            out += made
            for alias in fqdn.aliases(name, self._namespace) if made else ():
                further[alias] = None if alias in further else made[0]  # of several namespaces none is meant
        out += [replace(one, name=alias) for alias, one in further.items() if one is not None and alias not in known]
        for prefix, claim in sorted(self.prefixes.items(), key=lambda item: (-len(item[0]), item[0])):
            pattern = Pattern.PREFIX if prefix else Pattern.ANY
            service = claim.routes.service(prefix, pattern, None, claim.number)  # so that what is wrong in it is found
            if claim.routes.explicit and claim.routes.serves:
                out.append(service)
        for suffix, claim in sorted(self.suffixes.items(), key=lambda item: (-len(item[0]), item[0])):
            if f"*{suffix}" not in known:
                service = claim.routes.service(suffix, Pattern.SUFFIX, None, claim.number)
                out += [service] if claim.routes.explicit and claim.routes.serves else []
        return tuple(out)


def build(
    found: Iterable[Resource], clusters: Clusters, labels: set[str], own: model.Sidecar, report: Report
) -> tuple[tuple[model.Service, ...], set[str], set[str]]:
    """The services of all documents, the labels that their rules ask for, and the clusters of which they want instances
    of the own region."""
    services = Services(clusters, own.namespace, report)
    compiled: list[Routes] = []
    workload = {**own.labels, model.NAMESPACE: own.namespace}
    resources = list(found)
    delegates = Delegates(resources)
    for resource in resources:
        if resource.kind != "VirtualService":
            continue
        routes = Routes(resource, clusters, labels, workload, delegates, report)
        compiled.append(routes)
        for i, host in enumerate(routes.hosts):
            if host:
                services.claim(host, _Claim(routes, i))
    out = services.build()
    if report.warnings is not None and not report.incomplete:
        services.advise()
        delegates.advise(report)
    for routes in compiled:
        routes.finish()
    near = {clusters.parent(name) for routes in compiled for name in routes.near}
    return out, {name for routes in compiled for name in routes.used}, near
