"""What a scalar's text means: waits, sizes, addresses. Each raises Refused with what to write instead."""

from __future__ import annotations

import ipaddress
import os
import re

from meshfast.config.document import Refused

MAX_MS = 0xFFFF_FFFF  # 49 days; the core counts waits in 32 bits of milliseconds
WRITE_IP = "write the IP address"
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
            unit = f"give its unit: {text}ms or {text}s"
            raise Refused(f'"{text}" is not a duration', unit if text.isascii() and text.isdigit() else hint)
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
    scheme, slashes, _ = text.partition("://")
    if slashes and scheme != "tcp":
        raise Refused(f'"{text}" is not an address', f"{scheme}:// is not spoken here: {hint}")
    host, colon, port = text.removeprefix("tcp://").rpartition(":")
    if not colon or not host:
        if port.isascii() and port.isdigit() and not host:
            raise Refused(f'"{text}" is not an address', f"write it as tcp://127.0.0.1:{port}")
        if _is_ip(text.removeprefix("tcp://")):
            raise Refused(f'"{text}" has no port', hint)
        raise Refused(f'"{text}" is not an address', hint)
    if "/" in port and port.partition("/")[0].isdigit():
        raise Refused(
            f'"{text}": nothing comes behind the port', f"write {text[: len(text) - len(port)]}{port.partition('/')[0]}"
        )
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
        raise _no_ip(text) from None
    if isinstance(found, ipaddress.IPv6Address) and found.scope_id is not None:
        raise Refused(f'"{text}": zones are not supported yet')
    return str(found)


def _no_ip(text: str) -> Refused:
    """What is wrong with an address that is none."""
    rest = text.partition("://")[2] or text
    address, slash, bits = rest.partition("/")
    if slash and bits.isdigit() and _is_ip(address):
        return Refused(f'"{text}": expected an address, not a network', f"write {address}, one entry for each address")
    if "://" in text:
        return Refused(f'"{text}" is not an IP address', f"write the address alone: {rest.rpartition(':')[0] or rest}")
    if text[:1] == "[" and text[-1:] == "]" and _is_ip(text[1:-1]):
        return Refused(f'"{text}" is not an IP address', f"without brackets: {text[1:-1]}")
    first, dash, last = text.partition("-")
    if dash and _is_ip(first.strip()) and (_is_ip(last.strip()) or last.strip().isdigit()):
        return Refused(f'"{text}": expected an address, not a range', "list each address")
    if any(c in text for c in ", ") and all(map(_is_ip, re.split("[, ]+", text))):
        return Refused(f'"{text}" is more than one address', "write one entry for each address")
    if text == "localhost":
        return Refused(f'"{text}" is not an IP address', "write 127.0.0.1 or ::1")
    if text.rpartition(":")[2].isdigit() and text.count(":") == 1:
        return Refused(f'"{text}" is not an IP address', "the port goes into ports")
    parts = text.split(".")
    if len(parts) == 4 and all(p.isascii() and p.isdigit() for p in parts):
        plain = ".".join(str(int(p[:9])) for p in parts)
        if _is_ip(plain):
            return Refused(f'"{text}" is not an IP address', f"without leading zeros: {plain}")
        return Refused(f'"{text}" is not an IP address', "each of its numbers is 0 to 255")
    return Refused(f'"{text}" is not an IP address', WRITE_IP)


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


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


def is_local(address: str) -> bool:
    """Whether only this machine can reach what ``address`` returned."""
    return address.startswith("unix://") or ipaddress.ip_address(address.rpartition(":")[0].strip("[]")).is_loopback


def collide(a: str, b: str) -> bool:
    """Whether two listening addresses, as ``address`` returns them, cannot both be had."""
    if a.startswith("unix:///") and b.startswith("unix:///"):
        return os.path.normpath(a[7:]) == os.path.normpath(b[7:])
    if a == b:
        return a.startswith("unix://") or not a.endswith(":0")
    if a.startswith("unix://") or b.startswith("unix://"):
        return False
    (host_a, _, port_a), (host_b, _, port_b) = a.rpartition(":"), b.rpartition(":")
    if port_a != port_b or port_a == "0":
        return False
    every, same_family = {"0.0.0.0", "[::]"}, ("[" in host_a) == ("[" in host_b)
    return "[::]" in (host_a, host_b) or (same_family and bool(every & {host_a, host_b}))


def reaches(address: str, bind: str) -> bool:
    """Whether who dials ``address`` meets who listens at ``bind``, as far as these two say; a listener at every address
    of its machine is met at a loopback one, whichever machine it is."""
    if address.startswith("unix://") or bind.startswith("unix://"):
        return collide(address, bind)
    (host, _, port), (own, _, own_port) = address.rpartition(":"), bind.rpartition(":")
    if port != own_port or port == "0":
        return False
    to, at = (ipaddress.ip_address(h.strip("[]")) for h in (host, own))
    to = getattr(to, "ipv4_mapped", None) or to
    if to.is_unspecified:  # the kernel takes it for the loopback address
        to = ipaddress.ip_address("127.0.0.1" if to.version == 4 else "::1")
    if at.is_unspecified:
        return to.is_loopback and (to.version == at.version or at.version == 6)
    return to == at
