"""Apache Dubbo for Java, its generations: the same small program (``tests/e2e/java``) on either class path."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

from .driver import Driver
from .process import BUILD, HOST, accepts, free_port, need, need_tool, until

SERVICE = "meshfast.peer.PeerService"
VERSIONS = {"java-2.7": "dubbo27", "java-3.3": "dubbo33"}
#: And one that takes part in what only some do.
FOLDERS = {**VERSIONS, "java-3.2": "dubbo32"}
# Those that a version can be told to write; the first is common to all.
SERIALIZATIONS = {
    "java-2.7": ("hessian2", "fastjson", "nativejava", "java"),
    "java-3.3": ("hessian2", "fastjson2", "nativejava", "java"),
}

JVM = [
    "-XX:TieredStopAtLevel=1",  # a test's JVM lives for minutes: start fast
    "-XX:+UseSerialGC",
    "-Xmx512m",
    "-Djava.net.preferIPv4Stack=true",
]
# What 2.7 reaches into on a JDK of today; 3.3 needs a part of it for Java serialization of JDK classes.
OPENS = ("java.lang", "java.math", "java.util", "java.util.concurrent", "java.net", "java.text")
FLAGS = [
    *JVM,
    f"-Duser.home={BUILD / 'home'}",  # the SDK leaves caches and thread dumps there
    "-Ddubbo.service.shutdown.wait=3000",
    "-Ddubbo.application.logger=slf4j",
    "-Ddubbo.application.qos-enable=false",
    "-Ddubbo.application.serialize-check-status=WARN",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENS),
]


def command(version: str, main: str = "Driver") -> list[str]:
    """The command line of a peer of ``version`` ("java-2.7", "java-3.3")."""
    folder = BUILD / "java" / FOLDERS[version]
    classes: Path = folder / "classes" / "meshfast" / "peer" / f"{main}.class"
    need(classes.exists(), f"the peer of {version}")
    return [need_tool("java"), *FLAGS, "-cp", f"{folder / 'classes'}:{folder / 'lib'}/*", f"meshfast.peer.{main}"]


class Java(Driver):
    """One JVM; a consumer, a provider, or both."""

    main = "Driver"
    #: What its references speak.
    scheme = "dubbo"

    def __init__(self, version: str, name: str) -> None:
        super().__init__(f"{version}-{name}", command(version, self.main))
        self.version = version

    def export(self, name: str, port: int = 0, **params: Any) -> int:
        """Offer the service as instance ``name``, by every serialization there is; the port it listens on.

        ``params`` are the SDK's, with "_" for ".".
        """
        port = port or free_port()
        texts = {"prefer.serialization": ",".join(SERIALIZATIONS[self.version])} | dotted(params)
        self.do("export", name=name, port=port, params=texts)
        self.ready(f"{self.name} on port {port}", lambda: accepts(port))
        return port

    def refer(self, ref: str, *addresses: str | int, scheme: str = "", **params: Any) -> None:
        """Make ``ref`` a reference to the service at these addresses (several: the SDK balances)."""
        if len(addresses) == 1 and self.version == "java-2.7":
            addresses *= 2  # 2.7 hands an answer's attachments to the caller only where it balances
        texts = dotted(params)
        url = ";".join(service_url(address, texts, scheme or self.scheme) for address in addresses)
        self.do("refer", ref=ref, url=url, params=texts)

    def hold(self, provider: Java, ref: str, millis: int) -> None:
        """Returns once ``provider`` executes a call of ours by ``ref`` that takes so long: a thread of it is taken."""
        text, held = f"held by {ref}", list[Future[object]]()

        def is_executed() -> bool:
            if not held or held[-1].done():  # refused: what had the thread before us was not quite over
                held.append(self.start("call", ref=ref, method="slow", args=[millis, text], attachments={}))
            return text in provider.do("asleep")

        until(f"{provider.name} executes a call of {self.name}", is_executed)

    def next(self, address: int) -> None:
        """Where ``hop`` calls on to."""
        self.do("next", url=service_url(address, {}, self.scheme), params={})

    def generic(self, address: str | int, method: str, types: list[str], *args: Any, **params: Any) -> Any:
        """One generic call; the answer as the SDK's generic form gives it."""
        texts = dotted(params)
        return self.do(
            "generic",
            url=service_url(address, texts, self.scheme),
            params=texts,
            method=method,
            types=types,
            args=list(args),
        )


def dotted(params: dict[str, Any]) -> dict[str, str]:
    """Keyword arguments as the SDK's parameters."""
    texts = {key.replace("_", "."): str(value) for key, value in params.items()}
    if "serialization" in texts:
        texts.setdefault("prefer.serialization", texts["serialization"])
    return texts


def service_url(address: str | int, params: dict[str, str], scheme: str = "dubbo") -> str:
    """The SDK's address of the service: a port of this machine, or "host:port"."""
    host = f"{HOST}:{address}" if isinstance(address, int) else address
    return f"{scheme}://{host}/{SERVICE}?" + "&".join(f"{key}={value}" for key, value in params.items())
