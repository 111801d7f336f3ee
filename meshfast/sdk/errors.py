"""What a call of the SDK may end with. Each says whether the call may have been executed.

MeshfastError
└── CallError        ``may_have_run``: whether a provider may have executed the call
    ├── NotSent          no byte of it was sent, or nobody took it
    ├── NoRoute          the service is not in the mesh, or no rule matches the call
    ├── NoInstance       nobody is there to execute it
    ├── CallTimeout      no answer in time (also a TimeoutError)
    ├── ConnectionLost   sent, and the connection ended before the answer (also a ConnectionError)
    ├── BadAnswer        there is an answer, and it cannot be read
    ├── StatusError      the answer says that the call failed; ``status`` is Dubbo's number, or gRPC's
    │   └── Overloaded       a limit of the sidecar or the provider was reached
    └── RemoteError      the provider executed it, and threw; ``kind`` is the class of what it threw

A handler raises a GrpcError to say what its call ends with.
A limit of the SDK's own is a LimitError, as everywhere; a call that met one was not sent.
"""

from __future__ import annotations

from typing import Any

from meshfast.dubbo import Status, status_name
from meshfast.errors import MeshfastError

__all__ = [
    "BadAnswer",
    "CallError",
    "CallTimeout",
    "ConnectionLost",
    "GrpcError",
    "NoInstance",
    "NoRoute",
    "NotSent",
    "Overloaded",
    "RemoteError",
    "StatusError",
    "of_grpc",
    "of_status",
]


class CallError(MeshfastError):
    """A call that has no value. ``may_have_run``: whether a provider may have executed it."""

    may_have_run = True


class NotSent(CallError):
    """No byte of the call was sent: it was not executed, and may be made again."""

    may_have_run = False


class NoRoute(CallError):
    """The service is not in the mesh, or no rule matches the call. It was not executed."""

    may_have_run = False


class NoInstance(CallError):
    """The rule leads to no instance, or to none that is available. It was not executed; only where policy has calls
    repeated, an earlier try may have been."""

    may_have_run = False


class CallTimeout(CallError, TimeoutError):
    """No answer came in time."""


class ConnectionLost(CallError, ConnectionError):
    """The call was sent, and the connection ended before its answer came."""


class BadAnswer(CallError):
    """The provider answered what cannot be read, is too long, or is not of the type that a stub promises."""


class StatusError(CallError):
    """The answer's ``status`` is not OK: Dubbo's number, or gRPC's where ``is_grpc``. ``text`` is what it says."""

    def __init__(self, status: int, text: str, grpc: bool = False) -> None:
        name = _GRPC.get(status, "other") if grpc else status_name(status)
        super().__init__(f"{'grpc-status' if grpc else 'status'} {status} ({name}): {text}")
        self.status, self.text, self.is_grpc = status, text, grpc
        self.may_have_run = grpc or status != Status.BAD_REQUEST


_GRPC = {
    1: "cancelled", 2: "unknown", 3: "invalid argument", 4: "deadline exceeded", 5: "not found", 6: "already exists",
    7: "permission denied", 8: "resource exhausted", 9: "failed precondition", 10: "aborted", 11: "out of range",
    12: "unimplemented", 13: "internal", 14: "unavailable", 15: "data loss", 16: "unauthenticated",
}  # fmt: skip


class Overloaded(StatusError):
    """A limit of the sidecar, of the provider or of policy was reached; try later, and elsewhere."""


class GrpcError(MeshfastError):
    """Raised by a handler: its call ends with this ``grpc-status``, 1 to 16, and text. By Dubbo2 it is an exception as
    any other. ValueError for a status that is none."""

    def __init__(self, status: int, text: str = "") -> None:
        if status not in _GRPC:
            raise ValueError(f"{status} is no grpc-status of a call that failed: 1 to 16 are")
        super().__init__(f"grpc-status {status} ({_GRPC[status]}): {text}")
        self.status, self.text = status, text


class RemoteError(CallError):
    """What the provider threw. ``kind``: its class, "java.lang.IllegalStateException"; ``message``; ``fields``: all
    that came of it."""

    def __init__(self, kind: str, message: str, fields: dict[str, Any] | None = None) -> None:
        super().__init__(f"{kind}: {message}" if kind else message)
        self.kind, self.message, self.fields = kind, message, fields or {}


# How the sidecar's own texts begin (csrc/call/dispatch.c, outcome.h).
_NOBODY = ("meshfast: no instance", "meshfast: no available instance", "meshfast: nobody here")


def of_status(status: int, text: str) -> CallError:
    """The error for an answer of this status, which is not OK."""
    match status:
        case Status.SERVICE_NOT_FOUND:
            return NoRoute(text)
        case Status.SERVER_ERROR if text.startswith(_NOBODY):
            return NoInstance(text)
        case Status.SERVER_TIMEOUT | Status.CLIENT_TIMEOUT:
            return CallTimeout(text)
        case Status.CHANNEL_INACTIVE:
            return ConnectionLost(text)
        case Status.SERVER_THREADPOOL_EXHAUSTED:
            return Overloaded(status, text)
    return StatusError(status, text)


_LOST = ("meshfast: the connection to the provider was lost", "meshfast: the sidecar is stopping")


def of_grpc(status: int | None, text: str) -> CallError:
    """The same for a status of gRPC, which is not 0; None: its stream was reset, and nobody says more."""
    if status is None or (status == 14 and text.startswith(_LOST)):
        return ConnectionLost(f"{text}; the call may have been executed")
    if text.startswith("meshfast: no route"):
        return NoRoute(text)
    if status == 14 and text.startswith((*_NOBODY, "meshfast: the provider did not take the call")):
        return NoInstance(text)
    if status == 4:
        return CallTimeout(text)
    return (Overloaded if status == 8 else StatusError)(status, text, True)
