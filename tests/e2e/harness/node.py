"""apache-dubbo-js from npm: a consumer by another hand, with another Hessian2 encoder.

Its newest release, 3.0.0-rc6, speaks Dubbo2 to a given address; that mode has no attachments and no UNIX sockets.
"""

from __future__ import annotations

from .driver import Driver
from .process import BUILD, HOST, PROJECT, need, need_tool


class Node(Driver):
    """One node process."""

    def __init__(self, name: str) -> None:
        modules = BUILD / "node" / "node_modules"
        need((modules / "apache-dubbo-js").exists(), "apache-dubbo-js")
        script = PROJECT / "tests" / "e2e" / "node" / "driver.js"
        super().__init__(f"node-{name}", [need_tool("node"), str(script)], env={"NODE_PATH": str(modules)})

    def refer(self, ref: str, port: int) -> None:
        """Make ``ref`` a reference to the service at a port of 127.0.0.1."""
        self.do("refer", ref=ref, address=f"{HOST}:{port}")
