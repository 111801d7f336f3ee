"""Applications that are registered by an instance: its node, what leads to it, and what becomes of both."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
from kazoo.exceptions import NoAuthError
from written import CART, PLACE, alone, offer, world
from zoo import calm, until

from meshfast.registry.application import marked, stamp_of
from meshfast.registry.instance import info, node
from meshfast.registry.nodes import LONGEST, TRIES, join
from meshfast.registry.writes import AGAIN, CHECK

BOTH = ("interface", "instance")


def written(w, path=PLACE):
    """What is registered by an instance: the services of the MetadataInfo that it names."""
    found = node(w.zoo.nodes[path])
    assert found and found.remote
    for folder in ("/dubbo/metadata/shop", "/dubbo/shop"):
        told = info(w.zoo.nodes[f"{folder}/{found.revision}"])
        assert told.revision == found.revision
    return {(one.name, one.group, one.version, one.protocol) for each in told.services.values() for one in each}


def moves(w, *what):
    return [path for done, path in w.zoo.changes if done in what]


# --- when it is written


@world
async def test_two_services_are_one_instance(w):
    w.registry.start()
    w.zoo.put("/dubbo/mapping/" + CART, b"other")
    await w.put(alone())
    assert written(w) == {(CART, "", "", "dubbo")} and w.zoo.owners[PLACE] == w.zoo.client.session[0]
    before = w.zoo.nodes[PLACE]
    await w.put(alone("com.x.Other", version="2"))
    assert written(w) == {(CART, "", "", "dubbo"), ("com.x.Other", "", "2", "dubbo")} and w.paths == []
    assert stamp_of(w.zoo.nodes[PLACE]) == stamp_of(before)
    assert w.zoo.nodes["/dubbo/mapping/" + CART] == b"other,shop"
    assert w.zoo.nodes["/dubbo/mapping/com.x.Other"] == b"shop"
    assert moves(w, "drop") == []
    w.registry.drop(alone().key)
    await w.rest()
    assert written(w) == {("com.x.Other", "", "2", "dubbo")} and w.registry.standing(alone().key) is None
    w.registry.drop(alone("com.x.Other", version="2").key)
    await w.registry.left()
    assert moves(w, "drop") == [PLACE]
    assert w.zoo.nodes["/dubbo/mapping/" + CART] == b"other,shop"  # as Dubbo has it


@world
async def test_what_leads_to_it_is_there_before(w):
    """The metadata, then the mapping, then the node; new metadata before the node says its revision."""
    w.registry.start()
    await w.put(alone())
    first = moves(w, "put")
    order = [next(i for i, path in enumerate(first) if part in path)
             for part in ("/dubbo/metadata/shop/", "/dubbo/shop/", "/mapping/com", "/services/shop/")]  # fmt: skip
    assert order == sorted(order)
    w.zoo.changes.clear()
    await w.put(alone(parameters={"env": "dev1"}))
    made = moves(w, "put")
    assert made[-1] == PLACE and len(made) == 3 and {path.rpartition("/")[0] for path in made[:2]} == {
        "/dubbo/metadata/shop", "/dubbo/shop",
    }  # fmt: skip


@world
async def test_both_levels_stand_or_it_is_pending(w):
    w.registry.start()
    one = offer(levels=BOTH)
    w.zoo.errors[PLACE] = NoAuthError()
    w.registry.put(one)
    await until(lambda: len(w.paths) == 1)
    await w.rest()
    assert w.state(one) == "pending" and "NoAuth" in w.registry.standing(one.key).error
    w.zoo.errors.clear()
    await w.times.turn(AGAIN)
    await until(lambda: w.state(one) == "registered")
    assert w.registry.standing(one.key).error == ""
    await w.put(offer(levels=("interface",)))
    assert PLACE not in w.zoo.nodes and len(w.paths) == 1
    await w.put(offer(levels=("instance",)))
    assert PLACE in w.zoo.nodes and w.paths == []
    w.registry.drop(one.key)
    assert w.state(one) == "leaving"
    await w.registry.left()
    assert PLACE not in w.zoo.nodes


@world
async def test_a_name_that_cannot_be_written_keeps_nothing_else_back(w):
    w.registry.start()
    bad = offer(parameters={"application": "a,b"}, levels=BOTH)
    w.registry.put(bad)
    await w.put(alone("com.x.Other"))
    assert len(w.paths) == 1 and w.state(bad) == "pending" and '"a,b"' in w.registry.standing(bad.key).error
    await w.put(offer(levels=BOTH))  # another name
    assert w.state(bad) == "registered"


@world
async def test_more_than_a_node_has_room_for_is_not_written(w):
    """ZooKeeper would end the connection, and with it everything else."""
    w.registry.start()
    big = offer(parameters={"methods": "m" * LONGEST}, levels=BOTH)
    w.registry.put(big)
    await w.put(alone("com.x.Other", address="10.0.0.7:20882"))
    assert len(w.paths) == 1 and PLACE not in w.zoo.nodes and "advertise.levels" in w.registry.standing(big.key).error
    assert max(len(data) for data in w.zoo.nodes.values()) < LONGEST
    await w.put(offer(levels=BOTH))
    assert written(w) == {(CART, "", "", "dubbo")}


@world
async def test_mappings_that_are_known_are_not_read_for_each_service_more(w):
    w.registry.start()
    for number in range(5):
        await w.put(alone(f"com.x.S{number}"))
    asked = [path for what, path in w.zoo.asked if what == "data" and "/mapping/" in path]
    assert sorted(asked) == [f"/dubbo/mapping/com.x.S{number}" for number in range(5)]


@world
async def test_another_application_or_address_is_another_instance(w):
    w.registry.start()
    await w.put(alone())
    await w.put(alone("com.x.Other", address="10.0.0.7:20882"))
    assert written(w, "/services/shop/10.0.0.7:20882") == {("com.x.Other", "", "", "dubbo")}
    await w.put(alone(parameters={"application": "pos"}))
    assert PLACE not in w.zoo.nodes and "/services/pos/10.0.0.7:20880" in w.zoo.nodes


@world
async def test_one_that_no_sidecar_wrote_is_left_alone(w):
    w.registry.start()
    w.zoo.put(PLACE, b"{}", 99)
    w.registry.put(alone())
    await w.rest()
    assert w.zoo.nodes[PLACE] == b"{}" and "itself at that address" in w.registry.standing(alone().key).error
    w.zoo.expire(99)
    await w.times.turn(AGAIN)
    await until(lambda: w.state(alone()) == "registered")
    assert marked(w.zoo.nodes[PLACE])


@world
async def test_what_others_do_to_it_is_mended(w):
    w.registry.start()
    await w.put(alone())
    before = w.zoo.nodes[PLACE]
    w.zoo.drop(PLACE)
    await w.times.turn(CHECK)
    await until(lambda: w.zoo.nodes.get(PLACE) == before and w.registry.repaired == 1)
    w.zoo.put(PLACE, before, 99)
    await w.times.turn(CHECK)
    await until(lambda: w.zoo.owners.get(PLACE) == w.zoo.client.session[0] and w.registry.repaired == 2)
    w.zoo.drop("/dubbo/metadata/shop")
    w.zoo.put("/dubbo/mapping/" + CART, b"other")
    await w.times.turn(CHECK * 12)
    assert written(w) and w.zoo.nodes["/dubbo/mapping/" + CART] == b"other,shop"


@world
async def test_a_session_that_ended_is_followed_by_another(w):
    w.registry.start()
    await w.put(alone())
    before = w.zoo.nodes[PLACE]
    w.zoo.mode = "expired"
    w.zoo.lose()
    await w.times.turn(1)
    await until(lambda: w.zoo.owners.get(PLACE) == w.zoo.client.session[0])
    assert w.zoo.nodes[PLACE] == before


@world
async def test_a_node_of_a_session_that_is_dead_is_never_missing(w):
    """Who had no state directory finds what it left there, until the server knows that the session has ended."""
    w.registry.start()
    await w.put(alone())
    before = w.zoo.client.session[0]
    w.folder.files.clear()
    w.crash()
    w.registry.start()
    w.zoo.changes.clear()
    await w.put(alone())
    assert w.zoo.owners[PLACE] == w.zoo.client.session[0] != before
    assert [what for what, path in w.zoo.changes if path == PLACE] == ["replace"]
    w.zoo.expire(before)
    assert written(w)


@world
async def test_an_application_beside_is_told(w):
    w.registry.start()
    await w.put(alone())
    w.zoo.put("/services/shop/10.0.0.7:20881", b"{}")
    await w.times.turn(CHECK)
    await until(lambda: w.registry.standing(alone().key).conflicts == ("10.0.0.7:20881",))
    assert w.registry.conflicts == 1


@world
async def test_a_mapping_is_written_by_many_at_once(w):
    """Whoever writes between reading and writing is lost to nobody."""
    w.registry.start()
    path, others = "/dubbo/mapping/" + CART, iter(range(3))
    w.zoo.put(path, b"")
    plain = w.zoo.client._answer

    def answer(what, at, *rest):
        if what == "set" and at == path and (n := next(others, None)) is not None:
            w.zoo.put(path, b",".join([w.zoo.nodes[path], b"other%d" % n]).strip(b","))
        plain(what, at, *rest)

    w.zoo.client._answer = answer
    await w.put(alone())
    assert w.zoo.nodes[path] == b"other0,other1,other2,shop"


@world
async def test_one_that_is_written_without_an_end_is_given_up(w):
    asked = []

    async def ask(what, *args, **named):
        asked.append(what)
        if what == "set_async":
            raise type("BadVersionError", (Exception,), {})
        return b"other", SimpleNamespace(version=len(asked))

    with pytest.raises(RuntimeError):
        await join(SimpleNamespace(ask=ask), "/x", "shop")
    assert asked.count("set_async") == TRIES


# --- the process after


@world
async def test_nobody_sees_that_there_was_another_process(w):
    """Services come one after the other there, and the node stays as it is until it is known of all."""
    w.registry.start()
    one, two = alone(), alone("com.x.Other", protocol="tri")
    w.registry.put(one)
    await w.put(two)
    w.zoo.changes.clear()
    w.crash()
    w.registry.start()
    await w.put_only(one)
    w.registry.sweep([one.key, two.key])
    await w.times.turn(CHECK * 2)
    assert w.zoo.changes == []
    await w.put(two)
    await until(lambda: w.state(one) == "registered")
    await w.times.turn(CHECK)
    assert w.zoo.changes == [] and w.registry.repaired == 0


@world
async def test_what_the_process_before_had_more_goes(w):
    w.registry.start()
    one, two = alone(), alone("com.x.Other")
    await w.put(one)
    await w.put(two)
    w.crash()
    w.registry.start()
    await w.put_only(one)
    w.registry.sweep([one.key])
    await until(lambda: w.state(one) == "registered")
    await w.rest()
    assert written(w) == {(CART, "", "", "dubbo")}
    w.crash()
    w.registry.start()
    await calm()
    w.registry.drop(one.key)
    await w.registry.left()
    assert PLACE not in w.zoo.nodes


@world
async def test_of_another_configuration_nothing_stays(w):
    w.registry.start()
    await w.put(alone())
    w.crash()
    w.registry.start()
    w.registry.sweep([])
    await w.registry.left()
    assert PLACE not in w.zoo.nodes


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_what_is_wanted_stands_in_the_end(seed):
    @world
    async def run(w):
        dice = random.Random(seed)
        wanted: dict = {}
        w.registry.start()
        for _ in range(200):
            what = dice.randrange(12)
            one = offer(
                f"com.x.S{dice.randrange(4)}", address=f"10.0.0.7:2088{dice.randrange(2, 4)}",
                parameters={"env": f"e{dice.randrange(2)}"}, levels=dice.choice([BOTH, ("instance",), ("interface",)]),
            )  # fmt: skip
            if what < 4:
                w.registry.put(one)
                wanted[one.key] = one
            elif what < 7:
                w.registry.drop(one.key)
                wanted.pop(one.key, None)
            elif what == 7 and w.zoo.client.live:
                w.zoo.lose("suspended")
            elif what == 8 and not w.zoo.client.live and not w.zoo.client.stopped:
                w.zoo.again()
            elif what == 9 and w.zoo.client.live:
                w.zoo.mode = dice.choice(["up", "expired"])
                if w.zoo.mode == "expired":
                    w.zoo.expire(w.zoo.client.session[0])
                w.zoo.lose()
            elif what == 10:
                w.zoo.slow = not w.zoo.slow
            elif w.zoo.client.live:
                w.zoo.client.answer()
            if dice.randrange(3) == 0:
                await calm()
            if dice.randrange(8) == 0:
                await w.times.turn(dice.random() * 20)
        w.zoo.slow, w.zoo.mode = False, "up"
        await w.times.turn(60)
        if not w.zoo.client.live and not w.zoo.client.stopped:
            w.zoo.again()
        w.zoo.client.answer()
        for _ in range(3):
            await w.times.turn(60)
            await w.rest()
        assert all(w.state(one) == "registered" for one in wanted.values())
        places: dict = {}
        for one in wanted.values():
            if "instance" in one.levels:
                places.setdefault(f"/services/shop/{one.address}", set()).add((one.service, "", "", "dubbo"))
        assert {path for path in w.zoo.nodes if path.startswith("/services/shop/")} == places.keys()
        assert all(written(w, path) == services for path, services in places.items())
        assert len(w.paths) == sum("interface" in one.levels for one in wanted.values())
        assert set(w.zoo.owners.values()) <= {w.zoo.client.session[0]}

    run()
