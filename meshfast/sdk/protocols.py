"""How a service may be called. What Triple needs besides is loaded with the first service that is called so."""

from __future__ import annotations

from typing import Any

__all__ = ["DUBBO", "GRPC", "TRIPLE", "is_message", "spoken"]

#: As ``mesh.service`` names them: Dubbo2 where nothing else is said, and by streams of HTTP/2 Triple and gRPC.
DUBBO, TRIPLE, GRPC = "dubbo", "tri", "grpc"


def spoken(protocol: str, service: str) -> str:
    """The protocol. ValueError for none that services are called by."""
    if protocol not in (DUBBO, TRIPLE, GRPC):
        raise ValueError(f'protocol={protocol!r} of {service}: say "dubbo", "tri" or "grpc"')
    return protocol


def is_message(value: Any) -> bool:
    """Whether it is a message of protobuf, or a class of such."""
    return callable(getattr(value, "SerializeToString", None))
