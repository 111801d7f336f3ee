"""The server of gRPC: how a connection is asked to end, whose turn it is, and streams that are begun to be reset."""

from __future__ import annotations

from grpcs import Raw
from test_grpc_server import ECHO, HOLD, MANY, echo, refused
from zookeepers import Served

from meshfast import http2
from meshfast.http2 import ErrorCode, Flag


def each(served: Served, what: str) -> None:
    """Has every connection do it."""
    served.do(lambda: [getattr(one, what)() for one in list(served.server.shared.connections)])


def test_goaway_comes_twice_and_nobody_is_cut_off():
    with echo() as served:
        client = Raw(served.port)
        first = client.open(ECHO)
        client.say(first, b"a")
        client.until(lambda: client.messages[first])
        each(served, "leave_softly")
        client.until(lambda: client.away)
        assert client.away is not None and (client.away.last, client.away.code) == ((1 << 31) - 1, ErrorCode.NO_ERROR)
        late = client.open(ECHO)  # it was on its way
        client.say(late, b"b", last=True)
        assert client.answer(late) == ([b"b"], 0)
        client.put(http2.Ping(flags=Flag.ACK, data=b"leaving!"))
        client.until(lambda: client.away is not None and client.away.last == late)
        client.say(client.open(ECHO), b"c", last=True)  # nobody looks at it
        client.say(first, b"d", last=True)
        client.until(lambda: first in client.trailers)
        assert client.messages[first] == [b"a", b"d"] and client.trailers[first][b"grpc-status"] == b"0"
        assert client.ends() == http2.GoAway(last=late)
        assert late + 2 not in client.trailers and late + 2 not in client.resets
        client.close()


def test_one_that_is_idle_ends_at_once():
    with echo() as served:
        client = Raw(served.port)
        client.put(http2.Ping(data=b"12345678"))
        client.until(lambda: client.pongs)
        each(served, "last_word")
        assert client.ends() == http2.GoAway(last=0)
        client.close()
        assert served.do(lambda: served.whole.lost_count) == 1


def test_whom_it_was_meant_for_is_nothing_here():
    """grpcio with several addresses says them all."""
    with echo() as served:
        client = Raw(served.port)
        for authority in (b"127.0.0.1:1,127.0.0.1:2", b"x:y:z"):
            block = [
                (b":method", b"POST"), (b":scheme", b"http"), (b":path", ECHO.encode()), (b":authority", authority),
                (b"content-type", b"application/grpc"), (b"te", b"trailers"),
            ]  # fmt: skip
            id, client.next = client.next, client.next + 2
            client.put(http2.Headers(id, Flag.END_HEADERS, client.encoder.encode(block)))
            client.say(id, b"a", last=True)
            assert client.answer(id) == ([b"a"], 0)
        client.close()


def test_streams_take_turns():
    """Of two that have more to say than the window lets through, neither waits for the other's end."""
    with echo() as served:
        client = Raw(served.port, (http2.Setting.INITIAL_WINDOW_SIZE, 1 << 24))
        client.credit = False
        pair = [client.open(MANY) for _ in range(2)]
        for id in pair:
            client.say(id, b"2000", last=True)
        client.until(lambda: sum(len(client.messages[id]) for id in pair) >= 64)
        for _ in range(64):
            had = [len(client.messages[id]) for id in pair]
            client.put(http2.WindowUpdate(0, increment=40_000))
            client.until(lambda: all(len(client.messages[id]) > n for id, n in zip(pair, had, strict=True)))  # noqa: B023
        client.close()


def test_streams_that_are_begun_to_be_reset():
    with echo(resets=50) as served:
        client, other = Raw(served.port), Raw(served.port)
        held = client.open(ECHO)
        for _ in range(60):
            client.put(http2.RstStream(client.open(HOLD)))
        client.until(lambda: client.away)
        assert client.away is not None and client.away.code == ErrorCode.ENHANCE_YOUR_CALM
        assert client.away.last == 2 * 51 + 1
        client.say(held, b"mine", last=True)  # what was begun goes on to its end
        assert client.answer(held) == ([b"mine"], 0)
        client.ends()
        assert other.call(ECHO, b"x") == ([b"x"], 0)
        assert refused(served) == {"resets": 1}
        client.close()
        other.close()


def test_resets_are_forgiven_to_who_is_answered():
    with echo(resets=3) as served:
        client = Raw(served.port)
        for _ in range(20):
            client.put(http2.RstStream(client.open(HOLD)))
            assert client.call(ECHO, b"x") == ([b"x"], 0)
        assert client.away is None
        client.close()
