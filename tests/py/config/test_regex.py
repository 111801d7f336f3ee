"""Compiled expressions against Python's, and what is refused."""

from __future__ import annotations

import random
import re
import struct

import pytest

from meshfast.config import dfa
from meshfast.config.regex import BadRegex

# Each in the syntax that RE2 and Python share; $ is \Z to Python, which allows a newline before its $.
SAME = [
    "", "abc", "a|b", "a||b", "(a|b)*abb", r"[a-c]+\d?", "[^a]*", ".*lo.*", r"dev-\d{1,3}", "(?i)hello", "(?i:A)b",
    "a{2,}", "a{0,2}b", "a{3}", "(?:ab)+", r"\w+@\w+\.com", "é+", "[à-ü]x", "世?界", "^a$", "(^a|b)$", "a^b", "a$b",
    r"[\w-]+", "[]a]", r"[a\]]+", r"\.\*", "(a?){3}a{3}", ".", "(?s).+", r"[^\d\s]", r"\x41\t?", "a*?b+?", "(?P<n>a)b",
    r"\$a\^", "[a-]", "(a*)*b", "(|a)+", r"\D\W?\S*", "(?i)É|[x-z]", "a{,2}", "{a}", "a{1,2", "-", "[+-.]",
]  # fmt: skip
LETTERS = "abcdehloxyzAHLO01.@-é界世ü{},^$]+ \n"


def in_python(pattern: str) -> re.Pattern[str]:
    pattern = pattern.replace("{,2}", r"\{,2\}").replace("(?i)É|[x-z]", "(?i:É|[x-z])")
    pattern = re.sub(r"(?<!\\)\$", r"\\Z", pattern)
    return re.compile(pattern, re.ASCII if pattern.isascii() else 0)


@pytest.mark.parametrize("pattern", SAME)
def test_matches_what_python_matches(pattern: str) -> None:
    pick = random.Random(pattern)
    blob, python = dfa.compile(pattern), in_python(pattern)
    near = [c for c in pattern if c.isalnum()] or ["a"]
    for _ in range(600):
        letters = near if pick.random() < 0.6 else LETTERS
        text = "".join(pick.choice(letters) for _ in range(pick.randint(0, 6)))
        want = python.fullmatch(text) is not None
        assert dfa.match(blob, text.encode()) == want, text


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"dev-\d{1,3}", ["dev-1", "dev-123"], ["dev-", "dev-1234", "xdev-1"]),
        (r"\w+@\w+\.com", ["a@b.com"], ["a@bcom", "@b.com"]),
        (r"\$a\^", ["$a^"], ["a"]),
        ("(?i)hello", ["hello", "HeLLo"], ["hell", "hello "]),
        ("{a}", ["{a}"], ["a"]),
        ("a{1,2", ["a{1,2"], ["a"]),
        ("a{,2}", ["a{,2}"], ["a", ""]),
        ("a^b|a$b", [], ["ab", "a^b"]),
        (r"\.\*", [".*"], ["ab"]),
        ("[[:alpha:]_]+", ["ab_"], ["a1", ""]),
        ("[[:^digit:]]", ["a", "é"], ["1"]),
        (r"\x{4e16}\x41\012", ["世A\n"], ["世A"]),
        (r"\Aab\z", ["ab"], ["ab\n"]),
        ("(?i)k(?-i)k", ["kk", "Kk", "\u212ak"], ["kK"]),
        ("(?U)a+", ["aaa"], [""]),
        (".{1,255}", ["é" * 255, "x"], ["", "é" * 256]),
        ("[^\\x00-\\x7f]", ["é", "世", "\U0001f600"], ["a"]),
    ],
)
def test_matches_these(pattern: str, good: list[str], bad: list[str]) -> None:
    blob = dfa.compile(pattern)
    assert [t for t in good if not dfa.match(blob, t.encode())] == []
    assert [t for t in bad if dfa.match(blob, t.encode())] == []


def test_bytes_that_are_not_utf8_match_nothing() -> None:
    blob = dfa.compile("(?s).*")
    assert dfa.match(blob, "é世\U0001f600".encode())
    for data in (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"a\x80"):
        assert not dfa.match(blob, data)


@pytest.mark.parametrize(
    ("pattern", "column", "said"),
    [
        ("a(?=b)", 2, "lookaround"), ("a(?!b)", 2, "lookaround"), ("(?<=a)b", 1, "lookaround"),
        ("(?<!a)b", 1, "lookaround"), (r"(a)\1", 4, "back references"), ("(?P<a>b)(?P=a)", 9, "back references"),
        ("x(", 2, "not closed"), ("x)", 2, "closes nothing"), ("[a", 1, "not closed"), ("a**", 3, "repetition"),
        ("a{2}{3}", 5, "repetition"), ("a++", 3, "repetition"), ("*a", 1, "repeats nothing"), ("(+)", 2, "repeats"),
        ("[z-a]", 2, "goes down"), ("a{3,2}", 2, "goes down"), ("a{1001}", 2, "1000"), (r"\pL", 1, r"\p"),
        (r"\b", 1, r"\b"), ("a\\", 2, "backslash"), (r"\xg1", 1, "hexadecimal"), (r"\x{110000}", 1, "hexadecimal"),
        (r"\x4", 1, "hexadecimal"), ("(?m)a", 1, "(?m"), ("(?i", 1, "not closed"), ("[[:foo:]]", 2, "[:foo:]"),
        (r"\Z", 1, r"\Z"), (r"[a-\d]", 4, "range"), ("(?P<1>a)", 5, "name"), ("(" * 200, 101, "100 groups"),
        ("a" * 5000, 4097, "4096"), ("(a|b)*a(a|b){12}", 1, "too complex"), ("(a{1000}){1000}", 1, "too complex"),
        (".{0,400}a.{0,400}", 1, "too complex"),
    ],
)  # fmt: skip
def test_refuses(pattern: str, column: int, said: str) -> None:
    with pytest.raises(BadRegex, match=re.escape(said)) as caught:
        dfa.compile(pattern)
    assert caught.value.column == column


@pytest.mark.parametrize("pattern", SAME)
def test_blob_is_whole(pattern: str) -> None:
    """What mf_dfa_check asks: the length, every class and state in range, state 0 dead."""
    blob = dfa.compile(pattern)
    n_states, n_classes = struct.unpack_from("=HH", blob)
    states_at = 4 + 256 + n_states + n_states % 2
    assert len(blob) == states_at + 2 * n_states * n_classes
    assert n_states >= 2 and max(blob[4:260]) < n_classes
    after = struct.unpack_from(f"={n_states * n_classes}H", blob, states_at)
    assert max(after) < n_states
    assert not any(after[:n_classes]) and blob[260] == 0


def test_states_are_merged() -> None:
    assert struct.unpack_from("=H", dfa.compile("(a|b|c|aa|bb)*"))[0] == 2
    assert struct.unpack_from("=H", dfa.compile("ax|bx|cx"))[0] == 4


@pytest.mark.parametrize("low_high", [(0, 0x10FFFF), (0x7F, 0x80), (0x7FE, 0x801), (0xD000, 0xE000), (0xFFFE, 0x10001)])
def test_utf8_ranges(low_high: tuple[int, int]) -> None:
    low, high = low_high
    sequences = dfa.utf8(low, high)
    probe = {low, high, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x41, 0x10FFFF, low + 1, high - 1}
    for point in probe - set(range(0xD800, 0xE000)):
        data = chr(point).encode()
        hits = [
            s for s in sequences
            if len(s) == len(data) and all(a <= b <= z for (a, z), b in zip(s, data, strict=True))
        ]  # fmt: skip
        assert len(hits) == (low <= point <= high), hex(point)


def test_what_is_kept_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dfa, "_kept", dfa._Kept())
    first = dfa.compile("first")
    assert dfa.compile("first") is first
    monkeypatch.setattr(dfa, "MAX_KEPT", 20 * dfa._kept.bytes)
    for n in range(200):
        dfa.compile(f"other{n:03}")
        assert dfa.compile("first") is first and dfa._kept.bytes <= dfa.MAX_KEPT  # asked for ever again, it stays
    other = dfa.compile("other199")
    assert dfa.compile("other199") is other
    for n in range(200):
        dfa.compile(f"more{n:03}")
    again = dfa.compile("first")
    assert again == first and again is not first
