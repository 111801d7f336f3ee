"""A sidecar that was killed: what applications had registered with it stands until they have said it again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from api_world import GOOD, World
from peers import until

from meshfast.endpoint import returning
from meshfast.errors import SourceError


class Memory:
    """What a state directory holds; ``wrong``: what it raises."""

    def __init__(self) -> None:
        self.data: bytes | None = None
        self.wrong: Exception | None = None

    def read(self, name: str) -> bytes | None:
        if self.wrong:
            raise self.wrong
        return self.data

    def write(self, name: str, data: bytes) -> None:
        if self.wrong:
            raise self.wrong
        assert name == "offers.json"
        self.data = data


def run(tmp_path: Path, story: Callable[[Callable[..., Any], Memory], Any]) -> None:
    async def inside() -> None:
        made: list[World] = []
        memory = Memory()

        async def begin() -> World:
            made.append(World(f"unix://{tmp_path}/{len(made)}.api", state=memory))
            await made[-1].start()
            return made[-1]

        try:
            await story(begin, memory)
        finally:
            for one in made:
                await one.api.stop()

    asyncio.run(inside())


def test_it_stands_until_it_is_said_again(tmp_path: Path) -> None:
    async def story(begin: Callable[..., Any], memory: Memory) -> None:
        first = await begin()
        talk = await first.talk()
        for service in ("A", "B"):
            offered = GOOD | {"service": service, "group": "g", "version": "1.0.0", "parameters": {"methods": "left"}}
            assert (await talk.ask("POST", "/v1/register", offered))[0] == 200
        await until(lambda: b'"B"' in (memory.data or b""))
        second = await begin()  # the first was killed: nobody said goodbye
        before = dict(second.wanted)
        assert second.services == ["A", "B"]
        assert {(one.group, one.version, one.address) for one in before.values()} == {("g", "1.0.0", "10.0.0.7:20880")}
        back = await second.talk()
        assert (await back.ask("POST", "/v1/register", offered))[0] == 200
        assert {one.key for one in second.wanted.values()} == {one.key for one in before.values()}
        second.api.late()
        await until(lambda: second.services == ["B"])
        assert [one for one in second.wanted.values()] == [one for one in before.values() if one.service == "B"]
        await until(lambda: b'"A"' not in (memory.data or b""))
        back.close()
        await until(lambda: not second.wanted and memory.data == b"[]")
        talk.close()

    run(tmp_path, story)


def test_what_is_kept_is_bounded_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And by what a listener forwards to now."""
    from meshfast.endpoint import http

    monkeypatch.setattr(http, "RETURN", 0.0)

    async def story(begin: Callable[..., Any], memory: Memory) -> None:
        memory.data = b'[["A","","","dubbo","127.0.0.1:20881",{}],["B","","","dubbo","127.0.0.1:9",{}]]'
        world = await begin()
        assert world.services == ["A"]
        await until(lambda: not world.wanted and not world.api.wanted)

    run(tmp_path, story)
    assert returning.RETURN == 15.0


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b'[["A"]]', b"[" * 9999, b'[["A","","","dubbo",5,{}]]'])
def test_what_cannot_be_read_is_not_used(tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def story(begin: Callable[..., Any], memory: Memory) -> None:
        memory.data = data
        world = await begin()
        assert not world.wanted
        with_it = await world.talk()
        assert (await with_it.ask("POST", "/v1/register", GOOD))[0] == 200
        await until(lambda: b"com.x.Cart" in (memory.data or b""))
        with_it.close()

    run(tmp_path, story)
    assert "registrations that were kept are not used" in caplog.text


def test_a_directory_that_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story(begin: Callable[..., Any], memory: Memory) -> None:
        memory.wrong = SourceError("of another owner")
        world = await begin()
        memory.wrong = OSError(28, "No space left on device")
        talk = await world.talk()
        assert (await talk.ask("POST", "/v1/register", GOOD))[0] == 200
        await until(lambda: "are not kept over a restart" in caplog.text)
        assert world.services == ["com.x.Cart"]
        talk.close()

    run(tmp_path, story)
    assert "of another owner" in caplog.text
