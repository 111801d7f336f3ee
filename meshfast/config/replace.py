"""A regular expression and what takes the place of its matches -> the program of ``csrc/codec/replace.h``."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

from meshfast.config import regex
from meshfast.config.dfa import utf8
from meshfast.config.document import Refused
from meshfast.config.regex import Alt, BadRegex, Cat, Chars, Edge, Group, Repeat, Tree

MAX_STEPS = 256  # MF_REPLACE_STEPS
MAX_GROUP = 9

_BYTE, _SPLIT, _SAVE, _START, _END, _MATCH = range(6)


@lru_cache(maxsize=256)
def compile(text: str, rewrite: str) -> bytes:
    """Raises BadRegex for the expression, Refused for what is to take its place."""
    made = _Program()
    tree = regex.parse(text, groups=True)
    made.save(0)
    made.add(tree)
    made.save(1)
    made.step(_MATCH)
    template = _template(rewrite, _count(tree))
    return struct.pack("=HH", len(made.steps), len(template)) + b"".join(made.steps_packed()) + template


def _count(tree: Tree) -> int:
    match tree:
        case Group(of, number):
            return max(number, _count(of))
        case Cat(parts) | Alt(parts):
            return max(map(_count, parts), default=0)
        case Repeat(of):
            return _count(of)
    return 0


def _template(text: str, groups: int) -> bytes:
    """Bytes as they are, which are ASCII; a group as its number with the highest bit."""
    out, at = bytearray(), 0
    while at < len(text):
        c = text[at]
        at += 1
        if c != "\\":
            out += c.encode()
            continue
        digit = text[at : at + 1]
        at += 1
        if digit == "\\":
            raise Refused("a path cannot have a backslash")
        if not digit.isascii() or not digit.isdigit():
            raise Refused(f"\\{digit} names no group", "\\1 is the first one")
        if int(digit) > groups:
            raise Refused(f"\\{digit}: the expression has {groups} groups", "a group is in ( )")
        out.append(0x80 | int(digit))
    return bytes(out)


class _Program:
    def __init__(self) -> None:
        self.steps: list[list[int]] = []  # op, low, high, next, other

    def steps_packed(self) -> list[bytes]:
        return [struct.pack("=BBBxHH", *step) for step in self.steps]

    def step(self, op: int, low: int = 0, high: int = 0) -> list[int]:
        """One more, which goes on to the one after it."""
        if len(self.steps) >= MAX_STEPS:
            raise BadRegex("too complex", 1, "use fewer or smaller {m,n}")
        made = [op, low, high, len(self.steps) + 1, 0]
        self.steps.append(made)
        return made

    def save(self, slot: int) -> None:
        if slot <= 2 * MAX_GROUP + 1:
            self.step(_SAVE, slot)

    def here(self) -> int:
        return len(self.steps)

    def add(self, tree: Tree) -> None:
        """What goes on behind it once ``tree`` has matched."""
        match tree:
            case Chars(ranges):
                self.either([seq for low, high in ranges for seq in utf8(low, high)])
            case Edge(at_end):
                self.step(_END if at_end else _START)
            case Cat(parts):
                for part in parts:
                    self.add(part)
            case Alt(choices):
                self.choose([partial(self.add, choice) for choice in choices])
            case Group(of, number):
                self.save(2 * number)
                self.add(of)
                self.save(2 * number + 1)
            case Repeat(of, least, most, lazy):
                for _ in range(least):
                    self.add(of)
                if most is None:
                    loop = self.fork(lazy)
                    self.add(of)
                    self.step(_SPLIT)[3:] = [loop[0], loop[0]]
                    self.leave(loop, lazy)
                else:
                    forks = []
                    for _ in range(most - least):
                        forks.append(self.fork(lazy))
                        self.add(of)
                    for each in forks:
                        self.leave(each, lazy)

    def fork(self, lazy: bool) -> tuple[int, list[int]]:
        at = self.here()
        return at, self.step(_SPLIT)

    def leave(self, fork: tuple[int, list[int]], lazy: bool) -> None:
        """The other way of a fork leads here; which of them comes first is what laziness is."""
        at, step = fork
        step[3:] = [self.here(), at + 1] if lazy else [at + 1, self.here()]

    def choose(self, ways: Sequence[Callable[[], None]]) -> None:
        ends = []
        for number, way in enumerate(ways):
            last = number == len(ways) - 1
            fork = None if last else self.fork(False)
            way()
            if not last:
                ends.append(self.step(_SPLIT))
            if fork is not None:
                self.leave(fork, False)
        for end in ends:
            end[3:] = [self.here(), self.here()]

    def either(self, sequences: list[tuple[tuple[int, int], ...]]) -> None:
        if not sequences:
            self.step(_BYTE, 1, 0)  # nothing is from 1 to 0
            return
        self.choose([partial(self.bytes, sequence) for sequence in sequences])

    def bytes(self, sequence: tuple[tuple[int, int], ...]) -> None:
        for low, high in sequence:
            self.step(_BYTE, low, high)
