"""Calls that a rule lets wait, lets fail, or answers itself, over Dubbo2, gRPC and HTTP/2."""

from __future__ import annotations

import asyncio

import pytest
from changing import every, stage, to
from engines import BACKENDS, PATIENCE, play
from peers import until
from webs2 import asks

from meshfast import http2
from meshfast.record import Record

ABORT = b"fault filter abort"


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_abort_says_what_it_is_to_say_in_each_protocol(backend: str) -> None:
    async def story() -> None:
        async with stage(backend, {"fault": {"abort": every(httpStatus=418)}, "route": [to()]}) as it:
            got = await it.http("/x", body=b"body")
            assert (got.get(b":status"), bytes(got.body), got.get(b"content-length")) == (b"418", ABORT, b"18")
            got = await it.http("/x", method="HEAD")
            assert (got.get(b":status"), bytes(got.body), got.get(b"content-length")) == (b"418", b"", b"18")
            got = await it.grpc()
            assert (got.get(b":status"), got.get(b"grpc-status"), got.get(b"grpc-message")) == (b"200", b"2", ABORT)
            answer = await it.dubbo()
            assert (answer.status, answer.exception) == (40, ABORT.decode())
            assert it.asked == 0
            assert it.side.count("calls_aborted") == 4

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_statuses_of_grpc_and_of_dubbo(backend: str) -> None:
    async def story() -> None:
        by = [
            {"match": [{"headers": {"x": {"exact": "grpc"}}}], "route": [to()],
             "fault": {"abort": every(grpcStatus="UNAVAILABLE")}},
            {"match": [{"headers": {"x": {"exact": "both"}}}], "route": [to()],
             "fault": {"abort": every(httpStatus=429, dubboStatus=70, text="not today")}},
            {"route": [to()], "fault": {"abort": every(dubboStatus=100)}},
        ]  # fmt: skip
        async with stage(backend, *by) as it:
            for x, http, grpc, dubbo, text in (
                ("grpc", b"200", b"14", 80, ABORT), ("both", b"429", b"14", 70, b"not today"),
                ("none", b"429", b"8", 100, ABORT),
            ):  # fmt: skip
                got = await it.http("/", (b"x", x.encode()))
                assert (got.get(b":status"), bytes(got.body)) == (http, text)
                assert (await it.grpc((b"x", x.encode()))).get(b"grpc-status") == grpc
                answer = await it.dubbo(x=x)
                assert (answer.status, answer.exception) == (dubbo, text.decode())
            assert it.asked == 0

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_delay_is_waited_for_by_nobody_else_and_no_part_of_the_rules_timeout(backend: str) -> None:
    """Told by what has passed meanwhile, not by a clock of the test's."""

    async def story() -> None:
        slow = {"fault": {"delay": every(fixedDelay="300ms")}, "timeout": "150ms", "route": [to()],
                "match": [{"headers": {"slow": {}}}]}  # fmt: skip
        async with stage(backend, slow, {"route": [to()]}) as it:
            loop = asyncio.get_running_loop()
            begun = loop.time()
            waits = [
                asyncio.ensure_future(it.http("/slow", (b"slow", b"1"), body=b"kept")),
                asyncio.ensure_future(it.grpc((b"slow", b"1"), body=b"kept, too")),
                asyncio.ensure_future(it.dubbo(slow="1")),
            ]
            await it.side.reaches("calls_delayed", 3)
            assert (await it.http("/quick")).get(b":status") == b"200"
            assert (await it.dubbo()).value == "p:x"
            http, grpc, dubbo = await asyncio.gather(*waits)
            assert loop.time() - begun >= 0.3
            assert (http.get(b":status"), bytes(http.body)) == (b"200", b"kept")
            assert (grpc.get(b"grpc-status"), bytes(grpc.body)) == (b"0", b"kept, too")
            assert dubbo.value == "p:x"
            assert it.side.count("limit_call_timeout") == 0

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_who_gives_up_while_it_waits_is_done_with_at_once(backend: str) -> None:
    async def story() -> None:
        async with stage(backend, {"fault": {"delay": every(fixedDelay="1h")}, "route": [to()]}) as it:
            stream = it.web.open(asks("/x"))
            late = asyncio.ensure_future(it.grpc((b"grpc-timeout", b"50m")))
            slow = asyncio.ensure_future(it.dubbo(timeout="50"))
            await it.side.reaches("calls_delayed", 3)
            stream.reset(8)
            await it.side.reaches("calls_abandoned")
            assert (await late).get(b"grpc-status") == b"4"  # its caller's patience is what it was
            assert (await slow).status == 31
            await until(lambda: it.side.count("calls_active") == 0, PATIENCE)
            assert it.asked == 0

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_waits_is_bounded(backend: str) -> None:
    """Beyond the bound calls go on at once."""

    async def story() -> None:
        rule = {"fault": {"delay": every(fixedDelay="1h")}, "route": [to()]}
        async with stage(backend, rule, limits={"maxDelayed": 2}) as it:
            waiting = [it.web.open(asks(f"/{i}"), end=True) for i in range(2)]
            await it.side.reaches("calls_delayed", 2)
            assert (await it.http("/x")).get(b":status") == b"200"
            assert (await it.dubbo()).value == "p:x"
            assert it.side.count("limit_max_delayed") == 2
            assert not any(stream.ended.is_set() for stream in waiting)

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_delay_then_an_abort_and_neither_without_a_percentage(backend: str) -> None:
    async def story() -> None:
        both = {"delay": every(fixedDelay="20ms"), "abort": every(httpStatus=503)}
        never = {"delay": {"fixedDelay": "1h"}, "abort": {"httpStatus": 503}}
        first = {"fault": both, "match": [{"headers": {"both": {}}}], "route": [to()]}
        rules = [first, {"fault": never, "route": [to()]}]
        async with stage(backend, *rules) as it:
            assert (await it.http("/x", (b"both", b"1"))).get(b":status") == b"503"
            assert (await it.dubbo(both="1")).status == 80
            assert (it.side.count("calls_delayed"), it.side.count("calls_aborted"), it.asked) == (2, 2, 0)
            assert (await it.http("/x")).get(b":status") == b"200"
            assert (await it.dubbo()).value == "p:x"
            assert (it.side.count("calls_delayed"), it.side.count("calls_aborted")) == (2, 2)

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_shares_of_calls(backend: str) -> None:
    async def story() -> None:
        rule = {"fault": {"abort": {"percentage": {"value": 25}, "httpStatus": 503}}, "route": [to()]}
        async with stage(backend, rule) as it:
            got = [(await it.http("/x")).get(b":status") for _ in range(300)]
            assert 40 <= got.count(b"503") <= 115  # 75 and five deviations
            assert got.count(b"503") + got.count(b"200") == 300

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_direct_response(backend: str) -> None:
    async def story() -> None:
        own = {"response": {"set": {"x-a": "1"}, "remove": ["content-type"]}}
        rules = [
            {"match": [{"headers": {"x": {"exact": "empty"}}}], "directResponse": {"status": 204}},
            {"match": [{"headers": {"x": {"exact": "bytes"}}}], "headers": own,
             "directResponse": {"status": 404, "body": {"bytes": "AAEC"}}},
            {"directResponse": {"status": 200, "body": {"string": "hello\nyou"}}},
        ]  # fmt: skip
        async with stage(backend, *rules) as it:
            got = await it.http("/x", body=b"ignored")
            assert (got.get(b":status"), bytes(got.body)) == (b"200", b"hello\nyou")
            assert got.get(b"content-type") == b"text/plain"
            got = await it.http("/x", (b"x", b"empty"))
            assert (got.fields, bytes(got.body)) == ([(b":status", b"204")], b"")
            got = await it.http("/x", (b"x", b"bytes"))
            assert (got.get(b":status"), bytes(got.body)) == (b"404", b"\x00\x01\x02")
            assert (got.get(b"x-a"), got.get(b"content-type")) == (b"1", None)
            got = await it.grpc((b"x", b"bytes"))
            assert (got.get(b"grpc-status"), got.get(b"x-a")) == (b"12", b"1")
            assert got.get(b"grpc-message") == b"answered by a rule"
            assert (await it.grpc()).get(b"grpc-message") == b"hello"
            answer = await it.dubbo()
            assert (answer.status, answer.exception) == (80, "hello")
            assert (await it.dubbo(x="bytes")).status == 60
            assert (it.asked, it.side.count("calls_direct")) == (0, 7)

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_long_answer_waits_for_its_reader(backend: str) -> None:
    """A MiB for each of many streams, of which the connection holds little; they get all of it."""

    async def story() -> None:
        text = "0123456789abcdef" * (1 << 16)
        async with stage(backend, {"directResponse": {"status": 200, "body": {"string": text}}}) as it:
            before = it.side.count("memory_bytes")
            streams = [await asyncio.wait_for(it.http("/x"), PATIENCE) for _ in range(3)]
            assert all(bytes(stream.body) == text.encode() for stream in streams)
            quiet = await asyncio.open_connection(*it.side.address.split(":"))
            try:
                quiet[1].write(http2.PREFACE + http2.Settings(0, 0, ()).encode())
                encoder = http2.HeaderEncoder()
                for number in range(1, 200, 2):
                    flags = http2.Flag.END_HEADERS | http2.Flag.END_STREAM
                    quiet[1].write(http2.Headers(number, flags, encoder.encode(asks("/x"))).encode())
                await it.side.reaches("calls_direct", 103)
                assert it.side.count("memory_bytes") - before < 1 << 20
            finally:
                quiet[1].transport.abort()
            await it.side.reaches("downstream_connections", 3)
            assert bytes((await it.http("/x")).body) == text.encode()

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_redirect(backend: str) -> None:
    async def story() -> None:
        def rule(x: str, **more: object) -> dict[str, object]:
            return {"match": [{"headers": {"x": {"exact": x}}}], "redirect": more}

        rules = [
            rule("uri", uri="/to"), rule("authority", authority="o.ex", redirectCode=307),
            rule("scheme", scheme="https"), rule("port", port=8443),
        ]  # fmt: skip
        async with stage(backend, *rules) as it:
            for x, want, status in (
                ("uri", b"http://cart:1234/to?q=1", b"301"), ("authority", b"http://o.ex/p/a?q=1", b"307"),
                ("scheme", b"https://cart:1234/p/a?q=1", b"301"), ("port", b"http://cart:8443/p/a?q=1", b"301"),
            ):  # fmt: skip
                got = await it.http("/p/a?q=1", (b"x", x.encode()), authority="cart:1234", method="GET")
                assert (got.get(b":status"), got.get(b"location"), bytes(got.body)) == (status, want, b"")
            assert (await it.grpc((b"x", b"uri"))).get(b"grpc-status") == b"2"
            assert (await it.dubbo(x="uri")).status == 80
            assert (it.asked, it.side.count("calls_redirected")) == (0, 6)

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_answer_of_a_rule_in_statistics_and_in_the_access_log(backend: str) -> None:
    async def story() -> None:
        rule = {"fault": {"abort": every(httpStatus=418)}, "route": [to()]}
        async with stage(backend, rule, access_sample=1.0) as it:
            await it.http("/x")
            await it.grpc()
            await it.dubbo()
            await it.side.reaches("calls_aborted", 3)
            records: list[Record] = []

            def come() -> bool:
                records.extend(Record(*one) for one in it.side.engine.access_records())
                return len(records) >= 3

            await until(come, PATIENCE)
            told = sorted((one.outcome, one.http_status, one.status) for one in records)
            assert told == [("rule", 0, 40), ("rule", 200, 2), ("rule", 418, 418)]

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_abort_is_never_tried_again(backend: str) -> None:
    async def story() -> None:
        abort = {"fault": {"abort": every(httpStatus=418)}, "route": [to()]}
        rule = abort | {"retries": {"attempts": 3, "retryOn": "5xx,retriable-status-codes"}}
        async with stage(backend, rule) as it:
            assert (await it.http("/x")).get(b":status") == b"418"
            assert (await it.grpc()).get(b"grpc-status") == b"2"
            assert (await it.dubbo()).status == 40
            assert (it.asked, it.side.count("calls_retried"), it.side.count("calls_aborted")) == (0, 0, 3)

    play(story)
