"""Write ``tests/py/registry/recorded/*.json``: what real peers leave in a real ZooKeeper.

Run by hand when a peer changes: ``python tests/e2e/record_registry.py``. Each file has the nodes by path, with
their data and whether they go with their session; where an application keeps its metadata itself, what it answers who
asks for it, by Dubbo's own protocol, as bytes. Times, process ids, the machine's address and its name are replaced, and
the methods and types of a service's definition left out.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from harness.go import Go
from harness.java import SERVICE
from harness.process import HOST, PROJECT
from harness.pydubbo import PyDubbo
from harness.registered import Registered
from harness.zookeeper import ZooKeeper

OUT = PROJECT / "tests" / "py" / "registry" / "recorded"
#: In place of the machine's own.
ADDRESS, NAME, TIME = "10.0.0.7", "host7", 1_700_000_000_000
#: The instance's and the server's, 20880 and 2181 in their place.
ports: dict[int, int] = {}
PATIENCE = 30.0
#: Of a service's definition, what is long and in another order each time.
DEFINITION = ("methods", "types")
SAME = 3.0  # seconds without a change: all is said
INTERFACE, INSTANCE, ALL = "interface", "instance", "all"
TOLD = {"group": "g", "version": "1.0.0", "weight": 200, "dubbo.tag": "gray", "env": "dev1"}
LOCAL, REMOTE, TRI = {"metadata": "local"}, {"metadata": "remote"}, {"protocol": "tri"}
#: By file: who, how it registers, and what the instance is told.
PROVIDERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "java-3.3-interface": ("java-3.3", INTERFACE, {}),
    "java-3.3-interface-told": ("java-3.3", INTERFACE, TOLD),
    "java-3.3-interface-tri": ("java-3.3", INTERFACE, TRI),
    "java-3.3-instance-local": ("java-3.3", INSTANCE, LOCAL),
    "java-3.3-instance-local-told": ("java-3.3", INSTANCE, LOCAL | TOLD),
    "java-3.3-instance-remote": ("java-3.3", INSTANCE, REMOTE),
    "java-3.3-instance-remote-told": ("java-3.3", INSTANCE, REMOTE | TOLD),
    "java-3.3-instance-local-tri": ("java-3.3", INSTANCE, LOCAL | TRI),
    "java-3.3-instance-remote-tri": ("java-3.3", INSTANCE, REMOTE | TRI),
    "java-3.3-all": ("java-3.3", ALL, {}),
    "java-3.2-interface": ("java-3.2", INTERFACE, {}),
    "java-3.2-instance-local": ("java-3.2", INSTANCE, LOCAL),
    "java-3.2-instance-remote": ("java-3.2", INSTANCE, REMOTE),
    "java-2.7-interface": ("java-2.7", INTERFACE, {}),
    "java-2.7-interface-told": ("java-2.7", INTERFACE, TOLD),
    "go-3.3-interface": ("go", INTERFACE, {}),
    "go-3.3-interface-told": ("go", INTERFACE, TOLD),
    "go-3.3-interface-tri": ("go", INTERFACE, TRI),
    "go-3.3-instance-local": ("go", INSTANCE, LOCAL),
    "go-3.3-instance-remote": ("go", INSTANCE, REMOTE),
    "go-3.3-instance-remote-tri": ("go", INSTANCE, REMOTE | TRI),
    "go-3.3-all": ("go", ALL, REMOTE),
    "pydubbo-interface": ("pydubbo", INTERFACE, {}),
}
#: Of these what a consumer leaves is recorded too.
CONSUMERS = ("java-3.3", "java-3.2", "java-2.7", "go")


def started(peer: str) -> Any:
    """A process of a peer."""
    if peer == "go":
        return Go("record")
    return PyDubbo("record") if peer == "pydubbo" else Registered(peer, "record")


def tree(server: ZooKeeper) -> dict[str, dict[str, Any]]:
    """All that applications left, by path."""
    found: dict[str, dict[str, Any]] = {}

    def walk(path: str) -> None:
        data, stat = server.kazoo.get(path)
        told = (data or b"").decode()
        if "/metadata/" in path and '"types":' in told:
            told = json.dumps({key: value for key, value in json.loads(told).items() if key not in DEFINITION})
        found[path] = {"data": told, "ephemeral": stat.ephemeralOwner != 0}
        for name in server.children(path):
            walk(f"{path}/{name}")

    for top in server.children("/"):
        if top != "zookeeper":
            walk(f"/{top}")
    return found


def settled(server: ZooKeeper, check: Callable[[dict[str, Any]], bool]) -> dict[str, dict[str, Any]]:
    """What there is once nothing changes any more."""
    before, since = tree(server), time.monotonic()
    began = since
    while not check(before) or time.monotonic() - since < SAME:
        if time.monotonic() - began > PATIENCE:
            raise TimeoutError(f"nobody registers: {list(before)}")
        time.sleep(0.2)
        if (now := tree(server)) != before:
            before, since = now, time.monotonic()
    return before


def is_there(nodes: dict[str, Any]) -> bool:
    """Whether somebody has registered."""
    return any(node["ephemeral"] for node in nodes.values())


def machine() -> str:
    """The address that Java takes for the machine's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((ADDRESS, 9))  # sends nothing
        except OSError:
            return HOST
        return str(probe.getsockname()[0])


def clean(text: str) -> str:
    """Without what only this run has."""
    for own in (machine(), HOST):
        text = text.replace(own, ADDRESS)
    for port, plain in ports.items():
        text = text.replace(str(port), str(plain))
    text = text.replace(socket.gethostname(), NAME).replace(str(PROJECT), "")
    text = re.sub(r"((?:timestamp|TimeUTC|UpdatedTime)\W{1,3}?(?:3D|3A)?\W{0,4})1[0-9]{9,12}", rf"\g<1>{TIME}", text)
    return re.sub(r"((?<![A-Za-z])pid\W{1,3}?(?:3D)?\W{0,3})[0-9]+", r"\g<1>7", text)


def text(value: str) -> bytes:
    """A short string in Hessian 2."""
    raw = value.encode()
    return bytes([len(raw)]) + raw if len(raw) < 32 else bytes([0x30 + (len(raw) >> 8), len(raw) & 255]) + raw


def frame(application: str, revision: str) -> bytes:
    """The request for an application's metadata, as its consumers send it."""
    service = "org.apache.dubbo.metadata.MetadataService"
    attachments = {"path": service, "interface": service, "group": application, "version": "1.0.0"}
    body = b"".join(
        [
            *map(text, ("2.0.2", service, "1.0.0", "getMetadataInfo", "Ljava/lang/String;", revision)),
            b"H",
            *(text(part) for pair in attachments.items() for part in pair),
            b"Z",
        ]
    )
    return b"\xda\xbb\xc2\x00" + (7).to_bytes(8, "big") + len(body).to_bytes(4, "big") + body


def asked(nodes: dict[str, dict[str, Any]]) -> dict[str, str] | None:
    """What an application answers who asks for its metadata, where that is kept by itself and told by Dubbo's own."""
    for node in nodes.values():
        if node["ephemeral"] and node["data"].startswith("{"):
            instance = json.loads(node["data"])
            told = instance["payload"]["metadata"]
            params = json.loads(told.get("dubbo.metadata-service.url-params", "{}"))
            if told["dubbo.metadata.storage-type"] != "local" or params.get("protocol") != "dubbo":
                continue
            request = frame(instance["name"], told["dubbo.metadata.revision"])
            with socket.create_connection((instance["address"], int(params["port"])), 10) as to:
                to.sendall(request)
                answer = b""
                while len(answer) < 16 or len(answer) < 16 + int.from_bytes(answer[12:16], "big"):
                    answer += to.recv(65536)
            return {"request": request.hex(), "answer": answer.hex()}
    return None


@contextlib.contextmanager
def fresh() -> Iterator[ZooKeeper]:
    """A server that has nothing."""
    server = ZooKeeper()
    try:
        yield server
    finally:
        server.close()


def write(name: str, about: dict[str, Any]) -> None:
    """One file."""
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.json").write_text(clean(json.dumps(about, indent=1, ensure_ascii=False)) + "\n")
    print(name, len(about["nodes"]), "nodes", flush=True)


def record_provider(name: str) -> None:
    """One provider's nodes."""
    peer, mode, told = PROVIDERS[name]
    with fresh() as server, contextlib.closing(started(peer)) as process:
        ports.update({process.export("A", registry=server.taking(mode), **told): 20880, server.port: 2181})
        nodes = settled(server, is_there)
        write(name, {"peer": peer, "told": told, "nodes": nodes, "metadata": asked(nodes)})


def record_consumer(peer: str) -> None:
    """One consumer's nodes, where there is a provider."""
    with fresh() as server, contextlib.closing(started("java-3.3")) as provider:
        ports.update({provider.export("A", registry=server.taking()): 20880, server.port: 2181})
        settled(server, is_there)
        with contextlib.closing(started(peer)) as process:
            process.do("refer", ref="r", url="", params={"registry": server.taking()})
            process.call("r", "whoami")
            folder = f"/dubbo/{SERVICE}/consumers/"
            nodes = settled(server, lambda nodes: any(path.startswith(folder) for path in nodes))
            write(f"{peer.replace('go', 'go-3.3')}-consumer", {"peer": peer, "told": {}, "nodes": nodes})


def main() -> None:
    """All of them, or those that are named."""
    for name in sys.argv[1:] or PROVIDERS:
        record_provider(name)
    for peer in () if sys.argv[1:] else CONSUMERS:
        record_consumer(peer)


if __name__ == "__main__":
    main()
