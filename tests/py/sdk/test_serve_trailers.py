"""Attachments of an answer may be long: its caller has them or is told, and the calls of others at that connection go
on."""

from __future__ import annotations

import asyncio

import pytest
from flowing_world import TALK, World, play
from grpcs import Raw
from peers import until
from proxies import BACKENDS
from test_serve_http2 import asked, path

from meshfast import sdk
from meshfast.http2 import Setting


@pytest.mark.parametrize("backend", BACKENDS)
def test_they_may_need_several_frames(backend: str) -> None:
    async def story(world: World, mesh: sdk.Mesh) -> None:
        talk = mesh.service(TALK, protocol="tri")
        other = asyncio.ensure_future(talk.call("hold", "other"))
        await until(lambda: world.inside == 1)
        for size in (10_000, 16_384, 20_000, 60_000):
            answer = await talk.reply("attaches", size)
            assert (answer.value, answer.attachments["extra"]) == ("answered", "v" * size)
        world.gate.set()
        assert await other == "other"
        assert world.serving.refused == {}

    play(story, backend)


def test_more_than_the_limit() -> None:
    async def story(world: World, mesh: sdk.Mesh) -> None:
        talk = mesh.service(TALK, protocol="tri")
        other = asyncio.ensure_future(talk.call("hold", "other"))
        await until(lambda: world.inside == 1)
        told = "the answer has 50... bytes of fields; its caller is sent 40000"
        with pytest.raises(sdk.StatusError, match=told) as none:
            await talk.call("attaches", 50_000)
        assert none.value.status == 13
        with pytest.raises(sdk.StatusError, match="not found") as found:  # its own word is not lost with them
            await talk.call("attaches", 50_000, True)
        assert found.value.status == 5
        world.gate.set()
        assert await other == "other"
        assert world.serving.refused == {"trailers": 2}

    play(story, limits={"trailers": 40_000})


def test_more_than_its_caller_takes() -> None:
    """Which it said by its settings."""

    async def story(world: World, _: sdk.Mesh) -> None:
        def client() -> None:
            raw = Raw(world.serving.port, (Setting.MAX_HEADER_LIST_SIZE, 8000))
            try:
                assert raw.call(path("attaches"), asked(7000))[1] == 0
                assert raw.call(path("attaches"), asked(8000))[1] == 13
                assert raw.call(path("once"), asked(1))[1] == 0
            finally:
                raw.close()

        await asyncio.to_thread(client)
        assert world.serving.refused == {"trailers": 1}

    play(story)
