"""ZooKeeper, a registry as applications know it: a server of either version, with what it holds in a folder.

It can be killed, stopped and started again on the port and the folder that it had.
"""

from __future__ import annotations

import itertools
import shutil
import signal
import socket
from typing import Any
from urllib.parse import unquote, urlsplit

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

from .java import JVM
from .process import BUILD, HOST, RUN, Process, free_port, need, need_tool, until

VERSIONS = {"3.9": "zookeeper39", "3.8": "zookeeper38"}
TICK = 500  # ms
#: What a client may ask for, in ms, so that one that was killed is seen to be gone soon.
SESSIONS = (1000, 15_000)
_numbers = itertools.count(1)


class ZooKeeper:
    """One server."""

    def __init__(self, version: str = "3.9") -> None:
        libraries = BUILD / "java" / VERSIONS[version] / "lib"
        need(libraries.exists(), f"ZooKeeper {version}")
        self.name = f"zookeeper-{version}-{next(_numbers)}"
        self.port = free_port()
        folder = RUN / self.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        config = folder / "zoo.cfg"
        lines = {
            "dataDir": folder,
            "clientPort": self.port,
            "clientPortAddress": HOST,
            "tickTime": TICK,
            "minSessionTimeout": SESSIONS[0],
            "maxSessionTimeout": SESSIONS[1],
            "maxClientCnxns": 0,
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "srvr",
        }
        config.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        # What it holds is to outlive the process, not the machine.
        flags = [*JVM, "-Dzookeeper.forceSync=no", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        main = "org.apache.zookeeper.server.ZooKeeperServerMain"
        self._command = [need_tool("java"), *flags, "-cp", f"{libraries}/*", main, config]
        self._watching: KazooClient | None = None
        self.start()

    @property
    def address(self) -> str:
        """As a registry's."""
        return f"zookeeper://{HOST}:{self.port}"

    def taking(self, mode: str = "interface", root: str = "") -> str:
        """The address as an application is told it: that it registers for each of its services, as an instance, or all;
        and below which node, where instances are as well then."""
        return f"{self.address}?register-mode={mode}" + (f"&group={root}" if root else "")

    def start(self) -> None:
        """Start it, for the first time or again."""
        self.server = Process(self.name, self._command)
        try:
            self.server.ready(f"{self.name} on port {self.port}", self._is_serving)
        except BaseException:
            self.server.close()
            raise

    def kill(self) -> None:
        """End it as a crash would."""
        self._look_away()
        self.server.kill()

    def freeze(self) -> None:
        """Let it fall silent: it accepts, and answers nothing."""
        self.server.child.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.server.child.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it, and who looks at it."""
        self._look_away()
        if self.server.child.poll() is None:
            self.thaw()
        self.server.close()

    @property
    def kazoo(self) -> Any:
        """A client of the test's own, for looking and for changing what nobody else would."""
        if self._watching is None:
            self._watching = KazooClient(f"{HOST}:{self.port}", timeout=SESSIONS[1] / 1000)
            self._watching.start(30)
        return self._watching

    def children(self, path: str) -> list[str]:
        """The names below a node, none where there is no such node."""
        try:
            return sorted(self.kazoo.get_children(path))
        except NoNodeError:
            return []

    def providers(self, service: str, root: str = "dubbo") -> list[int]:
        """The ports of the providers that are listed for a service, in order."""
        names = self.children(f"/{root}/{service}/providers")
        return sorted(urlsplit(unquote(name)).port or 0 for name in names)

    def listed(self, service: str, *ports: int, root: str = "dubbo") -> None:
        """Wait until these are the ports of the providers that are listed for a service."""
        until(f"{service} at {ports}", lambda: self.providers(service, root) == sorted(ports))

    def _look_away(self) -> None:
        if self._watching is not None:
            self._watching.stop()
            self._watching.close()
            self._watching = None

    def _is_serving(self) -> bool:
        """Whether it says so; it accepts connections, and says that it is well, a while before."""
        try:
            with socket.create_connection((HOST, self.port), 5) as asking:
                asking.sendall(b"srvr")
                return asking.recv(64).startswith(b"Zookeeper version")
        except OSError:
            return False
