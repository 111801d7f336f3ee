"""Guards as operators see them: metrics, the page of clusters, explain, the log."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest
from engines import PATIENCE, play
from guarded import ERROR, PROTOCOLS, SERVICE, DubboInstance, guarded, policy
from peers import Caller, closing
from proxies import outbound, proxy

from meshfast import guards
from meshfast.eventlog import EventLog
from meshfast.explain import explain
from meshfast.exposition import pieces

RULES = {
    "outlierDetection": {"maxEjectionPercent": 100, "baseEjectionTime": "300s"},
    "connectionPool": {"http": {"http2MaxRequests": 7}},
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_shown(protocol: str, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with guarded("epoll", protocol, 3, RULES) as world:
            bad = world.instances[1]
            bad.status = ERROR[protocol]
            async with asyncio.timeout(PATIENCE):
                while world.out() != [1]:
                    await world.call()
            table, address = world.side.table, f"127.0.0.1:{bad.port}"

            page = "".join(pieces(guards.families(table.native.guards())))
            for line in (
                'meshfast_guard_active{host="cart",subset=""} 0',
                'meshfast_guard_ejected{host="cart",subset=""} 1',
                'meshfast_guard_ejections_total{host="cart",subset="",reason="errors"} 1',
                'meshfast_guard_limit{host="cart",subset="",what="requests"} 7',
                'meshfast_guard_refused_total{host="cart",subset="",what="requests"} 0',
            ):
                assert f"\n{line}\n" in page, page
            assert 'what="pending"' not in page

            (seconds,) = guards.ejected(table, "cart", "").values()
            assert 290 < seconds <= 310 and guards.ejected(table, "cart", "v1") == {}
            told = explain(table, "com.x.Cart")
            assert told["why"].startswith(f"instance {address} is ejected for another 3") and told["address"]
            assert guards.out_of(table).keys() == {("cart", address)}

            with caplog.at_level(logging.INFO, "meshfast"):
                EventLog().take(world.side.engine.events())
            assert any(f"peer ejected {address}: for 3" in one for one in caplog.messages)

    play(story)


def test_the_page_of_clusters(tmp_path: Path) -> None:
    async def story() -> None:
        bad, good = await DubboInstance().start(), await DubboInstance().start()
        bad.status = ERROR["dubbo"]
        text = policy([bad, good], RULES, False)
        text = text.replace('"address":', '"locality": "hz/a", "address":')
        async with closing(bad, good), proxy(tmp_path, "epoll", [outbound()], text) as side:
            caller = await Caller.connect(side.address("out"))
            async with closing(caller), asyncio.timeout(PATIENCE):
                while "peer ejected" not in side.log:
                    await caller.ask(SERVICE)
                (cart,) = json.loads(await side.get("/clusters"))
                first, second = cart["endpoints"]
                assert 290 < first["ejected"][""] <= 310 and "ejected" not in second
                assert [one.get("locality") for one in (first, second)] == ["hz/a"] * 2
                assert (await side.counters())["ejections_errors"] == 1
            assert f"peer ejected {bad.address}: for 3" in side.log

    play(story)
