"""How problems look."""

from __future__ import annotations

from meshfast.errors import ConfigError, MeshfastError, Problem, ProtocolError
from meshfast.model import Origin


def problem(line: str, column: int, hint: str = "") -> Problem:
    return Problem(Origin("a.yaml", 3, column, "VirtualService/x"), "it is wrong", hint, line, "spec.http[0]")


def test_a_problem_shows_place_path_caret_and_hint() -> None:
    assert str(problem("  - weight: 90", 13, "write 100")).split("\n") == [
        "a.yaml:3:13: VirtualService/x spec.http[0]: it is wrong",
        "      - weight: 90",
        "                ^",
        "    hint: write 100",
    ]
    assert str(Problem(Origin("a.yaml", 1, 1), "not there")) == "a.yaml:1:1: not there"


def test_the_caret_stays_below_its_column() -> None:
    for at in (0, 10, 60, 400, 990):
        shown, caret = problem("x" * at + "HERE" + "y" * (1000 - at), at + 1).caret().split("\n")
        assert len(shown) <= 4 + 100 + 3
        assert shown[caret.index("^")] == "H"
    shown, caret = problem("\ta:\t\x1b[31mHERE", 10).caret().split("\n")
    assert "\x1b" not in shown and shown[caret.index("^")] == "H"


def test_the_caret_counts_wide_characters_twice() -> None:
    assert problem("服务: HERE", 5).caret().split("\n")[1] == "    " + " " * 6 + "^"


def test_a_config_error_has_all() -> None:
    error = ConfigError([problem("a", 1), problem("b", 1)])
    assert isinstance(error, MeshfastError) and len(error.problems) == 2
    assert str(error).count("it is wrong") == 2


def test_a_protocol_error_tells_its_offset() -> None:
    assert str(ProtocolError("bad", 3)) == "bad (at byte 3)"
    assert str(ProtocolError("bad")) == "bad" and ProtocolError("bad").offset == -1
