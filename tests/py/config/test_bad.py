"""Bad documents and exactly what is said about them, from bad.txt.

A case is a line ``=== name``, the document, and its problems: ``>>> line:column path: message ! hint``, in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from meshfast import config
from meshfast.errors import ConfigError, Problem

HERE = Path(__file__).parent
BASE = ("base", (HERE / "base.yaml").read_bytes())


def cases() -> Iterator[tuple[str, str, list[str]]]:
    for part in (HERE / "bad.txt").read_text().split("=== ")[1:]:
        name, _, rest = part.partition("\n")
        lines = rest.splitlines(keepends=True)
        text = "".join(line for line in lines if not line.startswith(">>> "))
        yield name, text, [line[4:].rstrip("\n") for line in lines if line.startswith(">>> ")]


CASES = list(cases())


def said(problem: Problem) -> str:
    place = "" if problem.origin.file == "bad" else f"{problem.origin.file}:"
    hint = f" ! {problem.hint}" if problem.hint else ""
    return f"{place}{problem.origin.line}:{problem.origin.column} {problem.path}: {problem.message}{hint}"


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_says_exactly_this(text: str, expected: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load_texts([BASE, ("bad", text.encode())])
    assert [said(p) for p in caught.value.problems] == expected
    lines = text.split("\n")
    for problem in caught.value.problems:
        assert problem.line == lines[problem.origin.line - 1] or problem.origin.line > len(lines)


def test_base_is_good() -> None:
    config.load_texts([BASE])


def test_all_files_at_once_in_order() -> None:
    bad = b"kind: X\napiVersion: v1\n"
    with pytest.raises(ConfigError) as caught:
        config.load_texts([("b", bad), ("a", b"{"), ("c", bad)])
    assert [p.origin.file for p in caught.value.problems] == ["b", "a", "c"]


def test_a_file_that_is_not_yaml_makes_no_name_unknown() -> None:
    rule = b"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec: {host: elsewhere}\n"
    with pytest.raises(ConfigError) as caught:
        config.load_texts([("rule", rule), ("broken", b"a: [")])
    assert [p.origin.file for p in caught.value.problems] == ["broken"]
    with pytest.raises(ConfigError, match="unknown host elsewhere"):
        config.load_texts([("rule", rule)])


@pytest.mark.parametrize(("_name", "text"), [case[:2] for case in CASES], ids=[case[0] for case in CASES])
def test_every_prefix_is_refused_or_read(_name: str, text: str) -> None:
    """However a file is cut off, the answer is a mesh or a ConfigError."""
    for end in range(0, len(text), 7):
        try:
            config.load_texts([BASE, ("cut", text[:end].encode())])
        except ConfigError as error:
            assert error.problems and str(error)
