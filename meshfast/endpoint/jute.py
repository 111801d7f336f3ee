"""ZooKeeper's records, between bytes and tuples. Any bytes give a value or a JuteError that says where."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple, TypeVar

__all__ = [
    "ANYONE", "FORMS", "PACKET", "REQUESTS", "Acl", "AclReply", "AddWatch", "Auth", "CheckWatches", "Children",
    "Children2", "Code", "Connect", "ConnectReply", "Create", "Created", "Created2", "Data", "Delete", "Event",
    "Exists", "GetAcl", "GetChildren", "GetChildren2", "GetData", "Header", "Identities", "Identity", "JuteError",
    "Nothing", "Op", "RemoveWatches", "ReplyHeader", "SetData", "SetWatches", "SetWatches2", "Stat", "StatReply",
    "Sync", "Synced", "packed", "read", "sized", "write",
]  # fmt: skip

#: Bytes of a packet, its length not counted, that are read at most; what ZooKeeper takes as well.
PACKET = 0xFFFFF


class Op:
    """Numbers of the operations."""

    CREATE, DELETE, EXISTS, GET_DATA, SET_DATA, GET_ACL = 1, 2, 3, 4, 5, 6
    GET_CHILDREN, SYNC, PING, GET_CHILDREN2, CREATE2 = 8, 9, 11, 12, 15
    CHECK_WATCHES, REMOVE_WATCHES, CREATE_CONTAINER, AUTH = 17, 18, 19, 100
    SET_WATCHES, SET_WATCHES2, ADD_WATCH, WHO_AM_I, CLOSE = 101, 105, 106, 107, -11


class JuteError(ValueError):
    """Bytes that are no record; ``at``: how many of them were."""

    def __init__(self, at: int, why: str) -> None:
        super().__init__(f"at byte {at}: {why}")
        self.at = at


class Acl(NamedTuple):
    permissions: int
    scheme: str
    id: str


ANYONE = (Acl(31, "world", "anyone"),)


class Stat(NamedTuple):
    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    owner: int
    length: int
    children: int
    pzxid: int


class Identity(NamedTuple):
    scheme: str
    user: str


class Connect(NamedTuple):
    """``read_only`` follows in one byte more, which old clients do not send."""

    version: int
    zxid: int
    timeout: int
    session: int
    password: bytes | None


class ConnectReply(NamedTuple):
    version: int
    timeout: int
    session: int
    password: bytes


class Header(NamedTuple):
    xid: int
    op: int


class ReplyHeader(NamedTuple):
    xid: int
    zxid: int
    error: int


class Event(NamedTuple):
    type: int
    state: int
    path: str


class Nothing(NamedTuple):
    """A ping, an end, a question without words."""


class Create(NamedTuple):
    path: str
    data: bytes | None
    acl: tuple[Acl, ...]
    flags: int


class Delete(NamedTuple):
    path: str
    version: int


class Exists(NamedTuple):
    path: str
    watch: bool


class GetData(NamedTuple):
    path: str
    watch: bool


class GetChildren(NamedTuple):
    path: str
    watch: bool


class GetChildren2(NamedTuple):
    path: str
    watch: bool


class SetData(NamedTuple):
    path: str
    data: bytes | None
    version: int


class GetAcl(NamedTuple):
    path: str


class Sync(NamedTuple):
    path: str


class CheckWatches(NamedTuple):
    path: str
    type: int


class RemoveWatches(NamedTuple):
    path: str
    type: int


class AddWatch(NamedTuple):
    path: str
    mode: int


class Auth(NamedTuple):
    type: int
    scheme: str
    auth: bytes | None


class SetWatches(NamedTuple):
    zxid: int
    data: tuple[str, ...]
    exist: tuple[str, ...]
    child: tuple[str, ...]


class SetWatches2(NamedTuple):
    zxid: int
    data: tuple[str, ...]
    exist: tuple[str, ...]
    child: tuple[str, ...]
    persistent: tuple[str, ...]
    recursive: tuple[str, ...]


class Created(NamedTuple):
    path: str


class Created2(NamedTuple):
    path: str
    stat: Stat


class StatReply(NamedTuple):
    stat: Stat


class Data(NamedTuple):
    data: bytes | None
    stat: Stat


class Children(NamedTuple):
    names: tuple[str, ...]


class Children2(NamedTuple):
    names: tuple[str, ...]
    stat: Stat


class AclReply(NamedTuple):
    acl: tuple[Acl, ...]
    stat: Stat


class Synced(NamedTuple):
    path: str


class Code(NamedTuple):
    code: int


class Identities(NamedTuple):
    all: tuple[Identity, ...]


#: Fields in order: i int, q long, ? boolean, b bytes, s string, S strings, T stat, A rules of access, I identities.
FORMS: dict[type[Any], str] = {
    Acl: "iss", Identity: "ss", Stat: "qqqqiiiqiiq", Connect: "iqiqb", ConnectReply: "iiqb", Header: "ii",
    ReplyHeader: "iqi", Event: "iis", Nothing: "", Create: "sbAi", Delete: "si", Exists: "s?", GetData: "s?",
    GetChildren: "s?", GetChildren2: "s?", SetData: "sbi", GetAcl: "s", Sync: "s", CheckWatches: "si",
    RemoveWatches: "si", AddWatch: "si", Auth: "isb", SetWatches: "qSSS", SetWatches2: "qSSSSS", Created: "s",
    Created2: "sT", StatReply: "T", Data: "bT", Children: "S", Children2: "ST", AclReply: "AT", Synced: "s",
    Code: "i", Identities: "I",
}  # fmt: skip

#: What follows the header of each operation that is known.
REQUESTS: dict[int, type[Any]] = {
    Op.CREATE: Create, Op.CREATE2: Create, Op.CREATE_CONTAINER: Create, Op.DELETE: Delete, Op.EXISTS: Exists,
    Op.GET_DATA: GetData, Op.SET_DATA: SetData, Op.GET_ACL: GetAcl, Op.GET_CHILDREN: GetChildren,
    Op.GET_CHILDREN2: GetChildren2, Op.SYNC: Sync, Op.PING: Nothing, Op.CLOSE: Nothing, Op.WHO_AM_I: Nothing,
    Op.CHECK_WATCHES: CheckWatches, Op.REMOVE_WATCHES: RemoveWatches, Op.ADD_WATCH: AddWatch, Op.AUTH: Auth,
    Op.SET_WATCHES: SetWatches, Op.SET_WATCHES2: SetWatches2,
}  # fmt: skip

T = TypeVar("T")
_INT, _LONG, _STAT = struct.Struct(">i"), struct.Struct(">q"), struct.Struct(">qqqqiiiqiiq")
_MANY: dict[str, type[Any]] = {"A": Acl, "I": Identity}


def read(kind: type[T], packet: bytes, at: int = 0) -> tuple[T, int]:
    """A record of this kind, and where it ends. What follows it is not looked at.

    :raises JuteError: it ends before the record does, or a length in it cannot be
    """
    fields: list[Any] = []
    for form in FORMS[kind]:
        value, at = _read(form, packet, at)
        fields.append(value)
    return kind(*fields), at


def write(record: Any) -> bytes:
    """The bytes of a record."""
    return b"".join(map(_write, FORMS[type(record)], record))


def sized(packet: bytes) -> bytes:
    """With its length before it."""
    return _INT.pack(len(packet)) + packet


def packed(*records: Any) -> bytes:
    """Records one after another, with the length of all before them."""
    return sized(b"".join(map(write, records)))


def _read(form: str, packet: bytes, at: int) -> tuple[Any, int]:
    try:
        if form == "i":
            return _INT.unpack_from(packet, at)[0], at + 4
        if form == "q":
            return _LONG.unpack_from(packet, at)[0], at + 8
        if form == "T":
            return Stat(*_STAT.unpack_from(packet, at)), at + _STAT.size
        if form == "?":
            return packet[at] != 0, at + 1
        count = _INT.unpack_from(packet, at)[0]
    except (struct.error, IndexError):
        raise JuteError(at, "the packet ends") from None
    at += 4
    if form in "bs":
        if count == -1 and form == "b":
            return None, at
        if not 0 <= count <= len(packet) - at:
            raise JuteError(at - 4, f"a length of {count}")
        value = packet[at : at + count]
        return (value if form == "b" else value.decode(errors="replace")), at + count
    if count < -1 or count > len(packet) - at:  # each takes more than one byte
        raise JuteError(at - 4, f"a count of {count}")
    values: list[Any] = []
    for _ in range(count):
        one, at = _read("s", packet, at) if form == "S" else read(_MANY[form], packet, at)
        values.append(one)
    return tuple(values), at


def _write(form: str, value: Any) -> bytes:
    match form:
        case "i":
            return _INT.pack(value)
        case "q":
            return _LONG.pack(value)
        case "T":
            return _STAT.pack(*value)
        case "?":
            return b"\1" if value else b"\0"
        case "b":
            return _INT.pack(-1) if value is None else sized(value)
        case "s":
            return sized(value.encode(errors="replace"))
        case "S":
            return _INT.pack(len(value)) + b"".join(_write("s", one) for one in value)
    return _INT.pack(len(value)) + b"".join(map(write, value))
