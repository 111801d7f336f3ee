"""Rules that ask for an argument of a Dubbo call: which text it has, however the call is sent."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from engines import PATIENCE, Running, running
from peers import Caller, Frame, Handler, Provider, closing
from retry_world import NO_LIMITS

from meshfast import config, dubbo
from meshfast.errors import LimitError, StateError
from meshfast.explain import explain
from meshfast.hessian import Value
from meshfast.model import Condition, Field, Match, Mesh, Op
from meshfast.routing import Table

CART = "com.x.Cart"
POLICY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: cart}}
spec:
  hosts: [com.x.Cart]
  ports: [{{number: 1, name: dubbo, protocol: TCP}}]
  endpoints:
  - {{address: 127.0.0.1, ports: {{dubbo: {hit}}}, labels: {{v: hit}}}}
  - {{address: 127.0.0.1, ports: {{dubbo: {miss}}}, labels: {{v: miss}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: cart}}
spec:
  host: cart
  subsets: [{{name: hit, labels: {{v: hit}}}}, {{name: miss, labels: {{v: miss}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: cart}}
spec:
  hosts: [com.x.Cart]
  http:
  - match: [{{headers: {{here: {{exact: x}}}}}}]
    route: [{{destination: {{subset: hit}}}}]
    {more}
  - route: [{{destination: {{subset: miss}}}}]
"""


def asks(*wanted: Condition, hit: int = 1, miss: int = 2, more: str = "") -> Mesh:
    """Calls for which all of ``wanted`` hold go to the one, all others to the other."""
    mesh = config.load_texts([("mesh.yaml", POLICY.format(hit=hit, miss=miss, more=more).encode())])
    (service,) = mesh.services
    first, *others = service.rules
    rules = (replace(first, matches=(Match(wanted),)), *others)
    return replace(mesh, services=(replace(service, rules=rules),))


def argument(index: object, value: str = "", op: Op = Op.EXACT) -> Condition:
    return Condition(Field.ARGUMENT, op, str(index), value, f"arguments[{index}]={value}")


# --- asked for in Python


def goes(*wanted: Condition, arguments: tuple[str | None, ...] = (), **more: object) -> bool:
    table = Table()
    table.publish(asks(*wanted))
    return table.lookup(CART, arguments=arguments, **more).rule == 0  # type: ignore[arg-type]


def test_lookup() -> None:
    assert goes(argument(0, "7"), arguments=("7",))
    assert not goes(argument(0, "7"), arguments=("8",)) and not goes(argument(0, "7"))
    assert goes(argument(1, "ä"), argument(0, "7"), arguments=("7", "ä"))
    assert not goes(argument(1, "7"), argument(0, "7"), arguments=("7", "ä"))
    assert goes(argument(0, "", Op.ABSENT), arguments=(None, "x"))
    assert goes(argument(1, "", Op.ABSENT), arguments=("x",))
    assert goes(argument(0, "", Op.PRESENT), arguments=("",)) and goes(argument(0), arguments=("",))
    assert goes(argument(0, "ca", Op.PREFIX), arguments=("cart",))
    assert goes(argument(10**30, "", Op.ABSENT), arguments=("x",))


@pytest.mark.parametrize("index", ["", "-1", "x", "1.0"])
def test_what_is_no_number_is_refused(index: str) -> None:
    with pytest.raises(LimitError):
        Table().publish(asks(argument(index, "7")))


def test_explain() -> None:
    table = Table()
    table.publish(asks(argument(0, "7"), argument(1, "", Op.ABSENT)))

    def said(*arguments: str) -> tuple[str, list[str]]:
        answer = explain(table, CART, "add", arguments=arguments)
        assert answer.get("arguments", []) == list(arguments)
        return answer["subset"], [step["text"] for step in answer["steps"] if step["about"] == "rule"]

    assert said("7") == ("hit", ["rule 1: argument 0 is 7, no argument 1"])
    assert said("8") == ("miss", ["rule 1: argument 0 is 8, not 7", "rule 2: matches every request"])
    assert said()[1][0] == "rule 1: no argument 0, which must be 7"
    assert said("7", " ")[1][0] == "rule 1: argument 1 is ' ', against arguments[1]="


# --- of calls


def framed(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def short(text: str) -> bytes:
    return bytes([0x49 + len(text)]) + text.encode()


def fastjson2(request_id: int, *arguments: bytes) -> bytes:
    strings = ("2.0.2", CART, "0.0.0", "hi")
    types = b"\x79\x38" + bytes([18 * len(arguments)]) + b"Ljava/lang/Object;" * len(arguments)
    attachments = b"\xa6" + short("path") + short(CART) + b"\xa5"
    body = b"".join(map(framed, (*map(short, strings), types, *arguments, attachments)))
    return bytes([0xDA, 0xBB, 0xC0 | 23, 0]) + struct.pack(">qI", request_id, len(body)) + body


Story = Callable[[Running, Caller, Provider, Provider], Awaitable[None]]


async def says_its_name(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
    writer.write(dubbo.encode_response(frame.id, provider.name))


def play(*wanted: Condition, story: Story, more: str = "", hit: Handler = says_its_name) -> None:
    async def run() -> None:
        one, other = await Provider("hit", hit).start(), await Provider("miss", says_its_name).start()
        async with closing(one, other):
            with running("epoll", limits=NO_LIMITS) as side:
                side.table.publish(asks(*wanted, hit=one.port, miss=other.port, more=more))
                caller = await Caller.connect(side.address)
                async with closing(caller):
                    await story(side, caller, one, other)

    asyncio.run(asyncio.wait_for(run(), 60))


async def name(caller: Caller, frame: bytes) -> str:
    answer = await asyncio.wait_for(caller.send(frame), PATIENCE)
    assert answer.status == 20, answer
    return str(answer.value)


HESSIAN: list[tuple[Value, str | None]] = [
    ("bob", "bob"), ("", ""), ("€😀", "€😀"), (7, "7"), (-(2**31), "-2147483648"), (2**40, "1099511627776"),
    (True, "true"), (False, "false"), (None, "null"), (7.0, None), (["7"], None), ({"7": "7"}, None),
]  # fmt: skip


def second(text: str | None) -> Condition:
    return argument(1, op=Op.ABSENT) if text is None else argument(1, text)


def test_hessian() -> None:
    async def story(side: Running, caller: Caller, hit: Provider, miss: Provider) -> None:
        def frame(n: int, value: Value) -> bytes:
            before = {"a": [1, "b" * n]}
            types = "Ljava/util/Map;Ljava/lang/Object;"
            return dubbo.encode_request(next(caller.ids), CART, "hi", (before, value), parameter_types=types)

        for value, text in HESSIAN:
            side.table.publish(asks(second(text), hit=hit.port, miss=miss.port))
            for n in range(3):  # the later ones are recalled
                assert await name(caller, frame(n, value)) == "hit", value
                assert await name(caller, frame(n, "none of these")) == "miss", value
            assert await name(caller, dubbo.encode_request(900, CART, "hi")) == ("miss" if text is not None else "hit")
        assert side.count("requests_recalled") > len(HESSIAN)

    play(story=story)


FASTJSON2 = [
    (short("bob"), "bob"), (b"\x7d\x04" + "äb".encode("utf-16-be"), "äb"),
    (b"\x07", "7"), (b"\xbd\xf9", "-7"), (b"\xbc\x01\x2c", "300"),
    (b"\x48\x00\x0f\x42\x40", "1000000"), (b"\xdf", "-1"), (b"\xbe" + struct.pack(">q", 2**40), "1099511627776"),
    (b"\xb1", "true"), (b"\xb0", "false"), (b"\xaf", "null"), (b"\xb2", None), (b"\xa6\xa5", None), (b"\x94", None),
]  # fmt: skip


def test_fastjson2() -> None:
    async def story(side: Running, caller: Caller, hit: Provider, miss: Provider) -> None:
        for value, text in FASTJSON2:
            side.table.publish(asks(second(text), hit=hit.port, miss=miss.port))
            for n in range(3):
                before = b"\xa6" + short("k") + bytes([n]) + b"\xa5"
                assert await name(caller, fastjson2(n, before, value)) == "hit", value
                assert await name(caller, fastjson2(100 + n, b"\x07", short("none of these"))) == "miss", value
        assert side.count("requests_recalled") > len(FASTJSON2)

    play(story=story)


def test_two_that_must_be_made_texts() -> None:
    async def story(side: Running, caller: Caller, hit: Provider, miss: Provider) -> None:
        async def to(*arguments: Value) -> str:
            return await name(caller, dubbo.encode_request(next(caller.ids), CART, "hi", arguments))

        assert await to("😀", 7, "x", 8, "😁") == "hit"
        assert await to("😀", 7, "x", 8, "😀") == "miss"
        assert await to(7, "😀", "x", 8, "😁") == "miss"

    play(argument(0, "😀"), argument(1, "7"), argument(3, "8"), argument(4, "😁"), argument(0, "😀"), story=story)


def test_a_generic_call_has_none() -> None:
    async def story(side: Running, caller: Caller, hit: Provider, miss: Provider) -> None:
        given: tuple[Value, ...] = ("hi", ["java.lang.String"], ["x"])
        types = "Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/Object;"
        assert await name(caller, dubbo.encode_request(1, CART, "$invoke", given, parameter_types=types)) == "miss"

    play(argument(0, "hi"), story=story)


def test_a_text_without_room_is_none_and_counted() -> None:
    async def story(side: Running, caller: Caller, hit: Provider, miss: Provider) -> None:
        for size, counted in ((100, 0), (4000, 1)):
            frame = dubbo.encode_request(size, CART, "hi", ("😀" * size,))
            assert await name(caller, frame) == ("hit", "miss")[counted]
            await side.reaches("limit_max_text", counted)
        as_it_lies = dubbo.encode_request(1, CART, "hi", ("x" * 20_000,))
        assert await name(caller, as_it_lies) == "hit"

    play(argument(0, op=Op.PRESENT), story=story)


# --- however it is sent


def test_tried_again_it_is_decided_by_the_same() -> None:
    async def fail_first(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        failed = len(provider.requests) % 3
        if failed:
            writer.write(dubbo.error_answer(frame.id, 80, "no"))
        else:
            await says_its_name(provider, writer, frame)

    async def story(side: Running, caller: Caller, hit: Provider, miss: Provider) -> None:
        for i in range(5):
            assert await name(caller, dubbo.encode_request(i, CART, "hi", ("😀",))) == "hit"
        assert (len(hit.requests), len(miss.requests)) == (15, 0)

    play(argument(0, "😀"), story=story, more="retries: {attempts: 2, retryOn: 5xx, backoff: 1ms}",
         hit=fail_first)  # fmt: skip


def test_put_off_it_is_decided_by_the_same() -> None:
    async def story(side: Running, caller: Caller, hit: Provider, miss: Provider) -> None:
        for i in range(5):
            assert await name(caller, dubbo.encode_request(i, CART, "hi", (7, True))) == "hit"
        assert not miss.requests

    play(argument(0, "7"), argument(1, "true"), story=story,
         more="fault: {delay: {percentage: {value: 100}, fixedDelay: 1ms}}")  # fmt: skip


def test_a_connection_that_is_lost_changes_nothing() -> None:
    async def story(side: Running, caller: Caller, hit: Provider, miss: Provider) -> None:
        assert await name(caller, dubbo.encode_request(1, CART, "hi", (7,))) == "hit"
        for writer in hit.writers:
            writer.transport.abort()
        for i in range(20):
            frame = dubbo.encode_request(10 + i, CART, "hi", (7 + i % 2,))
            answer = await asyncio.wait_for(caller.send(frame), PATIENCE)
            assert answer.status in (20, 35) and (answer.status == 35 or answer.value == ("hit", "miss")[i % 2])
        assert len(miss.requests) == 10

    play(argument(0, "7"), story=story)


def test_nobody_else_is_asked() -> None:
    table = Table()
    table.publish(asks(argument(0, "7")))
    with pytest.raises(StateError):
        table.lookup("com.x.Other", arguments=["7"])
