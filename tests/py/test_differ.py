"""What tells two tuples that share their objects: nothing is missed, and nothing that both have is named."""

from __future__ import annotations

from random import Random
from types import MappingProxyType

import pytest

from meshfast._core import differing, listed


class One:
    """Equal to every other: only identity tells them."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, One)

    __hash__ = None  # type: ignore[assignment]


A, B, C, D, E = (One() for _ in range(5))


def ids(objects: list[One]) -> list[int]:
    return [id(one) for one in objects]


@pytest.mark.parametrize(
    ("old", "new", "gone", "came"),
    [
        ((), (), [], []),
        ((A, B), (A, B), [], []),
        ((A, B, C), (A, D, C), [B], [D]),
        ((A, B, C), (A, B, C, D), [], [D]),
        ((A, B, C), (D, A, B, C), [], [D]),
        ((A, B, C, D), (A, D), [B, C], []),
        ((A, B, C), (C, B, A), [], []),
        ((A, B), (D, E), [A, B], [D, E]),
        ((A, B, C), (), [A, B, C], []),
    ],
)
def test_small(old, new, gone, came):
    assert tuple(map(ids, differing(old, new))) == (ids(gone), ids(came))


@pytest.mark.parametrize("seed", range(50))
def test_as_sets_tell_it(seed):
    random = Random(seed)
    old = [One() for _ in range(random.randrange(400))]
    new = list(old)
    for _ in range(random.randrange(12)):
        at, length = random.randrange(len(new) + 1), random.choice([1, 1, 2, 70, 150])
        match random.choice(["add", "remove", "replace", "move"]):
            case "add":
                new[at:at] = [One() for _ in range(length)]
            case "remove":
                del new[at : at + length]
            case "replace":
                new[at : at + length] = [One() for _ in new[at : at + length]]
            case "move":
                taken = new[at : at + length]
                del new[at : at + length]
                to = random.randrange(len(new) + 1)
                new[to:to] = taken
    gone, came = differing(tuple(old), tuple(new))
    before, after = set(ids(old)), set(ids(new))
    assert ids(gone) == [one for one in ids(old) if one not in after]
    assert ids(came) == [one for one in ids(new) if one not in before]


@pytest.mark.parametrize("kind", [dict, MappingProxyType])
@pytest.mark.parametrize("now", [{}, {1: A}, {1: A, 2: B}, {1: B, 2: A}, {1: A, 2: C}, {1: A, 2: B, 3: C}], ids=str)
def test_the_values_of_a_mapping(kind, now):
    for before in ((), (A,), (A, B), (A, B, C)):
        found = listed(kind(now), before)
        assert ids(found) == ids(now.values())
        if kind is dict and ids(before) == ids(found):
            assert found is before


def test_only_tuples():
    for old, new in (([], ()), ((), None)):
        with pytest.raises(TypeError):
            differing(old, new)
