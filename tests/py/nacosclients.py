"""A client of Nacos 2 made of bytes, and an endpoint to ask."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
from apis import Shown
from grpcs import Raw
from zookeepers import Served

from meshfast.endpoint import payload
from meshfast.endpoint.limits import Limits
from meshfast.endpoint.nacos import OFFSET, REQUEST, STREAM, Nacos
from meshfast.registry import Offer
from meshfast.serving.wire import Limits as Wires

OUT = "127.0.0.1:15001"


class Played(Served):
    """An endpoint over listings that the test sets; ``now``: the clock of waits and of who is silent."""

    def __init__(self, limits: Limits | None = None, wires: Wires | None = None, state: Any = None, **of: Any) -> None:
        self.shown, self.now = Shown(), [0.0]
        super().__init__(
            make=lambda: Nacos(
                "tcp://127.0.0.1:0", self.shown, f"tcp://{OUT}", limits=limits, wires=wires, state=state,
                clock=lambda: self.now[0], **of,
            )  # fmt: skip
        )

    def list(self, service: str, *offers: Offer) -> None:
        def change() -> None:
            self.shown.listings[service] = offers
            self.whole.changed(service)

        self.do(change)

    def refused(self) -> dict[str, int]:
        return self.do(lambda: dict(self.whole.turned_away))


class Client(Raw):
    """One connection, with its session unless it is not to ``set_up`` one. What is told it is in ``told``."""

    def __init__(self, played: Played, set_up: bool = True, version: str = "Nacos-Java-Client:v2.5.1") -> None:
        super().__init__(played.port + OFFSET)
        self.numbers = itertools.count(1)
        self.stream, self.version = 0, version
        if set_up:
            assert self.ask("ServerCheckRequest")[0] == "ServerCheckResponse"
            self.set_up()

    def set_up(self) -> None:
        self.stream = self.open(STREAM)
        self.tell("ConnectionSetupRequest", clientVersion=self.version, labels={"source": "sdk"}, tenant="")
        self.ask("HealthCheckRequest")

    def tell(self, kind: str, **fields: Any) -> None:
        self.say(self.stream, packed(kind, **fields))

    def begin(self, kind: str, **fields: Any) -> int:
        """The number of a request that has been sent."""
        id = self.open(REQUEST)
        self.say(id, packed(kind, requestId=str(next(self.numbers)), **fields), last=True)
        return id

    def reply(self, id: int) -> tuple[str, dict[str, Any]]:
        messages, status = self.answer(id)
        assert status == 0, self.trailers[id]
        return unpacked(messages[0])

    def ask(self, kind: str, **fields: Any) -> tuple[str, dict[str, Any]]:
        return self.reply(self.begin(kind, **fields))

    def good(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The answer, which says that all went well."""
        answer, found = self.ask(kind, **fields)
        assert (answer != "ErrorResponse", found["resultCode"], found["errorCode"]) == (True, 200, 0), found
        return found

    def bad(self, kind: str, **fields: Any) -> tuple[int, str]:
        """Number and text of the error that is the answer."""
        answer, found = self.ask(kind, **fields)
        assert (answer, found["resultCode"]) == ("ErrorResponse", 500)
        return found["errorCode"], found["message"]

    @property
    def told(self) -> list[tuple[str, dict[str, Any]]]:
        """What it was told since it was looked at last: an answer follows all of it."""
        self.ask("HealthCheckRequest")
        return [unpacked(one) for one in self.messages.pop(self.stream, [])]

    def subscribe(self, name: str, group: str = "DEFAULT_GROUP", on: bool = True) -> list[dict[str, Any]]:
        """The instances that it finds."""
        found = self.good("SubscribeServiceRequest", serviceName=name, groupName=group, subscribe=on, namespace="")
        info = found["serviceInfo"]
        assert (info["name"], info["groupName"]) == (name, group)
        return list(info["hosts"])

    def text(self, name: str, group: str) -> str | None:
        """A configuration, None where there is none."""
        kind, found = self.ask("ConfigQueryRequest", dataId=name, group=group, tenant="")
        assert kind == "ConfigQueryResponse"
        if found["resultCode"] != 200:
            assert found["errorCode"] == 300
            return None
        return str(found["content"])

    def register(self, name: str, port: int = 20881, on: bool = True, **metadata: str) -> dict[str, Any]:
        one = {"ip": "10.0.0.9", "port": port, "metadata": metadata}
        kind = "registerInstance" if on else "deregisterInstance"
        return self.good("InstanceRequest", serviceName=name, groupName="DEFAULT_GROUP", type=kind, instance=one)


def packed(kind: str, **fields: Any) -> bytes:
    return payload.write(payload.Payload(kind, msgspec.json.encode(fields), "127.0.0.1", {"charset": "utf-8"}))


def unpacked(message: bytes) -> tuple[str, dict[str, Any]]:
    found = payload.read(message)
    return found.type, msgspec.json.decode(found.body)
