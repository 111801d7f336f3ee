"""etcd, a registry as dubbo-go's applications know it: one server, with what it holds in a folder.

It can be killed, stopped and started again on the port and the folder that it had; it is asked, and changed, by its
JSON gateway, which also tells a test what changes in it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import signal
import threading
import urllib.request
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit

from .process import HOST, RUN, Process, free_port, need_tool, until

#: Seconds of silence in which a test that listens gives up.
PATIENCE = 300.0
_numbers = itertools.count(1)


def b64(text: str) -> str:
    return b64encode(text.encode()).decode()


class Etcd:
    """One server."""

    def __init__(self) -> None:
        self.name = f"etcd-{next(_numbers)}"
        self.port, peers = free_port(), free_port()
        folder = RUN / self.name
        shutil.rmtree(folder, ignore_errors=True)
        here, there = f"http://{HOST}:{self.port}", f"http://{HOST}:{peers}"
        self._url = here
        self.token = ""
        self._command = [
            need_tool("etcd"), "--data-dir", folder, "--listen-client-urls", here, "--advertise-client-urls", here,
            "--listen-peer-urls", there, "--initial-advertise-peer-urls", there,
            "--initial-cluster", f"default={there}",
        ]  # fmt: skip
        self.start()

    @property
    def address(self) -> str:
        """As a sidecar's registry."""
        return f"etcd://{HOST}:{self.port}"

    def taking(self, mode: str = "interface") -> str:
        """The address as an application is told it, and as what it registers: interface, instance or all."""
        return f"etcdv3://{HOST}:{self.port}?register-mode={mode}"

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

    def ask(self, path: str, **body: Any) -> Any:
        """One request; of an answer that goes on, the first line."""
        return json.loads(self._open(path, body, 10).readline())

    def keys(self, prefix: str) -> dict[str, dict[str, Any]]:
        """What stands below a path: its value, lease and revisions."""
        found = self.ask("/v3/kv/range", key=b64(f"{prefix}/"), range_end=b64(f"{prefix}0"))
        return {b64decode(each["key"]).decode(): each for each in found.get("kvs", ())}

    def providers(self, service: str) -> list[int]:
        """The ports of the providers that are listed for a service, in order."""
        names = (key.rpartition("/")[2] for key in self.keys(f"/dubbo/{service}/providers"))
        return sorted(urlsplit(unquote(name)).port or 0 for name in names)

    def listed(self, service: str, *ports: int) -> None:
        """Wait until these are the ports of the providers that are listed for a service."""
        until(f"{service} at {ports}", lambda: self.providers(service) == sorted(ports))

    def drop(self, service: str, port: int) -> None:
        """Take a provider's key away, as its application would have to."""
        for key in self.keys(f"/dubbo/{service}/providers"):
            if urlsplit(unquote(key.rpartition("/")[2])).port == port:
                self.ask("/v3/kv/deleterange", key=b64(key))

    def compact(self) -> None:
        """Forget all that was."""
        revision = self.ask("/v3/kv/range", key=b64("/"))["header"]["revision"]
        self.ask("/v3/kv/compaction", revision=revision)

    def secure(self, password: str) -> None:
        """From now on it asks for a user: root, with this password."""
        self.ask("/v3/auth/user/add", name="root", password=password)
        self.ask("/v3/auth/role/add", name="root")
        self.ask("/v3/auth/user/grant", user="root", role="root")
        self.ask("/v3/auth/enable")
        self.token = self.ask("/v3/auth/authenticate", name="root", password=password)["token"]

    @contextlib.contextmanager
    def heard(self, prefix: str) -> Iterator[list[Any]]:
        """All events below a path meanwhile."""
        told: list[Any] = []
        end = b64(f"{prefix}/end")
        request = {"create_request": {"key": b64(f"{prefix}/"), "range_end": b64(f"{prefix}0")}}
        stream = self._open("/v3/watch", request, PATIENCE)
        assert json.loads(stream.readline())["result"]["created"]

        def listen() -> None:
            for line in stream:
                for event in json.loads(line)["result"].get("events", ()):
                    if event["kv"]["key"] == end:
                        return
                    told.append(event)

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield told
        finally:
            self.ask("/v3/kv/put", key=end)  # what is done last is heard last
            thread.join()
            stream.close()
            self.ask("/v3/kv/deleterange", key=end)

    def _open(self, path: str, body: dict[str, Any], seconds: float) -> Any:
        headers = {"Authorization": self.token} if self.token else {}
        request = urllib.request.Request(self._url + path, json.dumps(body).encode(), headers)
        return urllib.request.urlopen(request, timeout=seconds)

    def _is_serving(self) -> bool:
        try:
            self.ask("/v3/kv/range", key=b64("/"))
        except HTTPError as error:
            return error.code == 400  # it asks for a user
        except OSError:
            return False
        return True
