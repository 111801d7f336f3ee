"""Writes down what Dubbo for Java leaves in a Nacos, and how that answers: ``python tests/e2e/record_nacos.py``.

What it writes is read by ``tests/py/registry/test_registry_nacos_recorded.py``. Addresses are those of documentation.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from harness.java import SERVICE
from harness.nacos import Nacos
from harness.process import until
from harness.registered import Registered

FOLDER = Path(__file__).resolve().parents[1] / "py" / "registry" / "recorded_nacos"
CASES: dict[str, dict[str, str]] = {
    "interface": {"mode": "interface", "group": "gray", "version": "1.0.0"},
    "instance-local": {"mode": "instance", "metadata": "local"},
    "instance-remote": {"mode": "instance", "metadata": "remote"},
    "all": {"mode": "all", "metadata": "local"},
}
PAGE = {"pageNo": 1, "pageSize": 500, "groupName": "DEFAULT_GROUP", "namespaceId": ""}


def left(nacos: Nacos, java: Registered, mode: str, **params: str) -> dict[str, Any]:
    """All that an application leaves, as it is answered."""
    port = java.export("A", registry=nacos.taking(mode), application="shop", **params)
    known = "shop" if mode != "interface" else f"providers:{SERVICE}:1.0.0:gray"
    until("it is written", lambda: nacos.hosts(known))
    if mode != "interface":
        until("it is mapped", lambda: nacos.config(SERVICE, "mapping"))
    asked = {"healthyOnly": "false"}
    lists = {
        name: nacos.ask("GET", "ns/instance/list", serviceName=f"DEFAULT_GROUP@@{name}", **asked).decode()
        for name in nacos.services()
    }
    found: dict[str, Any] = {"names": nacos.ask("GET", "ns/service/list", **PAGE).decode(), "lists": lists}
    found["configs"] = {f"mapping/{SERVICE}": (nacos.config(SERVICE, "mapping") or b"").decode()}
    for one in nacos.hosts("shop"):
        revision = one["metadata"]["dubbo.metadata.revision"]
        found["configs"][f"{revision}/shop"] = (nacos.config("shop", revision) or b"").decode()
    found["configs"] = {name: text for name, text in found["configs"].items() if text}
    text = json.dumps(found)
    host = re.search(r'\\"ip\\": ?\\"([0-9.]+)\\"', text)
    assert host is not None
    return dict(json.loads(text.replace(host[1], "10.0.0.7").replace(str(port), "20880")))


def answers(nacos: Nacos) -> dict[str, Any]:
    """How it answers what a sidecar asks besides."""
    place: dict[str, Any] = {"serviceName": "DEFAULT_GROUP@@x", "ip": "10.0.0.7", "port": 20880, "ephemeral": "true"}
    beat = json.dumps({"serviceName": "DEFAULT_GROUP@@x", "ip": "10.0.0.7", "port": 20880, "metadata": {"a": "b"}})

    def ask(method: str, path: str, **asked: Any) -> list[Any]:
        try:
            return [200, nacos.ask(method, path, **asked).decode()]
        except HTTPError as error:
            return [error.code, error.read().decode()]

    config = {"dataId": "x", "group": "mapping", "tenant": ""}
    return {
        "register": ask("POST", "ns/instance", **place, metadata='{"a":"b"}'),
        "beat": ask("PUT", "ns/instance/beat", **place, beat=beat),
        "deregister": ask("DELETE", "ns/instance", **place),
        "deregister again": ask("DELETE", "ns/instance", **place),
        "empty": ask("GET", "ns/instance/list", **{**place, "healthyOnly": "false"}),
        "no config": ask("GET", "cs/configs", **config),
        "publish": ask("POST", "cs/configs", **config, content="shop"),
        "config": ask("GET", "cs/configs", **config),
        "configs": ask("GET", "cs/configs", **{**config, "dataId": ""}, search="accurate", pageNo=1, pageSize=500),
    }


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, fields in CASES.items():
        nacos, java = Nacos(), Registered("java-3.3", "recorded")
        try:
            found = left(nacos, java, **fields)
        finally:
            java.close()
            nacos.close()
        (FOLDER / f"java-3.3-{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    nacos = Nacos()
    try:
        found = answers(nacos)
    finally:
        nacos.close()
    nacos = Nacos("shop", "secret")
    try:
        for name, password in (("login", "secret"), ("wrong password", "other")):
            try:
                told = nacos.ask("POST", "auth/login", username="shop", password=password).decode()
                found[name] = [200, re.sub('"accessToken":"[^"]*"', '"accessToken":"token"', told)]
            except HTTPError as error:
                found[name] = [error.code, error.read().decode()]
        try:
            nacos.services()
        except HTTPError as error:
            found["no token"] = [error.code, error.read().decode()]
    finally:
        nacos.close()
    (FOLDER / "answers.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
