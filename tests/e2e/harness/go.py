"""dubbo-go: a consumer and a provider by another hand (``tests/e2e/go``). One process offers one instance.

It answers with every attachment of the request, ends each body with a null more, and tells of its end in its answers.
"""

from __future__ import annotations

from typing import Any

from .driver import Driver
from .java import dotted
from .process import BUILD, HOST, accepts, free_port, need


class Go(Driver):
    """One process."""

    def __init__(self, name: str) -> None:
        program = BUILD / "go" / "peer"
        need(program.exists(), "the peer of dubbo-go")
        super().__init__(f"go-{name}", [str(program)])

    def export(self, name: str, port: int = 0, **params: Any) -> int:
        """Offer the service as instance ``name``; the port it listens on. ``max`` is the longest body it takes.

        ``protocol`` "tri": by Triple, with ``Texts`` beside it.
        """
        port = port or free_port()
        self.do("export", name=name, port=port, params=dotted(params))
        self.ready(f"{self.name} on port {port}", lambda: accepts(port))
        return port

    def refer(self, ref: str, *addresses: str | int, scheme: str = "dubbo", **params: Any) -> None:
        """Make ``ref`` a reference to the service at these addresses.

        ``cluster`` is failfast or failover, ``timeout`` of a call and ``heartbeat`` are in milliseconds, and there are
        as many ``connections`` to an address.
        """
        url = ";".join(f"{scheme}://{HOST}:{address}" if isinstance(address, int) else address for address in addresses)
        self.do("refer", ref=ref, url=url, params=dotted(params))

    def talk(self, ref: str, method: str, items: int, size: int, **fields: Any) -> Any:
        """One call of Triple's ``Texts``: what came, in order; of a chat, who answered each text."""
        return self.do("talk", ref=ref, method=method, items=items, size=size, **fields)
