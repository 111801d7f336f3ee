"""What a rule's ``key`` names: a service under a group and version."""

from __future__ import annotations

from dataclasses import dataclass

from meshfast.config.dubbo.step import ALWAYS, Alternatives
from meshfast.config.offer import UNVERSIONED, named


@dataclass(frozen=True, slots=True)
class Key:
    """A service as Dubbo knows it; "" is no group, no version."""

    service: str
    version: str = ""
    group: str = ""

    @classmethod
    def colons(cls, text: str) -> Key:
        """Of ``interface:version:group``, as routers are stored; also ``group/interface:version``."""
        if "/" in text:
            return cls.slashed(text)
        service, _, rest = text.partition(":")
        version, _, group = rest.partition(":")
        return cls(service, version, group)

    @classmethod
    def slashed(cls, text: str) -> Key:
        """Of ``[group/]interface[:version]``."""
        group, slash, rest = text.partition("/")
        service, _, version = (rest if slash else text).partition(":")
        return cls(service, version, group if slash else "")

    def text(self) -> str:
        """``[group/]interface[:version]``."""
        return (f"{self.group}/" if self.group else "") + self.service + (f":{self.version}" if self.version else "")


def told_apart(key: Key, own: Key) -> Alternatives:
    """The calls to ``key`` among those to a service that is offered as ``own``: mostly all of them."""
    if key == own:
        return ALWAYS
    groups = named("group", key.group, ("",)) if key.group != own.group else [()]
    versions = named("version", key.version, ("", UNVERSIONED)) if key.version != own.version else [()]
    return tuple((*group, *version) for group in groups for version in versions)
