"""Labels and traces go along with calls, each with its own."""

from __future__ import annotations

import asyncio
import sys
from contextvars import ContextVar
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from peers import Caller, Provider, closing
from sdk_world import CART, meshed, play, url

from meshfast import dubbo, sdk
from meshfast.sdk import context
from meshfast.sdk.serve import Offer, Serving

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CAME = {
    "env": "dev1", "traceparent": PARENT, "baggage": "k=v", "dubbo.tag": "gray", "path": "com.x.Stock",
    "interface": "com.x.Stock", "timeout": "100", "version": "1.0.0", "group": "g", "_TO": "90", "token": "secret",
}  # fmt: skip
GOES = {"env": "dev1", "traceparent": PARENT, "baggage": "k=v", "dubbo.tag": "gray"}


@pytest.fixture(autouse=True)
def tracer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """OpenTelemetry as a test has it: none, until it says what it injects."""
    found = SimpleNamespace(inject=None)

    def inject(carrier: dict[str, str]) -> None:
        if found.inject is not None:
            found.inject(carrier)

    monkeypatch.setattr(context, "_looked", True)
    monkeypatch.setattr(context, "_inject", inject)
    return found


def test_what_came_goes_on_and_dubbos_own_does_not() -> None:
    assert context.carried(CAME) == GOES
    assert context.carried(CAME, frozenset({"env", "token"})) == {"env": "dev1", "token": "secret"}
    many = {f"k{number}": "v" for number in range(1000)} | {"long": "x" * 10_000}
    assert len(context.carried(many)) == context.CARRIED
    assert context.carried({"long": "x" * 10_000, "n": 5}) == {}  # type: ignore[dict-item]


def test_of_equal_names_the_nearest_wins(tracer: Any) -> None:
    token = context.incoming.set({"env": "came", "a": "came", "traceparent": "came", "b": "came"})
    try:
        tracer.inject = lambda carrier: carrier.update(traceparent="span", b="span")
        with sdk.labelled(env="label", b="label"):
            with sdk.labelled(env="inner"):
                found = context.outgoing(None, {"b": "own"})
                assert found == {"env": "inner", "a": "came", "traceparent": "span", "b": "own"}
            assert dict(context.outgoing(None, None) or {})["env"] == "label"
    finally:
        context.incoming.reset(token)


def test_a_tracer_that_fails_costs_no_call(tracer: Any) -> None:
    def broken(carrier: dict[str, str]) -> None:
        carrier["traceparent"] = PARENT
        raise RuntimeError("broken")

    tracer.inject = broken
    assert context.outgoing(None, {"a": "b"}) == {"a": "b", "traceparent": PARENT}


@pytest.mark.parametrize("error", [None, ImportError("no"), RuntimeError("its own trouble")])
def test_opentelemetry_is_looked_for_once(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
    asked: list[str] = []
    module = ModuleType("opentelemetry.propagate")
    module.inject = lambda carrier: None  # type: ignore[attr-defined]

    def load(name: str) -> ModuleType:
        asked.append(name)
        if error is not None:
            raise error
        return module

    monkeypatch.setattr(context, "_looked", False)
    monkeypatch.setattr(context, "import_module", load)
    found = [context.telemetry(), context.telemetry()]
    assert found == [None if error else module.inject] * 2  # type: ignore[attr-defined]
    assert asked == ["opentelemetry.propagate"] and "opentelemetry" not in sys.modules


def test_calls_side_by_side_have_their_own() -> None:
    async def story() -> None:
        provider = await Provider().start()
        async with closing(provider), meshed(url(provider)) as mesh:
            cart = mesh.service(CART)

            async def serve(number: int) -> None:
                """As one that serves a call, and makes two in it."""
                context.incoming.set({"env": f"e{number}", "path": "own"})
                await asyncio.gather(cart.call("hi", f"{number}"), cart.call("hi", f"{number}"))
                with sdk.labelled(env="other"):
                    await cart.call("hi", f"{number}", attachments={"n": f"{number}"})

            await asyncio.gather(*map(serve, range(50)))
            seen = [dubbo.parse_request(frame.raw).attachments for frame in provider.requests]
            assert sorted(one["env"] for one in seen) == sorted([f"e{n}" for n in range(50)] * 2 + ["other"] * 50)
            assert {one["n"] for one in seen if one["env"] == "other"} == {f"{n}" for n in range(50)}
            assert {one["path"] for one in seen} == {CART}

    play(story)


@pytest.mark.parametrize("traced", [True, False])
def test_what_is_served_has_nothing_of_where_serving_was_begun(monkeypatch: pytest.MonkeyPatch, traced: bool) -> None:
    """Not its labels, and not its span: a call's own come along from its caller, and go on."""
    span: ContextVar[str] = ContextVar("span", default="")
    propagate, spans = ModuleType("opentelemetry.propagate"), ModuleType("opentelemetry.context")
    propagate.inject = lambda carrier: carrier.update({"traceparent": span.get()} if span.get() else {})  # type: ignore[attr-defined]
    spans.Context = str  # type: ignore[attr-defined]
    spans.attach = span.set  # type: ignore[attr-defined]

    def load(name: str) -> ModuleType:
        if not traced:
            raise ImportError(name)
        return propagate if name == propagate.__name__ else spans

    monkeypatch.setattr(context, "_looked", False)
    monkeypatch.setattr(context, "import_module", load)

    async def here() -> dict[str, Any]:
        return dict(context.outgoing(None, None) or {})

    async def story() -> None:
        span.set("of the start")
        with sdk.labelled(env="outer"):
            async with Serving(None, Offer(CART, {"here": here, "aside": lambda: context.outgoing(None, None)})) as one:
                caller = await Caller.connect(f"127.0.0.1:{one.port}")
                for number, method in enumerate(("here", "aside") * 3):
                    said = {"env": f"e{number}", "traceparent": f"t{number}"} if number % 3 else {"x": "y"}
                    found = await caller.send(dubbo.encode_request(number, CART, method, (), attachments=said))
                    assert found.value == said
                await caller.close()
            assert (await here())["env"] == "outer"

    play(story)
