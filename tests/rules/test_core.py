"""The rules of the C core that a compiler does not check."""

from __future__ import annotations

import re

import pytest
from house import code, files, lines, text

C = files("csrc/*/*.c")
ALL = files("csrc/*/*.c", "csrc/*/*.h")


@pytest.mark.parametrize("path", [p for p in ALL if p.name != "mem.c"], ids=str)
def test_only_mem_calls_malloc(path):
    assert not lines(path, r"\b(malloc|calloc|realloc|free|strdup|posix_memalign)\s*\(")


@pytest.mark.parametrize("path", files("csrc/codec/*.c"), ids=str)
def test_codecs_are_pure(path):
    words = r"\b(mf_alloc|mf_zalloc|mf_resize|read|write|send|recv|socket|clock_gettime|time|errno)\s*\("
    assert not lines(path, words)
    assert not re.search(r"#include <(sys/socket|time|unistd|fcntl|errno)\.h>", text(path)) or "errno" in text(path)


@pytest.mark.parametrize("path", C, ids=str)
def test_no_bare_negative_return(path):
    assert not lines(path, r"\breturn -\d")


def test_every_error_is_used():
    names = re.findall(r"X\((MF_E\w+),", text(files("csrc/base/err.h")[0]))
    assert len(names) > 10
    sources = "".join(code(p) for p in C) + "".join(text(p) for p in files("meshfast/bind/*.pxi"))
    tests = "".join(text(p) for p in files("tests/c/*/*.[ch]", "tests/py/*.py", "tests/py/*/*.py", "tests/wire/*.txt"))
    assert [n for n in names if n not in sources] == [], "listed, never returned"
    assert [n for n in names if n not in tests] == [], "listed, never tested"


#: Tested through the file named beside them, which is what their functions are for.
COVERED = {
    "base": "base/test_base.c",
    "protocol": "engine/test_engine.c",
    "engine": "engine/test_engine.c",
}
BESIDE = {
    "loop/watch_uring": "loop/test_loop.c",  # a half of loop_uring.c: watches are tested on both backends
    "call/conn": "engine/test_limits.c",
    "call/inlet": "engine/test_engine.c",
    "call/lane": "call/test_pool.c",
    "call/pool_rest": "call/test_pool.c",
    "call/passed": "engine/test_passed.c",
    "call/relay": "engine/test_engine.c",
}


@pytest.mark.parametrize("path", C, ids=str)
def test_every_file_has_a_test(path):
    floor, stem = path.parts[1], path.stem
    there = files(f"tests/c/{floor}/*.c")
    named = COVERED.get(floor) or BESIDE.get(f"{floor}/{stem}", f"{floor}/test_{stem}.c")
    assert files(f"tests/c/{named}") or any(
        f"/* {floor}/{stem}" in text(p) or re.search(rf"\b{stem}\b", text(p).splitlines()[0]) for p in there
    ), f"no test names {path} in its first line, and there is no test_{stem}.c"
