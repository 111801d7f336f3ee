"""A call whose path is not listed, but whose interface is: two providers of one interface in one application, or a
context path."""

from __future__ import annotations

import pytest
from engines import BACKENDS, play, running
from peers import Caller, Provider, closing, mesh

from meshfast import dubbo

CART = "com.x.Cart"
EVERYTHING = """
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: rest}}
spec:
  hosts: [com.x.Rest]
  ports: [{{number: 1, name: dubbo, protocol: TCP}}]
  endpoints: [{{address: 127.0.0.1, ports: {{dubbo: {port}}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: everything}}
spec:
  hosts: ["{hosts}"]
  http: [{{route: [{{destination: {{host: rest}}}}]}}]
"""


async def asked(caller: Caller, path: str, interface: str | None = CART) -> object:
    """The value, or the status where it is none. ``interface`` None: not said."""
    extra = {} if interface is None else {"interface": interface}
    raw = dubbo.encode_request(next(caller.ids), path, "hi", ("x",), extra)
    if interface is None:
        raw = raw.replace(b"\x09interface", b"\x09interfacf")
    answer = await caller.send(raw)
    return answer.status if answer.status != dubbo.Status.OK else answer.value


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_goes_by_the_interface(backend):
    async def story() -> None:
        base, dev1, beyond = [await Provider(name).start() for name in ("base", "dev1", "off")]
        with running(backend, (base, ""), (dev1, "dev1"), forward=beyond.address) as engine:
            caller = await Caller.connect(engine.address)
            async with closing(base, dev1, beyond, caller):
                for path in ("com.x.Cart2", "shop/com.x.Cart", "", CART):
                    assert await asked(caller, path) == "base:x", path
                answer = await caller.ask("shop/com.x.Cart", attachments={"interface": CART, "env": "dev1"})
                assert answer.value == "dev1:x"
                assert dubbo.parse_request(dev1.requests[0].raw).service == "shop/com.x.Cart"  # as it came
                assert engine.count("calls_unlisted") == 0
                # The path is listed: it is what counts. Neither is: as if there were no sidecar.
                assert await asked(caller, CART, "com.x.Nobody") == "base:x"
                assert await asked(caller, "com.x.Cart2", "com.x.Nobody") == "off:x"
                assert await asked(caller, "com.x.Cart2", "") == "off:x"
                assert await asked(caller, "com.x.Cart2", None) == "off:x"
                assert engine.count("calls_unlisted") == 3

    play(story)


@pytest.mark.parametrize(("hosts", "path"), [("*", "other/com.x.Cart"), ("com.x.*", "com.x.Cart2")])
def test_a_pattern_lists_no_path(hosts, path):
    """Whoever wrote a rule for all the rest did not mean a service that has rules of its own."""

    async def story() -> None:
        base, rest = await Provider("base").start(), await Provider("rest").start()
        policy = mesh((base, "")).replace('hosts: ["*"]', "hosts: [com.x.Cart]") + EVERYTHING.format(
            port=rest.port, hosts=hosts
        )
        with running("epoll", policy=policy) as engine:
            caller = await Caller.connect(engine.address)
            async with closing(base, rest, caller):
                assert await asked(caller, path) == "base:x"
                assert await asked(caller, path, "com.x.None") == "rest:x"
                assert await asked(caller, "com.x.None", path) == "rest:x"
                # Nothing lists the path: by the interface, though a pattern is all that lists that.
                assert await asked(caller, "shop/none", "com.x.None") == "rest:x"

    play(story)


def test_a_peer_that_cannot_be_reached_is_passed_over_by_interface_too():
    async def story() -> None:
        base, gone = await Provider("base").start(), await Provider("gone").start()
        await gone.stop()
        with running("epoll", (base, ""), (gone, "")) as engine:
            caller = await Caller.connect(engine.address)
            async with closing(base, caller):
                for _ in range(20):
                    assert await asked(caller, "com.x.Cart2") == "base:x"

    play(story)
