"""An application's instance as Dubbo 3 writes it, the inverse of ``instance``: the node that says where it is, the
MetadataInfo that says what it offers, and the mapping that says of a service which applications offer it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from meshfast.registry import Registration
from meshfast.registry.instance import LONGEST_MAPPING
from meshfast.registry.registered import MARK, is_own
from meshfast.registry.url import SERVICE, URL, Refused, address

__all__ = [
    "Form", "Metadata", "Place", "besides", "described", "instance", "instance_of_go", "instance_of_nacos", "is_stamp",
    "joined", "marked", "metadata", "of_nacos", "place", "place_of", "stamp_of",
]  # fmt: skip

#: The class that Dubbo for Java reads the payload as.
CLASS = "org.apache.dubbo.registry.zookeeper.ZookeeperInstance"
#: Of a MetadataInfo: by Dubbo2, and where there is Triple alone.
VERSION, TRIPLE_VERSION = "1.0.0", "2.0.0"
_encoder = msgspec.json.Encoder(order="sorted")


class Place(NamedTuple):
    """Which instance it is: there is one node for each."""

    application: str
    address: str


#: The data of an instance's node, by what ``instance`` is given.
Form = Callable[[Place, Collection[str], str, Mapping[str, str], str], bytes]


class Metadata(NamedTuple):
    """A MetadataInfo as it is written, and the revision that it is known by."""

    revision: str
    data: bytes


def place(registration: Registration) -> Place:
    """Whose instance a registration belongs to.

    :raises Refused: its application or its service cannot be the name of a node, or of one in a list
    """
    application = registration.parameters.get("application", "")
    for name in (application, registration.service):
        if not SERVICE.fullmatch(name) or name in (".", "..") or "," in name:
            raise Refused("name", f'"{name}" cannot be written as an application\'s or as one of its services')
    return Place(application, registration.address)


def place_of(path: str) -> Place | None:
    """Whose node a path is; None: it is no instance's."""
    above, _, name = path.rpartition("/")
    host, _, port = name.rpartition(":")
    try:
        known = address(host, int(port) if port.isascii() and port.isdigit() else 0)
    except Refused:
        return None
    application = above.rpartition("/")[2]
    return Place(application, name) if application and known == name else None


def metadata(application: str, urls: Iterable[URL]) -> Metadata:
    """What an application offers by these providers' URLs. The revision depends on nothing else, so that instances that
    offer the same share it; when it began to take calls is said by the instance."""
    services: dict[str, Any] = {}
    for one in urls:
        parameters = {name: text for name, text in one.parameters.items() if name != "timestamp"}
        service, group, version = (parameters.get(name, "") for name in ("interface", "group", "version"))
        key = (f"{group}/" if group else "") + service + (f":{version}" if version else "")
        told = {"name": service, "group": group, "version": version, "protocol": one.protocol,
                "path": one.path, "port": one.port, "params": parameters}  # fmt: skip
        services[f"{key}:{one.protocol}"] = {name: value for name, value in told.items() if value}
    revision = hashlib.md5(_encoder.encode([application, services]), usedforsecurity=False).hexdigest()
    return Metadata(revision, _encoder.encode({"app": application, "revision": revision, "services": services}))


def instance(
    place: Place, protocols: Collection[str], revision: str, marks: Mapping[str, str], stamp: str = ""
) -> bytes:
    """The data of its node, with the keys of a direct provider's. ``marks``: by which a sidecar is known; ``stamp``:
    milliseconds since when it takes calls, where that is known."""
    host, _, port = place.address.rpartition(":")
    told = described(port, protocols, revision, marks, stamp)
    payload = {"@class": CLASS, "id": place.address, "name": place.application, "metadata": told}
    at = int(stamp) if is_stamp(stamp) else 0
    return msgspec.json.encode(
        {"name": place.application, "id": place.address, "address": host.strip("[]"), "port": int(port),
         "sslPort": None, "payload": payload, "registrationTimeUTC": at, "serviceType": "DYNAMIC", "uriSpec": None}
    )  # fmt: skip


def instance_of_go(
    place: Place, protocols: Collection[str], revision: str, marks: Mapping[str, str], stamp: str = ""
) -> bytes:
    """As ``instance``, as dubbo-go has it in an etcd: its program's own fields."""
    host, _, port = place.address.rpartition(":")
    told = described(port, protocols, revision, marks, stamp)
    return msgspec.json.encode(
        {"ID": place.address, "ServiceName": place.application, "Host": host.strip("[]"), "Port": int(port),
         "Enable": True, "Healthy": True, "Metadata": told, "Address": place.address}
    )  # fmt: skip


def instance_of_nacos(
    place: Place, protocols: Collection[str], revision: str, marks: Mapping[str, str], stamp: str = ""
) -> bytes:
    """As ``instance``, in the form in which an instance of a Nacos is shown as a node."""
    host, _, port = place.address.rpartition(":")
    return of_nacos(place.application, host.strip("[]"), int(port), described(port, protocols, revision, marks, stamp))


def of_nacos(application: str, host: str, port: int, metadata: Mapping[str, str], there: bool = True) -> bytes:
    """``there``: it is enabled and healthy. What says the same is the same."""
    return _encoder.encode(
        {"ServiceName": application, "Host": host, "Port": port, "Enable": there, "Metadata": dict(metadata)}
    )


def described(
    port: str, protocols: Collection[str], revision: str, marks: Mapping[str, str], stamp: str = ""
) -> dict[str, str]:
    """What an instance at a port says of itself, whichever registry it is in: as ``instance``."""
    endpoints = [{"port": int(port), "protocol": protocol} for protocol in sorted(protocols)]
    return {
        "dubbo.endpoints": msgspec.json.encode(endpoints).decode(),
        "dubbo.metadata.revision": revision,
        "dubbo.metadata.storage-type": "remote",
        "meta-v": VERSION if "dubbo" in protocols else TRIPLE_VERSION,
        **({"timestamp": stamp} if stamp else {}),
        **marks,
    }


def _told(data: bytes) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(data)
        found = found["Metadata"] if "ServiceName" in found else found["payload"]["metadata"]
    except (msgspec.MsgspecError, RecursionError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def marked(data: bytes) -> bool:
    """Whether a sidecar wrote it."""
    return bool(_told(data).get(MARK) == "1")


def is_stamp(text: str) -> bool:
    """Whether it is milliseconds, as Java reads them."""
    return text.isascii() and text.isdigit() and len(text) < 19


def stamp_of(data: bytes) -> str:
    """Since when an instance takes calls, as its node says; "" where it does not."""
    found = _told(data).get("timestamp")
    return found if isinstance(found, str) else ""


def joined(data: bytes, application: str) -> bytes | None:
    """A mapping with one application more; None: it is there. As Dubbo has it, in the order in which they came.

    :raises Refused: it would be longer than is read
    """
    names = [name for each in data.decode(errors="replace").split(",") if (name := each.strip())]
    if application in names:
        return None
    made = ",".join([*names, application]).encode()
    if len(made) > LONGEST_MAPPING:
        raise Refused("too_long", f"its mapping names {len(names)} applications, and has no room for another")
    return made


def besides(names: Iterable[str], registration: Registration) -> list[str]:
    """Of an application's instances those that are the registration's application itself, without its sidecar."""
    return sorted(name for name in names if name != registration.address and is_own(name, registration))
