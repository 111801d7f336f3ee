"""Is a recorded history linearizable? Each operation must seem to happen at one moment between its begin and its end.

The search of Wing and Gong, with a memory of what was tried: at each step, any operation may be next that began before
the first of the pending ones ended. One that fits and changes nothing may always be taken at once.

    python tests/py/linear.py FILE...    what tests/c/table/history_*.c print
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any, NamedTuple


class Op(NamedTuple):
    thread: int
    begin: int
    end: int
    what: str
    key: int
    value: int
    result: int


Step = Callable[[Any, Op], Hashable | None]  # the state after the operation, or None where its result does not fit

CAPACITY = 4  # of the ring in history_ring.c


def ring(state: tuple[int, ...], op: Op) -> tuple[int, ...] | None:
    if op.what == "push":
        if op.result:
            return (*state, op.value) if len(state) < CAPACITY else None
        return state if len(state) == CAPACITY else None
    if op.result == 0:
        return None if state else state
    return state[1:] if state and state[0] == op.result else None


def trace(state: int, op: Op) -> int | None:
    """Of one id. A put and a turn say 0 when nothing was known, 1 for the same value, 2 for another, -1 when they gave
    up; another value stays at a put and goes at a turn."""
    if op.what == "find":
        return state if op.result in (state, 0) else None  # it may give up
    if op.result == -1:
        return state
    known = 0 if state == 0 else 1 if state == op.value else 2
    after = state if op.what == "put" and known else op.value
    return after if op.result == known else None


PREFIX, ANY = 2, 3


def table(state: tuple[int, ...], op: Op) -> tuple[int, ...] | None:
    """The version by key, 0 for none; a look-up finds the name, else the prefix, else the one for any."""
    if op.what == "lookup":
        found = state[op.key] or state[PREFIX] or state[ANY]
        return state if op.result == found else None
    if op.what == "remove" and bool(state[op.key]) != bool(op.result):
        return None
    after = list(state)
    after[op.key] = op.value
    return tuple(after)


def stuck(ops: Iterable[Op], start: Hashable, step: Step) -> list[Op]:
    """Nothing when the history is linearizable, else the operations that no order can go on with."""
    threads: dict[int, list[Op]] = defaultdict(list)
    for op in sorted(ops, key=lambda op: op.begin):
        threads[op.thread].append(op)
    rows = list(threads.values())
    total = sum(map(len, rows))
    tried: set[Hashable] = set()
    todo: list[tuple[tuple[int, ...], Hashable]] = [((0,) * len(rows), start)]
    furthest, there = -1, todo[0][0]
    while todo:
        at, state = todo.pop()
        if (at, state) in tried:
            continue
        tried.add((at, state))
        if sum(at) > furthest:
            furthest, there = sum(at), at
        if furthest == total:
            return []
        pending = [(i, row[k]) for i, (row, k) in enumerate(zip(rows, at, strict=True)) if k < len(row)]
        first_end = min(op.end for _, op in pending)
        choices = []
        for i, op in pending:
            after = step(state, op) if op.begin <= first_end else None
            if after is None:
                continue
            choice = (at[:i] + (at[i] + 1,) + at[i + 1 :], after)
            if after == state:
                choices = [choice]
                break
            choices.append(choice)
        todo.extend(choices)
    return [row[k] for row, k in zip(rows, there, strict=True) if k < len(row)]


def read(text: str) -> tuple[str, list[Op]]:
    title, *lines = text.splitlines()
    ops = []
    for line in lines:
        thread, begin, end, what, key, value, result = line.split()
        ops.append(Op(int(thread), int(begin), int(end), what, int(key), int(value), int(result)))
    return title.removeprefix("# "), ops


def check(name: str, ops: list[Op]) -> list[Op]:
    if name == "ring":
        return stuck(ops, (), ring)
    if name == "table":
        return stuck(ops, (0, 0, 0, 0), table)
    for key in sorted({op.key for op in ops}):  # ids do not know each other
        if bad := stuck([op for op in ops if op.key == key], 0, trace):
            return bad
    return []


def main(paths: list[str]) -> int:
    wrong = 0
    for path in paths:
        name, ops = read(Path(path).read_text())
        bad = check(name, ops)
        verdict = "not linearizable" if bad else "linearizable"
        print(f"{name}: {len(ops)} operations of {len({op.thread for op in ops})} threads: {verdict}")
        for op in bad:
            print("  stuck at", op)
        wrong += bool(bad) or not ops
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
