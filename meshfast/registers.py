"""The part of the picture that says how the application and registries know of each other, and a word that is never
shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Advertise", "EndpointSpec", "RegistrationSpec", "Secret"]


class Secret:
    """A text that is never shown."""

    __slots__ = ("text",)

    def __init__(self, text: str = "") -> None:
        self.text = text

    def __repr__(self) -> str:
        return "***" if self.text else ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


@dataclass(frozen=True, slots=True)
class Advertise:
    """``address``: where callers reach this machine, "" for a listener's own; ``propagation_ms``: how long calls are
    served on after everything was withdrawn; ``levels``: as what services are registered, () for as the
    application did."""

    address: str = ""
    propagation_ms: int = 3000
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RegistrationSpec:
    """A service that the application offers behind a listener, to be registered."""

    service: str
    group: str = ""
    version: str = ""
    protocol: str = "dubbo"
    listener: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """The registries that the sidecar is for its application. ``listener``: the outbound one that is shown in the place
    of providers; ``parameters``: of what is shown, they win over the instances' own; ``standby``: how many instances
    are shown beside it; ``properties``: of the application's configuration. ``http``: where SDKs say what they offer
    and call. An address that is not there is ""."""

    zookeeper: str = ""
    listener: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    standby: int = 0
    properties: Mapping[str, str] = field(default_factory=dict)
    http: str = ""
    nacos: str = ""
