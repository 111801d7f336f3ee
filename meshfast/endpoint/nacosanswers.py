"""What the Nacos that a sidecar is answers to each request, and of what it tells whom later."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from meshfast.endpoint import nacosrequests, payload
from meshfast.endpoint.folders import APPLICATION
from meshfast.endpoint.limits import Full, Used
from meshfast.endpoint.nacoskept import Book, Key, md5
from meshfast.endpoint.naming import MAPPING, Looker, Naming, Service, looked_at, service_of
from meshfast.serving.grpc import Connection, Stream

__all__ = ["Answers", "Refused", "Session"]

GROUP = "DEFAULT_GROUP"
#: Where Dubbo looks for an application's properties: group and name.
PROPERTIES = ("dubbo", "dubbo.properties")
#: Numbers of errors, as Nacos has them.
UNREGISTERED, NO_HANDLER, NOT_FOUND, WRONG, NO_RIGHT, FAILED, FULL = 301, 302, 300, 400, 403, 500, 503


class Refused(Exception):
    """What is answered instead: a number, and why."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class _Follows(NamedTuple):
    """One of Nacos's services, whose instances a session is told of."""

    name: str
    group: str
    namespace: str = ""


@dataclass(eq=False, slots=True)
class Session:
    """``heard``: by the clock, when it said something last; ``asked``: it was asked since whether it is there;
    ``told``: by service, what it follows and the instances that it knows; ``listens``: to which configurations, with
    what it knows of them; ``mappings``: those of them that say who offers a service, by its name."""

    id: int
    stream: Stream
    heard: float
    looker: Looker = field(default_factory=Looker)
    told: dict[str, dict[_Follows, list[Any]]] = field(default_factory=dict)
    listens: dict[Key, str] = field(default_factory=dict)
    mappings: dict[str, dict[Key, None]] = field(default_factory=dict)
    asked: bool = False


class Answers:
    """``properties``: the text that applications find as theirs; None: what they wrote themselves."""

    def __init__(self, used: Used, book: Book, naming: Naming, properties: str | None) -> None:
        self.used, self.book, self.naming, self._properties = used, book, naming, properties
        self.unknown: Counter[str] = Counter()
        self.sessions: dict[Connection, Session] = {}
        self._pushes = itertools.count(1)
        self._stamp = 0
        self.handlers: dict[str, Callable[[Session, Any], Mapping[str, Any]]] = {
            "HealthCheckRequest": lambda session, asked: {},
            "InstanceRequest": self._instance,
            "BatchInstanceRequest": self._batch,
            "PersistentInstanceRequest": self._persistent,
            "ServiceQueryRequest": self._query,
            "SubscribeServiceRequest": self._subscribe,
            "ServiceListRequest": self._list,
            "ConfigQueryRequest": self._configuration,
            "ConfigPublishRequest": self._publish,
            "ConfigRemoveRequest": self._remove,
            "ConfigBatchListenRequest": self._listen,
        }

    def answer(self, session: Session, type: str, request: Any) -> Mapping[str, Any]:
        """What the answer says besides that all went well.

        :raises Refused: with what is answered instead
        """
        try:
            return self.handlers[type](session, request)
        except Full as full:
            raise Refused(FULL, f"over the limit of {full}") from None

    def first(self, session: Session, request: Any) -> asyncio.Future[None] | None:
        """What must be known first: of a service that is looked for, who offers it."""
        name = None
        if type(request) is nacosrequests.Naming and request.instance is None:
            name = service_of(request.service_name or "")
        elif type(request) is nacosrequests.Config:
            name = looked_at(request.data_id or "", request.group or "")
        one = self._look(session, name)
        return self.naming.first(session.looker, one) if one is not None else None

    def _look(self, session: Session, name: str | None) -> Service | None:
        if not name or service_of(APPLICATION + name) is None:
            return None
        new = name not in session.looker.follows
        one = self.naming.look(session.looker, name)
        if new and one is not None:
            self.book.keeps()
            self.tell(name)  # of what is shown to all of them together
        return one

    def leave(self, session: Session) -> None:
        """It looks for nothing any more."""
        self.naming.leave(session.looker)
        self.used.give("watches", sum(map(len, session.told.values())) + len(session.listens))

    # --- instances

    def _instance(self, session: Session, asked: nacosrequests.Naming) -> Mapping[str, Any]:
        name, group, one = asked.service_name, asked.group_name or GROUP, asked.instance
        if not name or one is None:
            raise Refused(WRONG, "say which instance of which service")
        if asked.type == "deregisterInstance":
            self.book.take_back(session.id, name, group, one)
        elif asked.type == "registerInstance":
            self.book.put(session.id, name, group, one)
        else:
            raise Refused(WRONG, f"no {str(asked.type)[:100]} of instances here")
        return {"type": asked.type}

    def _persistent(self, session: Session, asked: nacosrequests.Naming) -> Mapping[str, Any]:
        self.unknown["PersistentInstanceRequest"] += 1
        raise Refused(NO_HANDLER, "an instance that would outlive its application is not registered: ephemeral=true")

    def _batch(self, session: Session, asked: nacosrequests.Batch) -> Mapping[str, Any]:
        if not asked.service_name or asked.instances is None or asked.type != "batchRegisterInstance":
            raise Refused(WRONG, "say which instances of which service")
        self.book.only(session.id, asked.service_name, asked.group_name or GROUP, asked.instances)
        return {"type": asked.type}

    def _query(self, session: Session, asked: nacosrequests.Naming) -> Mapping[str, Any]:
        follows = _follows(asked)
        return {"serviceInfo": self._info(follows, self.naming.hosts(follows.name, follows.group))}

    def _subscribe(self, session: Session, asked: nacosrequests.Naming) -> Mapping[str, Any]:
        follows = _follows(asked)
        hosts = self.naming.hosts(follows.name, follows.group)
        service = service_of(follows.name) or ""
        mine = session.told.get(service, {})
        if asked.subscribe:
            if follows not in mine:
                self.used.take("watches", 1)
            session.told.setdefault(service, mine)[follows] = hosts
        elif mine.pop(follows, None) is not None:
            self.used.give("watches", 1)
            if not mine:
                del session.told[service]
        return {"serviceInfo": self._info(follows, hosts)}

    def _list(self, session: Session, asked: nacosrequests.Naming) -> Mapping[str, Any]:
        names = sorted(self.naming.names())
        begin = max(0, asked.page_no - 1) * max(0, asked.page_size)
        return {"count": len(names), "serviceNames": names[begin : begin + max(0, asked.page_size)]}

    def _info(self, follows: _Follows, hosts: list[Any]) -> dict[str, Any]:
        self._stamp = max(self._stamp + 1, int(time.time() * 1000))  # clients pass over what is older than they know
        return {
            "name": follows.name, "groupName": follows.group, "clusters": "", "cacheMillis": 10_000, "hosts": hosts,
            "lastRefTime": self._stamp, "checksum": "", "allIPs": False, "reachProtectionThreshold": False,
        }  # fmt: skip

    # --- configurations

    def _text(self, key: Key) -> str | None:
        _, group, name = key
        if (group, name) == PROPERTIES and self._properties is not None:
            return self._properties
        shown = self.naming.configuration(name, group)
        return self.book.get(key) if shown is None else shown

    def _is_shown(self, key: Key) -> bool:
        """Whether it is not what applications write."""
        _, group, name = key
        own = (group, name) == PROPERTIES and self._properties is not None
        return own or self.naming.configuration(name, group) is not None

    def _configuration(self, session: Session, asked: nacosrequests.Config) -> Mapping[str, Any]:
        found = self._text(_key(asked))
        if found is None:
            return {"resultCode": FAILED, "errorCode": NOT_FOUND, "message": "config data not exist"}
        return {"content": found, "md5": md5(found), "contentType": "text", "lastModified": 0, "beta": False}

    def _publish(self, session: Session, asked: nacosrequests.Publish) -> Mapping[str, Any]:
        key = _key(asked)
        if key[1] == MAPPING:
            return {}  # the real one is written where it is registered
        if self._is_shown(key):
            raise Refused(NO_RIGHT, f"{key[2][:100]} of {key[1][:100]} is the sidecar's")
        if asked.cas_md5 and asked.cas_md5 != (md5(self.book.get(key)) or "0"):
            raise Refused(FAILED, "somebody has changed it since")
        self.book.write(key, asked.content or "")
        self._tell_text(key)
        return {}

    def _remove(self, session: Session, asked: nacosrequests.Config) -> Mapping[str, Any]:
        key = _key(asked)
        if not self._is_shown(key) and self.book.remove(key):
            self._tell_text(key)
        return {}

    def _listen(self, session: Session, asked: nacosrequests.Listen) -> Mapping[str, Any]:
        changed = []
        for each in asked.config_listen_contexts or ():
            key = (each.tenant or "", each.group or GROUP, each.data_id or "")
            if not asked.listen:
                if session.listens.pop(key, None) is not None:
                    self.used.give("watches", 1)
                    self._unmap(session, key)
                continue
            if key not in session.listens:
                self.used.take("watches", 1)
            if key[1] == MAPPING:
                self._look(session, key[2])
                session.mappings.setdefault(key[2], {})[key] = None
            found = session.listens[key] = md5(self._text(key))
            if found != (each.md5 or ""):
                changed.append({"tenant": each.tenant or "", "group": key[1], "dataId": key[2]})
        return {"changedConfigs": changed}

    def _unmap(self, session: Session, key: Key) -> None:
        if key[1] == MAPPING:
            alike = session.mappings[key[2]]
            del alike[key]
            if not alike:
                del session.mappings[key[2]]

    # --- what is told

    def tell(self, service: str) -> None:
        for session in list(self.sessions.values()):
            for follows, known in list(session.told.get(service, {}).items()):
                hosts = self.naming.hosts(follows.name, follows.group)
                if hosts != known:
                    session.told[service][follows] = hosts
                    self.push(session, "NotifySubscriberRequest", {
                        "namespace": follows.namespace, "serviceName": follows.name, "groupName": follows.group,
                        "serviceInfo": self._info(follows, hosts), "module": "naming",
                    })  # fmt: skip
            for key in session.mappings.get(service, ()):
                self._tell_of(session, key)

    def _tell_text(self, key: Key) -> None:
        for session in list(self.sessions.values()):
            if key in session.listens:
                self._tell_of(session, key)

    def _tell_of(self, session: Session, key: Key) -> None:
        found = md5(self._text(key))
        if session.listens[key] != found:
            session.listens[key] = found
            told = {"tenant": key[0], "group": key[1], "dataId": key[2], "module": "config"}
            self.push(session, "ConfigChangeNotifyRequest", told)

    def push(self, session: Session, type: str, told: Mapping[str, Any]) -> None:
        body = msgspec.json.encode({"requestId": str(next(self._pushes)), **told})
        session.stream.send(payload.write(payload.Payload(type, body)))


def _follows(asked: nacosrequests.Naming) -> _Follows:
    return _Follows(asked.service_name or "", asked.group_name or GROUP, asked.namespace or "")


def _key(asked: nacosrequests.Config) -> Key:
    return asked.tenant or "", asked.group or GROUP, asked.data_id or ""
