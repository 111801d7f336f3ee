"""What a handler or a method of a Protocol takes and gives, by its annotations: values or streams, and of what.

    async def left(item: str) -> int                                     one of each
    async def watch(item: str) -> AsyncIterator[int]: yield ...          a stream of answers
    async def add(items: AsyncIterator[str]) -> int                      a stream of requests
    async def chat(words: AsyncIterator[str]) -> AsyncIterator[str]      both

``Iterator`` and ``Iterable`` are the same for functions that are no coroutines.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

from meshfast.sdk.protocols import GRPC, is_message

__all__ = ["Method", "item_of", "method_of"]

_IN_LOOP = frozenset((AsyncGenerator, AsyncIterable, AsyncIterator))
_STREAMS = _IN_LOOP | {Generator, Iterable, Iterator}


@dataclass(frozen=True, slots=True)
class Method:
    """``takes``, ``gives``: a stream of requests, of answers. ``bare``: its messages are in no wrapper; ``message``:
    the class of protobuf that requests are made of, None: they are bytes. ``reads``: it takes its stream of requests in
    a thread."""

    name: str
    function: Callable[..., Any]
    takes: bool = False
    gives: bool = False
    bare: bool = False
    message: Any = None
    reads: bool = False

    @property
    def streams(self) -> bool:
        return self.takes or self.gives


def item_of(hint: Any) -> Any:
    """Of ``AsyncIterator[X]`` and its like X; None: it is no stream."""
    if (get_origin(hint) or hint) not in _STREAMS:
        return None
    args = get_args(hint)
    return args[0] if args else Any


def method_of(name: str, function: Callable[..., Any], protocol: str) -> Method:
    """TypeError: annotations that say no more than that something is a stream cannot be read."""
    first, back = _hints(name, function)
    takes, gives = item_of(first), item_of(back)
    message = first if takes is None else takes
    bare = protocol == GRPC or is_message(message) or is_message(back if gives is None else gives)
    yields = inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function)
    waits = inspect.isasyncgenfunction(function) or inspect.iscoroutinefunction(function)
    # What a decorator gives is seldom a coroutine function, whatever it calls: the annotation says what is read.
    reads = takes is not None and not waits and (get_origin(first) or first) not in _IN_LOOP
    return Method(
        name, function, takes is not None, gives is not None or yields, bare, message if is_message(message) else None,
        reads,
    )  # fmt: skip


def _hints(name: str, function: Callable[..., Any]) -> tuple[Any, Any]:
    """The annotations of its first argument and of its result."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # one that says nothing of itself
        return None, None
    first = next(iter(signature.parameters.values()), None)
    found = (
        _hint(name, function, None if one is inspect.Parameter.empty else one)
        for one in (first.annotation if first else None, signature.return_annotation)
    )
    return next(found), next(found)


def _hint(name: str, function: Callable[..., Any], hint: Any) -> Any:
    if not isinstance(hint, str):
        return hint
    inner = inspect.unwrap(getattr(function, "__func__", function))
    if not hasattr(inner, "__globals__"):  # an object that can be called
        inner = inspect.unwrap(type(inner).__call__)
    try:
        told = type(name, (), {"__annotations__": {"hint": hint}})
        return get_type_hints(told, getattr(inner, "__globals__", {}), include_extras=True)["hint"]
    except Exception as error:  # whatever a name that is not there, or is there for types alone, raises
        if any(one.__name__ in hint for one in _STREAMS):
            raise TypeError(f"{name}: its annotation {hint!r} cannot be read: {error}") from None
        return None
