"""Apache Dubbo for Java, two generations: the same small program (``tests/e2e/java``) on either class path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .driver import Driver
from .process import BUILD, HOST, accepts, free_port, need, need_tool

SERVICE = "meshfast.peer.PeerService"
VERSIONS = {"java-2.7": "dubbo27", "java-3.3": "dubbo33"}
SERIALIZATIONS = {"java-2.7": ("hessian2", "fastjson", "nativejava", "java"), "java-3.3": ("hessian2", "fastjson2", "nativejava", "java")}

# What 2.7 reaches into on a JDK of today; 3.3 needs a part of it for Java serialization of JDK classes.
OPENS = ("java.lang", "java.math", "java.util", "java.util.concurrent", "java.net", "java.text")
FLAGS = [
    "-XX:TieredStopAtLevel=1",  # a test's JVM lives for minutes: start fast
    "-XX:+UseSerialGC",
    "-Xmx512m",
    "-Djava.net.preferIPv4Stack=true",
    "-Ddubbo.application.logger=slf4j",
    "-Ddubbo.application.qos-enable=false",
    "-Ddubbo.application.serialize-check-status=WARN",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENS),
]


def command(version: str) -> list[str]:
    """The command line of a peer of ``version`` ("java-2.7", "java-3.3")."""
    folder = BUILD / "java" / VERSIONS[version]
    classes: Path = folder / "classes" / "meshfast" / "peer" / "Driver.class"
    need(classes.exists(), f"the peer of {version}")
    return [need_tool("java"), *FLAGS, "-cp", f"{folder / 'classes'}:{folder / 'lib'}/*", "meshfast.peer.Driver"]


class Java(Driver):
    """One JVM; a consumer, a provider, or both."""

    def __init__(self, version: str, name: str) -> None:
        super().__init__(f"{version}-{name}", command(version))
        self.version = version

    def export(self, name: str, port: int = 0, **params: Any) -> int:
        """Offer the service as instance ``name``; the port it listens on."""
        port = port or free_port()
        texts = {key.replace("_", "-"): str(value) for key, value in params.items()}
        self.do("export", name=name, port=port, params=texts)
        self.ready(f"{self.name} on port {port}", lambda: accepts(port))
        return port

    def refer(self, ref: str, *addresses: str | int, **params: Any) -> None:
        """Make ``ref`` a reference to the service at these addresses (several: the SDK balances)."""
        if len(addresses) == 1 and self.version == "java-2.7":
            addresses *= 2  # 2.7 hands an answer's attachments to the caller only where it balances
        hosts = [f"{HOST}:{a}" if isinstance(a, int) else a for a in addresses]
        texts = {key: str(value) for key, value in params.items()}
        query = "&".join(f"{key}={value}" for key, value in texts.items())
        url = ";".join(f"dubbo://{host}/{SERVICE}?{query}" for host in hosts)
        self.do("refer", ref=ref, url=url, params=texts)
