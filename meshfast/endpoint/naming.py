"""What an application finds in the Nacos that its sidecar is: of a service, by the names that Dubbo gives it there, the
sidecar.

    providers:{service}:{version}:{group}    its providers; ``service`` of the instances, by interface
    {service}, group "mapping"               the application that offers it, a configuration
    meshfast.{service}                       that application's instance, which is the sidecar
    meshfast.{service}, group {revision}     what it offers, a configuration
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from meshfast.endpoint.dubbo import FIRST, TOGETHER, Shown
from meshfast.endpoint.folders import APPLICATION, application
from meshfast.endpoint.limits import Used
from meshfast.endpoint.lists import nodes
from meshfast.endpoint.standby import CONSUMED
from meshfast.registry.application import Metadata, described, metadata
from meshfast.registry.registered import MARK
from meshfast.registry.url import MOST_PARAMETERS, SERVICE, URL, Provider, Refused, decode, provided, version

__all__ = ["MAPPING", "PROVIDERS", "Looker", "Naming", "Service", "looked_at", "registered", "service_of"]

log = logging.getLogger("meshfast")

#: The group of configurations in which Dubbo looks for the applications that offer a service.
MAPPING = "mapping"
#: And those that say what an application offers: its revision.
_REVISION = re.compile(r"[0-9a-f]{32}")
#: Before the name of a service, of those that have providers.
PROVIDERS = "providers"


@dataclass(slots=True)
class Looker:
    """Who asks: a session. ``java``: its client is Nacos's for Java; ``patience``: seconds that its first looks may
    still wait, all together; ``vain``: the services for which one has."""

    java: bool = False
    follows: dict[str, Callable[[], None]] = field(default_factory=dict)
    patience: float = TOGETHER
    vain: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Service:
    """One that somebody asked for. ``urls``: the providers that are shown, by their names; ``before``: metadata that
    the last change took away, for who has just read its revision."""

    name: str
    urls: dict[str, URL] = field(default_factory=dict)
    looking: int = 0
    others: int = 0  # of those that look, who is not Java
    first: list[asyncio.Future[None]] = field(default_factory=list)
    offered: Metadata | None = None
    before: Metadata | None = None

    def become(self, urls: dict[str, URL]) -> None:
        self.urls = urls
        made = metadata(application(self.name), urls.values()) if urls else None
        if made != self.offered:
            self.offered, self.before = made, self.offered


class Naming:
    """``shown``: what there is to be found; ``out``: where the sidecar takes calls; ``parameters`` of the providers
    that are shown win over what instances say. ``restored`` has what was shown of services before a restart."""

    def __init__(
        self, shown: Shown, out: str, parameters: Mapping[str, str], used: Used,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._shown, self._out, self._parameters = shown, out.removeprefix("tcp://"), parameters
        self._used, self._clock = used, clock
        self._services: dict[str, Service] = {}
        self.restored: dict[str, list[str]] = {}
        self.waits = self.unanswered = 0
        self.unshown: dict[str, str] = {}  # services of which an offer is not shown, and why

    # --- who looks for what

    @property
    def services(self) -> list[str]:
        """Those that somebody looks for."""
        return sorted(self._services)

    def shows(self) -> dict[str, list[str]]:
        """What is shown, by service."""
        return {name: list(one.urls) for name, one in self._services.items() if one.urls}

    def look(self, who: Looker, name: str) -> Service | None:
        """A service, which is followed from now on; None: there are too many."""
        one = self._services.get(name)
        if one is None:
            if len(self._services) >= self._used.limits.services:
                self._used.refused["services"] += 1
                return None
            one = self._services[name] = Service(name)
            one.become({text: URL.parse(decode(text)) for text in self.restored.pop(name, ())})
        if name not in who.follows:
            who.follows[name] = self._shown.interest(name)
            one.looking += 1
            one.others += not who.java
        self.fill(one)
        return one

    def leave(self, who: Looker) -> None:
        """It looks for nothing any more."""
        for name, release in who.follows.items():
            release()
            one = self._services[name]
            one.looking -= 1
            one.others -= not who.java
            if not one.looking:
                del self._services[name]
                self.unshown.pop(name, None)
        who.follows.clear()

    def first(self, who: Looker, one: Service) -> asyncio.Future[None] | None:
        """What its first look at a service waits for, for a while; None: nothing, or nobody could give an answer."""
        patience = min(FIRST, who.patience)
        vain = patience <= 0 or one.name in who.vain or not self._shown.connected()
        if one.urls or vain or self._shown.known(one.name) is not None:
            return None
        self.waits += 1
        loop = asyncio.get_running_loop()
        began, future = self._clock(), loop.create_future()
        timer = loop.call_later(patience, self._in_vain, who, one.name, future)

        def over(_: object) -> None:
            timer.cancel()
            who.patience -= self._clock() - began
            if future in one.first:
                one.first.remove(future)

        future.add_done_callback(over)
        one.first.append(future)
        return future

    def _in_vain(self, who: Looker, name: str, future: asyncio.Future[None]) -> None:
        if not future.done():
            who.vain.add(name)
            self.unanswered += 1
            future.set_result(None)

    def changed(self, name: str) -> Service | None:
        """Another listing of a service is known; the service, if somebody looks for it."""
        one = self._services.get(name)
        if one is not None:
            self.fill(one)
        return one

    def fill(self, one: Service) -> None:
        """Shows what is listed now. What was shown once is never taken back for nothing: where there is no instance,
        the sidecar says so to the call."""
        listing = self._shown.known(one.name)
        if listing is None:
            return
        more = {} if one.others else CONSUMED
        urls, refused = nodes(one.name, listing, self._out, {**more, **self._parameters})
        if refused and one.name not in self.unshown:
            self.unshown[one.name] = "its instances want a token each"
            log.warning("endpoint: %s is not shown whole: %s", one.name, self.unshown[one.name])
        elif not refused:
            self.unshown.pop(one.name, None)
        if urls and urls.keys() != one.urls.keys():
            one.become(urls)
        first, one.first = one.first, []
        for waiting in first:
            if not waiting.done():
                waiting.set_result(None)

    # --- what they find

    def hosts(self, name: str, group: str) -> list[dict[str, Any]]:
        """The instances of one of Nacos's services, in a group of its; none of one that nobody looks for."""
        service = service_of(name)
        one = self._services.get(service) if service is not None else None
        if one is None:
            return []
        if name.startswith(APPLICATION):
            return [_host(f"{group}@@{name}", self._out, self._instance(one))] if one.offered else []
        asked = _version_and_group(name)
        return [
            _host(f"{group}@@{name}", f"{url.host}:{url.port}", _told(url))
            for url in one.urls.values()
            if (_plain(url.parameters), url.parameters.get("group", "")) == asked
        ]

    def configuration(self, name: str, group: str) -> str | None:
        """One of those that say which application offers a service, and what it offers."""
        if group == MAPPING:
            one = self._services.get(name)
            return application(name) if one is not None and one.urls else None
        service = name.removeprefix(APPLICATION) if name.startswith(APPLICATION) else ""
        one = self._services.get(service)
        if one is not None:
            for made in (one.offered, one.before):
                if made is not None and made.revision == group:
                    return made.data.decode()
        return None

    def names(self) -> Iterator[str]:
        """Of Nacos's services that have instances."""
        for one in self._services.values():
            by = dict.fromkeys((_plain(url.parameters), url.parameters.get("group", "")) for url in one.urls.values())
            for its, group in by:
                yield f"{PROVIDERS}:{one.name}:{its}:{group}"
            if by:
                yield application(one.name)

    def _instance(self, one: Service) -> dict[str, str]:
        assert one.offered
        protocols = {url.protocol for url in one.urls.values()}
        return described(self._out.rpartition(":")[2], protocols, one.offered.revision, {MARK: "1"})


def service_of(name: str) -> str | None:
    """The service that one of Nacos's stands for; None: it stands for none that is shown."""
    if name.startswith(APPLICATION):
        service = name.removeprefix(APPLICATION)
    elif name.startswith(f"{PROVIDERS}:"):
        service = name.split(":")[1]
    else:
        return None
    return service if SERVICE.fullmatch(service) else None


def looked_at(name: str, group: str) -> str | None:
    """The service about which a configuration says something; None: it is about none that is shown."""
    if group == MAPPING:
        return name if SERVICE.fullmatch(name) else None
    return service_of(name) if name.startswith(APPLICATION) and _REVISION.fullmatch(group) else None


def _version_and_group(name: str) -> tuple[str, str]:
    """As Dubbo 3 has them, all four; before 2.7.6 what was empty was left out."""
    _, _, of, group, *_ = [*name.split(":", 3), "", ""]
    return version(of), group


def _plain(parameters: Mapping[str, str]) -> str:
    return version(parameters.get("version", ""))


def _told(url: URL) -> dict[str, str]:
    return {**url.parameters, "protocol": url.protocol, "path": url.path, "category": PROVIDERS}


def _host(service: str, address: str, told: Mapping[str, str]) -> dict[str, Any]:
    ip, _, port = address.rpartition(":")
    ip = ip.strip("[]")
    return {
        "instanceId": f"{ip}#{port}#DEFAULT#{service}", "ip": ip, "port": int(port), "weight": 1.0, "healthy": True,
        "enabled": True, "ephemeral": True, "clusterName": "DEFAULT", "serviceName": service, "metadata": dict(told),
    }  # fmt: skip


def registered(name: str, ip: str, port: int, told: Mapping[str, str]) -> Provider | None:
    """The provider that an application registers under such a name; None: it is none, or none that may be called.

    :raises Refused: it cannot be read
    """
    if len(told) > MOST_PARAMETERS:
        raise Refused("parameters")
    parameters = dict(told)
    protocol, path = parameters.pop("protocol", ""), parameters.pop("path", "")
    service = service_of(name) or ""
    return provided(URL(protocol, "", "", f"[{ip}]" if ":" in ip else ip, port, path or service, parameters), service)
