"""Prints h2_name_tbl.h: ``python csrc/codec/h2_name.py > csrc/codec/h2_name_tbl.h``, or ``make tables``.

The static table of RFC 7541, appendix A, and further names that are worth knowing by a number, as they are and in
Huffman code; a hash without collisions for each. When a name is added and collides, ``--search`` finds other factors.
"""

from __future__ import annotations

import sys

import huffman

STATIC = """
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate
"""

#: Names that the static table does not have; those of tracing from traceparent on (mf_h2_name_traces).
MORE = """
connection keep-alive proxy-connection upgrade te trailer priority
grpc-status grpc-message grpc-status-details-bin grpc-timeout grpc-encoding grpc-accept-encoding
tri-service-version tri-service-group tri-service-timeout tri-consumer-appname tri-header-convert tri-exception-code
baggage traceparent tracestate x-request-id x-b3-traceid x-b3-spanid b3 sw8 eagleeye-traceid
""".split()

#: For one HTTP/1 connection (RFC 9113 8.2.2).
HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}
#: Mostly another value each time.
CHANGES = set(
    "age content-length date etag expires if-modified-since if-none-match last-modified location content-range range "
    "grpc-message grpc-status-details-bin grpc-timeout tri-service-timeout tri-exception-code "
    "baggage traceparent tracestate x-request-id x-b3-traceid x-b3-spanid b3 sw8 eagleeye-traceid".split()
)
#: Never put into a table (RFC 7541 7.1.3).
SECRET = {"authorization", "proxy-authorization"}

SLOTS = 512
FACTOR = 0xE31DEFE7
CODED_FACTOR = 0xA55B9B47


def table() -> list[tuple[str, str]]:
    out = []
    for line in STATIC.strip().splitlines():
        name, _, value = line.partition(" ")
        out.append((name, value))
    return out


def names() -> list[str]:
    """Each once, in the order of their numbers, which start at 1."""
    return list(dict.fromkeys([name for name, _ in table()] + MORE))


def coded(name: str) -> bytes:
    """The name in Huffman code."""
    code = huffman.codes()
    bits = "".join(f"{code[c]:0{huffman.LENGTHS[c]}b}" for c in name.encode())
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def slot(raw: bytes, factor: int) -> int:
    n = len(raw)
    key = raw[0] | raw[n // 2] << 8 | raw[n - 2 if n > 1 else 0] << 16 | ((n + raw[n - 1] * 5) & 0xFF) << 24
    return (key * factor & 0xFFFFFFFF) >> 23


def collides(factor: int, keys: list[bytes]) -> bool:
    return len({slot(key, factor) for key in keys}) != len(keys)


def search(factor: int, keys: list[bytes]) -> int:
    while collides(factor, keys):
        factor = (factor * 1664525 + 1013904223 & 0xFFFFFFFF) | 1
    return factor


def print_slots(kind: str, factor: int, keys: list[bytes]) -> None:
    print(f"#define MF_H2_{kind}_FACTOR 0x{factor:X}u")
    print(f"#define MF_H2_{kind}_SLOTS \\")
    slots = [0] * SLOTS
    for number, key in enumerate(keys, 1):
        slots[slot(key, factor)] = number
    for at in range(0, SLOTS, 32):
        print("    " + " ".join(f"{one}," for one in slots[at : at + 32]) + " \\")
    print()


def symbol(name: str) -> str:
    return "MF_H2_NAME_" + name.replace(":", "PSEUDO_").upper().replace("-", "_")


def main() -> None:
    plain, code = [name.encode() for name in names()], [coded(name) for name in names()]
    if "--search" in sys.argv:
        sys.exit(f"FACTOR = 0x{search(FACTOR, plain):08X}\nCODED_FACTOR = 0x{search(CODED_FACTOR, code):08X}")
    if collides(FACTOR, plain) or collides(CODED_FACTOR, code):
        sys.exit("two names share a slot: run with --search")
    known, static = names(), table()
    first = {name: index for index, (name, _) in reversed(list(enumerate(static, 1)))}
    print("/* Written by h2_name.py beside it: the static table of RFC 7541, appendix A, and names by number. */")
    print("enum mf_h2_name {")
    print("    MF_H2_NAME_OTHER,")
    for name in known:
        print(f"    {symbol(name)},")
    print("    MF_H2_NAME_COUNT,")
    print("};\n")
    print("/* X(number, name, in Huffman code, first index in the static table or 0, hop by hop, changes, secret) */")
    print("#define MF_H2_NAME_LIST(X) \\")
    for name in known:
        kinds = ", ".join(str(int(name in kind)) for kind in (HOP, CHANGES, SECRET))
        code_text = "".join(f"\\{byte:03o}" for byte in coded(name))
        print(f'    X({symbol(name)}, "{name}", "{code_text}", {first.get(name, 0)}, {kinds}) \\')
    print()
    print("/* X(name's number, name, value), from index 1 on */")
    print("#define MF_H2_STATIC_LIST(X) \\")
    for name, value in static:
        print(f'    X({symbol(name)}, "{name}", "{value}") \\')
    print()
    print(f"#define MF_H2_STATIC {len(static)}")
    print_slots("NAME", FACTOR, plain)
    print_slots("CODED", CODED_FACTOR, code)


if __name__ == "__main__":
    main()
