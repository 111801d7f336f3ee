"""Generated values, told as JSON to any encoder, and what of them a reader must find again.

A value is a list: its kind, then what it is made of (README.md has the table). Kinds that make an object of their own
(L M O 0 E X G P) are numbered as they are met; ``["R", n]`` is the n-th of them again, so a value can hold itself.
"""

from __future__ import annotations

import math
import random
from typing import Any

Told = list[Any]

INTS = [0, -16, 47, -17, 48, -2048, 2047, -2049, 2048, -262144, 262143, -262145, 262144, 2**31 - 1, -(2**31)]
LONGS = [-8, 15, -9, 16, -2048, 2047, -2049, 2048, -262144, 262143, -262145, 262144, 2**31 - 1, -(2**31), 2**31]
LONGS += [-(2**31) - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]
DOUBLES = ["0.0", "-0.0", "1.0", "-128.0", "127.0", "128.0", "-129.0", "32767.0", "32768.0", "-32768.0", "-32769.0"]
DOUBLES += ["12.25", "0.001", "2147483.647", "-2147483.648", "2147483.648", "1e300", "5e-324"]
DOUBLES += ["nan", "inf", "-inf", "3.14159"]
DATES = [0, 1, -1, 60_000, -60_000, 1_700_000_000_123, 2**31 * 60_000, -(2**31) * 60_000, (2**31 - 1) * 60_000]
LETTERS = ["a", "é", "€", "上", "\U0001f600", "\ud83d", "\ude00", "\x00", "\x7f", "\x80", "\u07ff", "\u0800", "\uffff"]
LENGTHS = [0, 1, 2, 7, 8, 30, 31, 32, 33, 255, 256, 1023, 1024, 1025]
LONG_LENGTHS = [0x7FFF, 0x8000, 0x8001, 0x10000, 0x10001, 100_000]
BYTES = [0, 1, 15, 16, 17, 255, 1023, 1024, 1025, 4092, 4093, 4094, 8186, 8189]
VARIOUS = 33


class Maker:
    """Makes the values of one body."""

    def __init__(self, rng: random.Random, java: bool) -> None:
        self.rng = rng
        self.java = java
        self.made: list[bool] = []  # whether a reference to it may be told
        # hessian-lite numbers neither an iterator nor what a class has put in its place, and its own reader does:
        # references behind those lead elsewhere, an enum's second one too. So a body has either.
        self.refers = rng.random() < 0.6

    def value(self, depth: int = 0) -> Told:
        """Any value; containers become rarer with depth."""
        scalar = self.rng.random() < (0.35 if depth < 2 else 0.6 if depth < 5 else 1.0)
        return self.scalar() if scalar else self.container(depth)

    def scalar(self) -> Told:
        rng = self.rng
        match rng.choice("NZIIJJDDTSSSBXG0P" + ("ER" if self.refers else "VV" if self.java else "")):
            case "N":
                return ["N"]
            case "Z":
                return ["Z", rng.random() < 0.5]
            case "I":
                return ["I", rng.choice(INTS) if rng.random() < 0.7 else rng.randint(-(2**31), 2**31 - 1)]
            case "J":
                return ["J", str(rng.choice(LONGS) if rng.random() < 0.7 else rng.randint(-(2**63), 2**63 - 1))]
            case "D":
                return ["D", rng.choice(DOUBLES) if rng.random() < 0.7 else repr(rng.uniform(-1e6, 1e6))]
            case "T":
                return ["T", str(rng.choice(DATES) if rng.random() < 0.7 else rng.randint(-(2**45), 2**45))]
            case "S":
                return self.text()
            case "B":
                long = rng.random() < 0.05
                return ["B", rng.randint(-128, 127), rng.choice(LONG_LENGTHS if long else BYTES)]
            case "R":
                allowed = [n for n, may in enumerate(self.made) if may]
                return ["R", rng.choice(allowed)] if allowed else ["N"]
            case "P":
                if rng.random() < 0.9:
                    return ["N"]
                deep = ["P", rng.choice(["list", "map", "object"]), rng.choice([1, 30, 150, 180, 250, 900])]
                self.made += [False] * deep[2]
                return deep
            case "V":
                return ["V", rng.randrange(VARIOUS)]
            case kind:
                self.made.append(True)
                told = {
                    "E": ["E", rng.choice(["RED", "GREEN", "BLUE"])],
                    "X": ["X", rng.choice(["", "broken", "坏" * 40])],
                    "G": ["G", rng.choice(["0", "-1.50", "12345678901234567890.123456789", "1E+400"])],
                }
                return told.get(kind, ["0"])

    def text(self) -> Told:
        rng = self.rng
        piece = "".join(rng.choice(LETTERS[:5] if rng.random() < 0.7 else LETTERS) for _ in range(rng.randint(1, 5)))
        roll = rng.random()
        length = rng.choice(LONG_LENGTHS if roll < 0.02 else LENGTHS) + rng.choice([0, 0, 1])
        if roll > 0.5:
            return ["S", piece, rng.randint(0, 20)]
        # The border falls anywhere inside the piece, so inside a pair too.
        return ["S", "x" * rng.randint(0, 3) + piece, length // max(1, units(piece)) + rng.choice([0, 1])]

    def place(self) -> None:
        self.made.append(True)

    def container(self, depth: int) -> Told:
        rng = self.rng
        match rng.choice("LLMOOO"):
            case "L":
                kind = rng.choice(["list", "list", "linked", "set", "objects", "ints", "iterator"])
                if kind == "iterator" and (self.refers or not self.java):
                    kind = "list"
                size = rng.choice([0, 1, 2, 3, 7, 8, 9]) if depth < 2 else rng.choice([0, 1, 2])
                if rng.random() < 0.02:
                    kind, size = "ints", 300
                self.place()
                if kind == "ints":
                    return ["L", kind, [["I", rng.choice(INTS)] for _ in range(size)]]
                if kind == "set":
                    return ["L", kind, [["J", str(i * 1000)] for i in range(size)]]
                return ["L", kind, [self.value(depth + 1) for _ in range(size)]]
            case "M":
                kind = rng.choice(["hash", "hash", "tree", "linked"])
                self.place()
                keys: list[Told] = [["S", f"k{i}", 1] for i in range(rng.choice([0, 1, 2, 5]))]
                if kind != "tree" and rng.random() < 0.3:
                    keys = [["J", str(i * 10_000)] for i in range(len(keys))]
                return ["M", kind, [[key, self.value(depth + 1)] for key in keys]]
            case _:
                self.place()
                number = rng.randrange(20)
                return ["O", number, [self.value(depth + 1), self.value(depth + 1)]]


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


class Found:
    """Compares what a reader made of a body with what was told."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def same(self, told: Told, value: Any) -> bool:
        """Whether ``value`` is what ``told`` says, as far as the reader's Python type can say."""
        match told:
            case ["N"]:
                return value is None
            case ["Z", want]:
                return value is want
            case ["I", want]:
                return type(value) is int and value == want
            case ["J" | "T", want]:
                return type(value) is int and value == int(want)
            case ["D", want]:
                return type(value) is float and (value == float(want) or (math.isnan(value) and want == "nan"))
            case ["S", piece, times]:
                whole = (piece * times).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
                return isinstance(value, str) and value == whole
            case ["B", byte, size]:
                return isinstance(value, bytes) and value == bytes([byte & 0xFF]) * size
            case ["R", number]:
                return value is self.made[number]
            case ["P", _, depth]:
                self.made += [None] * depth
                return isinstance(value, list | dict)
            case ["V", _]:
                return True
        self.made.append(value)
        return self.container(told, value)

    def container(self, told: Told, value: Any) -> bool:
        match told:
            case ["L", _, items]:
                return isinstance(value, list) and len(value) == len(items) and all(map(self.same, items, value))
            case ["M", _, pairs]:
                keys = [int(k[1]) if k[0] == "J" else k[1] for k, _ in pairs]
                if not isinstance(value, dict) or set(keys) != set(value):
                    return False
                return all(self.same(told_value, value[key]) for key, (_, told_value) in zip(keys, pairs, strict=True))
        if not isinstance(value, dict):
            return False
        name = str(value["class"])
        match told:
            case ["O", number, [left, right]]:
                good = name.endswith(f"$C{number}") and value["number"] == number
                return good and self.same(left, value["left"]) and self.same(right, value["right"])
            case ["0"]:
                return name.endswith("$Nothing")
            case ["E", want]:
                return name.endswith("$Colour") and value["name"] == want
            case ["X", want]:
                return name == "java.lang.IllegalStateException" and value["detailMessage"] == want
            case ["G", want]:
                return name == "java.math.BigDecimal" and value["value"] == want
        return False


def deep(told: Any, most: int) -> bool:
    """Whether a pile deeper than ``most`` is in it."""
    if isinstance(told, list):
        if len(told) == 3 and told[0] == "P":
            return bool(told[2] > most)
        return any(deep(one, most) for one in told)
    return False
