"""Swim lanes through a whole sidecar: a call that comes in names its lane, and those made for it stay there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from peers import Caller, Provider, closing
from proxies import BACKENDS, PATIENCE, inbound, outbound, proxy
from webs2 import GRPC, Server, Stream, asks, calling

from meshfast import dubbo

TAG, TRACE = "x-asm-prefer-tag", "x-request-id"
LANES = """
---
apiVersion: istio.alibabacloud.com/v1
kind: ASMSwimLane
metadata: {{name: {lane}, labels: {{swimlane-group: g}}}}
spec: {{labelSelector: {{lane: {lane}}}, ingressRules: [{{name: r, online: false}}]}}
"""
GROUP = """
---
apiVersion: istio.alibabacloud.com/v1
kind: ASMSwimLaneGroup
metadata: {name: g}
spec:
  services: [{name: com.x.Next, namespace: ns}]
  isPermissive: true
  permissiveModeConfiguration: {fallbackTarget: s1, traceHeader: x-request-id, routeHeader: x-asm-prefer-tag}
"""
CARRIED = """
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: ASMHeaderPropagation
metadata: {name: p}
spec: {headers: [x-user]}
"""


def policy(*instances: tuple[str, int]) -> str:
    """com.x.Next with an instance in each lane."""
    place = "  - {{address: 127.0.0.1, ports: {{any: {}}}, labels: {{lane: {}}}}}"
    lines = [place.format(port, lane) for lane, port in instances]
    head = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: next}\nspec:\n"
    entry = f"{head}  hosts: [com.x.Next]\n  ports: [{{name: any, number: 1}}]\n  endpoints:\n" + "\n".join(lines)
    return entry + "".join(LANES.format(lane=lane) for lane, _ in instances) + GROUP + CARRIED


@pytest.mark.parametrize("backend", BACKENDS)
def test_dubbo(tmp_path: Path, backend: str) -> None:
    async def story() -> None:
        app = await Provider("app").start()
        base, lane = await Provider("s1").start(), await Provider("s2").start()
        listeners = [outbound(), inbound(app.address)]
        text = policy(("s1", base.port), ("s2", lane.port))
        async with closing(app, base, lane), proxy(tmp_path, backend, listeners, text) as running:
            comes, goes = [await Caller.connect(running.address(name)) for name in ("in", "out")]
            async with closing(comes, goes):
                await comes.ask("com.x.App", "a", attachments={TAG: "s2", TRACE: "r1", "x-user": "u1"})

                async def called(**attachments: str) -> tuple[object, dict[str, object]]:
                    said = {name.replace("_", "-"): value for name, value in attachments.items()}
                    answer = await goes.ask("com.x.Next", "b", attachments=said)
                    seen = (lane if answer.value == "s2:b" else base).requests[-1]
                    return answer.value, dict(dubbo.parse_request(seen.raw).attachments)

                value, seen = await called(x_request_id="r1")
                assert (value, seen[TAG], seen["x-user"]) == ("s2:b", "s2", "u1")
                value, seen = await called(x_request_id="r2")
                assert (value, TAG in seen, "x-user" in seen) == ("s1:b", False, False)
                assert (await called(x_asm_prefer_tag="s9"))[0] == "s1:b"
                assert (await called(x_asm_prefer_tag="s2"))[0] == "s2:b"
                await lane.stop()  # nobody is there any more

                async def at_the_base() -> None:
                    while (await called(x_request_id="r1"))[0] != "s1:b":
                        await asyncio.sleep(0.01)

                await asyncio.wait_for(at_the_base(), PATIENCE)

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_grpc(tmp_path: Path, backend: str) -> None:
    seen: list[tuple[str, bytes | None]] = []

    def named(name: str):
        async def handler(stream: Stream) -> None:
            await stream.ended.wait()
            seen.append((name, stream.get(TAG.encode())))
            stream.head([(b":status", b"200"), GRPC, (b"grpc-status", b"0")], end=True)

        return handler

    async def story() -> None:
        async with Server(named("app")) as app, Server(named("s1")) as base, Server(named("s2")) as lane:
            text = policy(*((n, int(s.address.rpartition(":")[2])) for n, s in (("s1", base), ("s2", lane))))
            async with (
                proxy(tmp_path, backend, [outbound(), inbound(app.address)], text) as running,
                calling(running.address("in")) as comes, calling(running.address("out")) as goes,
            ):  # fmt: skip
                await comes.ask(asks("/com.x.App/m", GRPC, (TAG.encode(), b"s2"), (TRACE.encode(), b"r1")))
                for trace in (b"r1", b"r2"):
                    await goes.ask(asks("/com.x.Next/m", GRPC, (TRACE.encode(), trace)))
                await goes.ask(asks("/com.x.Next/m", GRPC, (b"baggage", b"a=b,x-asm-prefer-tag=s2")))
        assert [name for name, _ in seen] == ["app", "s2", "s1", "s2"]
        assert [tag for _, tag in seen[:3]] == [b"s2", b"s2", None]

    asyncio.run(asyncio.wait_for(story(), 60))
