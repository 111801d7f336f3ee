"""The protocols of the demonstration by their names."""

from __future__ import annotations

from meshfast.demo import dubbo2, triple
from meshfast.demo.wire import DUBBO, TRIPLE, Address, Answer, Consumer, Server

_CONSUMERS: dict[str, type[dubbo2.Client] | type[triple.Client]] = {DUBBO: dubbo2.Client, TRIPLE: triple.Client}


def consumer(protocol: str, address: Address) -> Consumer:
    return _CONSUMERS[protocol](address)


def server(answer: Answer) -> Server:
    """One that takes all of them on one port, told apart by how a connection begins."""
    return Server(answer, {b"\xda\xbb": dubbo2.Provider, b"PR": triple.Provider})
