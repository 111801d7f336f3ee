"""The demonstration of a registry: how it judges, and the whole of it, as it should be and with a wrong policy."""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from engines import BACKENDS
from rich.console import Console

from meshfast import config
from meshfast.cli import group
from meshfast.demo.documents import write
from meshfast.demo.registry import policy
from meshfast.demo.registry.judge import Times, Window, allowed, verdict
from meshfast.demo.registry.records import Call, Ended, Executed, Lines, Mode, Pen
from meshfast.demo.registry.run import Registry
from meshfast.demo.registry.show import RegistryShow, Report, bar
from meshfast.demo.registry.topology import CALLER, START, Kind, seat
from meshfast.demo.stage import Options
from meshfast.demo.topology import Instance, Ports

#: The sidecar is killed at 10 and calls go another way from 11 on; dev1 is dead from 20 to 25, out of the registry at
#: 21; a planned restart is from 30 to 32.
TIMES = Times(Window(10, 11), Window(30, 32), Window(20, 21), Window(20, 25))


def call(id: str, sent: float, ended: float, value: str = "base", label: str = "", **fields: object) -> Call:
    return Call(id, label, False, "thin", sent, ended, value, **fields)  # type: ignore[arg-type]


def lost(id: str, sent: float, ended: float, error: str = "ConnectionLost", idempotent: bool = False) -> Call:
    return changed(call(id, sent, ended, ""), error=error, idempotent=idempotent)


def changed(one: Call, **fields: object) -> Call:
    return Call(**{name: getattr(one, name) for name in Call.__struct_fields__} | fields)  # type: ignore[arg-type]


def test_what_is_lost_at_a_kill_and_what_fails() -> None:
    cut = [lost("1", 9, 10.5), lost("2", 20.1, 20.2)]
    failed = [
        lost("3", 8, 9), lost("4", 11.1, 12), lost("5", 9, 10.5, "NoInstance"), lost("6", 9, 10.5, idempotent=True),
        lost("7", 31, 31.5), lost("8", 21.5, 22),
    ]  # fmt: skip
    found = verdict([*cut, *failed, call("9", 29, 30)], [Executed(0, "9", "base")], TIMES)
    assert (found.sent, found.answered, found.planned) == (9, 1, 2)
    assert found.cut == cut and found.failed == failed
    assert found.ways == {("thin", Kind("", False), "base"): 1}


def test_who_may_answer() -> None:
    there, gone = call("1", 1, 2, "dev1", "dev1"), call("2", 24, 26, "base", "dev1")
    assert allowed(there, TIMES) == {"dev1"} and allowed(gone, TIMES) == {"dev1", "base"}
    assert allowed(call("3", 24, 26), TIMES) == {"base"}
    early, late, stray = call("4", 1, 2, "base", "dev1"), call("5", 25.1, 26, "base", "dev1"), call("6", 1, 2, "dev1")
    assert verdict([there, gone, early, late, stray], [], TIMES).elsewhere == [early, late, stray]


def test_how_often_a_call_was_executed() -> None:
    once, never, elsewhere = (call(id, 1, 2) for id in "134")
    may = changed(call("2", 1, 2), idempotent=True)
    by = (("1", "base"), ("1", "dev1"), ("2", "base"), ("2", "base"), ("4", "dev1"))
    done = [Executed(0, id, who) for id, who in by]
    found = verdict([once, may, never, elsewhere], done, TIMES)
    assert found.twice == ["1"] and found.repeated == 1
    assert found.unexecuted == [never, elsewhere]


def test_the_bar() -> None:
    fat = changed(call("1", 5, 6), mode="fat")
    assert bar([call("1", 0, 1), fat, lost("2", 6, 7), call("3", 6, 7), call("4", 9.9, 10)], 10) == "=....#x..="
    assert bar([]) == ""


def test_what_was_written_is_read_as_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    lines: Lines[Call | Mode | Ended] = Lines(path, Call | Mode | Ended)
    assert lines.read() == []
    pen, said = Pen(path), [Mode(1.0, "thin"), call("1", 1, 2), Ended(3.0, {"calls": 1})]
    for one in said[:2]:
        pen.write(one)
    assert lines.read() == said[:2]
    with path.open("ab") as file:
        file.write(b'{"type":"Mode","at":')
        file.flush()
        assert lines.read() == said[:2]
        file.write(b'4.0,"mode":"fat"}\n')
    pen.write(said[2])
    pen.close()
    assert lines.read() == [*said[:2], Mode(4.0, "fat"), said[2]]


def test_its_policy_is_good(tmp_path: Path) -> None:
    rules, own, ports = tmp_path / "rules.yaml", tmp_path / "own.yaml", Ports()
    write(rules, policy.RULES)
    for one in START:
        write(own, policy.sidecar(seat(one, ports, str(tmp_path)), "zookeeper://127.0.0.1:2181", "epoll"))
        _, warned = config.check([rules, own])
        assert [problem.path for problem in warned] == ["spec.hosts[0]"]  # no file has an instance for "*"
    ports.close()


def test_without_kazoo_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kazoo.client", None)
    found = CliRunner().invoke(group, ["demo", "registry", "--dir", str(tmp_path)])
    assert found.exit_code == 1
    assert "pip install 'meshfast[zookeeper]'" in found.output


def run(directory: Path, backend: str, kind: type[Registry] = Registry) -> tuple[Report, str]:
    """A short one; how long things take is told, and decides nothing."""
    printed = io.StringIO()
    made = kind(Options(directory, backend, settle=0.1), RegistryShow(Console(file=printed, width=200)))
    asyncio.run(made.run())
    return made.report, printed.getvalue()


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_whole_of_it(tmp_path: Path, backend: str) -> None:
    report, printed = run(tmp_path, backend)
    assert [f"{one.name}: {one.detail}" for one in report.checks if not one.good] == []
    assert report.good and printed.rstrip().endswith("all held")
    told = report.as_json()
    assert {one["service"]: len(one["instances"]) for one in told["registry"]} == {"demo.Shop": 1, "demo.Stock": 2}
    load = told["load"]
    assert load["sent"] == load["answered"] + load["cut"] > 0 and {"=", "#"} <= set(report.bar) <= set("=#x.")
    assert {(one["mode"], one["by"]) for one in load["ways"]} >= {("fat", "base"), ("fat", "dev1")}
    assert "demo.Stock" in printed and "the shop's sidecar is killed (SIGKILL)" in printed


class Wrong(Registry):
    """The sidecar that comes back has another label to register, and the rules forget the calls' own."""

    async def sidecar(self, one: Instance) -> None:
        write(self.mesh / "rules.yaml", policy.RULES.replace("{subset: $env}", "{}"))
        own = policy.sidecar(self.seats[CALLER], self.url, self.options.loop)
        write(self.sidecars / f"{CALLER.file}.yaml", own.replace("{app: shop}", "{app: shop, labels: {zone: a}}"))
        await super().sidecar(one)


def test_a_wrong_policy_does_not_hold(tmp_path: Path) -> None:
    report, printed = run(tmp_path, BACKENDS[0], Wrong)
    bad = {one.name for one in report.checks if not one.good}
    assert bad >= {"labels lead where they should, both ways", "the registry sees nothing of the sidecar's death"}
    assert not bad & {"no call fails that may be repeated", "none is executed twice that must not be"}
    assert "did not hold: " in printed and not report.good
