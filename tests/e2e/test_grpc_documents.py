"""Dubbo's own rules, as its registries hold them, followed for calls of gRPC."""

from __future__ import annotations

from conftest import GrpcPeers
from harness import mesh
from harness.grpc import OK, SERVICE, Grpc
from harness.through import Through

NAMES = "ABC"


def rule(scope: str, key: str, **rest: object) -> mesh.Document:
    return {"configVersion": "v3.0", "scope": scope, "key": key, "enabled": True, **rest}


def test_tags_and_conditions(behind: Through, asking: Grpc, grpc_peers: GrpcPeers) -> None:
    instances = [(grpc_peers.fresh("grpcio", name)[1], {"zone": name}) for name in NAMES]
    gray = {"name": "gray", "match": [{"key": "zone", "value": {"exact": "B"}}]}
    lines = ["method=ask & attachments[uid]=1~10 => zone=C", "method=Ask & attachments[uid]=1~10 => zone=C"]
    rules = [rule("application", mesh.APP, tags=[gray]), rule("service", SERVICE, conditions=lines)]
    ref = asking.refer(*behind.by(rules, *instances))

    def who(**metadata: str) -> set[str]:
        found = set()
        for _ in range(40):
            reply = asking.ask(ref, "ask", b"x", metadata=list(metadata.items()))
            assert reply["code"] == OK, reply["message"]
            found.add(str(reply["body"].partition(b"|")[0].decode()))
        return found

    assert who(**{"dubbo.tag": "gray"}) == {"B"}
    assert who() == {"A", "C"}
    assert who(uid="7") == {"C"}
    assert who(uid="11") == {"A", "C"}
