"""The demonstration of data centres: how it judges, and the whole of it, with a good policy and with a wrong one."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest
from engines import BACKENDS
from rich.console import Console

from meshfast import config
from meshfast.demo.documents import write
from meshfast.demo.judge import Call
from meshfast.demo.regions import policy
from meshfast.demo.regions.judge import Death, Timeline, drawn, first, moments, verdict
from meshfast.demo.regions.run import Regions
from meshfast.demo.regions.show import RegionsShow, Report
from meshfast.demo.regions.topology import DEAD, LEFT, START, WELL, answered_in
from meshfast.demo.stage import Options
from meshfast.demo.topology import Gateway, Place
from meshfast.demo.wire import DUBBO, TRIPLE


def call(sent: float, answered: float, value: str, app: str = "cart", protocol: str = DUBBO) -> Call:
    error = "" if value else "the connection ended before the answer came"
    return Call(protocol, "", sent, answered, value, error, app=app)


@pytest.mark.parametrize("text", ["", "cart(gz-1)", "cart(hz-3)", "stock(hz-1)", "cart(hz-1", "[cart: TimeoutError]"])
def test_what_is_no_answer_of_it(text: str) -> None:
    assert answered_in("cart", text) == ""
    assert answered_in("cart", "cart(sh-2)") == "sh"


def story() -> tuple[Timeline, Death]:
    """All is well, from 10 on hz dies and is dead from 12 on; from 20 on cart leaves hz, and has left it from 21 on."""
    timeline = Timeline()
    for stand, begin, settled in ((WELL, 0, 1), (DEAD, 10, 12), (LEFT, 20, 21)):
        timeline.begin(stand, begin)
        timeline.settle(settled)
    return timeline, Death(10, 11)


def test_the_verdict_finds_what_went_wrong() -> None:
    good = [call(1, 2, "cart(hz-1)"), call(9, 10.5, "cart(hz-2)"), call(11, 12, "cart(sh-1)")]
    good += [call(21, 22, "cart(bj-1)"), call(21, 22, "stock(hz-1)", "stock"), call(20.5, 22, "cart(sh-1)")]
    early, stray = call(9, 9.9, "cart(sh-1)"), call(12.5, 13, "cart(bj-1)")
    moved = call(21.5, 22, "stock(bj-1)", "stock")
    cut, later, before = call(9.9, 10.2, ""), call(11.1, 11.2, ""), call(8, 9, "")
    timeline, death = story()
    found = verdict([*good, early, stray, moved, cut, later, before], timeline, death)
    assert (found.sent, found.answered, found.in_flight) == (12, 9, 3)
    assert found.elsewhere == [early, stray, moved]
    assert found.cut == [cut] and found.lost == [later, before]


def test_what_dies_cuts_calls_at_one_moment() -> None:
    def found(*cut: tuple[float, float]) -> bool:
        return verdict([call(*one, "", "stock") for one in cut], Timeline(), Death(0, 100)).cut_as_they_died

    assert found() and found((1, 5), (4, 9), (5, 6), (7, 8))
    assert not found((1, 2), (3, 4), (5, 6))
    assert moments([call(1, 9, ""), call(2, 3, ""), call(2.5, 4, ""), call(5, 6, "")]) == 2


def test_calls_of_a_stand_met_no_other() -> None:
    timeline, _ = story()
    calls = [call(sent, sent + 1, "cart(sh-1)") for sent in (10, 11.5, 12, 19, 19.5, 21)]
    assert dict(timeline.of(DEAD).steady([*calls, call(13, 14, "")])) == {("cart", DUBBO, "sh"): 2}


def test_the_first_call_and_what_chance_gives() -> None:
    calls = [call(1, 2, "cart(bj-1)"), call(5, 5.5, "cart(bj-1)"), call(4, 6, "cart(bj-2)"), call(4, 4.5, "cart(hz-1)")]
    assert first(calls, "cart", DUBBO, "bj", 4) == 1.5
    assert first(calls, "cart", TRIPLE, "bj", 4) == float("inf")
    assert drawn(100, 7, 7) and drawn(0, 0, 7) and drawn(50, 240, 444)
    assert not drawn(100, 6, 7) and not drawn(0, 1, 7) and not drawn(50, 150, 444) and not drawn(0, 0, 0)


def test_its_policy_is_good(tmp_path: Path) -> None:
    places = [Place(instance, *range(20000 + 4 * n, 20004 + 4 * n)) for n, instance in enumerate(START)]
    shared, own = tmp_path / "mesh", tmp_path / "own.yaml"
    shared.mkdir()
    write(shared / "mesh.yaml", policy.mesh(places))
    for text in (*(policy.sidecar(one, "epoll") for one in places), policy.caller(Gateway(1, 2), "epoll")):
        write(own, text)
        for percent in (100, 50):
            write(shared / "switch.yaml", policy.switch(percent))
            _, warned = config.check([shared, own])
            assert warned == []


def run(directory: Path, backend: str) -> tuple[Report, str]:
    """A short one; what is in time on a quiet machine is not asked of this one."""
    printed = io.StringIO()
    show = RegionsShow(Console(file=printed, width=200))
    made = Regions(Options(directory, backend, settle=0.3, live=60), show)
    asyncio.run(made.run())
    return made.report, printed.getvalue()


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_whole_of_it(tmp_path: Path, backend: str) -> None:
    report, printed = run(tmp_path, backend)
    assert [f"{one.name}: {one.detail}" for one in report.checks if not one.good] == []
    assert report.good and printed.rstrip().endswith("all held")
    told = report.as_json()
    assert [one["name"] for one in told["steps"]][3:5] == ["cart has left hz", "half of cart is back"]
    assert "RegionSwitch cart-leaves-hz moves 100 % from hz to bj" in told["steps"][3]["apps"]["cart"]["why"]
    assert told["load"]["sent"] == told["load"]["answered"] + told["load"]["cut"] > 0


def test_a_wrong_policy_does_not_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of hz go on to bj as it dies, and the document names the other application."""
    monkeypatch.setattr("meshfast.demo.regions.run.TAKE_TIMEOUT", 1.0)
    rule, switch = policy.rule, policy.switch
    monkeypatch.setattr(policy, "rule", lambda app: rule(app).replace("to: sh", "to: bj"))
    monkeypatch.setattr(policy, "switch", lambda percent: switch(percent).replace("app: cart", "app: stock"))
    report, printed = run(tmp_path, BACKENDS[0])
    bad = {one.name for one in report.checks if not one.good}
    assert {
        "hz dies: calls go on to sh", "the document moves cart to bj", "then half of it", "stock is not touched by it",
        "each call went where policy allowed at its time", "explain tells each share as it is",
    } <= bad  # fmt: skip
    assert not bad & {"all calls stay near", "lost are only calls in flight as hz died"}
    assert "did not hold: " in printed and not report.good
