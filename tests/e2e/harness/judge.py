"""The routers of Apache Dubbo as judges: what is left of the providers of a case for each call, with nothing sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .driver import Driver
from .java import command

SERVICE = "com.x.Cart"
#: Where the consumer of every case is. Configurators ask for the JVM's own address, which stands in its place there.
HOST = "10.9.9.9"
#: How often a call is routed where rules have no weights.
FEW = 3


@dataclass(frozen=True)
class Provider:
    """One instance of ``app``; ``group`` and ``version`` among the parameters are its service's."""

    address: str
    params: Mapping[str, str]
    app: str = "cart"

    @property
    def url(self) -> str:
        """As it would be registered."""
        whole = {"application": self.app, "interface": SERVICE, **self.params}
        return f"dubbo://{self.address}/{SERVICE}?{query(whole)}"


@dataclass(frozen=True)
class Document:
    """A rule as it lies in a configuration centre: what ends its key there ("tag-router", "MESHAPPRULE"), the key
    itself as the text has it, and the text."""

    kind: str
    key: str
    text: str

    @property
    def path(self) -> str:
        """The whole key: of a rule for a service [group/]interface[:version], the parts stand in another order."""
        group, _, rest = self.key.rpartition("/")
        interface, _, version = rest.partition(":")
        place = f"{interface}:{version}:{group}" if "." in interface else interface
        return f"{place}.{self.kind}"


@dataclass(frozen=True)
class Call:
    """A call: its arguments are pairs of type (int, long, boolean, String) and value."""

    method: str = "add"
    arguments: tuple[tuple[str, object], ...] = (("int", 7),)
    attachments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A consumer, the providers that it knows, the rules, and calls."""

    name: str
    providers: tuple[Provider, ...]
    documents: tuple[Document, ...]
    calls: tuple[Call, ...]
    params: Mapping[str, str] = field(default_factory=dict)  # the consumer's
    app: str = "web"
    many: int = 4000  # times that a call is routed where rules have weights

    @property
    def weighted(self) -> bool:
        """Whether chance may have a part in it."""
        kinds = {"MESHAPPRULE": "weight:", "condition-router": "v3.1"}
        return any(kinds[one.kind] in one.text for one in self.documents if one.kind in kinds)

    @property
    def rounds(self) -> int:
        return self.many if self.weighted else FEW

    @property
    def consumer(self) -> str:
        """The consumer's URL."""
        own = {"application": self.app, "interface": SERVICE, "side": "consumer", **self.params}
        return f"consumer://{HOST}/{SERVICE}?{query(own)}"

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.name}: {self.consumer}",
                *(one.url for one in self.providers),
                *(f"--- {one.path}\n{one.text}" for one in self.documents),
                *map(str, self.calls),
            ]
        )


@dataclass(frozen=True)
class Verdict:
    """``calls``: of each call how often which addresses were left ("a b" in order, "" none, "!Name" was thrown).
    ``params``: of each provider what its parameters are once configurators have been over them."""

    calls: list[dict[str, int]]
    params: list[dict[str, str]]


class JudgeJava(Driver):
    """One JVM that judges cases one after the other."""

    def __init__(self) -> None:
        whole = command("java-3.3", "JudgeDriver")
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=off"  # a line for every empty list is half of the time
        flags = [one for one in whole[1:] if not one.startswith("-XX:TieredStopAtLevel")]  # it works for seconds
        super().__init__("judge", [whole[0], quiet, *flags])
        self.version, self._host = self.do("about")

    def ask(self, case: Case) -> Verdict:
        told = self.do(
            "judge",
            consumer=case.consumer,
            providers=[one.url for one in case.providers],
            rules=[
                (one.path, one.text.replace(HOST, self._host) if one.kind == "configurators" else one.text)
                for one in case.documents
            ],
            calls=[
                {"method": one.method, "arguments": one.arguments, "attachments": dict(one.attachments)}
                for one in case.calls
            ],
            rounds=case.rounds,
        )
        return Verdict(told["calls"], told["params"])


def query(params: Mapping[str, str]) -> str:
    return "&".join(f"{key}={value}" for key, value in params.items())
