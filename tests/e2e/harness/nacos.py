"""rnacos, a Nacos server: HTTP at one port, gRPC at the one that is 1000 more, as clients expect. `make nightly` builds
it, which takes a quarter of an hour; the tests of it are left out where it is not there.

It can be killed, stopped and started again on the ports and the folder that it had; what is ephemeral it forgets then.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import signal
import socket
import urllib.request
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

from .process import ANY, BUILD, HOST, RUN, Process, free_port, until

PROGRAM = BUILD / "rnacos" / "bin" / "rnacos"
#: How far clients look for gRPC.
BEYOND = 1000
#: How often it is started at most, until all of it works.
STARTS = 20
_numbers = itertools.count(1)


class Nacos:
    """One server. ``user``: it asks for this one, with its password ``secret``."""

    def __init__(self, user: str = "", secret: str = "") -> None:
        self.name = f"nacos-{next(_numbers)}"
        self._user, self._secret = user, secret
        self.port = _port_with_another()
        self._folder = RUN / self.name
        self._new = True
        self._env = {
            "RNACOS_HTTP_PORT": str(self.port),
            "RNACOS_GRPC_PORT": str(self.port + BEYOND),
            "RNACOS_HTTP_CONSOLE_PORT": str(next(p for p in iter(free_port, 0) if p != self.port + BEYOND)),
            "RNACOS_DATA_DIR": str(self._folder),
            "RNACOS_SDK_HOST": HOST,
            "RUST_LOG": "warn",
        }
        if user:
            self._env |= {
                "RNACOS_ENABLE_OPEN_API_AUTH": "true",
                "RNACOS_INIT_ADMIN_USERNAME": user,
                "RNACOS_INIT_ADMIN_PASSWORD": secret,
            }
        self.start()

    @property
    def address(self) -> str:
        """As a sidecar, and Dubbo's registry, names it."""
        return f"nacos://{HOST}:{self.port}"

    def taking(self, mode: str = "interface") -> str:
        """As Dubbo's registry for a provider that registers by its interface, its application's instance or all."""
        return f"{self.address}?register-mode={mode}"

    def start(self) -> None:
        """Start it, for the first time or again. Of rnacos 0.8.8 a part may fail as it begins, so that it takes
        instances and answers, and keeps nothing else: then it is started once more."""
        for _ in range(STARTS):
            if self._new:  # what one that failed leaves is of no use
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder.mkdir(parents=True)
            self.server = Process(self.name, [PROGRAM], env=self._env)
            told = self.server.log.stat().st_size
            try:
                self.server.ready(
                    f"{self.name} on port {self.port}",
                    lambda: self._failed(told) or self._is_serving(),  # noqa: B023
                )
            except BaseException:
                self.server.close()
                raise
            if not self._failed(told):
                self._new = False
                return
            self.server.kill()
        raise RuntimeError(f"{self.name} fails whenever it begins:\n{self.server.tail()}")

    def kill(self) -> None:
        """End it as a crash would."""
        self.server.kill()

    def freeze(self) -> None:
        """Let it fall silent: it accepts, and answers nothing."""
        self.server.child.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.server.child.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it."""
        if self.server.child.poll() is None:
            self.thaw()
        self.server.close()

    def ask(self, method: str, path: str, **asked: Any) -> bytes:
        """One request of the open API."""
        url = f"http://{HOST}:{self.port}/nacos/v1/{path}?{urlencode(asked)}"
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
            return bytes(answer.read())

    def services(self) -> list[str]:
        """Their names."""
        asked = {"pageNo": 1, "pageSize": 1000, "groupName": "DEFAULT_GROUP"}
        return list(json.loads(self.ask("GET", "ns/service/list", **asked))["doms"])

    def hosts(self, service: str) -> list[dict[str, Any]]:
        """The healthy instances of one, by name: ``providers:...`` or an application."""
        found = self.ask("GET", "ns/instance/list", serviceName=service, healthyOnly="true")
        return list(json.loads(found)["hosts"])

    def providers(self, service: str) -> list[int]:
        """The ports of the providers that are listed for an interface, in order."""
        return sorted(one["port"] for one in self.hosts(f"providers:{service}::"))

    def listed(self, service: str, *ports: int) -> None:
        """Wait until these are the ports of the providers that are listed for an interface."""
        until(f"{service} at {ports}", lambda: self.providers(service) == sorted(ports))

    def config(self, name: str, group: str) -> bytes | None:
        """What a config has."""
        try:
            return self.ask("GET", "cs/configs", dataId=name, group=group)
        except HTTPError as error:
            if error.code == 404:
                return None
            raise

    def _failed(self, told: int) -> bool:
        return b"panicked at" in self.server.log.read_bytes()[told:]

    def _is_serving(self) -> bool:
        """Whether it keeps what it is told: that is the last thing that it can."""
        try:
            if self._user:
                self.ask("POST", "auth/login", username=self._user, password=self._secret)
                return True
            self.ask("POST", "cs/configs", dataId="harness", group="harness", content=self.name)
            return self.config("harness", "harness") == self.name.encode()
        except OSError:
            return False


def _port_with_another() -> int:
    while True:
        port = free_port()
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((ANY, port + BEYOND))
            return port
