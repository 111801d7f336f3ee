"""A registry that lists this sidecar's own outbound listener: a call to it would be routed there again, for ever."""

from __future__ import annotations

from pathlib import Path

import pytest
from registered import MAIN, World, offer, places, play
from test_registry_source import HELLO, POLICY, SUBSETS, A, B, C

from meshfast.config.listed import legal


@pytest.mark.parametrize("bind", ["127.0.0.1:15001", "0.0.0.0:15001", "[::]:15001"])
def test_the_own_listener_is_no_instance(tmp_path: Path, bind: str) -> None:
    own = ["127.0.0.1:15001", "[::ffff:127.0.0.1]:15001", "localhost:15001"]
    others = [A, "127.0.0.1:15002", "10.0.0.9:15001", "127.0.0.1:20880"]

    async def body(it: World) -> None:
        listeners = [
            {"name": "out", "bind": f"tcp://{bind}"},
            {"name": "in", "bind": "tcp://127.0.0.1:20880", "direction": "inbound", "forward": "tcp://127.0.0.1:20881"},
        ]
        it.write(POLICY, SUBSETS, listeners=listeners)
        it.says["main"] = {HELLO: (offer(HELLO, *own, *others),)}
        assert places(await it.next(), HELLO) == others
        assert it.shown.refused["main", "own_listener"] == len(own)

    play(tmp_path, body)


def test_signs_of_a_url_are_in_no_name() -> None:
    assert legal("com.x.S", "a", "1.0.0") and not legal("com.x.S", "a&version=2") and not legal("com.x.S;x")


def test_a_registry_that_lists_nothing_any_more_fills_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = [f"com.x.S{i}" for i in range(40)]

    async def body(it: World) -> None:
        it.write(registries=[{**MAIN, "services": names}])
        it.says["main"] = {name: (offer(name, A, B),) for name in names}
        await it.next()
        for name in names:
            it.main.list(name)
        it.main.list(names[0], offer(names[0], C))
        await it.next()

    play(tmp_path, body)
    told = [one for one in caplog.messages if "listed no longer" in one]
    assert len(told) == 1 and "80 instance(s)" in told[0] and "and 35 more" in told[0]
