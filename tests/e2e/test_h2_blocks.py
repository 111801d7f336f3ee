"""Header blocks, and what is recalled of them: whatever the form, the other end has the same fields."""

from __future__ import annotations

import pytest
from harness import mesh
from harness.grpc import SERVICE
from harness.h2peer import COMPRESSION, Fields, frames
from harness.h2world import World, request
from harness.through import Through


def fields_of(came: Fields, sent: Fields) -> Fields:
    """What came of the names that were sent, in order."""
    names = {k for k, _ in sent}
    return [(k, v) for k, v in came if k in names]


def test_cut_everywhere(through: Through, world: World) -> None:
    """A block that is recalled when it comes in one frame, cut at every byte into two, and into many;
    with padding and priority, which are no part of it."""
    provider = world.provider()
    caller = world.caller(*through.to(provider.port))
    more = [(f"x-field-{i}", f"value {i} of some length") for i in range(20)]
    sent = request("cut", more=more)
    number = caller.peer.next
    warm = [caller.call("cut", more=more) for _ in range(2)]
    for i, call in enumerate(warm):
        provider.take("cut", i + 1).answer()
        assert call.status() == "0"
    assert number == 1
    length = len(caller.peer.encoder.encode(sent))
    done = 2
    # Cuts of one block before it is all in the table, and of the short one that refers to it.
    for cut in range(length + 1):
        call = caller.call("cut", more=more, cuts=[cut])
        done += 1
        stream = provider.take("cut", done)
        assert fields_of(stream.first().fields, sent) == sent
        stream.answer()
        assert call.status() == "0"
    for extra in ({"pad_length": 7, "flags": ["PADDED"]}, {"depends_on": 0, "stream_weight": 9, "flags": ["PRIORITY"]}):
        call = caller.call("cut", more=more, cuts=range(4, length, 4), **extra)
        done += 1
        stream = provider.take("cut", done)
        assert fields_of(stream.first().fields, sent) == sent
        stream.answer()
        assert call.status() == "0"


def test_literals_cut(through: Through, world: World) -> None:
    """The same of blocks that are all literal and long, with new names each time."""
    provider = world.provider()
    caller = world.caller(*through.to(provider.port))
    for turn in range(100):
        mark = f"literal-{turn}"
        more = [(f"x-{turn}-{i}", f"{turn} and {i}" * 3) for i in range(5)]
        call = caller.call(mark, more=more, cuts=[1 + turn, 2 + turn, 90 + turn])
        sent = request(mark, more=more)
        stream = provider.take(mark)
        assert fields_of(stream.first().fields, sent) == sent
        stream.answer()
        assert call.status() == "0"


LENGTHS = (16, 32, 55)


@pytest.mark.parametrize("huffman", [False, True], ids=["raw", "huffman"])
@pytest.mark.parametrize("place", ["first", "last", "twice", "absent"])
def test_trace_ids(through: Through, world: World, huffman: bool, place: str) -> None:
    """Requests that differ only in the trace id, indexed or not, wherever it stands: each has its own at the other
    end."""
    provider = world.provider()
    caller = world.caller(*through.to(provider.port))
    for turn in range(45):
        trace = f"{turn:x}".rjust(LENGTHS[turn % 3], "abcdef0123456789"[turn % 16])
        name = "traceparent" if turn % 3 == 2 else "x-b3-traceid"
        pseudo, rest = request("traced")[:4], request("traced")[4:]
        one = [(name, trace)]
        by_place = {"first": one + rest, "last": rest + one, "twice": one + rest + one, "absent": rest}
        sent = [*pseudo, *by_place[place], ("x-last", "same")]
        block = [((k, v, True) if k == name and turn % 2 else (k, v)) for k, v in sent]
        number = caller.peer.next
        caller.peer.next += 2
        data = caller.peer.encoder.encode(block, huffman=huffman)
        caller.peer.send(frames.HeadersFrame(number, data, flags=["END_HEADERS", "END_STREAM"]))
        stream = provider.take("traced", turn + 1)
        assert fields_of(stream.first().fields, sent) == sent
        stream.answer()
        caller.peer.until("the answer", lambda n=number: any(e.end for e in caller.peer.of(n)))


def test_repeated(through: Through, world: World) -> None:
    """Equal requests by turns with ones that differ in one value, an empty one, repeated ones and cookies."""
    provider = world.provider()
    caller = world.caller(*through.to(provider.port))
    forms: list[Fields] = [
        [("x-a", "1")], [("x-a", "2")], [("x-a", "")], [("x-a", "1"), ("x-a", "2")], [("x-a", "2"), ("x-a", "1")],
        [("cookie", "a=1"), ("cookie", "b=2")], [("x-a", "1, 2")], [("x-b", "1")],
    ]  # fmt: skip
    for turn in range(120):
        more = forms[turn * 7 % 8 if turn % 3 else 0]
        call = caller.call("same", more=more)
        stream = provider.take("same", turn + 1)
        came = fields_of(stream.first().fields, more)
        joined = [("cookie", "a=1; b=2")]
        assert came == more or more[0][0] == "cookie" and came == joined
        assert [k for k, _ in stream.first().fields if k in ("x-a", "x-b", "cookie")] == [k for k, _ in came]
        stream.answer()
        assert call.status() == "0"


def test_timeouts_are_each_requests_own(behind: Through, world: World) -> None:
    """Equal requests with a deadline, every second of which waits: each goes on with what is left of its own."""
    provider = world.provider()
    caller = world.caller(*behind.to(provider.port))
    for turn in range(20):
        call = caller.call("timed", more=[("grpc-timeout", "20S")])
        stream = provider.take("timed", turn + 1)
        text = stream.first().get("grpc-timeout") or ""
        left = int(text[:-1]) * {"S": 1e9, "m": 1e6, "u": 1e3, "n": 1}[text[-1]]
        assert 0 < left <= 20e9 and len(text) <= 9
        stream.answer()
        assert call.status() == "0"


def entry_of(size: int, name: str) -> tuple[str, str]:
    """A field that takes ``size`` bytes of the table."""
    return name, "v" * (size - 32 - len(name))


def test_table_to_the_brim(through: Through, world: World) -> None:
    """Entries of exactly the table's size, of one byte more, and small ones, each twice."""
    provider = world.provider()
    caller = world.caller(*through.to(provider.port))
    turn = 0
    for _ in range(2):
        for size in (4096, 4097, 100, 4095, 4097, 4096):
            for _ in range(2):
                more = [entry_of(size, "x-sized")]
                call = caller.call("sized", more=more)
                turn += 1
                stream = provider.take("sized", turn)
                assert fields_of(stream.first().fields, more) == more
                stream.answer()
                assert call.status() == "0"


def test_reference_to_nothing(behind: Through, world: World) -> None:
    """Bytes that were right a moment ago and now refer to nothing end that connection, and no other."""
    provider = world.provider()
    (port,) = behind.to(provider.port)
    caller, other = world.caller(port), world.caller(port)
    first = caller.call("right")
    provider.take("right").answer()
    assert first.status() == "0"
    data = caller.peer.encoder.encode(request("right"))  # all of it by index
    for number in (3, 5):
        caller.peer.send(frames.HeadersFrame(number, data, flags=["END_HEADERS", "END_STREAM"]))
    for count in (2, 3):
        provider.take("right", count).answer()
    emptied = b"\x20\x3f\xe1\x1f"  # the table to nothing, and back to 4096
    caller.peer.send(frames.HeadersFrame(7, emptied + data, flags=["END_HEADERS", "END_STREAM"]))
    caller.peer.wait("the error", lambda e: e.kind == "GOAWAY" and e.code == COMPRESSION)
    caller.peer.until("its end", lambda: caller.peer.ended)
    call = other.call("other")
    provider.take("other").answer()
    assert call.status() == "0"
    assert len(provider.find("right")) == 3


def test_label_of_recalled(behind: Through, world: World) -> None:
    """The label is what each request's bytes say, however often they were seen."""
    providers = {env: world.provider() for env in ("base", "dev")}
    subsets = [(one.port, {"env": env}) for env, one in providers.items()]
    caller = world.caller(*behind.by(mesh.header_policy(SERVICE, "traffic"), *subsets))
    counts = dict.fromkeys(("base", "dev", "none"), 0)
    for turn in range(40):
        env = ("dev", "base", "dev", "dev", "none")[turn % 5]
        counts[env] += 1
        call = caller.call(f"to-{env}", more=[("traffic", env)])
        wanted = providers["dev" if env == "dev" else "base"]
        wanted.take(f"to-{env}", counts[env]).answer()
        assert call.status() == "0"

