"""No listing refuses a configuration: what contradicts policy stays as it was, and everything else goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
import yaml
from config_mesh import Doc, entry, rule, to, virtual
from peers import until
from registered import MAIN, World, instance, offer, places, play

from meshfast import config
from meshfast.config import Report, Text
from meshfast.config.listed import Listed
from meshfast.errors import ConfigError, Problem
from meshfast.model import Mesh, Origin
from meshfast.registry import Instance
from meshfast.source import Event, Good, Moved
from meshfast.source.accept import ATTEMPTS, Accepting

S = "com.x.Hello"
SIDE = {"apiVersion": "meshfast.io/v1", "kind": "Sidecar", "spec": {"registries": [MAIN]}}
#: More cases than a service may have, where its instances have all of these labels.
MANY = {
    "scope": "service", "key": S, "configVersion": "v3.0",
    "conditions": [f"method=m{i} => k{i}=v" for i in range(12)],
}  # fmt: skip
PICKY = rule("com.x.Picky", "v1")


class Picky(config.Loader):
    """Refuses, at a place of policy, instances labelled ``bad``, as long as a file has the document PICKY."""

    loads = 0

    def build(self, texts: list[Text], report: Report, listed: Sequence[Listed] = ()) -> Mesh:
        self.loads += 1
        mesh = super().build(texts, report, listed)
        names = [one.offer.service for one in listed for i in one.offer.instances if "bad" in i.parameters]
        if names and any(b"com.x.Picky" in text.data for text in texts):
            raise ConfigError([Problem(Origin(texts[0].name, 7, 1), f"too many cases for {names[0]}")])
        return mesh


class Play:
    def __init__(self, *documents: Doc) -> None:
        self.picky = Picky()
        self.accepting = Accepting(self.picky)
        self.policy(*documents)

    def policy(self, *documents: Doc) -> None:
        data = yaml.safe_dump_all([SIDE, *documents], sort_keys=False).encode()
        self.texts = [Text("f.yaml", data)]

    def build(self, **listed: Sequence[Instance]) -> Mesh:
        names = {one: f"com.x.{one}" for one in listed}
        self.offers = {names[one]: (Listed(offer(names[one], *some), "registry main"),) for one, some in listed.items()}
        return self.again()

    def again(self) -> Mesh:
        return self.accepting.build(self.texts, Report(), self.offers)


def hosts(mesh: Mesh) -> dict[str, int]:
    return {name: len(one.endpoints) for name, one in mesh.clusters.items() if name != "com.x.Picky"}


def some(n: int, **labels: str) -> list[Instance]:
    return [instance(f"10.0.0.{i + 1}:1", **labels) for i in range(n)]


def bad(n: int) -> list[Instance]:
    return some(n, bad="1")


def test_what_rules_cannot_bear_is_held() -> None:
    it = Play(MANY)
    every = [instance(f"10.0.0.{i + 1}:1", **{f"k{j}": "v" for j in range(12) if i != j}) for i in range(12)]
    mesh = it.build(Hello=every, Other=some(3))
    assert hosts(mesh) == {S: 0, "com.x.Other": 3}
    assert list(it.accepting.held) == [S] and "come to more than" in it.accepting.held[S]


def test_a_listing_that_the_rules_cannot_bear_stays_as_it_was() -> None:
    it = Play(PICKY)
    before = hosts(it.build(Hello=some(1), Other=some(1)))
    assert before == {S: 1, "com.x.Other": 1} and it.accepting.held == {}
    mesh = it.build(Hello=bad(4), Other=some(3), New=some(2))
    assert hosts(mesh) == {S: 1, "com.x.Other": 3, "com.x.New": 2}
    assert list(it.accepting.held) == [S] and "too many cases" in it.accepting.held[S]
    assert hosts(it.again()) == hosts(mesh) and list(it.accepting.held) == [S]  # nor is it tried again
    # Less of it fits; so it does when policy is another one.
    assert hosts(it.build(Hello=some(2)))[S] == 2 and it.accepting.held == {}
    it.build(Hello=bad(4))
    it.policy(virtual([S], {"route": [to()]}))
    assert hosts(it.again())[S] == 4 and it.accepting.held == {}


def test_the_same_at_the_start() -> None:
    it = Play(PICKY)
    assert hosts(it.build(Hello=bad(4), Other=some(3))) == {"com.x.Other": 3}
    assert list(it.accepting.held) == [S]


def test_what_is_wrong_with_policy_is_told_as_ever() -> None:
    it = Play(virtual([S], {"route": [to("nope")]}))
    with pytest.raises(ConfigError, match="subset nope is not declared"):
        it.build(Hello=some(2))
    it.policy(virtual([S], {"rout": []}))
    with pytest.raises(ConfigError, match="rout"):
        it.again()
    it.policy(virtual([S], {"route": [to()]}))
    assert hosts(it.again()) == {S: 2}


def test_new_policy_that_what_is_listed_contradicts_is_taken_all_the_same() -> None:
    it = Play()
    it.build(Hello=bad(4), Other=some(1))
    it.policy(PICKY)
    mesh = it.again()
    assert hosts(mesh) == {"com.x.Other": 1} and list(it.accepting.held) == [S]


def test_an_application_of_a_file_is_called_as_a_service() -> None:
    ports = [{"number": 1, "protocol": "DUBBO"}]
    own = entry("com.x.Hello", ("a.Cart",), ports=ports, endpoints=[{"address": "10.1.1.1"}])
    it = Play(own)
    mesh = it.build(Hello=some(2), Other=some(1))
    assert hosts(mesh) == {"com.x.Hello": 1, "com.x.Other": 1} and mesh.clusters[S].hosts == ("a.Cart",)
    assert [*it.accepting.left_out.values()] == ["a ServiceEntry of a file is called so"]


@pytest.mark.parametrize("wrong", [1, 2, 5])
def test_some_of_very_many_are_found(wrong: int) -> None:
    it = Play(PICKY)
    mesh = it.build(**{f"S{i}": bad(4) if i % 10 == 0 and i < 10 * wrong else some(4) for i in range(64)})
    assert sorted(it.accepting.held) == sorted(f"com.x.S{i}" for i in range(0, 10 * wrong, 10))
    assert sum(n == 4 for n in hosts(mesh).values()) == 64 - wrong


def test_one_that_is_named_is_found_at_once() -> None:
    it = Play(PICKY)
    it.build(**{f"S{i}": bad(4) if i == 500 else some(4) for i in range(1000)})
    assert list(it.accepting.held) == ["com.x.S500"]
    assert it.picky.loads <= 6  # all, none, all but those that are named (com.x.S5, S50, S500), and these one by one


def test_where_too_many_do_not_fit_they_stay_as_they_were() -> None:
    it = Play(PICKY)
    good = {f"S{i}": some(1) for i in range(ATTEMPTS)}
    it.build(**good)
    mesh = it.build(**{name: bad(2) for name in good}, A=some(1))
    assert all(n == 1 for n in hosts(mesh).values()) and len(it.accepting.held) >= ATTEMPTS


def test_services_that_go_go_while_another_is_held() -> None:
    it = Play(PICKY)
    it.build(Hello=some(1), Other=some(1))
    assert hosts(it.build(Hello=bad(4))) == {S: 1}
    assert hosts(it.build()) == {} and it.accepting.held == {}


def test_one_application_s_listing_never_makes_a_destination_ambiguous(tmp_path: Path) -> None:
    policy = virtual(["com.x.Front"], {"route": [to(host=S)]})

    async def body(it: World) -> None:
        it.write(policy)
        it.says["main"] = {"com.x.Front": (), S: (offer(S, "10.0.0.1:1", version="2"),)}
        event = await it.next()
        assert target(event) == f"{S}:2"
        it.main.list(S, offer(S, "10.0.0.1:1", version="2"), offer(S, "10.0.0.2:1", version="1"))
        assert target(await it.next()) == f"{S}:1"
        it.main.list(S, offer(S, "10.0.0.1:1", version="2"), offer(S, "10.0.0.2:1", group="z"), offer(S, "10.0.0.3:1"))
        assert target(await it.next()) == S and it.shown.held == {}

    def target(event: object) -> str:
        assert isinstance(event, (Good, Moved))
        (front,) = [one for one in event.mesh.services if one.name == "com.x.Front"]
        return front.rules[0].targets[0].cluster

    play(tmp_path, body)


def test_held_listings_are_told_and_policy_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body(it: World) -> None:
        it.source._accepting = Accepting(Picky())
        it.write(PICKY, virtual([S], {"route": [to()]}))
        it.says["main"] = {S: (offer(S, "10.0.0.9:1"),), "com.x.Picky": ()}
        await it.next()
        it.main.list(S, offer(S, *bad(4)))
        it.write(PICKY, rule(S, "v1"))
        event = await it.until(lambda event: bool(it.shown.held))
        assert places(event, S) == ["10.0.0.9:1"]
        assert "the listing of com.x.Hello stays as it was, as it contradicts policy" in caplog.text
        it.write(rule(S, "v1"))
        event = await it.until(lambda event: isinstance(event, Good) and not it.shown.held)
        assert len(places(event, S)) == 4

    play(tmp_path, body)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_listed_and_written_it_ends_as_a_first_start_would(tmp_path: Path, seed: int) -> None:
    """Both change at once, again and again, to good and to bad."""
    random = Random(seed)
    services = [f"com.x.S{i}" for i in range(6)]
    every = {**MAIN, "services": ["*"], "emptyProtection": False}
    policies = [
        [virtual([services[0]], {"route": [to("v1")]}), rule(services[0], "v1")],
        [virtual(["*"], {"route": [to()]})],
        [PICKY],
        [entry("own", (services[2],), ports=[{"number": 1, "protocol": "DUBBO"}], endpoints=[{"address": "10.1.1.1"}])],
        [virtual([services[3]], {"route": [to("nope")]})],
    ]
    strange = [Instance("x"), Instance("10.0.0.1:70000"), Instance("10.0.0.1:1", "hessian"), Instance("[::1]:5", "tri")]
    events: list[Event] = []

    async def body(it: World) -> None:
        async def take() -> None:
            async for event in it.events:
                events.append(event)
                if isinstance(event, Good) and random.random() < 0.1:
                    it.source.refuse()

        it.source._accepting = Accepting(Picky())
        it.write(registries=[every])
        it.says["main"] = {services[0]: ()}
        taking = asyncio.create_task(take())
        await until(lambda: bool(events), 20)
        for _ in range(30):
            if random.random() < 0.3:
                chosen = random.sample(policies[:-1], 2) if random.random() < 0.7 else [policies[-1]]
                it.write(*(one for each in chosen for one in each), registries=[every])
            elif random.random() < 0.3:
                it.main.list(random.choice(services))
            else:
                found = [*random.choice([some(1), some(3), bad(4)]), *random.sample(strange, 2)]
                it.main.list(random.choice([*services, "bad name", "a/b"]), offer("any", *found))
            if random.random() < 0.3:
                before = len(events)
                it.main.list(services[5], offer(services[5], *some(random.randrange(1, 200))))
                await until(lambda before=before: len(events) > before or not it.shown.dirty, 20)  # type: ignore[misc]
        random.random = lambda: 1.0  # type: ignore[method-assign]
        it.write(virtual(["*"], {"timeout": "3s", "route": [to()]}), registries=[every])
        it.main.list("com.x.End", offer("com.x.End", *some(1)))
        await until(ended, 20)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        good = [one for one in strange if one.address == "[::1]:5"]
        wanted = {
            name: sum(one in good or one.address.startswith("10.") and one not in strange for one in found[0].instances)
            for name, found in it.says["main"].items()
            if found and name.startswith("com.x.")
        }
        last = events[-1]
        assert isinstance(last, (Good, Moved)) and hosts(last.mesh) == {name: n for name, n in wanted.items() if n}

    def ended() -> bool:
        last = events[-1]
        if not isinstance(last, (Good, Moved)) or "com.x.End" not in last.mesh.clusters:
            return False
        return any(one.rules[0].timeout_ms == 3000 for one in last.mesh.services)

    play(tmp_path, body)
