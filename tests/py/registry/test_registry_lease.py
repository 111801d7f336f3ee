"""What a process leaves to the next one: its sessions, and what it registered in them."""

from __future__ import annotations

import pytest
from written import Folder, offer, world
from zoo import until

from meshfast.errors import SourceError
from meshfast.registry.lease import NAME, Lease, Left
from meshfast.registry.writes import CHECK, SPREAD


@world
async def test_nobody_sees_that_a_process_was_killed(w):
    w.registry.start()
    one, other = offer(), offer("com.x.Other", group="g")
    await w.put(one)
    await w.put(other)
    w.zoo.changes.clear()
    w.crash()
    w.registry.start()
    await w.put(one)
    await w.put(other)
    w.registry.sweep([one.key, other.key])
    await w.times.turn(SPREAD)
    assert w.zoo.changes == [] and w.zoo.attempts[-1] is not None and w.registry.state.sessions == 0


@world
async def test_what_the_next_process_does_not_know_yet_stays(w):
    w.registry.start()
    one = offer()
    await w.put(one)
    before = w.paths
    for _ in range(3):  # it dies before it knows
        w.crash()
        w.registry.start()
        await w.rest()
        await w.times.turn(SPREAD)
        assert w.paths == before
    w.registry.sweep([one.key])
    await w.rest()
    assert w.paths == before
    w.registry.sweep([])
    await w.registry.left()
    assert w.paths == []
    await w.rest()
    assert b"nodes" not in w.folder.files[NAME]


@world
async def test_what_the_next_process_finds_dead_is_taken_away(w):
    w.registry.start()
    one = offer()
    await w.put(one)
    w.crash()
    w.registry.drop(one.key)
    w.registry.start()
    await w.registry.left()
    assert w.paths == []


@world
async def test_what_says_otherwise_by_now_is_written_before_the_old_goes(w):
    w.registry.start()
    await w.put(offer())
    before = w.paths
    w.zoo.changes.clear()
    w.crash()
    w.registry.start()
    await w.put(offer(parameters={"env": "dev1"}))
    assert [what for what, _ in w.zoo.changes] == ["put", "drop"] and w.paths != before and len(w.paths) == 1


@world
async def test_a_session_that_ended_meanwhile(w):
    w.registry.start()
    await w.put(offer())
    before = w.paths
    w.zoo.expire(w.zoo.client.session[0])
    w.zoo.mode = "expired"
    w.crash()
    w.registry.start()
    w.registry.put(offer())
    await w.times.turn(1)
    await until(lambda: w.paths == before)  # its time too: the application has not begun anew
    assert w.registry.state.sessions == 1


@world
async def test_it_is_written_before_the_registry_hears_of_it(w):
    w.registry.start()
    await w.rest()
    w.zoo.slow = True
    w.registry.put(offer())
    await until(lambda: w.zoo.client.waiting)
    assert f"{w.zoo.client.session[0]}".encode() in w.folder.files[NAME]
    assert b"com.x.Cart" in w.folder.files[NAME]


@world
async def test_a_process_that_ended_leaves_nothing(w):
    w.registry.start()
    await w.put(offer())
    assert b"com.x.Cart" in w.folder.files[NAME]
    await w.registry.close()
    assert b"com.x.Cart" not in w.folder.files[NAME]


@world
async def test_a_second_client_does_not_take_the_session_of_the_first(w):
    w.registry.start()
    await w.put(offer())
    assert w.process.lease.take("main", "h:2181/dubbo") is None


@world
async def test_nothing_is_kept_and_all_goes_on(w):
    w.folder.broken = OSError(28, "No space left on device")
    w.registry.start()
    await w.put(offer())
    assert w.process.lease.unwritten > 0 and len(w.paths) == 1
    w.folder.broken = None
    await w.times.turn(CHECK)
    await w.rest()
    assert b"com.x.Cart" in w.folder.files[NAME]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"main": 1}', b'{"main": {"where": "x"}}', b"[" * 100_000, b"\xff\xfe"]
)
def test_nonsense_is_not_gone_on_with(data):
    folder = Folder()
    folder.files[NAME] = data
    assert Lease(folder).refused


def test_what_is_not_to_be_trusted_is_told(caplog):
    folder = Folder()
    folder.broken = SourceError("lease.json is not of the user that runs this")
    lease = Lease(folder)
    assert "not of the user" in lease.refused and "not gone on with" in caplog.text


@world
async def test_another_registry_of_the_name_is_another(w):
    w.process.lease.put("main", lambda: Left("h:2181/dubbo", 7, b"p", ("/dubbo/x",)))
    await w.process.lease.kept()
    lease = Lease(w.folder)
    assert lease.take("main", "other:2181/dubbo") is None
    assert Lease(w.folder).take("main", "h:2181/dubbo") == Left("h:2181/dubbo", 7, b"p", ("/dubbo/x",))
