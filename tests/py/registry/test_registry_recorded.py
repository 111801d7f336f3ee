"""What real peers leave in a real ZooKeeper, as ``tests/e2e/record_registry.py`` wrote it down: each is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_registry_instance import metadata_info, service
from zoo import until
from zoo_world import world

from meshfast.registry import EVERY
from meshfast.registry.instance import info_of
from meshfast.registry.metadata import read_answer

RECORDED = sorted(Path(__file__).with_name("recorded").glob("*.json"))
SERVICE = "meshfast.peer.PeerService"


@pytest.mark.parametrize("path", [each for each in RECORDED if SERVICE in each.read_text()], ids=lambda each: each.stem)
def test_a_peer_is_found_as_it_registered(path):
    recorded = json.loads(path.read_text())
    told, nodes = recorded["told"], recorded["nodes"]

    @world
    async def run(w):
        for name, node in nodes.items():
            w.zoo.put(name, node["data"].encode())

        async def ask(protocol, host, port, application, revision):
            assert host == "10.0.0.7" and application == "peer"
            if recorded["metadata"] is None:  # it speaks no Dubbo2
                assert protocol == "tri" and port == 20880
                return info_of(metadata_info(service(SERVICE, "tri", params={"application": "peer"})))
            found = read_answer(bytes.fromhex(recorded["metadata"]["answer"]))
            assert found.revision == revision
            return found

        w.registry._applications._ask = ask
        w.registry.start()
        w.registry.want([EVERY])
        await until(lambda: w.now.get(SERVICE))
        [offer] = w.now[SERVICE]
        assert (offer.group, offer.version) == (told.get("group", ""), told.get("version", ""))
        for each in offer.instances:
            assert each.address.startswith("10.0.0.7:") and each.protocol == told.get("protocol", "dubbo")
            assert each.application == "peer"
            for name in ("dubbo.tag", "env"):
                assert each.parameters.get(name) == told.get(name)
            if path.stem.startswith("java"):  # dubbo-go says 0, whatever it is told
                assert each.parameters.get("weight") == (str(told["weight"]) if "weight" in told else None)
        assert w.registry.state.refused == {}
        assert not [each for each in nodes if f"/{SERVICE}/providers/" in each] or "10.0.0.7:20880" in [
            each.address for each in offer.instances
        ]

    run()


def test_there_are_recordings():
    assert len(RECORDED) >= 15
