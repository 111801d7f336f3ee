"""Texts that are hardly YAML: bytes, sizes, depths, aliases."""

from __future__ import annotations

import time

import pytest

from meshfast import config
from meshfast.config import compose
from meshfast.errors import ConfigError, Problem

RULE = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec:\n"
ENTRY = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\nspec:\n"


def problems(data: bytes) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        config.load_texts([("f", data)])
    return caught.value.problems


def only(data: bytes) -> str:
    (problem,) = problems(data)
    return f"{problem.origin.line}:{problem.origin.column} {problem.message}"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "1:1 the file is empty"),
        (b" \n\n", "1:1 the file is empty"),
        (b"a: b\nc: \xc3\xa4\xff", "2:5 byte 0xff is not UTF-8"),
        ("a: ä".encode("utf-16"), "1:1 byte 0xff is not UTF-8"),
        (b"a: b\nx: y\x01", "2:5 a control character; YAML has only printable ones"),
        (b"a: \0", "1:4 a control character; YAML has only printable ones"),
        (b"[" * 100_000, "1:1 the file is nested deeper than 100 levels"),
        (b"a: " + b"{b: " * 5000, "1:1 the file is nested deeper than 100 levels"),
        (b"- " * 5000, "1:1 the file is nested deeper than 100 levels"),
    ],
)
def test_hardly_yaml(data: bytes, said: str) -> None:
    assert only(data) == said


def test_too_many_bytes() -> None:
    assert only(b"#" * (compose.MAX_BYTES + 1)) == "1:1 the file has 16777217 bytes; the limit is 16777216"


def test_too_many_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose, "MAX_NODES", 1000)
    assert only(b"[" + b"a," * 1000 + b"]") == "1:1 the file has more than 1000 YAML nodes"


def test_byte_order_mark_windows_lines_and_comments() -> None:
    data = b"\xef\xbb\xbf" + (ENTRY + "  hosts: [a.A]\n").replace("\n", "\r\n").encode()
    assert list(config.load_texts([("f", data), ("g", b"# nothing\n---\n---\n")]).clusters) == ["a"]
    (bad,) = problems(b"\xef\xbb\xbfkind: X\r\napiVersion: networking.istio.io/v1\r\n")
    assert (bad.origin.line, bad.origin.column, bad.line) == (1, 7, "kind: X")


def test_aliases_are_read_where_they_stand() -> None:
    text = ENTRY + "  hosts: [a.A]\n  ports: [{number: 1}]\n  endpoints:\n"
    text += "  - {address: 10.0.0.1, labels: &l {v: a}}\n  - {address: 10.0.0.2, labels: *l}\n"
    endpoints = config.load_texts([("f", text.encode())]).clusters["a"].endpoints
    assert [e.labels for e in endpoints] == [{"v": "a"}, {"v": "a"}]


def test_alias_bomb_is_refused_at_once() -> None:
    labels = "&l {" + ", ".join(f"k{i}: v" for i in range(1000)) + "}"
    text = RULE + f"  host: x\n  subsets:\n  - &s {{name: a, labels: {labels}}}\n" + "  - *s\n" * 20_000
    start = time.process_time()
    (problem,) = problems(text.encode())
    assert problem.message == "its aliases unfold to more than the file could hold"
    assert time.process_time() - start < 5


def test_a_kubernetes_list_is_its_items() -> None:
    item = "\n".join("  " + line for line in (ENTRY + "  hosts: [a.A]").splitlines())
    text = "apiVersion: v1\nkind: List\nitems:\n" + item.replace("  apiVersion", "- apiVersion", 1)
    assert list(config.load_texts([("f", text.encode())]).clusters) == ["a"]
