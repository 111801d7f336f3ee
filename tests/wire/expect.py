"""What to expect of recorded frames, read here without the core: ``python tests/wire/expect.py FILE...`` writes it
behind each frame of the files, in the words that the head of dubbo.txt explains.

Written from the formats' own descriptions; arguments in Hessian2 are passed over by ``meshfast.hessian``, plain
Python. So the core is compared with a second reader, not with itself.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from meshfast import hessian

HESSIAN2, FASTJSON2, JAVA, COMPACTED, FASTJSON, NATIVE = 2, 23, 3, 4, 6, 7
STRINGS = ("dubbo", "service", "version", "method", "types")
GENERIC = "Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/Object;"
NULL = {
    HESSIAN2: b"N",
    FASTJSON2: b"\0\0\0\1\xaf",
    JAVA: b"\xac\xed\0\5w\1\0",
    COMPACTED: b"\xac\xed\0\5w\1\0",
    NATIVE: b"\xac\xed\0\5p",
    FASTJSON: b"null",
}


def lines(path: Path) -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Name, bytes and expectations of each frame in a file."""
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            name, raw, *expect = line.split(" ")
            yield name, bytes.fromhex(raw), dict(one.split("=", 1) for one in expect)


def arguments(types: str) -> int:
    """How many a descriptor names."""
    return len(re.findall(r"\[*(?:[ZBCDFIJSV]|L[^;]+;)", types))


def one(text: str) -> str:
    """A text as the core's slices have it: UTF-16 units, each encoded alone, as Java writes them."""
    units = text.encode("utf-16-be", "surrogatepass")
    pairs = (units[i : i + 2].decode("utf-16-be", "surrogatepass") for i in range(0, len(units), 2))
    return "".join(pairs).encode("utf-8", "surrogatepass").hex()


def attachments(pairs: list[tuple[str, str]]) -> str:
    """``key:value`` where that is plain, else both in hex."""
    plain = re.compile(r"[\w./$;()\[-]+", re.ASCII)
    both = [f"{k}:{v}" if plain.fullmatch(k) and plain.fullmatch(v) else f"{one(k)}!{one(v)}" for k, v in pairs]
    return ",".join(both)


def hessian2(body: bytes) -> tuple[list[str], str | None, list[tuple[str, str]]]:
    """The five strings, the first argument of a generic call, the attachments."""
    reader = hessian.Reader(body)
    strings = [reader.next() or "" for _ in STRINGS]
    values = [reader.next() for _ in range(arguments(strings[4]))]
    pairs = reader.next() or {}
    assert reader.at == len(body)
    first = values[0] if values and isinstance(values[0], str) else None
    # A list of one text is that text: dubbo-go writes its lists of strings so.
    said = {k: v[0] if isinstance(v, list) and len(v) == 1 else v for k, v in pairs.items()}
    return strings, first, [(k, v) for k, v in said.items() if isinstance(k, str) and isinstance(v, str)]


class Jsonb:
    """Strings, and objects of strings, of one fastjson2 value."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, n: int) -> bytes:
        self.at += n
        return self.data[self.at - n : self.at]

    def length(self) -> int:
        tag = self.take(1)[0]
        if tag < 0x30:
            return tag
        if 0x38 <= tag < 0x40:
            return (tag - 0x38 << 8) + self.take(1)[0]
        assert 0x44 <= tag < 0x48, "a longer text than is recorded"
        return (tag - 0x44 << 16) + int.from_bytes(self.take(2), "big")

    def text(self) -> str | None:
        tag = self.take(1)[0]
        if tag == 0xAF:
            return None
        if 0x49 <= tag <= 0x78:
            raw = self.take(tag - 0x49)
            return raw.decode() if raw.isascii() else None  # Latin-1: borrowed bytes would not be the text
        assert tag in (0x79, 0x7A), "a text in another encoding"
        return self.take(self.length()).decode()

    def pairs(self) -> list[tuple[str, str]]:
        found = []
        if self.take(1) == b"\xaf":
            return []
        while self.data[self.at] != 0xA5:
            key, value = self.text(), self.text()
            if key is not None and value is not None:
                found.append((key, value))
        return found


def fastjson2(body: bytes) -> tuple[list[str], str | None, list[tuple[str, str]]]:
    values, at = [], 0
    while at < len(body):
        n = int.from_bytes(body[at : at + 4], "big")
        values.append(body[at + 4 : at + 4 + n])
        at += 4 + n
    strings = [Jsonb(v).text() or "" for v in values[:5]]
    assert len(values) == 6 + arguments(strings[4])
    first = Jsonb(values[5]).text() if strings[4] == GENERIC else None
    return strings, first, Jsonb(values[-1]).pairs()


def java(counted: bool) -> Callable[[bytes], tuple[list[str], str | None, list[tuple[str, str]]]]:
    def read(body: bytes) -> tuple[list[str], str | None, list[tuple[str, str]]]:
        assert body[:4] == b"\xac\xed\0\5"
        plain, at = b"", 4
        while body[at] in (0x77, 0x7A):
            wide = body[at] == 0x7A
            n = int.from_bytes(body[at + 1 : at + 5], "big") if wide else body[at + 1]
            at += 5 if wide else 2
            plain += body[at : at + n]
            at += n
        strings, p = [], 0
        for _ in STRINGS:
            null = counted and plain[p : p + 4] == b"\xff" * 4
            p += 4 if counted else 0
            n = -2 if null else int.from_bytes(plain[p : p + 2], "big")
            strings.append(plain[p + 2 : p + 2 + n].decode() if n > 0 else "")
            p += 2 + n
        first = None
        if strings[4] == GENERIC and body[at] == 0x74:
            first = body[at + 3 : at + 3 + int.from_bytes(body[at + 1 : at + 3], "big")].decode()
        return strings, first, []

    return read


READERS = {HESSIAN2: hessian2, FASTJSON2: fastjson2, JAVA: java(True), COMPACTED: java(True), NATIVE: java(False)}


def event(serialization: int, body: bytes) -> str:
    """What an event says: nothing at all or null, or a text of one letter somewhere at its end."""
    body = body.rstrip(b"\r\n")
    if body in (b"", NULL.get(serialization)):
        return "heartbeat"
    return {b"R": "readonly", b"W": "writeable"}.get(body.rstrip(b'"')[-1:], "other")


def request(serialization: int, body: bytes) -> dict[str, str]:
    if serialization not in READERS:
        return {"rc": "MF_EDUBBO_OPAQUE", "complete": "0", "generic": "0", "timeout": "-1"} | dict.fromkeys(STRINGS, "")
    strings, first, pairs = READERS[serialization](body)
    whole = serialization in (HESSIAN2, FASTJSON2)
    out = dict(zip(STRINGS, strings, strict=True))
    generic = out["method"] in ("$invoke", "$invokeAsync") and out["types"] == GENERIC
    timeout = dict(pairs).get("timeout", "")
    out |= {"invoked": out["method"], "generic": str(int(generic)), "complete": str(int(whole))}
    out |= {"rc": "ok" if whole else "MF_EDUBBO_OPAQUE", "timeout": timeout if timeout.isdecimal() else "-1"}
    if generic and first is not None:
        out["method"] = first
    return out | ({"att": attachments(pairs)} if whole else {})


def expect(data: bytes) -> dict[str, str]:
    """All that a line says of a frame."""
    flags, status = data[2], data[3]
    serialization, body = flags & 0x1F, data[16:]
    assert data[:2] == b"\xda\xbb" and int.from_bytes(data[12:16], "big") == len(body)
    out = {"id": str(int.from_bytes(data[4:12], "big")), "ser": str(serialization)}
    if not flags & 0x80:
        out["status"] = str(status)
    if flags & 0x20:
        return out | {"event": event(serialization, body)}
    return out | request(serialization, body) if flags & 0x80 else out


def annotate(path: Path) -> None:
    """Writes a file again, each frame with what to expect of it."""
    out = [line for line in path.read_text().splitlines() if line.startswith("#")]
    for name, data, _ in lines(path):
        out.append(" ".join([name, data.hex(), *(f"{key}={value}" for key, value in expect(data).items())]))
    path.write_text("\n".join(out) + "\n")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        annotate(Path(name))
