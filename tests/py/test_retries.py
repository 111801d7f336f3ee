"""Calls that are tried again because their rule says so, and those that are not: instances count what they execute."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest
from peers import argument, until
from proxies import BACKENDS, PATIENCE
from retry_world import (
    JSON,
    Act,
    Service,
    Try,
    grpc,
    grpc_late,
    hang_up,
    http,
    ok,
    reset,
    silent,
    status,
    world,
)

from meshfast import dubbo

CANCEL, REFUSED, INTERNAL = 8, 7, 2


def named(on: str) -> dict[str, object]:
    return {"attempts": 2} | ({"retryOn": on} if on else {})


#: retryOn ("" is none written), what every instance does, how often the call is tried.
DUBBO = [
    ("5xx", status(70), 3), ("5xx", status(80), 3), ("5xx", status(60), 3), ("5xx", status(100), 3),
    ("5xx", status(31), 3), ("5xx", status(40), 1), ("5xx", status(25), 1), ("5xx", hang_up, 3),
    ("gateway-error", status(100), 3), ("gateway-error", status(70), 1), ("gateway-error", hang_up, 3),
    ("reset", hang_up, 3), ("reset", status(70), 1), ("reset", status(35), 3), ("connect-failure", hang_up, 1),
    ("resource-exhausted", status(100), 3), ("unavailable", status(60), 3), ("deadline-exceeded", status(30), 3),
    ("70", status(70), 3), ("70,80", status(80), 3), ("70", status(80), 1), ("503", status(80), 1),
    ("", status(70), 1), ("", status(60), 3), ("", hang_up, 1),
]  # fmt: skip

LIMITED = http(503, (b"x-envoy-ratelimited", b"true"))
#: The same of HTTP/2, as Envoy 1.40 and Istio do it.
HTTP = [
    ("5xx", http(500), 3), ("5xx", http(503), 3), ("5xx", http(409), 1), ("5xx", hang_up, 3), ("5xx", LIMITED, 1),
    ("5xx", grpc(14), 1), ("5xx", reset(CANCEL), 3), ("5xx", reset(INTERNAL), 3),
    ("gateway-error", http(500), 1), ("gateway-error", http(504), 3), ("gateway-error", hang_up, 3),
    ("connect-failure", http(503), 1), ("connect-failure", hang_up, 1),
    ("reset", http(503), 1), ("reset", hang_up, 3), ("reset", reset(CANCEL), 3),
    ("reset-before-request", hang_up, 1), ("retriable-4xx", http(409), 3), ("retriable-4xx", http(404), 1),
    ("503", http(503), 3), ("503", http(500), 1), ("503,reset", hang_up, 3), ("envoy-ratelimited", LIMITED, 3),
    ("refused-stream", reset(CANCEL), 1),
    ("cancelled", grpc(1), 3), ("deadline-exceeded", grpc(4), 3), ("resource-exhausted", grpc(8), 3),
    ("internal", grpc(13), 3), ("unavailable", grpc(14), 3), ("unavailable", grpc(13), 1),
    ("unavailable", grpc_late(14), 1), ("5xx", grpc_late(13), 1),
    ("", http(503), 1), ("", grpc(14), 3), ("", grpc(1), 3), ("", grpc_late(14), 1), ("", reset(CANCEL), 1),
    ("", hang_up, 1),
]  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("http2", [False, True])
def test_what_is_tried_again(tmp_path, backend, http2):
    cases = HTTP if http2 else DUBBO
    services = [Service(f"a.S{i}", named(on), (act,), http2) for i, (on, act, _) in enumerate(cases)]

    async def story() -> None:
        async with world(tmp_path, backend, *services) as it:
            for service, (on, act, tries) in zip(services, cases, strict=True):
                said = await (it.http(service) if http2 else it.dubbo(service))
                what = f"{on} {act.__qualname__} {cases.index((on, act, tries))}"
                assert len(service.tries) == tries, what
                assert len({tried.instance for tried in service.tries}) == tries, what  # others than were tried
                last = service.tries[-1].text
                if act is hang_up or "reset" in act.__qualname__:
                    continue
                if isinstance(said, dubbo.Response):  # the last answer as it is
                    assert said.exception == last, what
                else:
                    assert said.get(b"x-said") == last.encode(), what
            retries = sum(tries - 1 for *_, tries in cases)
            used_up = sum(tries == 3 for *_, tries in cases)
            assert await it.counted("retries", "retries_used_up", "retries_succeeded") == (retries, used_up, 0)

    asyncio.run(asyncio.wait_for(story(), 120))


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_retries_what_was_sent_is_not_sent_again(tmp_path, backend):
    acts = [(False, a) for a in (status(80), status(60), hang_up)]
    acts += [(True, a) for a in (http(503), grpc(14), hang_up, reset(CANCEL))]
    services = [
        Service(f"a.S{len(acts) * i + k}", retries, (act,), http2)
        for i, retries in enumerate((None, {}, {"attempts": 0}))
        for k, (http2, act) in enumerate(acts)
    ]

    async def story() -> None:
        async with world(tmp_path, backend, *services) as it:
            for service in services:
                await it.ask(service)
                assert len(service.tries) == 1, service
            assert await it.counted("retries") == (0,)

    asyncio.run(asyncio.wait_for(story(), 120))


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_ends_well(tmp_path, backend):
    retries = {"attempts": 3, "retryOn": "5xx"}
    plain = Service("a.Plain", retries, (status(80), hang_up, ok))
    flows = Service("a.Flows", retries, (http(500), reset(CANCEL), ok), True)

    async def story() -> None:
        async with world(tmp_path, backend, plain, flows) as it:
            assert (await it.dubbo(plain)).value == "try 3"
            body = b"\0\0\0\0\5hello" * 50
            said = await it.http(flows, (b"x-mine", b"1"), body=body)
            assert (said.get(b"grpc-status"), said.get(b"x-said")) == (b"0", b"try 3")
            assert [bytes(tried.stream.body) for tried in flows.tries] == [body] * 3
            assert all(tried.stream.fields == flows.tries[0].stream.fields for tried in flows.tries)
            requests = [tried.frame.raw[16:] for tried in plain.tries]
            assert requests == requests[:1] * 3
            names = ("retries", "retries_succeeded", "retries_answer", "retries_reset", "retries_timeout")
            assert await it.counted(*names) == (4, 2, 2, 2, 0)

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_content_that_is_still_coming_goes_to_whom_it_is_tried_on(tmp_path, backend):
    """All of it, and once: what had come before the answer, while the call waited, and behind that."""
    retries = {"attempts": 2, "retryOn": "5xx", "backoff": "20ms"}
    flows = Service("a.Flows", retries, (http(503), reset(CANCEL), silent), True, early=True)
    parts = [bytes([65 + i]) * 3000 for i in range(12)]

    async def story() -> None:
        async with world(tmp_path, backend, flows) as it:
            asked = it.peer.open(it.fields(flows))
            for part in parts:
                await asked.data(part)
                await until(lambda: len(flows.tries) > 0)
                await it.counted("retries")
            await asked.data(b"", True)
            await until(lambda: len(flows.tries) == 3)
            last = flows.tries[2]
            await asyncio.wait_for(last.stream.ended.wait(), PATIENCE)
            assert bytes(last.stream.body) == b"".join(parts)
            ok(last)
            await asyncio.wait_for(asked.ended.wait(), PATIENCE)
            assert (asked.get(b"grpc-status"), asked.get(b"x-said")) == (b"0", b"try 3")

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_try_takes_no_longer_than_it_may(tmp_path, backend):
    """And all of them together no longer than the call."""
    on = {"attempts": 2, "retryOn": "reset", "perTryTimeout": "60ms", "backoff": "1ms"}
    patient = on | {"perTryTimeout": "900ms"}
    services = [
        Service("a.Slow", patient, (silent, silent, ok)), Service("a.Slow2", patient, (silent, silent, ok), True),
        Service("a.Never", on, (silent,)), Service("a.Never2", on, (silent,), True),
        Service("a.Useless", on | {"perTryTimeout": "300ms"}, (silent,), timeout="300ms"),
        Service("a.Useless2", on | {"perTryTimeout": "300ms"}, (silent,), True, timeout="300ms"),
    ]  # fmt: skip

    async def story() -> None:
        async with world(tmp_path, backend, *services) as it:
            slow, slow2, never, never2, useless, useless2 = services
            assert (await it.dubbo(slow)).value == "try 3"
            assert (await it.http(slow2)).get(b"x-said") == b"try 3"
            assert (await it.dubbo(never)).status == 31
            assert (await it.http(never2)).get(b"grpc-status") == b"4"
            assert (await it.dubbo(useless)).status == 31
            assert (await it.http(useless2)).get(b"grpc-status") == b"4"
            assert [len(service.tries) for service in services] == [3, 3, 3, 3, 1, 1]
            assert await it.counted("retries_timeout", "retries_used_up") == (8, 2)
            for tried in slow.tries:  # and each is told how long it has
                assert 0 < dubbo.parse_request(tried.frame.raw).timeout <= 900
            for tried in slow2.tries:
                assert tried.stream.get(b"grpc-timeout")
            assert all(tried.stream.code == CANCEL for tried in never2.tries)

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_too_long_is_sent_once(tmp_path, backend):
    """And what is not is sent again as it was, whatever its length."""
    retries = {"attempts": 2, "retryOn": "5xx"}
    plain, flows = Service("a.Plain", retries, (status(80),)), Service("a.flows", retries, (http(503),), True)
    short, long = 900_000, 1_100_000

    async def story() -> None:
        async with world(tmp_path, backend, plain, flows) as it:
            assert (await it.dubbo(plain, "x" * short)).exception == "try 3"
            assert (await it.dubbo(plain, "x" * long)).exception == "try 4"
            sent = [tried.frame.raw[16:] for tried in plain.tries]
            assert sent[:3] == sent[:1] * 3 and len(sent[0]) > short
            assert (await it.http(flows, body=b"x" * short, kind=JSON)).get(b"x-said") == b"try 3"
            assert (await it.http(flows, body=b"y" * long, kind=JSON)).get(b"x-said") == b"try 4"
            assert [len(tried.stream.body) for tried in flows.tries] == [short] * 3 + [long]
            assert await it.counted("retries", "retries_not_kept", "limit_retry_body") == (4, 2, 2)

    asyncio.run(asyncio.wait_for(story(), 120))


class Crowd:
    """What answers nobody until so many have come."""

    def __init__(self, size: int, act: Act) -> None:
        self.size, self.act, self.waiting = size, act, []  # type: int, Act, list[Try] | None

    def __call__(self, tried: Try) -> None:
        if self.waiting is None:
            self.act(tried)
            return
        self.waiting.append(tried)
        if len(self.waiting) == self.size:
            waiting, self.waiting = self.waiting, None
            for each in waiting:
                self.act(each)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_policys_budget_holds(tmp_path, backend):
    """Of 40 calls in flight 20 % may be tried again at once, and of a few three."""
    retries = {"attempts": 1, "retryOn": "5xx", "backoff": "200ms"}
    few, most = {"retryBudget": {"percent": 5, "minRetryConcurrency": 3}}, {"retryBudget": {}}
    services = [
        Service(f"a.S{i}", retries, (Crowd(40, http(503) if i % 2 else status(80)),), bool(i % 2), traffic=traffic)
        for i, traffic in enumerate((most, most, few, few, {}, {}))
    ]

    async def story() -> None:
        async with world(tmp_path, backend, *services) as it:
            for service in services:
                await asyncio.gather(*[it.ask(service) for _ in range(40)])
            tries = [len(service.tries) - 40 for service in services]
            assert all(3 <= n <= 8 for n in tries[:2]), tries
            assert all(1 <= n <= 3 for n in tries[2:4]), tries
            assert tries[4:] == [40, 40]
            assert await it.counted("retries", "retries_over_budget") == (sum(tries), 160 - sum(tries[:4]))

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_limits_hold_whatever_rules_say(tmp_path, backend):
    """At most a fifth of the calls and ten a second, over all workers; each service has its own."""
    calls, at_once = 400, 20
    retries = {"attempts": 3, "retryOn": "5xx", "backoff": "1ms"}
    services = [Service("a.Plain", retries, (status(80),)), Service("a.Flows", retries, (http(503),), True)]
    other = Service("a.Other", retries, (status(80), ok))

    async def story() -> None:
        async with world(tmp_path, backend, *services, other, limits={}, workers=2) as it:
            began = time.monotonic()
            for service in services:
                for _ in range(calls // at_once):
                    await asyncio.gather(*[it.ask(service) for _ in range(at_once)])
            most = calls // 5 + 10 * (time.monotonic() - began + 1) + 2
            for service in services:
                tries = len(service.tries) - calls
                assert calls // 10 <= tries <= most, (service.name, tries, most)
            assert (await it.counted("limit_retry_percent"))[0] > 0
            while time.monotonic() - began < 0.5:  # five a second for each worker since it began: one takes 0.2 s
                await asyncio.sleep(0.01)
            assert (await it.dubbo(other)).value == "try 2"

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_executed_more_often_than_its_rule_allows(tmp_path, backend):
    """Whatever instances do: each call is told apart by its argument."""
    acts = [status(80), hang_up, ok, status(70), silent, ok, ok, status(31), ok]
    retries = {"attempts": 2, "retryOn": "5xx,reset", "perTryTimeout": "300ms", "backoff": "1ms"}
    service = Service("a.Plain", retries, tuple(acts * 40))
    none = Service("a.None", None, tuple(acts * 40), timeout="300ms")

    async def story() -> None:
        async with world(tmp_path, backend, service, none) as it:
            for one, most in ((service, 3), (none, 1)):
                for i in range(60):
                    await asyncio.gather(*[it.dubbo(one, f"{i}.{k}") for k in range(3)])
                executed = Counter(argument(tried.frame) for tried in one.tries)
                assert max(executed.values()) <= most and len(executed) > 150, executed
            assert it.caller.strays == []

    asyncio.run(asyncio.wait_for(story(), 120))


@pytest.mark.parametrize("backend", BACKENDS)
def test_another_rule_holds_from_the_next_call_on(tmp_path, backend):
    services = [Service("a.Plain", None, (status(80),)), Service("a.Flows", None, (http(503),), True)]

    async def story() -> None:
        async with world(tmp_path, backend, *services) as it:
            for attempts in (0, 2, 1):
                for service in services:
                    service.retries = {"attempts": attempts, "retryOn": "5xx"} if attempts else {"attempts": 0}
                it.write(*services)
                for service in services:

                    async def tries(service: Service = service) -> int:
                        before = len(service.tries)
                        await it.ask(service)
                        return len(service.tries) - before

                    async with asyncio.timeout(PATIENCE):
                        while await tries() != attempts + 1:
                            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_after_each_two_tries_it_goes_to_other_localities(tmp_path, backend):
    """Three levels of two instances and seven retries: as Envoy does it with previous_priorities every 2."""
    own = {"topology.kubernetes.io/region": "r1", "topology.kubernetes.io/zone": "z1"}
    places = ("r1/z1", "r1/z1", "r1/z2", "r1/z2", "r2/z1", "r2/z1")
    retries = {"attempts": 7, "retryOn": "5xx", "backoff": "1ms", "retryRemoteLocalities": True}
    services = [
        Service(f"a.S{i}", retries, (act,), http2, 6, localities=places, traffic={"outlierDetection": {}})
        for i, (http2, act) in enumerate([(False, status(80)), (True, http(503))])
    ]

    async def story() -> None:
        async with world(tmp_path, backend, *services, labels=own) as it:
            for service in services:
                await it.ask(service)
                assert [tried.instance // 2 for tried in service.tries] == [0, 0, 1, 1, 2, 2, 0, 0]
                assert sorted(tried.instance for tried in service.tries[:6]) == [*range(6)]

    asyncio.run(asyncio.wait_for(story(), 60))
