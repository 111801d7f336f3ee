"""core.pxd declares functions as the headers do, and only what the extension uses."""

from __future__ import annotations

import re
from pathlib import Path

from house import code, files, text

from meshfast import _core

PXD = Path("meshfast/core.pxd")


def arity(arguments: str) -> int:
    arguments = arguments.strip()
    if arguments in ("", "void"):
        return 0
    depth, count = 0, 1
    for char in arguments:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(char, 0)
        count += char == "," and depth == 0
    return count


def functions(source: str) -> dict[str, int]:
    found = {}
    for match in re.finditer(r'\b(mf_\w+)(?:\s+"mf_\w+")?\s*\((?!\*)((?:[^()]|\([^()]*\))*)\)', source):
        found.setdefault(match.group(1), arity(match.group(2)))
    return found


def test_declared_as_in_the_headers():
    headers = functions("".join(code(p) for p in files("csrc/*.h", "csrc/*/*.h")))
    # `name "c_name"(...)`: what C calls it is what counts.
    declared = functions(re.sub(r'\b\w+ "(\w+)"\(', r"\1(", text(PXD)))
    assert declared
    for name, count in declared.items():
        assert name in headers, f"{name} is in no header"
        assert headers[name] == count, f"{name} takes {headers[name]} arguments, not {count}"


def test_declared_is_used():
    used = "".join(text(p) for p in files("meshfast/*.pyx", "meshfast/bind/*.pxi"))
    declared = functions(re.sub(r'(\w+) "\w+"\(', r"\1(", text(PXD)))
    idle = [name for name in declared if not re.search(rf"\b{name}\b", used)]
    assert idle == []


def test_the_extension_asserts():
    built = Path(_core.__file__).read_bytes()
    for path in ("csrc/call/call.c", "csrc/loop/sock.c"):
        claims = re.findall(r"^\s+assert\((.+)\);", text(Path(path)), re.M)
        assert claims
        assert [claim for claim in claims if claim.encode() not in built] == [], f"{path} was built with NDEBUG"
