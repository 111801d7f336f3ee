"""ZooKeeper's records: both ways, and any bytes at all."""

from __future__ import annotations

import random

import pytest

from meshfast.endpoint import jute
from meshfast.endpoint.jute import FORMS, JuteError

STAT = jute.Stat(1, 2, 3, 4, 5, 6, 7, -(1 << 63), 9, 10, (1 << 63) - 1)


def made(rand: random.Random, kind):
    """A record of random fields."""

    def text() -> str:
        return "".join(rand.choice("/ab\0ä\U0001f600") for _ in range(rand.randrange(6)))

    makers = {
        "i": lambda: rand.randrange(-(1 << 31), 1 << 31), "q": lambda: rand.randrange(-(1 << 63), 1 << 63),
        "?": lambda: rand.random() < 0.5, "s": text, "b": lambda: rand.choice([None, b"", rand.randbytes(5)]),
        "S": lambda: tuple(text() for _ in range(rand.randrange(4))), "T": lambda: made(rand, jute.Stat),
        "A": lambda: tuple(made(rand, jute.Acl) for _ in range(rand.randrange(3))),
        "I": lambda: tuple(made(rand, jute.Identity) for _ in range(rand.randrange(3))),
    }  # fmt: skip
    return kind(*(makers[form]() for form in FORMS[kind]))


@pytest.mark.parametrize("kind", FORMS, ids=lambda kind: kind.__name__)
def test_both_ways(kind):
    rand = random.Random(kind.__name__)
    for _ in range(50):
        record = made(rand, kind)
        data = jute.write(record)
        assert jute.read(kind, data) == (record, len(data))
        assert jute.read(kind, b"xy" + data + b"z", 2) == (record, len(data) + 2)


@pytest.mark.parametrize("kind", FORMS, ids=lambda kind: kind.__name__)
def test_every_beginning_is_refused_at_its_end(kind):
    rand = random.Random(kind.__name__)
    for _ in range(10):
        data = jute.write(made(rand, kind))
        for end in range(len(data)):
            with pytest.raises(JuteError) as refused:
                jute.read(kind, data[:end])
            assert 0 <= refused.value.at <= end


def test_the_bytes_are_zookeepers():
    assert jute.packed(jute.Header(1, 3), jute.Exists("/a", True)).hex() == "0000000f0000000100000003000000022f6101"
    assert jute.write(jute.SetData("", None, -1)).hex() == "00000000ffffffffffffffff"
    assert jute.write(jute.StatReply(STAT)) == jute.write(STAT) and len(jute.write(STAT)) == 68


@pytest.mark.parametrize(
    "kind, data",
    [
        (jute.Sync, "ffffffff"),  # no path
        (jute.Sync, "fffffffe"),
        (jute.Sync, "7fffffff61"),
        (jute.Create, "000000012ffffffffe0000000000000000"),
        (jute.SetWatches, "00000000000000007fffffff" + "00000000" * 9),
        (jute.SetWatches, "0000000000000000fffffffe" + "00000000" * 9),
    ],
)
def test_lengths_that_cannot_be(kind, data):
    with pytest.raises(JuteError):
        jute.read(kind, bytes.fromhex(data))


def test_a_list_that_is_none_is_empty():
    packet = bytes.fromhex("000000012fffffffffffffffff00000000")
    assert jute.read(jute.Create, packet)[0] == jute.Create("/", None, (), 0)


def test_any_bytes_give_a_record_or_say_where_not():
    rand = random.Random(11)
    kinds, good = list(FORMS), 0
    for _ in range(20_000):
        kind = rand.choice(kinds)
        data = bytearray(jute.write(made(rand, kind)) if rand.random() < 0.7 else rand.randbytes(rand.randrange(40)))
        for _ in range(rand.randrange(4)):
            if data:
                data[rand.randrange(len(data))] = rand.choice([0, 1, 0x7F, 0xFF, rand.randrange(256)])
        try:
            record, end = jute.read(kind, bytes(data))
        except JuteError as refused:
            assert 0 <= refused.at <= len(data)
        else:
            good += 1
            again = jute.write(record)
            assert end <= len(data) and jute.read(kind, again) == (record, len(again))
    assert 1000 < good < 19_000
