"""A registry is written otherwise in the files while what it lists is in doubt."""

from __future__ import annotations

from pathlib import Path

from registered import MAIN, World, offer, places, play
from test_registry_source import HELLO, POLICY, SUBSETS, A, B

from meshfast.source import Good


def test_instances_that_are_kept_stay_when_the_registry_is_written_otherwise(tmp_path: Path) -> None:
    async def body(it: World) -> None:
        it.write(POLICY, SUBSETS)
        it.says["main"] = {HELLO: (offer(HELLO, A, B),)}
        assert places(await it.next(), HELLO) == [A, B]
        it.main.list(HELLO)
        assert next(iter(it.shown)).retained == 2
        before = it.main
        it.write(POLICY, SUBSETS, registries=[{**MAIN, "services": ["com.x.More"]}])
        assert places(await it.until(lambda event: isinstance(event, Good)), HELLO) == [A, B]
        assert it.main is not before and next(iter(it.shown)).retained == 2

    play(tmp_path, body)
