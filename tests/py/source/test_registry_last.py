"""What registries listed last: kept in the state directory, and served by a start that none answers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from config_mesh import rule, to, virtual
from registered import MAIN, World, instance, offer, places, play

from meshfast.errors import SourceError, StateError
from meshfast.source import Bad, Good
from meshfast.statedir import FORMAT, StateDir

S, T = "com.x.Hello", "com.x.Other"
POLICY = (virtual([S], {"route": [to("v1")]}), rule(S, "v1"))
A, B = "10.0.0.1:1", "10.0.0.2:1"


def run(tmp_path: Path, *listed: str, also: bool = False) -> Path:
    """A first life, in which this was listed; where its state is."""

    async def body(it: World) -> None:
        it.write(*POLICY, state=str(tmp_path / "state"))
        it.says["main"] = {S: (offer(S, *listed),), T: (offer(T, instance(B, zone="b"), version="1"),)}
        if also:
            it.shown.demand.take(T)
        await it.next()

    play(tmp_path, body)
    return tmp_path / "state"


def test_a_start_without_a_registry_serves_what_was_listed_last(tmp_path: Path) -> None:
    state = run(tmp_path, A, B, also=True)
    assert os.stat(state / "mesh.json").st_mode & 0o777 == 0o600
    assert os.stat(state).st_mode & 0o777 == 0o700

    async def body(it: World) -> None:
        it.down = True
        it.write(*POLICY, state=str(state))
        event = await it.next()
        assert isinstance(event, Good) and places(event, S) == [A, B] and places(event, f"{T}:1") == [B]
        assert it.shown.stale and it.shown.last_good > 0
        assert it.main.wanted == {S, T}  # T was asked for in the life before, and may be again
        # It comes with less: what is missing is kept, as after any reconnect.
        it.says["main"] |= {S: (), T: (offer(T, instance(B, zone="b"), version="1"),)}
        it.main.up()
        it.main.list(S, offer(S, "10.0.0.3:1"))
        assert sorted(places(await it.next(), S)) == [A, B, "10.0.0.3:1"] and not it.shown.stale
        it.clock.now += 601
        it.source._tend()
        event = await it.next()
        assert places(event, S) == ["10.0.0.3:1"] and f"{T}:1" not in event.mesh.clusters  # type: ignore[union-attr]

    play(tmp_path, body)


def test_it_is_kept_as_it_is_served(tmp_path: Path) -> None:
    state = run(tmp_path, A)

    async def emptied(it: World) -> None:
        it.write(*POLICY, state=str(state))
        it.says["main"] = {S: ()}
        assert places(await it.next(), S) == [A]

    async def away(it: World) -> None:
        it.down = True
        it.write(*POLICY, state=str(state))
        assert places(await it.next(), S) == [A]

    play(tmp_path, emptied)
    play(tmp_path, away)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path: os.chmod(path, 0o644), "has mode 0644"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"10.0.0.1", b"10.0.0.7")), "its checksum differs"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "its checksum differs"),
        (lambda path: path.write_bytes(path.read_bytes().replace(FORMAT, b"meshfast state 2")), "is of another"),
        (lambda path: path.write_bytes(b""), "is of another version"),
        (lambda path: (path.unlink(), path.mkdir()), ""),
        (lambda path: (path.unlink(), os.mkfifo(path, 0o600)), "is not a file"),
        (lambda path: (path.rename(path.with_suffix(".x")), path.symlink_to(path.with_suffix(".x"))), ""),
    ],
)
def test_what_cannot_be_trusted_is_not_used(
    tmp_path: Path, harm: object, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    state = run(tmp_path, A)
    harm(state / "mesh.json")  # type: ignore[operator]

    async def body(it: World) -> None:
        it.write(*POLICY, state=str(state))
        it.says["main"] = {S: (offer(S, B),)}
        assert places(await it.next(), S) == [B]
        assert it.shown.refused["", "last_good"] == 1

    play(tmp_path, body)
    assert "what registries listed last is not used" in caplog.text and said in caplog.text


@pytest.mark.parametrize("data", [b"[]", b"{", b'{"written": 1, "registries": {"main": {"s": [{"service": 1}]}}}'])
def test_other_contents_are_not_used(tmp_path: Path, data: bytes) -> None:
    state = run(tmp_path, A)
    directory = StateDir(str(state))
    directory.write("mesh.json", data)
    directory.close()

    async def body(it: World) -> None:
        it.write(*POLICY, state=str(state))
        it.says["main"] = {S: (offer(S, B),)}
        assert places(await it.next(), S) == [B] and it.shown.refused["", "last_good"] == 1

    play(tmp_path, body)


def test_two_sidecars_cannot_have_one_directory(tmp_path: Path) -> None:
    taken = StateDir(str(tmp_path / "state"))
    try:

        async def body(it: World) -> None:
            it.write(*POLICY, state=str(tmp_path / "state"))
            it.says["main"] = {S: ()}
            event = await it.next()
            assert isinstance(event, Bad) and "is in use by another sidecar" in str(event.error)

        play(tmp_path, body)
    finally:
        taken.close()


def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    with pytest.raises(StateError, match="has mode 0777"):
        StateDir(str(tmp_path / "state"))


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    directory = StateDir(str(tmp_path / "state"))
    assert directory.read("x") is None
    directory.write("x", b"one\ntwo")
    (tmp_path / "state" / ".x.new").write_bytes(b"what a crash left")
    directory.write("x", b"")
    assert directory.read("x") == b"" and os.listdir(tmp_path / "state") == ["x"]
    (tmp_path / "state" / "x").write_bytes(b"y" * 200)
    with pytest.raises(SourceError):
        directory.read("x")
    directory.close()
    directory.close()


def test_another_registry_of_that_name_reads_it_too(tmp_path: Path) -> None:
    state = run(tmp_path, A)

    async def body(it: World) -> None:
        it.down = True
        it.write(*POLICY, state=str(state), registries=[{**MAIN, "address": "zookeeper://10.1.1.1"}])
        assert places(await it.next(), S) == [A]

    play(tmp_path, body)
