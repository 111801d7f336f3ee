"""A regular expression's text -> its tree. The syntax is RE2's, as in Istio, without Unicode classes and boundaries.

A parser of our own, because a refusal has to name its column, and because Python's differs where it matters: there
``\\Z``, lookaround and back references exist, here they do not. Groups and laziness, which a whole match has no use
for, are in the tree for who asks for ``groups``.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import hexdigits

from meshfast.config.document import Refused

TOP = 0x10FFFF
MAX_REPEAT = 1000  # RE2's
MAX_TEXT = 4096
MAX_GROUPS = 100  # one in another: this parser recurses

Ranges = tuple[tuple[int, int], ...]  # of code points, sorted, apart


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of a set."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Edge:
    """The start (``end`` False) or the end of the text."""

    end: bool


@dataclass(frozen=True, slots=True)
class Cat:
    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Alt:
    choices: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    of: Tree
    least: int
    most: int | None
    lazy: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    of: Tree
    number: int


Tree = Chars | Edge | Cat | Alt | Repeat | Group


def union(*sets: Ranges) -> Ranges:
    out: list[tuple[int, int]] = []
    for low, high in sorted(pair for ranges in sets for pair in ranges):
        if out and low <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(high, out[-1][1]))
        else:
            out.append((low, high))
    return tuple(out)


def negate(ranges: Ranges) -> Ranges:
    out, at = [], 0
    for low, high in ranges:
        if low > at:
            out.append((at, low - 1))
        at = high + 1
    if at <= TOP:
        out.append((at, TOP))
    return tuple(out)


def either_case(ranges: Ranges) -> Ranges:
    """Simple folding of each character: ASCII always, others where the set is small enough to go through."""
    folded: list[tuple[int, int]] = []
    for low, high in ranges:
        for point in range(low, min(high, low + 2000) + 1):
            c = chr(point)
            for other in (c.lower(), c.upper(), c.casefold()):
                if len(other) == 1 and other != c:
                    folded.append((ord(other), ord(other)))
    both = union(ranges, tuple(folded))
    for letter, also in (("k", 0x212A), ("s", 0x17F)):  # the two beyond ASCII that fold to it
        if any(low <= ord(letter) <= high for low, high in both):
            both = union(both, ((also, also),))
    return both


DIGIT: Ranges = ((48, 57),)
WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
SPACE: Ranges = ((9, 10), (12, 13), (32, 32))  # RE2's \s has no vertical tab
ANY: Ranges = ((0, TOP),)
NO_NEWLINE = negate(((10, 10),))

_PERL = {"d": DIGIT, "w": WORD, "s": SPACE, "D": negate(DIGIT), "W": negate(WORD), "S": negate(SPACE)}
_POSIX = {
    "alnum": union(DIGIT, ((65, 90), (97, 122))), "alpha": ((65, 90), (97, 122)), "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)), "cntrl": ((0, 31), (127, 127)), "digit": DIGIT, "graph": ((33, 126),),
    "lower": ((97, 122),), "print": ((32, 126),), "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)), "upper": ((65, 90),), "word": WORD, "xdigit": ((48, 57), (65, 70), (97, 102)),
}  # fmt: skip
_CONTROL = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}


class BadRegex(Refused):
    """``column`` is where in the expression, from 1."""

    def __init__(self, message: str, column: int, hint: str = "") -> None:
        super().__init__(f"regex, at its character {column}: {message}", hint)
        self.column = column


def parse(text: str, *, groups: bool = False) -> Tree:
    """The tree of an expression; raises BadRegex."""
    if len(text) > MAX_TEXT:
        raise BadRegex(f"longer than {MAX_TEXT} characters", MAX_TEXT + 1)
    parser = _Parser(text, groups)
    tree = parser.alternatives()
    if parser.at < len(text):
        raise parser.bad("a ) that closes nothing", "write \\) for the character")
    return tree


class _Parser:
    def __init__(self, text: str, groups: bool) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.groups, self.n_groups = groups, 0
        self.fold = self.dot_all = self.lazy = False

    def bad(self, message: str, hint: str = "", at: int | None = None) -> BadRegex:
        return BadRegex(message, (self.at if at is None else at) + 1, hint)

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self, want: str) -> bool:
        if self.text.startswith(want, self.at):
            self.at += len(want)
            return True
        return False

    def alternatives(self) -> Tree:
        choices = [self.sequence()]
        while self.take("|"):
            choices.append(self.sequence())
        return choices[0] if len(choices) == 1 else Alt(tuple(choices))

    def sequence(self) -> Tree:
        parts: list[Tree] = []
        while self.at < len(self.text) and self.peek() not in "|)":
            part = self.atom()
            if part is not None:
                parts.append(self.repeated(part))
        return parts[0] if len(parts) == 1 else Cat(tuple(parts))

    def repeated(self, part: Tree) -> Tree:
        start = self.at
        bounds = self.bounds()
        if bounds is None:
            return part
        lazy = self.take("?") != self.lazy and self.groups
        after = self.at
        if self.peek() == "+" or self.bounds() is not None:
            raise self.bad("a repetition of a repetition", "group what is repeated: (?:...)", after)
        least, most = bounds
        if most is not None and most < least:
            raise self.bad(f"{{{least},{most}}} goes down", at=start)
        if max(least, most or 0) > MAX_REPEAT:
            raise self.bad(f"more than {MAX_REPEAT} repetitions", at=start)
        return Repeat(part, least, most, lazy)

    def bounds(self) -> tuple[int, int | None] | None:
        for sign, found in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self.take(sign):
                return found
        end = self.text.find("}", self.at)
        if self.peek() != "{" or end < 0:
            return None
        first, comma, last = self.text[self.at + 1 : end].partition(",")
        if not _digits(first) or (last and not _digits(last)):
            return None  # then the brace is a character, as in RE2
        self.at = end + 1
        return int(first), int(last) if last else (None if comma else int(first))

    def atom(self) -> Tree | None:
        c = self.peek()
        if c == "(":
            return self.group()
        if c == "[":
            return Chars(self.folded(self.bracket()))
        if c == "\\":
            return self.escaped()
        if c in "*+?":
            raise self.bad(f"{c} repeats nothing", f"write \\{c} for the character")
        self.at += 1
        if c == ".":
            return Chars(ANY if self.dot_all else NO_NEWLINE)
        if c in "^$":
            return Edge(c == "$")
        return Chars(self.folded(((ord(c), ord(c)),)))

    def folded(self, ranges: Ranges) -> Ranges:
        return either_case(ranges) if self.fold else ranges

    def group(self) -> Tree | None:
        start = self.at
        self.at += 1
        kept, number = (self.fold, self.dot_all, self.lazy), 0
        plain = not self.take("?")
        if plain or self.text.startswith(("P<", "<"), self.at):
            number = self.n_groups = self.n_groups + 1
        if not plain:
            for look in ("=", "!", "<=", "<!"):
                if self.text.startswith(look, self.at):
                    raise self.bad("lookaround is not supported", "RE2, and so Istio, has none", start)
            if self.take("P<") or self.take("<"):
                end = self.text.find(">", self.at)
                if end < 0 or not self.text[self.at : end].isidentifier():
                    raise self.bad("a group's name", "(?P<name>...)")
                self.at = end + 1
            elif self.take("P="):
                raise self.bad("back references are not supported", "RE2, and so Istio, has none", start)
            elif not self.flags(start):
                return None
        self.depth += 1
        if self.depth > MAX_GROUPS:
            raise self.bad(f"more than {MAX_GROUPS} groups in one another", at=start)
        tree = self.alternatives()
        if not self.take(")"):
            raise self.bad("a ( that is not closed", "write \\( for the character", start)
        self.depth -= 1
        self.fold, self.dot_all, self.lazy = kept
        return Group(tree, number) if number and self.groups else tree

    def flags(self, start: int) -> bool:
        """Reads ``i)``, ``-s:`` and the like. True when a group follows, False when it was flags alone."""
        on = True
        while self.at < len(self.text):
            c = self.peek()
            self.at += 1
            if c == "-":
                on = False
            elif c == "i":
                self.fold = on
            elif c == "s":
                self.dot_all = on
            elif c in ":)":
                return c == ":"
            elif c == "U":
                self.lazy = on and self.groups
            else:
                raise self.bad(f"(?{c} is not supported", "the flags are i, s and U", start)
        raise self.bad("a ( that is not closed", at=start)

    def escaped(self) -> Tree:
        start = self.at
        c = self.text[start + 1 : start + 2]
        if c in ("A", "z"):
            self.at += 2
            return Edge(c == "z")
        if c in _PERL:
            self.at += 2
            return Chars(_PERL[c])
        if c.isdigit() and c != "0":
            raise self.bad("back references are not supported", "RE2, and so Istio, has none", start)
        point = self.escape()
        return Chars(self.folded(((point, point),)))

    def escape(self) -> int:
        """A backslash and the one character that it stands for."""
        start = self.at
        c = self.text[start + 1 : start + 2]
        self.at += 2
        if not c:
            raise self.bad("a backslash at the end", "write \\\\ for the character", start)
        if c in _CONTROL:
            return _CONTROL[c]
        if c == "x":
            braces = self.take("{")
            end = self.text.find("}", self.at) if braces else self.at + 2
            digits = self.text[self.at : end] if end > 0 else ""
            wrong = not digits or (not braces and len(digits) < 2) or not set(digits) <= set(hexdigits)
            if wrong or int(digits, 16) > TOP:
                raise self.bad("\\x takes two hexadecimal digits, or any in braces", at=start)
            self.at = end + braces
            return int(digits, 16)
        if c == "0":
            while self.at < min(start + 4, len(self.text)) and self.peek() in "01234567":
                self.at += 1
            return int(self.text[start + 1 : self.at], 8)
        if c.isalnum():
            hint = "list the characters: [a-z]" if c in "pP" else ""
            raise self.bad(f"\\{c} is not supported", hint, start)
        return ord(c)

    def bracket(self) -> Ranges:
        start = self.at
        self.at += 1
        inverted = self.take("^")
        parts: list[Ranges] = []
        first = True
        while first or self.peek() != "]":
            if self.at >= len(self.text):
                raise self.bad("a [ that is not closed", "write \\[ for the character", start)
            first = False
            parts.append(self.member())
        self.at += 1
        ranges = union(*parts)
        if self.fold:
            ranges = either_case(ranges)
        return negate(ranges) if inverted else ranges

    def member(self) -> Ranges:
        if self.text.startswith("[:", self.at) and (end := self.text.find(":]", self.at)) > 0:
            name = self.text[self.at + 2 : end]
            if name.removeprefix("^") not in _POSIX:
                raise self.bad(f"[:{name}:] is not a class")
            self.at = end + 2
            found = _POSIX[name.removeprefix("^")]
            return negate(found) if name[0] == "^" else found
        if self.peek() == "\\" and self.text[self.at + 1 : self.at + 2] in (*_PERL,):
            self.at += 2
            return _PERL[self.text[self.at - 1]]
        start = self.at
        low = self.point()
        if self.peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
            self.at += 1
            high = self.point()
            if high < low:
                raise self.bad(f"{self.text[start:self.at]} goes down", at=start)
            return ((low, high),)
        return ((low, low),)

    def point(self) -> int:
        if self.peek() == "\\":
            if self.text[self.at + 1 : self.at + 2] in _PERL:
                raise self.bad("a class cannot end a range")
            return self.escape()
        self.at += 1
        return ord(self.text[self.at - 1])


def _digits(text: str) -> bool:
    return 0 < len(text) <= 5 and text.isascii() and text.isdigit()
