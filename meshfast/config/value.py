"""What a scalar's text means: waits, sizes, addresses. Each raises Refused with what to write instead."""

from __future__ import annotations

import ipaddress
import re

from meshfast.config.document import Refused

MAX_MS = 0xFFFF_FFFF  # 49 days; the core counts waits in 32 bits of milliseconds
UNIX_PATH = 107  # bytes of a socket's path, by the kernel's sockaddr_un

_WAIT = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ms|us|h|m|s)")
_MS = {"h": 3_600_000.0, "m": 60_000.0, "s": 1000.0, "ms": 1.0, "us": 0.001}
_SIZE = re.compile(r"(\d+)\s*(|B|KiB|Ki|MiB|Mi|GiB|Gi)")
_BYTES = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def duration(text: str) -> int:
    """``1.5s``, ``500ms``, ``1h30m`` -> milliseconds. 0 is allowed; less than one of them otherwise is not."""
    hint = "write it as 500ms, 1.5s, 2m or 1h30m"
    if text == "0":
        return 0
    at, total = 0, 0.0
    while at < len(text):
        part = _WAIT.match(text, at)
        if part is None:
            raise Refused(f'"{text}" is not a duration', hint)
        total += float(part[1]) * _MS[part[2]]
        at = part.end()
    if not text:
        raise Refused("an empty duration", hint)
    if 0 < total < 1:
        raise Refused(f'"{text}" is less than a millisecond')
    if total > MAX_MS:
        raise Refused(f'"{text}" is longer than {MAX_MS} ms')
    return round(total)


def size(text: str) -> int:
    """``4096``, ``256KiB``, ``8Mi`` -> bytes."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise Refused(f'"{text}" is not a size', "write it as 65536, 64KiB or 8MiB")
    return int(match[1]) * _BYTES[match[2][:1]]


def address(text: str, *, listen: bool = False) -> str:
    """``tcp://host:port``, ``host:port`` or ``unix:///path`` -> ``10.0.0.7:80``, ``[::1]:80`` or ``unix:///path``.

    Hosts are numbers: nothing here asks DNS. ``listen`` allows port 0, any free port.
    """
    hint = "write it as tcp://10.0.0.7:20880, tcp://[::1]:20880 or unix:///path"
    if text.startswith("unix://"):
        return unix(text)
    host, colon, port = text.removeprefix("tcp://").rpartition(":")
    if not colon or not host:
        raise Refused(f'"{text}" is not an address', hint)
    if host[0] == "[" and host[-1] == "]":
        host = host[1:-1]
    elif ":" in host:
        raise Refused(f'"{text}": an IPv6 host needs brackets', hint)
    if not port.isascii() or not port.isdigit() or not (0 if listen else 1) <= int(port) <= 65535:
        raise Refused(f'"{port}" is not a port', "a port is 1 to 65535")
    return join(ip(host), int(port))


def ip(text: str) -> str:
    """An IPv4 or IPv6 address in its shortest form."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        hint = "host names are not resolved: write the IP address"
        if text.rpartition(":")[2].isdigit() and text.count(":") == 1:
            hint = "the port goes into ports"
        raise Refused(f'"{text}" is not an IP address', hint) from None
    if isinstance(found, ipaddress.IPv6Address) and found.scope_id is not None:
        raise Refused(f'"{text}": zones are not supported yet')
    return str(found)


def unix(text: str) -> str:
    """``unix:///path`` or ``unix://@name``, checked for what the kernel takes."""
    path = text.removeprefix("unix://")
    if len(path) < 2 or path[0] not in "/@" or "\0" in path:
        raise Refused(f'"{text}" is not an address', "write it as unix:///path or unix://@name")
    if len(path.encode()) > UNIX_PATH:
        raise Refused(f"the socket's path is longer than {UNIX_PATH} bytes")
    return text


def join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def collide(a: str, b: str) -> bool:
    """Whether two listening addresses, as ``address`` returns them, cannot both be had."""
    if a == b:
        return a.startswith("unix://") or not a.endswith(":0")
    if a.startswith("unix://") or b.startswith("unix://"):
        return False
    (host_a, _, port_a), (host_b, _, port_b) = a.rpartition(":"), b.rpartition(":")
    if port_a != port_b or port_a == "0":
        return False
    every, same_family = {"0.0.0.0", "[::]"}, ("[" in host_a) == ("[" in host_b)
    return "[::]" in (host_a, host_b) or (same_family and bool(every & {host_a, host_b}))
