"""Stubs of a service that is written down as a Protocol."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol

import pytest
from peers import Frame, Provider, closing
from sdk_world import meshed, play, url

from meshfast import dubbo, hessian, sdk
from meshfast.sdk.calls import LONG
from meshfast.sdk.typed import bound, fitted, java_type
from meshfast.sdk.values import Writer


@sdk.java("com.x.typed.Item")
@dataclass(frozen=True)
class Item:
    name: str
    price: float = 0.0
    at: datetime | None = None


@sdk.java("com.x.typed.Basket")
@dataclass
class Basket:
    items: list[Item]


class Cart(Protocol):
    """Of the shop."""

    async def add(self, item: str, count: sdk.Int = 1) -> int: ...

    @sdk.idempotent
    async def find(self, name: str | None) -> Item | None: ...

    @sdk.named("listAll")
    async def everything(self) -> list[Item]: ...

    async def prices(self) -> dict[str, float]: ...

    async def put(self, item: Item) -> None: ...

    async def basket(self) -> Basket: ...

    async def anything(self): ...  # type: ignore[no-untyped-def]


class Answering:
    """A provider that answers each method with a value."""

    def __init__(self, **values: Any) -> None:
        self.values = values
        self.provider = Provider(handler=self._answer)

    async def _answer(self, provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        method = dubbo.parse_request(frame.raw).method
        body = Writer()
        body.value(self.values[method])
        whole = b"\x91" + bytes(body.out)
        writer.write(bytes([0xDA, 0xBB, 2, 20]) + frame.raw[4:12] + len(whole).to_bytes(4, "big") + whole)

    def asked(self) -> list[tuple[str, str]]:
        found = [dubbo.parse_request(frame.raw) for frame in self.provider.requests]
        return [(one.method, one.parameter_types) for one in found]


def test_methods_have_their_names_and_types() -> None:
    day = datetime(2026, 1, 2, tzinfo=UTC)
    item = Item("book", 2.0, day)

    async def story() -> None:
        world = Answering(
            add=7, find=item, listAll=[item, Item("pen")], prices={"book": 2}, put=None, basket=Basket([item]),
            anything={"a": 1},
        )  # fmt: skip
        await world.provider.start()
        async with closing(world.provider), meshed(url(world.provider)) as mesh:
            cart = mesh.stub(Cart, "com.x.Cart")
            assert await cart.add("book", 2) == await cart.add("book") == await cart.add(count=3, item="book") == 7
            assert await cart.find(None) == item
            assert await cart.everything() == [item, Item("pen")]
            assert await cart.prices() == {"book": 2.0}
            assert await cart.put(item) is None
            assert (await cart.basket()).items == [item]
            assert await cart.anything() == {"a": 1}
            add = ("add", "Ljava/lang/String;I")
            assert world.asked() == [
                add, add, add, ("find", "Ljava/lang/String;"), ("listAll", ""), ("prices", ""),
                ("put", "Lcom/x/typed/Item;"), ("basket", ""), ("anything", ""),
            ]  # fmt: skip
            assert world.provider.requests[1].raw.count(b"\x91H") == 1  # an int of Java, and the default
            wrong = {"add": "text", "find": 5, "listAll": [1], "prices": None, "basket": {"class": "com.x.No"}}
            world.values = wrong
            for call in (cart.add("x"), cart.find("x"), cart.everything(), cart.prices(), cart.basket()):
                with pytest.raises(sdk.BadAnswer, match="com.x.Cart"):
                    await call
            with pytest.raises(TypeError, match="missing"):
                await cart.add()  # type: ignore[call-arg]

    play(story)


def test_a_value_in_many_places_is_fitted_once() -> None:
    """An answer of a hundred bytes may name it in more places than any memory holds."""
    value: Any = {"a": 1}
    hint: Any = dict[str, float]
    for _ in range(100):
        value, hint = [value, value], list[hint]
    found = fitted(value, hint, "here")
    for _ in range(100):
        assert found[0] is found[1]
        found = found[0]
    assert found == {"a": 1.0} and type(found["a"]) is float


@pytest.mark.parametrize("count", [1, LONG])
def test_a_long_answer_is_fitted_beside_the_loop(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    threads: list[threading.Thread] = []

    def noting(*args: Any, **more: Any) -> Any:
        threads.append(threading.current_thread())
        return fitted(*args, **more)

    async def story() -> None:
        world = Answering(prices={f"{number}": number for number in range(count)})
        await world.provider.start()
        async with closing(world.provider), meshed(url(world.provider)) as mesh:
            monkeypatch.setattr("meshfast.sdk.typed.fitted", noting)
            prices = await mesh.stub(Cart, "com.x.Cart").prices()
            assert prices == {f"{number}": float(number) for number in range(count)}

    play(story)
    assert {one is threading.main_thread() for one in threads} == {count == 1}


def test_an_idempotent_method_is_sent_once_more() -> None:
    async def lost(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        writer.write(dubbo.error_answer(frame.id, 35, "lost"))

    async def story() -> None:
        provider = await Provider(handler=lost).start()
        async with closing(provider), meshed(url(provider)) as mesh:
            cart = mesh.stub(Cart, "com.x.Cart")
            for call in (cart.find("x"), cart.add("x")):
                with pytest.raises(sdk.ConnectionLost):
                    await call
            assert [dubbo.parse_request(one.raw).method for one in provider.requests] == ["find", "find", "add"]

    play(story)


@pytest.mark.parametrize(
    ("hint", "name"),
    [
        (str, "java.lang.String"), (bytes, "byte[]"), (bool, "boolean"), (int, "long"), (float, "double"),
        (sdk.Int, "int"), (int | None, "java.lang.Long"), (list[int], "java.util.List"), (Item, "com.x.typed.Item"),
        (dict[str, Any], "java.util.Map"), (Any, "java.lang.Object"), (datetime, "java.util.Date"),
        (Annotated[str, sdk.Java("java.lang.CharSequence")], "java.lang.CharSequence"),
        (Item | None, "com.x.typed.Item"),
    ],
)  # fmt: skip
def test_types_of_java(hint: Any, name: str) -> None:
    assert java_type(hint) == name


class Nothing(Protocol):
    pass


class Unknown(Protocol):
    async def take(self, one: complex) -> None: ...


class Waits(Protocol):
    def take(self, one: str) -> None: ...


class Untyped(Protocol):
    async def take(self, one): ...  # type: ignore[no-untyped-def]


class Named(Protocol):
    async def take(self, *, one: str) -> None: ...


class Either(Protocol):
    async def take(self, one: str | int) -> None: ...


class Badly(Protocol):
    async def take(self, one: Annotated[str, sdk.Java("no name")]) -> None: ...


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Nothing, "no methods"), (Unknown, "complex has no type in Java"), (Waits, "async def"),
        (Untyped, "say the type of one"), (Named, "places only"), (Either, "more than one type"),
        (Badly, "no type of Java"),
    ],
)  # fmt: skip
def test_what_java_has_not_is_told_at_once(kind: type, text: str) -> None:
    def service(name: str) -> Callable[..., Any]:
        return print

    with pytest.raises((TypeError, ValueError), match=text):
        bound(kind, "com.x.Cart", service, True)


def test_a_class_is_one_dataclass() -> None:
    with pytest.raises(ValueError, match="com.x.typed.Item is Item already"):
        sdk.java("com.x.typed.Item")(Basket)
    with pytest.raises(TypeError, match="@dataclass"):
        sdk.java("com.x.typed.None")(Nothing)
    assert hessian.descriptor([1]) == "Ljava/util/List;"
