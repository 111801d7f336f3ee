"""apache-dubbo from PyPI, a pre-release of Dubbo for Python (``tests/e2e/pydubbo``): a consumer, or one instance."""

from __future__ import annotations

from typing import Any

from .driver import Driver
from .process import BUILD, HOST, PROJECT, accepts, free_port, need


class PyDubbo(Driver):
    """One process, in a Python that has it."""

    def __init__(self, name: str) -> None:
        python = BUILD / "pydubbo" / "bin" / "python"
        need((BUILD / "pydubbo" / ".built").exists(), "apache-dubbo")
        super().__init__(f"pydubbo-{name}", [str(python), str(PROJECT / "tests" / "e2e" / "pydubbo" / "peer.py")])

    def export(self, name: str, port: int = 0, **params: Any) -> int:
        """Offer ``Texts`` as instance ``name``; the port it listens on. ``registry`` is where it registers."""
        port = port or free_port()
        self.do("export", name=name, port=port, **params)
        self.ready(f"{self.name} on port {port}", lambda: accepts(port))
        return port

    def refer(self, ref: str, address: int) -> None:
        """Make ``ref`` a reference to ``Texts`` at this port."""
        self.do("refer", ref=ref, url=f"tri://{HOST}:{address}")

    def talk(self, ref: str, method: str, items: int, size: int) -> Any:
        """One call: what came, in order."""
        return self.do("talk", ref=ref, method=method, items=items, size=size)
