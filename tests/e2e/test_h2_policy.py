"""Equal calls by a policy that is replaced under way: what explain says of the running sidecar is what happens."""

from __future__ import annotations

import json
import subprocess
import sys

from harness import mesh
from harness.grpc import SERVICE
from harness.h2peer import Peer
from harness.h2world import Caller, Provider, Stream, World
from harness.process import HOST, PROJECT, until
from harness.sidecar import Sidecar
from harness.through import Through, entry

MARK, AT_ONCE = "same", 75


def shares(**weights: int) -> list[mesh.Document]:
    """A rule that gives each environment its share."""
    documents = mesh.header_policy(SERVICE, "unused")
    route = [{"destination": {"host": mesh.APP, "subset": env}, "weight": share} for env, share in weights.items()]
    documents[1]["spec"]["http"] = [{"name": "shares", "route": route}]
    return documents


def explained(sidecar: Sidecar) -> dict[str, float]:
    """What the running sidecar would do with such a call."""
    command = [sys.executable, "-m", "meshfast", "explain", "--admin", f"http://{HOST}:{sidecar.admin}"]
    command += ["--http", f"/{SERVICE}/ask", "--header", "content-type: application/grpc", "-o", "json"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=PROJECT).stdout)
    branches = told["branches"] or [{"subset": told["subset"], "share": 100.0}]
    return {branch["subset"]: branch["share"] for branch in branches if branch["share"]}


class Calls:
    """Equal calls of one caller, answered as they come."""

    def __init__(self, caller: Caller, **providers: Provider) -> None:
        self.caller, self.providers = caller, providers
        self._answered: dict[Peer, int] = {}

    def make(self, count: int) -> dict[str, int]:
        """So many; how many came where."""
        before = {env: len(one.find(MARK)) for env, one in self.providers.items()}
        while count > 0:
            batch = [self.caller.call(MARK) for _ in range(min(AT_ONCE, count))]
            count -= len(batch)

            def ends(batch: list[Stream] = batch) -> bool:
                for peer in [peer for one in self.providers.values() for peer in list(one.peers)]:
                    numbers = list(peer.marks.get(MARK, ()))
                    for number in numbers[self._answered.get(peer, 0) :]:
                        Stream(peer, number).answer()
                    self._answered[peer] = len(numbers)
                return all(call.is_over for call in batch)

            until("all answered", ends)
            assert {call.status() for call in batch} == {"0"}
        return {env: len(one.find(MARK)) - before[env] for env, one in self.providers.items()}


def test_replaced(behind: Through, world: World) -> None:
    """Weights, other weights, all to one, an instance less: explain and the wire agree from the change on."""
    base, dev, third = (world.provider() for _ in range(3))
    instances = [(base.port, {"env": "base"}), (dev.port, {"env": "dev"}), (third.port, {"env": "dev"})]
    caller = world.caller(*behind.by(shares(base=90, dev=10), *instances))
    sidecar = behind.sidecars[-1]
    addresses = behind.addresses
    calls = Calls(caller, base=base, dev=dev, third=third)
    assert explained(sidecar) == {"base": 90.0, "dev": 10.0}
    came = calls.make(600)
    assert 23 <= came["dev"] + came["third"] <= 97  # five times what chance makes of it
    assert min(came.values()) > 3

    def replace(rules: list[mesh.Document], listed: list[int], wanted: dict[str, float]) -> None:
        sidecar.write("mesh", [entry([addresses[i] for i in listed]), *rules])
        until("the new policy", lambda: explained(sidecar) == wanted)

    replace(shares(base=10, dev=90), [0, 1, 2], {"base": 10.0, "dev": 90.0})
    came = calls.make(600)
    assert 23 <= came["base"] <= 97
    replace(shares(dev=100), [0, 1, 2], {"dev": 100.0})
    came = calls.make(150)
    assert came["base"] == 0
    assert min(came["dev"], came["third"]) > 20
    replace(shares(base=100), [0, 1, 2], {"base": 100.0})
    assert calls.make(150) == {"base": 150, "dev": 0, "third": 0}
    replace(shares(dev=100), [0, 1], {"dev": 100.0})
    assert calls.make(150) == {"base": 0, "dev": 150, "third": 0}
