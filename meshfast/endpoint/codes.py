"""ZooKeeper's answers to what cannot be done."""

from __future__ import annotations

__all__ = ["Err", "Refused"]


class Err:
    """Codes; all are older than the clients in use, so that each knows what it is told."""

    SYSTEM, MARSHALLING, UNIMPLEMENTED, BAD_ARGUMENTS = -1, -5, -6, -8
    NO_NODE, NO_AUTH, BAD_VERSION, NO_CHILDREN_FOR_EPHEMERALS = -101, -102, -103, -108
    NODE_EXISTS, NOT_EMPTY, INVALID_ACL, AUTH_FAILED, NO_WATCHER = -110, -111, -114, -115, -121


class Refused(Exception):
    """What was asked is answered by ``code``."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
