"""Rewriting a path part by part, against Python's expressions by RE2's rule for which parts are replaced."""

from __future__ import annotations

import random
import re

import pytest

from meshfast import _core
from meshfast.changes import Rewrite
from meshfast.config import replace
from meshfast.config.document import Refused
from meshfast.errors import LimitError

SAME = [
    "a", "a+", "a*", "(a|b)+", "(a)(b)?", "a|ab", "ab|a", "(a+?)(a*)", "(?:/(a*)/)", "^/a", "b$", "^", "$", "(a*)$",
    "([ab]+)/([ab]+)", "(a??)b", "(a{1,2}?)(a{0,2})", "(?i)A", "[^/]+", "(/)(/)?", "x*", "(a)|(b)", "(?P<n>a)b", "()",
]  # fmt: skip
TEMPLATES = [r"<\1>", r"\0\0", "-", "", r"\1/\1"]


def reference(pattern: str, template: str, text: str) -> str:
    """Leftmost, the preferred one of those; nothing right behind a match is no match."""
    compiled = re.compile(pattern.replace("$", r"\Z"))
    out, at, last = "", 0, -1
    while at <= len(text) and (found := compiled.search(text, at)):
        out += text[at : found.start()]
        if found.start() == found.end() == last:
            out += text[found.end() : found.end() + 1]
            at = found.end() + 1
            continue
        at = last = found.end()
        out += re.sub(r"\\(\d)", lambda m, f=found: f[int(m[1])] or "", template)  # type: ignore[misc]
    return out + text[at:]


@pytest.mark.parametrize("pattern", SAME)
def test_replaces_what_the_expression_matches(pattern: str) -> None:
    pick = random.Random(pattern)
    groups = re.compile(pattern).groups
    for template in TEMPLATES:
        if groups == 0 and r"\1" in template:
            continue
        rewrite = Rewrite(program=replace.compile(pattern, template))
        for _ in range(200):
            text = "/" + "".join(pick.choice("aab/") for _ in range(pick.randint(0, 8)))
            query = pick.choice(["", "?a=b"])
            assert (_core.change_path(rewrite, text + query) or "") == reference(pattern, template, text) + query, text


@pytest.mark.parametrize(
    ("pattern", "template", "path", "want"),
    [
        (r"^/v\d+/(.*)$", r"/latest/\1", "/v12/a/b?v1", "/latest/a/b?v1"),
        (r"/service/([^/]+)(/.*)", r"\2/instance/\1", "/service/foo/v1/api", "/v1/api/instance/foo"),
        ("one", "two", "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/two/zzz"),
        (r"(?i)/xxx/", "/yyy/", "/aaa/XxX/bbb", "/aaa/yyy/bbb"),
        ("(?U)a+", "b", "/aa", "/bb"),
    ],
)
def test_known_ones(pattern: str, template: str, path: str, want: str) -> None:
    assert _core.change_path(Rewrite(program=replace.compile(pattern, template)), path) == want


@pytest.mark.parametrize(
    ("pattern", "template", "why"),
    [
        ("a", r"\1", "has 0 groups"),
        ("(a)", r"\2", "has 1 groups"),
        ("a", r"\x", "names no group"),
        ("a", "\\", "names no group"),
        ("a{1000}", "", "too complex"),
        ("(a", "", "not closed"),
    ],
)
def test_refused(pattern: str, template: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        replace.compile(pattern, template)


def test_work_is_bounded() -> None:
    rewrite = Rewrite(program=replace.compile("a.*z|a", "b"))
    assert _core.change_path(rewrite, "/aaa") == "/bbb"
    with pytest.raises(LimitError):
        _core.change_path(rewrite, "/" + "a" * 8000)
