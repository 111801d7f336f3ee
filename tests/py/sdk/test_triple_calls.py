"""What becomes of calls by HTTP/2 while connections come, go, and fall silent: both ends are the test's."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
import webs2
from sdk_world import PATIENCE, FakeFat, play, thin, until
from triple_world import Web, good, never, streams

from meshfast import http2, sdk
from meshfast.errors import LimitError
from meshfast.http2 import ErrorCode, Setting
from meshfast.sdk.streams import LAST

QUICK = sdk.Timing(silent=0.05, lost=0.2, probe=0.02, hold=0.05, keep=30.0)


def test_many_at_a_time_each_its_own_answer() -> None:
    async def story() -> None:
        async with Web() as web, streams(web.url) as mesh:
            texts = [b"%d" % number for number in range(500)] + [b"x" * size for size in (0, 70_000, 300_000)]
            assert await asyncio.gather(*map(lambda text: mesh.cart.call("hi", text), texts)) == [
                b"web:" + text for text in texts
            ]
            assert len(web.peers) == 1 and set(web.executed.values()) == {1} and not mesh.client.calls

    play(story)


def test_streams_that_are_not_allowed_wait() -> None:
    async def story() -> None:
        most = 0

        async def counted(web: Web, stream: webs2.Stream) -> None:
            nonlocal most
            most = max(most, sum(1 for one in stream.peer.streams.values() if not one.trailers))
            await asyncio.sleep(0)
            await good(web, stream)
            stream.trailers = [(b"answered", b"")]

        async with Web(play=counted) as web:
            web.first = [http2.Settings(settings=((Setting.MAX_CONCURRENT_STREAMS, 3),))]
            async with streams(web.url) as mesh:
                await thin(mesh)
                await until(lambda: mesh.client.route._most == 3)  # type: ignore[union-attr, attr-defined]
                texts = [b"%d" % number for number in range(100)]
                answers = await asyncio.gather(*(mesh.cart.call("hi", text) for text in texts))
                assert answers == [b"web:" + text for text in texts] and most == 3

    play(story)


@pytest.mark.parametrize("idempotent", [False, True])
def test_sent_and_lost(idempotent: bool) -> None:
    async def story() -> None:
        async with Web(play=never) as web, Web("engine") as engine:
            async with streams(web.url, lambda: FakeFat(engine.url)) as mesh:
                await thin(mesh)
                call = asyncio.ensure_future(mesh.cart.call("hi", b"x", idempotent=idempotent))
                await until(lambda: len(web.streams) == 1)
                web.shut()
                web.cut(web.peers[0])
                if idempotent:
                    assert await call == b"engine:x"
                else:
                    with pytest.raises(sdk.ConnectionLost) as error:
                        await call
                    assert error.value.may_have_run and not engine.executed
                assert await mesh.cart.call("hi", b"y") == b"engine:y"
                assert mesh.mode == "fat"

    play(story)


@pytest.mark.parametrize(("idempotent", "sends"), [(False, 1), (True, 2)])
@pytest.mark.parametrize("how", ["reset", "status"])
def test_lost_behind_the_sidecar(how: str, idempotent: bool, sends: int) -> None:
    async def lost(web: Web, stream: webs2.Stream) -> None:
        if how == "reset":
            stream.reset(ErrorCode.INTERNAL_ERROR)
        else:
            text = b"meshfast: the connection to the provider was lost before it answered"
            stream.head([(b":status", b"200"), (b"grpc-status", b"14"), (b"grpc-message", text)], True)

    async def story() -> None:
        async with Web(play=lost) as web, streams(web.url) as mesh:
            with pytest.raises(sdk.ConnectionLost):
                await mesh.cart.call("hi", b"x", idempotent=idempotent)
            assert len(web.streams) == sends and mesh.client.calls == {}

    play(story)


def test_a_timeout_takes_its_stream_back_and_harms_nobody() -> None:
    async def story() -> None:
        async with Web(play=never) as web, streams(web.url) as mesh:
            await thin(mesh)
            with pytest.raises(sdk.CallTimeout, match="may have been executed"):
                await mesh.cart.call("hi", b"x", timeout=0.05)
            await until(lambda: web.streams and web.streams[0].code == ErrorCode.CANCEL)
            assert web.streams[0].get(b"grpc-timeout") == b"50m"
            web.play = good
            await good(web, web.streams[0])  # too late
            assert await mesh.cart.call("hi", b"y") == b"web:y"
            assert mesh.counters["late"] == 1 and not mesh.client.calls

    play(story)


def test_a_call_that_no_window_takes_was_not_sent() -> None:
    async def story() -> None:
        async with Web() as web, streams(web.url, limits=sdk.Limits(max_answer=1000)) as mesh:
            await thin(mesh)
            web.peers[0].write(http2.Settings(settings=((Setting.INITIAL_WINDOW_SIZE, 0),)))
            await until(lambda: mesh.client.route._initial == 0)  # type: ignore[union-attr, attr-defined]
            with pytest.raises(sdk.NotSent) as error:
                await mesh.cart.call("hi", b"x", timeout=0.05)
            assert not error.value.may_have_run
            with pytest.raises(LimitError, match="max_answer"):
                await mesh.cart.call("hi", b"x" * 2000)
            waiting = asyncio.ensure_future(mesh.cart.call("hi", b"y"))
            await until(lambda: 3 in web.peers[0].streams)
            web.peers[0].write(http2.Settings(settings=((Setting.INITIAL_WINDOW_SIZE, 100),)))
            assert await waiting == b"web:y" and set(web.executed) == {b"y"}

    play(story)


def test_a_connection_that_had_rested_is_followed_by_another() -> None:
    async def story() -> None:
        async with Web() as web, streams(web.url) as mesh:
            for turn in range(3):
                await thin(mesh)
                assert await mesh.cart.call("hi", b"%d" % turn) == b"web:%d" % turn
                made = mesh.client.route.made  # type: ignore[union-attr]
                await until(lambda made=made: mesh.client.loop.time() - made > 0.02)  # type: ignore[misc]
                web.peers[-1].write(http2.GoAway(last=LAST))
                calls = [asyncio.ensure_future(mesh.cart.call("hi", b"%d-%d" % (turn, n))) for n in range(20)]
                assert await asyncio.gather(*calls) == [b"web:%d-%d" % (turn, n) for n in range(20)]
                await until(lambda turn=turn: mesh.counters["renewals"] == turn + 1)  # type: ignore[misc]
            assert mesh.counters["falls"] == 0 and set(web.executed.values()) == {1} and len(web.peers) == 4

    play(story)


def test_a_connection_that_ends_while_its_successor_is_dialled() -> None:
    async def story() -> None:
        async with Web() as web, streams(web.url) as mesh:
            await thin(mesh)
            await until(lambda: mesh.client.loop.time() - mesh.client.route.made > 0.02)  # type: ignore[union-attr]
            web.peers[0].write(http2.GoAway(last=0))
            web.peers[0]._writer.close()
            assert await mesh.cart.call("hi", b"x") == b"web:x"
            await until(lambda: mesh.counters["renewals"] == 1)
            assert mesh.counters["falls"] == 0 and mesh.mode == "thin"

    play(story)


def test_a_sidecar_that_leaves_answers_what_it_has_and_gets_no_more() -> None:
    async def story() -> None:
        async with Web(play=never) as web, Web("engine") as engine:
            async with streams(web.url, lambda: FakeFat(engine.url)) as mesh:
                await thin(mesh)
                call = asyncio.ensure_future(mesh.cart.call("hi", b"x"))
                await until(lambda: len(web.streams) == 1)
                web.shut()
                web.peers[0].write(http2.GoAway(last=LAST))
                await until(lambda: mesh.mode == "fat")
                assert await mesh.cart.call("hi", b"y") == b"engine:y"
                web.peers[0].write(http2.GoAway(last=1))
                await good(web, web.streams[0])
                assert await call == b"web:x" and mesh.counters["lost"] == 0 and mesh.counters["falls"] == 1

    play(story)


def test_one_that_sends_everybody_away_is_not_gone_back_to() -> None:
    async def story() -> None:
        async with Web() as web, Web("engine") as engine:
            web.first = [http2.GoAway(last=LAST)]
            async with streams(web.url, lambda: FakeFat(engine.url)) as mesh:
                assert await mesh.cart.call("hi", b"x") == b"engine:x"
                await until(lambda: len(web.peers) > 5)  # probes go on
                assert not web.executed and mesh.counters["returns"] == 0
                web.first = []
                await thin(mesh)
                assert await mesh.cart.call("hi", b"y") == b"web:y"

    play(story)


def test_a_connection_that_ends_when_it_has_just_been_made_is_not_followed_by_another() -> None:
    """The next would end as soon, and so on."""

    async def story() -> None:
        timing = sdk.Timing(silent=PATIENCE, lost=PATIENCE, probe=3600.0)
        async with Web() as web, Web("engine") as engine:
            web.then = [http2.GoAway(last=LAST)]
            async with streams(web.url, lambda: FakeFat(engine.url), timing) as mesh:
                await until(lambda: mesh.mode == "fat")
                assert await mesh.cart.call("hi", b"x") == b"engine:x"
                assert len(web.peers) == 1 and mesh.counters["renewals"] == 0

    play(story)


def test_a_sidecar_that_says_nothing_is_left() -> None:
    async def story() -> None:
        async with Web() as web, Web("engine") as engine:
            async with streams(web.url, lambda: FakeFat(engine.url), QUICK) as mesh:
                await thin(mesh)
                web.hung = True
                with pytest.raises(sdk.ConnectionLost, match="says nothing"):
                    await mesh.cart.call("hi", b"x")
                assert await mesh.cart.call("hi", b"y") == b"engine:y" and not web.executed
                web.hung = False
                await thin(mesh)
                assert await mesh.cart.call("hi", b"z") == b"web:z"

    play(story)


def test_a_slow_provider_behind_a_good_sidecar_is_waited_for() -> None:
    async def story() -> None:
        timing = sdk.Timing(silent=0.02, lost=PATIENCE)
        async with Web(play=never) as web, streams(web.url, timing=timing) as mesh:
            call = asyncio.ensure_future(mesh.cart.call("hi", b"x"))
            await until(lambda: len(web.streams) == 1)
            await until(lambda: web.pings >= 6)  # it is asked again and again, and answers
            await good(web, web.streams[0])
            assert await call == b"web:x" and mesh.counters["falls"] == 0

    play(story)


def test_thousands_of_connections_and_streams_end_at_any_moment() -> None:
    """Each call has its own answer, or an error that says what may have become of it; no message is executed twice."""

    async def story() -> None:
        draw = random.Random(11)
        gone, highest = set[webs2.Peer](), Counter[webs2.Peer]()
        ways: dict[str, int] = dict.fromkeys(("refused", "goaway", "reset", "cut", "begun"), 0)

        async def some(web: Web, stream: webs2.Stream) -> None:
            if draw.random() < 0.5:
                await asyncio.sleep(0)
            way = draw.choice((*ways, "cut", "cut")) if draw.random() < 0.2 else ""
            peer = stream.peer
            if peer in gone:
                return  # it has said that it looks at no more
            if way == "goaway" and stream.number < highest[peer]:
                way = ""  # that would be a lie: one above it was executed
            if way:
                ways[way] += 1
            if way == "refused":
                stream.reset(ErrorCode.REFUSED_STREAM)
                return
            if way == "goaway":
                gone.add(peer)
                peer.write(http2.GoAway(last=highest[peer]))
                peer._writer.close()
                return
            highest[peer] = max(highest[peer], stream.number)
            web.executed[bytes(stream.body[5:])] += 1
            if way == "reset":
                stream.reset(ErrorCode.INTERNAL_ERROR)
            elif way == "cut":
                web.cut(stream.peer)
            else:
                text = b"web:" + bytes(stream.body[5:])
                stream.head([(b":status", b"200"), webs2.GRPC])
                if way == "begun":
                    web.cut(stream.peer)
                    return
                await stream.data(b"\0" + len(text).to_bytes(4, "big") + text)
                stream.head([(b"grpc-status", b"0")], True)

        timing = sdk.Timing(silent=30, lost=30, probe=0.001, hold=0.001, hold_max=0.001, probes=1, keep=30)
        async with Web(play=some) as sidecar, Web(play=some) as engine:
            async with streams(sidecar.url, lambda: FakeFat(engine.url), timing) as mesh:
                done, lost, unsent = set[bytes](), set[bytes](), set[bytes]()

                async def caller(name: int) -> None:
                    for number in range(200):
                        text = b"%d-%d" % (name, number)
                        try:
                            answer = await mesh.cart.call("hi", text, idempotent=name % 2 == 0)
                            assert answer == b"web:" + text
                            done.add(text)
                        except sdk.ConnectionLost:
                            lost.add(text)
                        except sdk.NotSent as error:
                            assert not error.may_have_run
                            unsent.add(text)

                await asyncio.gather(*map(caller, range(20)))
                executed = sidecar.executed + engine.executed
                once = {text: count for text, count in executed.items() if int(text.split(b"-")[0]) % 2}
                assert len(done) + len(lost) + len(unsent) == 4000 and min(ways.values()) > 20
                assert set(once.values()) == {1} and max(executed.values()) == 2
                assert done <= set(executed) and not unsent & set(once)
                assert mesh.client.calls == {} and mesh.counters["returns"] > 50 and mesh.counters["refused"] > 50

    play(story)
