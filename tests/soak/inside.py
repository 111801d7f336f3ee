"""``meshfast`` with a witness inside: what malloc has given out and what Python holds, in a file twice a second.

    python -m soak.inside FILE proxy ...

Resident memory also holds what the allocator keeps for later, and creeps towards the highest load there was. What is
allocated does not: if that grows, something leaks.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading

from meshfast.cli import main

EVERY_S = 0.5
FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class Mallinfo(ctypes.Structure):
    """glibc's ``struct mallinfo2``: sums over all arenas."""

    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS]


def malloc() -> Mallinfo:
    """What glibc's malloc says of itself."""
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = Mallinfo
    found: Mallinfo = ask()
    return found


def allocated() -> int:
    """Bytes that malloc has given out."""
    info = malloc()
    return int(info.uordblks + info.hblkhd)


def witness(path: str) -> None:
    """Writes until the process ends."""
    rest = threading.Event()
    while not rest.wait(EVERY_S):
        info = malloc()
        text = f"{info.uordblks + info.hblkhd} {info.fordblks} {sys.getallocatedblocks()}\n"
        with open(f"{path}.draft", "w") as draft:
            draft.write(text)
        os.replace(f"{path}.draft", path)


if __name__ == "__main__":
    threading.Thread(target=witness, args=(sys.argv.pop(1),), daemon=True).start()
    sys.argv[0] = "meshfast"
    main()
