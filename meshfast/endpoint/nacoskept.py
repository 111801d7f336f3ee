"""What applications have written into the Nacos that their sidecar is: instances, which are wanted elsewhere, and
configurations. With a state directory it is there for the next process."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from meshfast.endpoint.dubbo import Wanted
from meshfast.endpoint.instances import Written
from meshfast.endpoint.later import Later, State
from meshfast.endpoint.limits import Full, Used
from meshfast.endpoint.nacosrequests import Instance
from meshfast.endpoint.naming import PROVIDERS, registered
from meshfast.errors import SourceError
from meshfast.hints import told
from meshfast.registry.url import Refused

__all__ = ["Book", "Key", "md5"]

log = logging.getLogger("meshfast")

NAME = "nacos.json"
Key = tuple[str, str, str]  # namespace, group, name
Said = tuple[str, str, Instance]  # service, group


class _All(msgspec.Struct):
    said: list[Said]
    configurations: list[tuple[str, str, str, str]]
    shown: dict[str, list[str]]


class Book:
    """``hears`` is called when something else is wanted than before. ``wanted``: by a path of its own for each
    instance, with the session that said so last."""

    def __init__(self, used: Used, written: Written, hears: Callable[[], None]) -> None:
        self._used, self.written, self._hears = used, written, hears
        self.wanted: dict[str, Wanted] = {}
        self.refused: Counter[str] = Counter()  # of what was registered, by reason
        self._said: dict[str, Said] = {}
        self._of: dict[int, dict[str, None]] = {}  # paths, by session
        self._texts: dict[Key, str] = {}
        self._shown: Callable[[], Mapping[str, list[str]]] = dict
        self._later: Later | None = None

    # --- instances

    def put(self, session: int, service: str, group: str, one: Instance) -> str:
        """Keeps what a session registers; gives its path. What cannot be read is told and counted, and not kept.

        :raises Full: there are as many as may be
        """
        path = _path(service, group, one)
        before = self.wanted.get(path)
        try:
            found = _wanted(session, service, one)
        except Refused as refused:
            self.refused[refused.reason] += 1
            log.warning("endpoint: what the application registered for %s cannot be read: %s", service, refused)
            found = None
        if found is None:
            self.drop(session, path)
            return path
        if before is None and len(self.wanted) >= self._used.limits.registrations:
            self._used.refused["registrations"] += 1
            raise Full("registrations")
        if before is not None and before.session != session:
            self._part(before.session, path)
        self._of.setdefault(session, {})[path] = None
        self.wanted[path], self._said[path] = found, (service, group, one)
        if found != before:
            self._changed()
        return path

    def take_back(self, session: int, service: str, group: str, one: Instance) -> None:
        self.drop(session, _path(service, group, one))

    def only(self, session: int, service: str, group: str, these: list[Instance]) -> None:
        """All that a session registers for a service; see ``put``."""
        now = {self.put(session, service, group, one) for one in these}
        for path in [path for path in self._of.get(session, ()) if self._said[path][:2] == (service, group)]:
            if path not in now:
                self.drop(session, path)

    def drop(self, session: int, path: str) -> None:
        """Nothing, where another session has said the same since."""
        one = self.wanted.get(path)
        if one is not None and one.session == session:
            del self.wanted[path], self._said[path]
            self._part(session, path)
            self._changed()

    def end(self, session: int) -> None:
        """All that it registered."""
        for path in list(self._of.get(session, ())):
            self.drop(session, path)

    def count(self, session: int) -> int:
        """How much it has registered."""
        return len(self._of.get(session, ()))

    def _part(self, session: int, path: str) -> None:
        mine = self._of.get(session, {})
        mine.pop(path, None)
        if not mine:
            self._of.pop(session, None)

    def _changed(self) -> None:
        self.keeps()
        self._hears()

    # --- configurations

    def get(self, key: Key) -> str | None:
        return self._texts.get(key)

    def write(self, key: Key, text: str) -> None:
        """:raises Full: there are too many, or too much"""
        before = self._texts.get(key)
        if before is None:
            self._used.take("nodes", 1)
        try:
            self._used.take("bytes", _size(key, text))
        except Full:
            if before is None:
                self._used.give("nodes", 1)
            raise
        if before is not None:
            self._used.give("bytes", _size(key, before))
        self._texts[key] = text
        self.keeps()
        if self.written.take(_where(key), text.encode()):
            self._hears()

    def remove(self, key: Key) -> bool:
        """Whether there was one."""
        before = self._texts.pop(key, None)
        if before is None:
            return False
        self._used.give("nodes", 1)
        self._used.give("bytes", _size(key, before))
        self.written.drop(_where(key))
        self.keeps()
        return True

    # --- over a restart

    def keep(self, state: State, session: int, shown: Callable[[], Mapping[str, list[str]]]) -> dict[str, list[str]]:
        """Goes on with what there is, as what ``session`` said, and keeps what comes. Gives what was ``shown``; what
        cannot be trusted is told and not used."""
        found = None
        try:
            data = state.read(NAME)
            found = None if data is None else msgspec.json.decode(data, type=_All)
        except (SourceError, OSError, msgspec.MsgspecError, RecursionError) as error:
            log.error("endpoint: what applications wrote into Nacos is not used: %s", told(error))
        if found is not None:
            try:
                for *key, text in found.configurations:
                    self.write((key[0], key[1], key[2]), text)
                for service, group, one in found.said:
                    self.put(session, service, group, one)
            except Full as full:
                log.error("endpoint: not all that applications wrote into Nacos is used: the limit of %s", full)
        self._shown = shown
        self._later = Later(state, NAME, self._encoded, "what applications write into Nacos is")
        return found.shown if found is not None else {}

    def keeps(self) -> None:
        """Something is other than what is kept."""
        if self._later is not None:
            self._later.changed()

    @property
    def failed(self) -> int:
        """How often it could not be kept."""
        return self._later.failed if self._later is not None else 0

    async def close(self) -> None:
        """Keeps it for the last time."""
        later, self._later = self._later, None
        if later is not None:
            await later.close()

    def _encoded(self) -> bytes:
        texts = [(*key, text) for key, text in self._texts.items()]
        return msgspec.json.encode(_All(list(self._said.values()), texts, dict(self._shown())))


def md5(text: str | None) -> str:
    """As clients compare configurations; "" of none."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() if text is not None else ""


def _wanted(session: int, service: str, one: Instance) -> Wanted | None:
    kind, *rest = service.split(":")
    if kind == PROVIDERS:
        found = registered(service, one.ip, one.port, one.told) if one.enabled else None
        return Wanted(session, found, b"") if found is not None else None
    if rest:  # consumers and rules
        return None
    data = {
        "name": service, "address": one.ip, "port": one.port, "enabled": one.enabled, "payload": {"metadata": one.told}
    }  # fmt: skip
    return Wanted(session, None, msgspec.json.encode(data))


def _path(service: str, group: str, one: Instance) -> str:
    return f"nacos/{group}/{service}/{one.ip}:{one.port}"


def _where(key: Key) -> str:
    """Of what an application offers: its name, and the revision."""
    return f"/{key[2]}/{key[1]}"


def _size(key: Key, text: str) -> int:
    return sum(map(len, key)) + len(text.encode())
