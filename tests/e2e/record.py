"""Write ``tests/wire/*-*.txt``: frames as real peers send them, one a line, and what to expect of each.

Run by hand when a peer's version changes: ``python tests/e2e/record.py``. Request ids are as the peer chose them.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from harness.driver import PeerError
from harness.go import Go
from harness.java import SERIALIZATIONS, Java
from harness.node import Node
from harness.process import PROJECT, until
from harness.relay import Frame, Relay

OUT = PROJECT / "tests" / "wire"
sys.path.append(str(OUT))

import expect  # noqa: E402

HEARTBEAT = 1000  # ms; the SDK takes nothing shorter
Acts = Iterator[tuple[str, Callable[[], Any]]]


def acts(consumer: Java, port: int, serialization: str) -> Acts:
    """What to do over the recorded connection, by the name that its frames get."""
    call = consumer.call
    yield "echo", lambda: call("r", "echo", "hi", attachments={"env": "dev1"})
    yield "unicode", lambda: call("r", "echo", "caf\u00e9 \u20ac \U0001f600", attachments={"env": "d\u00e9v"})
    yield "long", lambda: call("r", "echo", "x" * 1500)
    yield "null", lambda: call("r", "nothing")
    yield "two-arguments", lambda: call("r", "slow", 1, "q")
    yield "order", lambda: consumer.do("order", ref="r", seed=9)
    yield "attachments", lambda: call("r", "attachments", attachments={"reply": "x"})
    yield "exception", lambda: call("r", "failChecked", "boo")
    yield "one-way", lambda: call("r", "record", "t")
    yield (
        "generic",
        lambda: consumer.generic(port, "ask", ["java.lang.String"], "g", serialization=serialization),
    )
    yield "grouped", lambda: call("grouped", "echo", "hi")
    yield "no-such-service", lambda: call("missing", "echo", "hi")
    # "r" is offered by one thread: the second call finds none.
    yield "exhausted", lambda: [f.exception(20) for f in [consumer.start("call", **slow(i)) for i in range(2)]]


def slow(number: int) -> dict[str, Any]:
    """A call that occupies the provider's only thread."""
    return {"ref": "r", "method": "slow", "args": [300, f"q{number}"]}


def record(version: str, serialization: str) -> list[tuple[str, Frame]]:
    """The frames between a consumer and a provider of one version, named."""
    named: list[tuple[str, Frame]] = []
    consumer, provider = Java(version, "record-consumer"), Java(version, "record-provider")
    shared: dict[str, Any] = {"heartbeat": HEARTBEAT, "serialization": serialization}
    try:
        port = provider.export("A", threads=1, queues=0, **shared)
        provider.export("A", port, version="1.0.0", group="g", threads=1, queues=0, **shared)
        with Relay(port) as relay:
            consumer.refer("r", relay.port, **shared)
            consumer.refer("grouped", relay.port, version="1.0.0", group="g", **shared)
            consumer.refer("missing", relay.port, version="9.9.9", **shared)
            for name, act in acts(consumer, relay.port, serialization):
                before = len(relay.frames())
                with contextlib.suppress(PeerError):
                    act()
                until(name, lambda: len(relay.frames()) > before)  # noqa: B023
                named += [(name, frame) for frame in relay.frames()[before:] if not frame.is_event]
            until("a heartbeat", lambda: any(f.is_event and not f.is_request for f in relay.frames()))
            provider.terminate()
            until("READONLY", lambda: any(is_readonly(f) for f in relay.frames()))
            events = [f for f in relay.frames() if f.is_event]
            beat = next(f for f in events if not f.is_request)
            question = next(f for f in events if f.is_request and f.request_id == beat.request_id and f.up != beat.up)
            named += [("heartbeat", question), ("heartbeat", beat)]
            named.append(("readonly", next(f for f in events if is_readonly(f))))
    finally:
        consumer.close()
        provider.close()
    return named


def record_node() -> list[tuple[str, Frame]]:
    """The frames of apache-dubbo-js calling a Java provider, named."""
    named: list[tuple[str, Frame]] = []
    consumer, provider = Node("record-consumer"), Java("java-3.3", "record-provider")
    calls: dict[str, tuple[str, list[Any]]] = {
        "echo": ("echo", ["hi"]),
        "unicode": ("echo", ["caf\u00e9 \u20ac \U0001f600"]),
        "null": ("nothing", []),
        "two-arguments": ("slow", [1, "q"]),
        "exception": ("failChecked", ["boo"]),
    }
    try:
        with Relay(provider.export("A")) as relay:
            consumer.refer("r", relay.port)
            for name, (method, args) in calls.items():
                before = len(relay.frames())
                with contextlib.suppress(PeerError):
                    consumer.do("call", ref="r", method=method, args=args)
                named += [(name, frame) for frame in relay.frames()[before:]]
    finally:
        consumer.close()
        provider.close()
    return named


def record_go() -> list[tuple[str, Frame]]:
    """The frames of dubbo-go between a consumer and a provider that stops at last, named."""
    named: list[tuple[str, Frame]] = []
    consumer, provider = Go("record-consumer"), Go("record-provider")
    calls: dict[str, tuple[str, list[Any], dict[str, Any]]] = {
        "echo": ("echo", ["hi"], {"env": "dev1"}),
        "unicode": ("echo", ["caf\u00e9 \u20ac \U0001f600"], {"env": "d\u00e9v"}),
        "long": ("echo", ["x" * 1500], {}),
        "null": ("nothing", [], {}),
        "two-arguments": ("slow", [1, "q"], {}),
        "attachments": ("attachments", [], {"empty": "", "true": True}),
        "list": ("attachments", [], {"env": ["dev1"], "two": ["a", "b"]}),
        "exception": ("fail", ["boo"], {}),
    }
    # Of one address no more is asked after the first answer that says so.
    closing: dict[str, tuple[str, list[Any]]] = {
        "closing": ("echo", ["hi"]),
        "closing-null": ("nothing", []),
        "closing-exception": ("fail", ["boo"]),
    }
    try:
        port = provider.export("A", heartbeat=HEARTBEAT)
        with contextlib.ExitStack() as relays:
            relay = relays.enter_context(Relay(port))
            consumer.refer("r", relay.port, heartbeat=HEARTBEAT)
            last = {name: relays.enter_context(Relay(port)) for name in closing}
            for name in closing:
                consumer.refer(name, last[name].port)
            for name, (method, args, attachments) in calls.items():
                before = len(relay.frames())
                with contextlib.suppress(PeerError):
                    consumer.call("r", method, *args, attachments=attachments)
                named += [(name, frame) for frame in relay.frames()[before:] if not frame.is_event]
            until("heartbeats both ways", lambda: {f.up for f in relay.frames() if f.is_event} == {True, False})
            until("their answers", lambda: len([f for f in relay.frames() if f.is_event and not f.is_request]) > 1)
            named += [("heartbeat", frame) for frame in relay.frames() if frame.is_event][:4]
            provider.terminate()
            until("the mark", lambda: "closing" in consumer.call_full("r", "whoami")["attachments"])
            for name, (method, args) in closing.items():
                with contextlib.suppress(PeerError):
                    consumer.call(name, method, *args)
                named += [(name, frame) for frame in last[name].frames() if not frame.is_event]
    finally:
        consumer.close()
        provider.close()
    return named


def is_readonly(frame: Frame) -> bool:
    """Whether a provider asks for no more requests."""
    return frame.is_event and frame.is_request and not frame.is_two_way and not frame.up


def write(peer: str, serialization: str, named: list[tuple[str, Frame]]) -> None:
    """One file of frames."""
    lines = [f"# {peer}, {serialization}: recorded by tests/e2e/record.py"]
    seen: dict[str, int] = {}
    for name, frame in named:
        full = f"{'request' if frame.is_request else 'answer'}-{name}"
        seen[full] = seen.get(full, 0) + 1
        lines.append(f"{full}{'' if seen[full] == 1 else f'-{seen[full]}'} {frame.data.hex()}")
    path = OUT / f"{peer}-{serialization}.txt"
    path.write_text("\n".join(lines) + "\n")
    expect.annotate(path)
    print(peer, serialization, len(named), "frames")


def main() -> None:
    """Record every pair of version and serialization."""
    OUT.mkdir(parents=True, exist_ok=True)
    for version, serializations in SERIALIZATIONS.items():
        for serialization in serializations:
            write(version, serialization, record(version, serialization))
    write("go-3.3", "hessian2", record_go())
    write("node-apache-dubbo-js", "hessian2", record_node())


if __name__ == "__main__":
    main()
