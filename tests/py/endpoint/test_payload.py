"""Nacos's Payload: bytes of another writer, what is wrong, and anything at all."""

from __future__ import annotations

import random

import pytest

from meshfast.endpoint.payload import MOST_HEADERS, Malformed, Payload, read, write

#: As protoc's writer has it: metadata with type, clientIp and a header, and an Any whose type_url is said.
ANOTHERS = bytes.fromhex(
    "1223 1a12 53657276657243686563 6b52657175657374".replace(" ", "")
    + "3a08 0a0161 120362 6364".replace(" ", "")
    + "4203 312e32".replace(" ", "")
    + "1a07 0a0178 12027b7d".replace(" ", "")
)


def test_anothers_bytes():
    assert read(ANOTHERS) == Payload("ServerCheckRequest", b"{}", "1.2", {"a": "bcd"})


def test_written_and_read():
    rand = random.Random(1)
    for _ in range(200):
        one = Payload(
            "t" * rand.randrange(300), rand.randbytes(rand.choice([0, 1, 127, 128, 20_000])), "ü" * rand.randrange(3),
            {str(n): "v" * rand.randrange(200) for n in range(rand.randrange(5))},
        )  # fmt: skip
        assert read(write(one)) == one


@pytest.mark.parametrize(
    "data, found",
    [
        (b"", Payload()),
        (b"\x12\x00", Payload()),
        (b"\x12\x03\x1a\x01a\x12\x03\x42\x01b", Payload("a", client="b")),  # merged
        (b"\x12\x06\x1a\x01a\x1a\x01b", Payload("b")),  # the last
        (b"\x08\x01\x12\x03\x1a\x01a\x79" + bytes(8) + b"\x7d" + bytes(4), Payload("a")),  # not known
        (b"\x12\x05\x3a\x03\x0a\x01k", Payload(headers={"k": ""})),
    ],
)
def test_what_may_be(data, found):
    assert read(data) == found


@pytest.mark.parametrize(
    "data, why",
    [
        (b"\x12", "a number is not whole"),
        (b"\x12\x05abc", "field 2 is not whole"),
        (b"\x10\x01", "a number where bytes should be"),
        (b"\x12\x02\x18\x01", "a number where bytes should be"),
        (b"\x13", "field 2 is of kind 3"),
        (b"\x00\x00", "field 0"),
        (b"\x12\x03\x1a\x01\xff", "no UTF-8"),
        (b"\x12" + b"\xff" * 9 + b"\x02", "more than 64 bits"),
        (b"\x12" + b"\x80" * 10 + b"\x00", "more than 64 bits"),
        (b"\x79abc", "field 15 is not whole"),
        (b"\x12\xff\xff\xff\xff\x0f", "field 2 is not whole"),
    ],
)
def test_what_may_not(data, why):
    with pytest.raises(Malformed, match=why):
        read(data)


def test_too_many_headers():
    assert len(read(write(Payload(headers={str(n): "" for n in range(MOST_HEADERS)}))).headers) == MOST_HEADERS
    with pytest.raises(Malformed, match="headers"):
        read(write(Payload(headers={str(n): "" for n in range(MOST_HEADERS + 1)})))


@pytest.mark.parametrize("seed", range(4))
def test_any_bytes(seed):
    rand = random.Random(seed)
    good = 0
    for _ in range(4000):
        data = bytearray(ANOTHERS * rand.randrange(1, 3))
        for _ in range(rand.randrange(6)):
            at = rand.randrange(len(data))
            match rand.randrange(3):
                case 0:
                    data[at] = rand.randrange(256)
                case 1:
                    del data[at : at + rand.randrange(9)]
                case _:
                    data[at:at] = rand.randbytes(rand.randrange(4))
            if not data:
                break
        try:
            found = read(bytes(data))
        except Malformed:
            continue
        good += 1
        assert read(write(found)) == found
    assert good > 100
