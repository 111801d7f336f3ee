"""The sidecar under test: its policy, its process, and what it says of itself."""

from __future__ import annotations

import http.client
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from faults.process import Program, RowError, wait_for

BUSY = "org.meshfast.faults.Busy"
QUIET = "org.meshfast.faults.Quiet"
SLOW = "org.meshfast.faults.Slow"

Document = dict[str, Any]


OUT: Document = {"name": "out", "bind": "tcp://127.0.0.1:0"}


def inbound(forward: str) -> Document:
    """The listener for calls to the application at this address."""
    return {"name": "in", "bind": "tcp://127.0.0.1:0", "direction": "inbound", "forward": f"tcp://{forward}"}


def sidecar_document(
    limits: Mapping[str, int | str], workers: int, listeners: Sequence[Document] = (OUT,), where: str = ""
) -> Document:
    return {
        "apiVersion": "meshfast.io/v1",
        "kind": "Sidecar",
        "spec": {
            "workload": {"app": "faults"} | ({"locality": where} if where else {}),
            "workers": workers,
            "listeners": list(listeners),
            "admin": "tcp://127.0.0.1:0",
            "limits": dict(limits),
        },
    }


def entry(service: str, addresses: Sequence[str], labels: Sequence[Mapping[str, str]] = ()) -> Document:
    """A ServiceEntry; ``labels`` are those of the instances, in turn."""
    endpoints = []
    for i, address in enumerate(addresses):
        host, _, port = address.rpartition(":")
        one: Document = {"address": host, "ports": {"dubbo": int(port)}}
        if labels:
            one["labels"] = dict(labels[i])
        endpoints.append(one)
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": service.rpartition(".")[2].lower()},
        "spec": {"hosts": [service], "endpoints": endpoints},
    }


def as_grpc(document: Document) -> Document:
    """A document; a ServiceEntry's ports are such that take HTTP/2."""
    if document["kind"] != "ServiceEntry":
        return document
    spec = dict(document["spec"])
    spec["ports"] = [{"number": 1, "name": "grpc", "protocol": "TCP"}]
    spec["endpoints"] = [{**one, "ports": {"grpc": one["ports"]["dubbo"]}} for one in spec["endpoints"]]
    return {**document, "spec": spec}


def route(service: str, subset: str) -> list[Document]:
    """All calls of a service go to its instances with the label `side` of that value."""
    name = service.rpartition(".")[2].lower()
    return [
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "DestinationRule",
            "metadata": {"name": name},
            "spec": {"host": name, "subsets": [{"name": one, "labels": {"side": one}} for one in ("a", "b")]},
        },
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": name},
            "spec": {"hosts": [service], "http": [{"route": [{"destination": {"subset": subset}}]}]},
        },
    ]


class Sidecar:
    """A running ``meshfast proxy``; a context manager. ``wrap`` comes before its command line."""

    def __init__(
        self,
        directory: Path,
        logs: Path,
        loop: str,
        documents: Sequence[Document],
        *,
        env: Mapping[str, str] | None = None,
        before: Callable[[], None] | None = None,
        wrap: Sequence[str | Path] = (),
    ) -> None:
        self.policy = directory / "policy"
        self.policy.mkdir(parents=True, exist_ok=True)
        self.documents = list(documents)
        self.write(self.documents)
        argv = [*wrap, sys.executable, "-P", "-m", "meshfast", "proxy", self.policy, "--loop", loop]
        self.program = Program(
            "sidecar", argv, logs, env={**os.environ, **(env or {})}, before=before
        )
        self.addresses: dict[str, str] = {}
        self.out = self.into = self.admin = self.loop = ""  # `out` and `into`: the listeners `out` and `in`

    def __enter__(self) -> Sidecar:
        self.program.__enter__()
        try:
            wait_for("the sidecar is ready", self._ready)
        except RowError as error:
            self.program.__exit__()
            raise RowError(f"{error}: {self.program.tail()}") from None
        return self

    def __exit__(self, *exception: object) -> None:
        self.program.__exit__()

    def _ready(self) -> bool:
        if not self.program.running:
            raise RowError("the sidecar has ended")
        text = self.program.log.read_text(errors="replace")
        found = re.search(r"ready: (.+) on (\S+),", text)
        if found:
            self.loop = found[2]
            self.addresses = dict(one.split(" ", 1) for one in found[1].split(", "))
            self.out, self.into = self.addresses.get("out", ""), self.addresses.get("in", "")
            self.admin = self.addresses["admin"]
        return found is not None

    # --- policy

    def write(self, documents: Sequence[Document]) -> None:
        """Puts a policy in place by rename, as whoever means well does."""
        self.write_bytes(yaml.safe_dump_all(documents, sort_keys=False).encode())

    def write_bytes(self, data: bytes) -> None:
        new = self.policy / ".new"
        new.write_bytes(data)
        new.rename(self.policy / "mesh.yaml")

    # --- what it says

    def page(self, path: str) -> str:
        host, _, port = self.admin.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except OSError as error:
            raise RowError(f"the admin page {path}: {error}") from None
        finally:
            connection.close()

    def counters(self) -> dict[str, float]:
        """Metrics without labels, and those of the loop, without `meshfast_`."""
        found = {}
        for line in self.page("/stats/prometheus").splitlines():
            match = re.fullmatch(r'meshfast_(\w+)(?:\{loop="\w+"\})? (\S+)', line)
            if match:
                found[match[1]] = float(match[2])
        return found

    def counter(self, name: str) -> int:
        return int(self.counters()[name])

    # --- what the kernel says of it

    @property
    def rss(self) -> int:
        pages = int(Path(f"/proc/{self.program.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.program.pid}/fd"))

    @property
    def cpu_seconds(self) -> float:
        ns = 0
        for task in Path(f"/proc/{self.program.pid}/task").iterdir():
            ns += int((task / "schedstat").read_text().split()[0])
        return ns / 1e9
