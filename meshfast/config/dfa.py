"""A regular expression's tree -> the blob of ``csrc/table/dfa.h``: states over the bytes of UTF-8, none of them guessed
at run time. Building is bounded in states and in work; matching needs one step for each byte.
"""

from __future__ import annotations

import struct
from threading import Lock

from meshfast.config import regex
from meshfast.config.regex import Alt, BadRegex, Cat, Chars, Edge, Repeat, Tree

MAX_PARTS = 20_000  # states of the automaton that guesses
MAX_STATES = 4_096  # of the one that does not
MAX_FOLDED = MAX_STATES - 2  # bytes: each is a state
MAX_WORK = 3_000_000  # steps to get from one to the other: about a second
MAX_ROUNDS = 64  # of merging; an automaton that needs more is a long chain and hardly gets smaller
MAX_KEPT = 16 << 20  # bytes of blobs kept for the next time that a text is read: one blob may have 2 MiB

_Bytes = tuple[tuple[int, int], ...]  # ranges of one byte after another

_START, _END = 1, 2  # epsilon edges that hold only there


class _Kept:
    """What texts were compiled to; those that were not asked for longest go first. Any thread."""

    def __init__(self) -> None:
        self.bytes = 0
        self._blobs: dict[str, bytes] = {}
        self._lock = Lock()

    def find(self, text: str) -> bytes | None:
        with self._lock:
            blob = self._blobs.pop(text, None)
            if blob is not None:
                self._blobs[text] = blob
            return blob

    def keep(self, text: str, blob: bytes) -> None:
        with self._lock:
            self.bytes += _cost(text, blob) if text not in self._blobs else 0
            self._blobs[text] = blob
            while self.bytes > MAX_KEPT:
                oldest = next(iter(self._blobs))
                self.bytes -= _cost(oldest, self._blobs.pop(oldest))


def _cost(text: str, blob: bytes) -> int:
    return len(text) + len(blob) + 256  # and what Python has around them


_kept = _Kept()


def compile(text: str) -> bytes:
    """The blob that matches what the whole of ``text`` matches; raises BadRegex."""
    blob = _kept.find(text)
    if blob is None:
        blob = _compile(text)
        _kept.keep(text, blob)
    return blob


def _compile(text: str) -> bytes:
    nfa = _Nfa()
    first, last = nfa.state(), nfa.state()
    nfa.add(regex.parse(text), first, last)
    states, classes = _subsets(nfa, first, last)
    return _blob(*_merge(*states), classes)


def match(blob: bytes, data: bytes) -> bool:
    """What ``mf_dfa_match`` does, for tests and for comparing rules."""
    n_states, n_classes = struct.unpack_from("=HH", blob)
    accept, after = 4 + 256, 4 + 256 + n_states + n_states % 2
    state = 1
    for byte in data:
        (state,) = struct.unpack_from("=H", blob, after + 2 * (state * n_classes + blob[4 + byte]))
        if state == 0:
            return False
    return blob[accept + state] != 0


def complement(blob: bytes) -> bytes:
    """The blob that matches what ``blob`` does not. The dead state of one is the other's state that takes all."""
    n_states, n_classes = struct.unpack_from("=HH", blob)
    accept, after = 4 + 256, 4 + 256 + n_states + n_states % 2
    flat = struct.unpack_from(f"={n_states * n_classes}H", blob, after)
    rows = [[to or n_states for to in flat[at : at + n_classes]] for at in range(0, len(flat), n_classes)]
    rows[0] = [0] * n_classes
    ends = [False, *(not end for end in blob[accept + 1 : accept + n_states]), True]
    return _blob(ends, [*rows, [n_states] * n_classes], blob[4 : 4 + 256])


def other(text: bytes, *, prefix: bool) -> bytes:
    """The blob that matches whatever is not ``text``, or does not begin with it."""
    known = sorted(set(text))
    classes = bytes(known.index(byte) + 1 if byte in known else 0 for byte in range(256))
    n_classes, last, every = len(known) + 1, len(text) + 1, len(text) + 2
    rows = [[0] * n_classes, *([every] * n_classes for _ in text), [0 if prefix else every] * n_classes]
    for state, byte in enumerate(text, 1):
        rows[state][classes[byte]] = state + 1
    ends = [False, *(state != last for state in range(1, every)), True]
    return _blob(ends, [*rows, [every] * n_classes], classes)


def folded(text: bytes, *, prefix: bool) -> bytes:
    """The blob that matches ``text``, or what begins with it, in any case of ASCII letters; up to MAX_FOLDED bytes."""
    text = text.lower()
    known = sorted(set(text))
    lower = bytes(range(256)).lower()
    classes = bytes(known.index(byte) + 1 if byte in known else 0 for byte in lower)
    n_classes, last = len(known) + 1, len(text) + 1
    rows = [[0] * n_classes for _ in range(last)] + [[last if prefix else 0] * n_classes]
    for state, byte in enumerate(text, 1):
        rows[state][classes[byte]] = state + 1
    return _blob([state == last for state in range(last + 1)], rows, classes)


def utf8(low: int, high: int) -> list[_Bytes]:
    """A range of code points as sequences of byte ranges; surrogates have none."""
    if low > high:
        return []
    if low <= 0xDFFF and high >= 0xD800:
        return utf8(low, 0xD7FF) + utf8(0xE000, high) if low < 0xE000 or high > 0xD7FF else []
    for end in (0x7F, 0x7FF, 0xFFFF):
        if low <= end < high:
            return utf8(low, end) + utf8(end + 1, high)
    for shift in (6, 12, 18):
        rest = (1 << shift) - 1
        if low >> shift != high >> shift and high > 0x7F:
            if low & rest:
                return utf8(low, low | rest) + utf8((low | rest) + 1, high)
            if high & rest != rest:
                return utf8(low, (high & ~rest) - 1) + utf8(high & ~rest, high)
    return [tuple(zip(chr(low).encode(), chr(high).encode(), strict=True))]


class _Nfa:
    """States with edges over byte ranges, and epsilon edges that may hold only at the start or the end."""

    def __init__(self) -> None:
        self.edges: list[list[tuple[int, int, int]]] = []
        self.free: list[list[tuple[int, int]]] = []

    def state(self) -> int:
        if len(self.edges) >= MAX_PARTS:
            raise BadRegex("too complex", 1, "use fewer or smaller {m,n}")
        self.edges.append([])
        self.free.append([])
        return len(self.edges) - 1

    def add(self, tree: Tree, begin: int, end: int) -> None:
        """Links ``begin`` to ``end`` by whatever ``tree`` matches."""
        match tree:
            case Chars(ranges):
                ends: dict[_Bytes, int] = {(): end}
                for low, high in ranges:
                    for sequence in utf8(low, high):
                        self.bytes(sequence, begin, ends)
            case Edge(at_end):
                self.free[begin].append((end, _END if at_end else _START))
            case Cat(parts):
                for part in parts:
                    after = self.state()
                    self.add(part, begin, after)
                    begin = after
                self.free[begin].append((end, 0))
            case Alt(choices):
                for choice in choices:
                    inner = self.state()
                    self.free[begin].append((inner, 0))
                    self.add(choice, inner, end)
            case Repeat(of, least, most):
                for _ in range(least):
                    after = self.state()
                    self.add(of, begin, after)
                    begin = after
                if most is None:
                    loop, back = self.state(), self.state()
                    self.free[begin].append((loop, 0))
                    self.add(of, loop, back)
                    self.free[back].append((loop, 0))
                    begin = loop
                else:
                    for _ in range(most - least):
                        self.free[begin].append((end, 0))
                        after = self.state()
                        self.add(of, begin, after)
                        begin = after
                self.free[begin].append((end, 0))

    def bytes(self, sequence: _Bytes, begin: int, ends: dict[_Bytes, int]) -> None:
        """Links ``begin`` by a sequence; ``ends`` are the states from which its rest is known to lead to the end."""
        for i, (low, high) in enumerate(sequence):
            rest = sequence[i + 1 :]
            known = rest in ends
            after = ends[rest] if known else ends.setdefault(rest, self.state())
            self.edges[begin].append((low, high, after))
            if known:
                return
            begin = after

    def closure(self, states: set[int], holds: int) -> frozenset[int]:
        """What can be reached without a byte, by edges that hold always or in ``holds``."""
        out, todo = set(states), list(states)
        while todo:
            for to, needs in self.free[todo.pop()]:
                if to not in out and (needs == 0 or needs & holds):
                    out.add(to)
                    todo.append(to)
        return frozenset(out)


_States = tuple[list[bool], list[list[int]]]  # accepting, next state by class; 0 is dead, 1 the start


def _subsets(nfa: _Nfa, first: int, last: int) -> tuple[_States, bytes]:
    cuts = sorted({0} | {cut for edges in nfa.edges for low, high, _ in edges for cut in (low, high + 1)} - {256})
    classes = bytes(sum(1 for cut in cuts if cut <= byte) - 1 for byte in range(256))
    index = {cut: i for i, cut in enumerate(cuts)}
    index[256] = len(cuts)
    moves = [[(index[low], index[high + 1], to) for low, high, to in edges] for edges in nfa.edges]

    start = (nfa.closure({first}, _START), True)
    number = {start: 1}
    order = [start]
    accept, after = [False], [[0] * len(cuts)]
    work = 0
    for states, at_start in order:
        accept.append(last in nfa.closure(set(states), _END | (_START if at_start else 0)))
        targets: list[set[int]] = [set() for _ in cuts]
        for state in states:
            for low, high, to in moves[state]:
                for i in range(low, high):
                    targets[i].add(to)
                work += high - low
        row = []
        done: dict[frozenset[int], int] = {}
        for target in targets:
            key = frozenset(target)
            if key not in done:
                closed = (nfa.closure(target, 0), False)
                work += 1 + 2 * len(closed[0])
                if not target:
                    done[key] = 0
                else:
                    done[key] = number.setdefault(closed, len(order) + 1)
                    if done[key] == len(order) + 1:
                        order.append(closed)
            row.append(done[key])
        after.append(row)
        work += len(states)
        if len(order) > MAX_STATES or work > MAX_WORK:
            raise BadRegex("too complex", 1, "use fewer or smaller {m,n}, or fewer .* between the same characters")
    return (accept, after), classes


def _merge(accept: list[bool], after: list[list[int]]) -> _States:
    """States that no text tells apart become one; the dead one stays 0, the start 1."""
    part = [int(a) for a in accept]
    count = len(set(part))
    for _ in range(MAX_ROUNDS):
        seen: dict[tuple[int, ...], int] = {}
        refined = [
            seen.setdefault((part[state], *[part[to] for to in row]), len(seen)) for state, row in enumerate(after)
        ]
        part = refined
        if len(seen) == count:
            break
        count = len(seen)
    else:
        return accept, after
    if part[1] == part[0]:  # nothing matches at all
        return [False, False], [[0] * len(after[0])] * 2
    order = [part[0], part[1], *sorted(set(part) - {part[0], part[1]})]
    number = {p: i for i, p in enumerate(order)}
    member = {p: state for state, p in reversed(list(enumerate(part)))}
    return (
        [accept[member[p]] for p in order],
        [[number[part[to]] for to in after[member[p]]] for p in order],
    )


def _blob(accept: list[bool], after: list[list[int]], classes: bytes) -> bytes:
    columns: dict[tuple[int, ...], int] = {}
    merged = [columns.setdefault(column, len(columns)) for column in zip(*after, strict=True)]
    rows = list(zip(*columns, strict=True))
    n_states, n_classes = len(accept), len(columns)
    head = struct.pack("=HH", n_states, n_classes) + bytes(merged[c] for c in classes)
    ends = bytes(accept) + b"\0" * (n_states % 2)
    return head + ends + struct.pack(f"={n_states * n_classes}H", *[to for row in rows for to in row])
