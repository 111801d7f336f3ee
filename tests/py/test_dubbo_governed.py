"""Dubbo's own rules through a real engine, by calls of Dubbo2 and gRPC, while instances die and rules change."""

from __future__ import annotations

import pytest
from engines import BACKENDS, Running, play, running
from places import CALLS, CART, Box, boxes, die, failover, own, policy, spread

NO_REST_ENDS = {"peerBackoff": 60_000, "peerBackoffMax": 60_000}
HEAD = "configVersion: v3.0\nscope: {scope}\nforce: {force}\nenabled: true\nkey: {key}\n"


def conditions(*lines: str, force: bool = False) -> str:
    head = HEAD.format(scope="service", force=str(force).lower(), key=CART)
    return f"---\n{head}conditions:\n" + "".join(f'- "{line}"\n' for line in lines)


def tags(*names: str, force: bool = False) -> str:
    head = HEAD.format(scope="application", force=str(force).lower(), key="cart")
    listed = "".join(f"- name: {name}\n  match: [{{key: env, value: {{exact: {name}}}}}]\n" for name in names)
    return f"---\n{head}tags:\n{listed}"


async def reach(engine: Running, **headers: str) -> tuple[str, ...]:
    """Whom calls reach, in Dubbo2 and in gRPC; what comes of them where that is nobody."""
    found = []
    for counts in await spread(engine.address, **headers):
        assert sum(counts.values()) == CALLS
        found.append(" ".join(sorted(counts)))
    return tuple(found)


HZ = "hz/a/1"
NOBODY = "status 80"


@pytest.mark.parametrize("backend", BACKENDS)
def test_tags_and_conditions(backend):
    async def story() -> None:
        wanted = [
            Box(f"{env}-{region}", HZ, {"env": env, "region": region})
            for env in ("gray", "plain")
            for region in ("hz", "sh")
        ]
        async with boxes(*wanted) as found:
            base = policy(found, own(HZ, region="hz"))
            with running(backend, policy=base + tags("gray") + conditions("=> region=$region"),
                         limits=NO_REST_ENDS) as engine:  # fmt: skip
                gray = {"dubbo.tag": "gray"}
                assert await reach(engine) == ("plain-hz", "plain-hz")
                assert await reach(engine, **gray) == ("gray-hz", "gray-hz")
                assert await reach(engine, **{"dubbo.tag": "red"}) == ("plain-hz", "plain-hz")
                await die(found[0], engine)
                assert await reach(engine, **gray) == ("gray-sh", "gray-sh")
                await die(found[1], engine)  # the tag has nobody left
                assert await reach(engine, **gray) == ("plain-hz", "plain-hz")
                insists = await reach(engine, **gray, **{"dubbo.force.tag": "true"})
                assert insists[0] == NOBODY and "grpc" in insists[1]
                engine.publish(base + tags("gray", force=True))
                assert (await reach(engine, **gray))[0] == NOBODY
                assert await reach(engine) == ("plain-hz plain-sh", "plain-hz plain-sh")

    play(story)


def test_what_is_near_is_preferred_among_those_of_a_tag():
    async def story() -> None:
        places = [(env, where) for env in ("gray", "plain") for where in (HZ, "sh/a/1")]
        wanted = [Box(f"{env}-{where[:2]}", where, {"env": env}) for env, where in places]
        async with boxes(*wanted) as found:
            setting = failover(failover=[{"from": "hz", "to": "sh"}])
            text = policy(found, own(HZ), trafficPolicy=setting) + tags("gray")
            with running("epoll", policy=text, limits=NO_REST_ENDS) as engine:
                gray = {"dubbo.tag": "gray"}
                assert await reach(engine, **gray) == ("gray-hz", "gray-hz")
                assert await reach(engine) == ("plain-hz", "plain-hz")
                await die(found[0], engine)
                assert await reach(engine, **gray) == ("gray-sh", "gray-sh")
                await die(found[2], engine)
                assert await reach(engine) == ("plain-sh", "plain-sh")

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_call_is_decides(backend):
    async def story() -> None:
        async with boxes(Box("hz", HZ, {"region": "hz"}), Box("sh", HZ, {"region": "sh"})) as found:
            base = policy(found)
            rule = conditions("method=hi & attachments[uid]=1~10 => region=hz", "attachments[uid]!=7 => region=sh")
            with running(backend, policy=base + rule) as engine:
                assert await reach(engine, uid="7") == ("hz", "hz")
                assert await reach(engine, uid="11") == ("sh", "sh")
                assert await reach(engine) == ("hz sh", "hz sh")
                engine.publish(base + conditions("arguments[0]=x => region=sh", "arguments[1]!=x => region=sh"))
                dubbo, grpc = await reach(engine)
                assert (dubbo, grpc) == ("sh", "sh")  # of gRPC no argument is known: it is not x
                engine.publish(base + conditions("arguments[0]=x => region=sh"))
                assert await reach(engine) == ("sh", "hz sh")
                engine.publish(base)
                assert await reach(engine) == ("hz sh", "hz sh")

    play(story)


def test_a_weight_is_for_one_service():
    async def story() -> None:
        async with boxes(Box("a", HZ), Box("b", HZ)) as found:
            address = f"127.0.0.1:{found[0].dubbo.port}"
            config = f"{{side: consumer, providerAddresses: ['{address}'], parameters: {{weight: 99}}}}"
            rule = f"---\nconfigVersion: v3.0\nscope: service\nkey: {CART}\nconfigs: [{config}]\n"
            with running("epoll", policy=policy(found) + rule) as engine:
                for counts in await spread(engine.address, 400):
                    assert counts["a"] > 350

    play(story)
