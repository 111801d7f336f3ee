"""What a request says of a label is its caller's: two sidecars in a row, the first of which has the label itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from peers import Caller, Provider, closing, mesh
from proxies import BACKENDS, PATIENCE, outbound, proxy

from meshfast import dubbo, hessian

CART = "com.x.Cart"
OWN = '["$getContext(x-request-id)", "$localLabel"]'


class Chain:
    """Both proxies, and what stands behind the second."""

    def __init__(self, caller: Caller, base: Provider, dev1: Provider) -> None:
        self.caller, self.base, self.dev1 = caller, base, dev1

    async def ask(self, attachments: dict[str, hessian.Value], *, pairs: bytes = b"") -> tuple[object, dubbo.Request]:
        """The answer and the request as it arrived; ``pairs``: Hessian2 behind the attachments."""
        raw = dubbo.encode_request(next(self.caller.ids), CART, "hi", ("x",), attachments)
        body = raw[dubbo.HEAD_LENGTH : -1] + pairs + b"Z"
        raw = raw[:12] + len(body).to_bytes(4, "big") + body
        answer = await asyncio.wait_for(self.caller.send(raw), PATIENCE)
        provider = self.base if answer.value == "base:x" else self.dev1
        return answer.value, dubbo.parse_request(provider.requests[-1].raw)


@asynccontextmanager
async def chain(folder, backend: str, hosts: str = "") -> AsyncIterator[Chain]:
    base, dev1 = await Provider("base").start(), await Provider("dev1").start()
    async with (
        closing(base, dev1),
        proxy(folder / "two", backend, [outbound()], mesh((base, ""), (dev1, "dev1"))) as second,
    ):
        between = Provider("two", address=second.address("out"))
        policy = mesh((between, "")).replace('["$getContext(x-request-id)"]', OWN)
        if hosts:
            policy = policy.replace("alibabacloud.com/v1\n", "alibabacloud.com/v1beta1\n")
            policy = policy.replace("rules: [{labels:", f"rules: [{{hosts: {hosts}, labels:")
        async with proxy(folder / "one", backend, [outbound()], policy, labels={"env": "dev1"}) as first:
            caller = await Caller.connect(first.address("out"))
            async with closing(caller):
                yield Chain(caller, base, dev1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_label_travels_where_the_request_says_none(tmp_path, backend):
    async def story() -> None:
        async with chain(tmp_path, backend) as it:
            for attachments in ({}, {"env": ""}, {"Env": "no"}):
                value, seen = await it.ask(attachments)
                assert (value, seen.attachments["env"]) == ("dev1:x", "dev1"), attachments
            # Of equal keys the last one counts, and an empty text is none.
            value, seen = await it.ask({"env": "base"}, pairs=hessian.encode("env") + hessian.encode(""))
            assert (value, seen.attachments["env"]) == ("dev1:x", "dev1")

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_the_request_says_stays(tmp_path, backend):
    async def story() -> None:
        async with chain(tmp_path, backend) as it:
            value, seen = await it.ask({"env": "none"})
            assert (value, seen.attachments["env"]) == ("base:x", "none")
            value, seen = await it.ask({"env": ["dev1"]})
            assert (value, seen.attachments["env"]) == ("dev1:x", "dev1")
            value, seen = await it.ask({"env": ["none"]})
            assert (value, seen.attachments["env"]) == ("base:x", "none")
            for other in (["a", "b"], 7, None, True, {"env": "dev1"}):
                value, seen = await it.ask({"env": other})
                assert value == "base:x" and "env" not in seen.attachments, other
            value, seen = await it.ask({"env": ""}, pairs=hessian.encode("env") + hessian.encode(7))
            assert value == "base:x" and "env" not in seen.attachments

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("hosts", "put"),
    [("[com.x.Cart]", True), ("[cart/*]", True), ('["*.Cart"]', True), ("[com.*, a.B]", True), ("[com.x.No]", False)],
)
def test_a_label_travels_to_the_hosts_that_it_is_for(tmp_path, backend, hosts, put):
    async def story() -> None:
        async with chain(tmp_path, backend, hosts) as it:
            value, seen = await it.ask({})
            assert (value, seen.attachments.get("env")) == (("dev1:x", "dev1") if put else ("base:x", None))
            assert (await it.ask({"env": "dev1"}))[0] == "dev1:x"  # its caller's word goes anywhere

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_stamp_overrules_what_is_there():
    """The last of equal keys counts, in what is read as in what was written."""
    raw = dubbo.encode_request(1, CART, "hi", (), {"env": "dev2"})
    once = dubbo.stamp(raw, {"env": "dev1"})
    assert dubbo.parse_request(once).attachments["env"] == "dev1"
    assert dubbo.parse_request(dubbo.stamp(once, {"env": ""})).attachments["env"] == ""
    assert dubbo.parse_request(dubbo.stamp(once, {"Env": "x"})).attachments["env"] == "dev1"
    assert once.startswith(raw[:12]) and raw[dubbo.HEAD_LENGTH : -1] in once
