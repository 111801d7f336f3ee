"""The SDK for applications in Python: calls by way of the sidecar, and without it while it is away; and serving.

    from meshfast import sdk

    async with sdk.connect("shop") as mesh:
        total = await mesh.service("com.x.Cart").call("add", "book", 2)

docs/sdk.md tells the rest.
"""

from __future__ import annotations

from meshfast.sdk.blocking import Blocking
from meshfast.sdk.calls import Limits
from meshfast.sdk.context import attach, labelled
from meshfast.sdk.errors import (
    BadAnswer,
    CallError,
    CallTimeout,
    ConnectionLost,
    GrpcError,
    NoInstance,
    NoRoute,
    NotSent,
    Overloaded,
    RemoteError,
    StatusError,
)
from meshfast.sdk.link import Timing
from meshfast.sdk.mesh import Mesh, connect
from meshfast.sdk.service import Reply, Service
from meshfast.sdk.typed import Byte, Float, Int, Java, Short, idempotent, named
from meshfast.sdk.values import java

__all__ = [
    "BadAnswer",
    "Blocking",
    "Byte",
    "CallError",
    "CallTimeout",
    "ConnectionLost",
    "Float",
    "GrpcError",
    "Int",
    "Java",
    "Limits",
    "Mesh",
    "NoInstance",
    "NoRoute",
    "NotSent",
    "Overloaded",
    "RemoteError",
    "Reply",
    "Service",
    "Short",
    "StatusError",
    "Timing",
    "attach",
    "connect",
    "idempotent",
    "java",
    "labelled",
    "named",
]
