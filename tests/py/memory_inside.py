"""Run by test_memory.py with the allocator of refuse.c: each allocation of the core fails once, seen from Python."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

from test_apply import address, cluster, mesh, service

from meshfast import _core, dubbo
from meshfast.apply import Writer
from meshfast.model import Label, LabelKind, LabelSource, Pattern

refuse = ctypes.CDLL(sys.argv[1])


def find_core() -> None:
    refuse.refuse_within.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
    for line in open("/proc/self/maps"):
        where, mode, *_, path = line.split()
        if path == _core.__file__ and "x" in mode:
            refuse.refuse_within(*(int(end, 16) for end in where.split("-")))
            return
    raise AssertionError("the extension is not mapped")


def each(name: str, prepare: Callable[[], Any], do: Callable[[Any], Any], check: Callable[[Any, bool], None]) -> None:
    """For every i: ``prepare``, then ``do`` with the i-th allocation failing, then ``check`` with memory again."""
    i = 0
    while True:
        i += 1
        subject = prepare()
        refuse.refuse_at(i)
        try:
            do(subject)
            good = True
        except MemoryError:
            good = False
        refused = refuse.refuse_refused()
        refuse.refuse_at(0)
        assert good or refused, f"{name}: MemoryError, and nothing was refused"
        check(subject, good)
        if not refused:
            break
    assert i > 1, f"{name}: nothing is allocated"
    print(f"{name}: {i - 1} allocations")


A, B, C = cluster("a", "10.0.0.1:1"), cluster("b", "10.0.0.2:1", dev="dev1"), cluster("c", "10.0.0.3:1", "10.0.0.4:1")
LABEL = Label("dev", (LabelSource(LabelKind.HEADER, "dev"),))
ON_A = [service("same", "a"), service("moves", "a"), service("x.", "a", Pattern.PREFIX)]
FIRST = mesh([A, B], [*ON_A, service("goes", "b")])
MORE = [service(f"new{n}", "b") for n in range(20)]
ON_B = [service("moves", "b"), service("x.", "b", Pattern.PREFIX), service("", "b", Pattern.ANY)]
SECOND = mesh([A, B, C], [service("same", "a"), *ON_B, *MORE], labels=(LABEL,))


def in_force(writer: Writer) -> list[str | int]:
    found = [address(writer.table, name) for name in ("same", "moves", "x.y", "goes", "new7", "else")]
    return [*found, len(writer.table)]


def writer() -> Writer:
    made = Writer(_core.Table())
    made.apply(FIRST)
    return made


def check_apply(subject: Writer, good: bool) -> None:
    assert in_force(subject) == (after if good else before)
    subject.apply(SECOND)
    assert in_force(subject) == after


REQUEST = dubbo.encode_request(1, "a.B", "m", ["x"], {"k": "v"})


def check_request(_: object, good: bool) -> None:
    assert dubbo.parse_request(REQUEST).attachments["k"] == "v"


def nothing(_: object = None, good: bool = True) -> None:
    pass


def explain(subject: Writer) -> None:
    assert address(subject.table, "same") == "10.0.0.1:1"


def engine(table: _core.Table) -> None:
    made = _core.Engine(table, trace=_core.TraceMemory(64, 10**9), workers=1, backend="epoll", limits={})
    made.listen("out", "tcp://127.0.0.1:0")
    made.start()
    made.stop()


find_core()
before = in_force(writer())
twice = writer()
twice.apply(SECOND)
after = in_force(twice)
assert before != after
each("apply", writer, lambda subject: subject.apply(SECOND), check_apply)
each("explain", writer, explain, lambda subject, good: explain(subject))
each("table", nothing, lambda _: _core.Table(), nothing)
each("parse", nothing, lambda _: dubbo.parse_request(REQUEST), check_request)
each("stamp", nothing, lambda _: dubbo.stamp(REQUEST, {"dev": "dev1"}), check_request)
each("engine", _core.Table, engine, lambda table, good: engine(table))
