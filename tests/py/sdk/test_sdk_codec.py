"""What the SDK writes and reads is what meshfast.dubbo does, and dataclasses are objects of their class."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from meshfast import dubbo, hessian, sdk
from meshfast.sdk.codec import Target, answered, attachments_of
from meshfast.sdk.values import Writer, descriptor, made, words

ARGUMENTS: list[tuple[Any, ...]] = [
    (), ("book", 2), (None, True, False, 1.5, b"raw"), (["a", [1, {"k": "v"}]], {"n": None, 1: 2.0}),
    ("Größe", "😀" * 40, "x" * 70_000, -(1 << 63), (1 << 63) - 1),
]  # fmt: skip


@pytest.mark.parametrize("args", ARGUMENTS, ids=range(len(ARGUMENTS)))
def test_requests_are_those_of_the_other_writer(args: tuple[Any, ...]) -> None:
    mine = Target("com.x.Cart", "red", "1.0.0").request(5, "add", args, None, {"env": "dev1"}, 250)
    other = dubbo.encode_request(
        5, "com.x.Cart", "add", args, {"group": "red", "timeout": "250", "env": "dev1"}, version="1.0.0"
    )
    assert mine == other
    read = dubbo.parse_request(mine)
    assert (read.timeout, read.attachments["env"], read.attachments["group"]) == (250, "dev1", "red")
    assert dubbo.parse_request(dubbo.stamp(mine, {"timeout": "7"})).timeout == 7


@sdk.java("com.x.test.Order")
@dataclass
class Order:
    id: int
    title: str
    at: datetime | None = None
    parts: list[Any] = field(default_factory=list)


def through(value: Any) -> Any:
    writer = Writer()
    writer.value(value)
    return made(hessian.Reader(bytes(writer.out)).next())


def test_a_dataclass_is_an_object_of_its_class() -> None:
    part = Order(2, "part")
    order = Order(1, "all", parts=[part, part, {"x": Order(3, "deep")}])
    assert through(order) == order
    assert through([order, "text", {"k": part}]) == [order, "text", {"k": part}]
    writer = Writer()
    writer.value(Order(1, "a", datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)))
    assert hessian.decode(bytes(writer.out))[0] == {
        "class": "com.x.test.Order", "id": 1, "title": "a", "at": 1767323045678, "parts": [],
    }  # fmt: skip


def test_two_of_a_class_in_one_body_are_told_from_others() -> None:
    @sdk.java("com.x.test.Other")
    @dataclass
    class Other:
        name: str

    writer = Writer()
    for value in (Order(1, "a"), Other("b"), Order(2, "c"), [Other("d")]):
        writer.value(value)
    reader = hessian.Reader(bytes(writer.out))
    assert [made(reader.next()) for _ in range(4)] == [Order(1, "a"), Other("b"), Order(2, "c"), [Other("d")]]


def test_what_came_more_or_less_than_the_fields() -> None:
    assert made({"class": "com.x.test.Order", "id": 1, "title": "a", "new": 5}) == Order(1, "a")
    found = made({"class": "com.x.test.Order", "id": 1})
    assert (found.title, found.parts) == (None, [])
    assert made({"class": "com.x.Unknown", "id": 1}) == {"class": "com.x.Unknown", "id": 1}
    loop: dict[str, Any] = {"class": "com.x.test.Order", "id": 1, "title": "a", "parts": []}
    loop["parts"].append(loop)
    found = made(loop)
    assert found.parts[0] is found


def test_types() -> None:
    assert descriptor("int") == "I"
    assert descriptor("java.lang.String[][]") == "[[Ljava/lang/String;"
    assert descriptor("com.x.Outer$Inner") == "Lcom/x/Outer$Inner;"
    for name in ("", "int[", "a b", "java..lang", "[]"):
        with pytest.raises(ValueError, match="no type of Java"):
            descriptor(name)
    frame = Target("s").request(1, "m", (1, 2, Order(1, "a")), ("I", "J", "Lcom/x/test/Order;"), None, 1)
    assert dubbo.parse_request(frame).parameter_types == "IJLcom/x/test/Order;"


@pytest.mark.parametrize(
    ("args", "types", "error", "text"),
    [
        ((object(),), None, TypeError, "object"),
        ((1 << 63,), None, OverflowError, "long"),
        ((1 << 31,), ("I",), OverflowError, "int"),
        ((1,), ("I", "I"), TypeError, "1 arguments and 2 types"),
    ],
)
def test_what_cannot_be_carried_is_told(args: Any, types: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Target("s").request(1, "m", args, types, None, 1)


def test_what_holds_itself_is_told() -> None:
    mine: list[Any] = []
    mine.append(mine)
    with pytest.raises(TypeError, match="holds itself"):
        Target("s").request(1, "m", (mine,), None, None, 1)
    bare = dataclass(type("Bare", (), {"__annotations__": {"x": int}, "x": 1}))
    with pytest.raises(TypeError, match="@java"):
        Target("s").request(1, "m", (bare(),), ("java.lang.Object",), None, 1)


def test_answers() -> None:
    frame = dubbo.encode_response(1, {"a": [1, 2]}, {"env": "dev1"})
    answer = (2, 20, frame[16:])
    assert answered(answer) == {"a": [1, 2]}
    assert attachments_of(answer)["env"] == "dev1"
    assert answered((2, 20, b"\x95" + hessian.encode({}))) is None and answered((2, 20, b"\x92")) is None
    assert answered((2, 20, b"I\0\0\0\x04" + hessian.encode("slow way"))) == "slow way"
    thrown = b"\x93C" + hessian.encode("com.x.Sold") + b"\x91" + hessian.encode("detailMessage") + b"\x60"
    with pytest.raises(sdk.RemoteError, match="com.x.Sold: out") as error:
        answered((2, 20, thrown + hessian.encode("out")))
    assert (error.value.kind, error.value.message, error.value.may_have_run) == ("com.x.Sold", "out", True)


def status(number: int, text: str) -> tuple[type[sdk.CallError], bool]:
    with pytest.raises(sdk.CallError) as error:
        answered((2, number, hessian.encode(text)))
    return type(error.value), error.value.may_have_run


def test_each_status_says_whether_it_may_have_been_executed() -> None:
    assert status(31, "late") == status(30, "late") == (sdk.CallTimeout, True)
    assert status(35, "gone") == (sdk.ConnectionLost, True)
    assert status(60, "who?") == (sdk.NoRoute, False)
    for text in ("no instance of x", "no available instance of x", "nobody here: x"):
        assert status(80, f"meshfast: {text}") == (sdk.NoInstance, False)
    assert status(80, "a provider's") == (sdk.StatusError, True)
    assert status(100, "busy") == (sdk.Overloaded, True)
    assert status(40, "bad") == (sdk.StatusError, False)
    assert status(70, "x") == status(99, "x") == (sdk.StatusError, True)


@pytest.mark.parametrize("seed", range(20))
def test_nonsense_is_a_bad_answer(seed: int) -> None:
    import random

    draw = random.Random(seed)
    good = dubbo.encode_response(1, {"a": ["b", 1.5, None, "ü" * 40]}, {"k": "v"})[16:]
    for _ in range(500):
        body = bytearray(good[: draw.randrange(len(good) + 1)])
        for _ in range(draw.randrange(4)):
            if body:
                body[draw.randrange(len(body))] = draw.randrange(256)
        answer = (draw.choice((2, 2, 2, 8, 23)), draw.choice((20, 20, 31, 0)), bytes(body))
        try:
            answered(answer)
        except sdk.CallError:
            pass
        attachments_of(answer)


def test_a_date_beyond_all_calendars() -> None:
    order = b"C" + hessian.encode("com.x.test.Order") + b"\x91" + hessian.encode("at") + b"\x60"
    with pytest.raises(sdk.BadAnswer):
        answered((2, 20, b"\x91" + order + b"J\x7f" + bytes(7)))
    found = answered((2, 20, b"\x91" + order + b"J" + bytes(8)))
    assert found.at == datetime(1970, 1, 1, tzinfo=UTC)


def grown(deep: int = 60, before: int = 0) -> bytes:
    """A value of some hundred bytes that is in itself 2 ** ``deep`` times, behind so many that others may refer to."""
    again = [b"Q" + hessian._encode_int(before + at) for at in range(deep, 0, -1)]
    return b"\x7a" * deep + b"\x7a\x90\x90" + b"".join(again)


def test_words_that_no_memory_holds_are_told_as_far_as_they_go() -> None:
    for answer in ((2, 70, grown()), (2, 80, grown()), (2, 20, b"\x90" + grown())):
        with pytest.raises(sdk.CallError) as found:
            answered(answer)
        assert "[[" in str(found.value) and len(str(found.value)) < 1000
    for name in ("detailMessage", "message", "class"):
        body = b"H" + hessian.encode(name) + grown(50, before=1) + b"Z"
        with pytest.raises(sdk.RemoteError) as thrown:
            answered((2, 20, b"\x90" + body))
        assert len(str(thrown.value)) < 10_000
    assert words("a" * 5000) == "a" * 5000 and words(None) == "None" and words(1.5) == "1.5"


def test_attachments_that_are_nested_too_deep_are_none() -> None:
    answer = (2, 20, b"\x94\x91" + b"H" + hessian.encode("k") + b"\x79" * 150 + b"NZ")

    def within(frames: int) -> Any:
        return within(frames - 1) if frames else attachments_of(answer)

    assert attachments_of(answer)["k"]
    assert within(sys.getrecursionlimit() - 300) == {}
