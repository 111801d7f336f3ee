"""Dubbo's rule documents before Apache Dubbo's own routers and before us: the same providers are left, in the same
shares. No call is sent. MESHFAST_RULES: another seed, and how many cases ("7:1000").
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest
from conftest import obtain
from harness.judge import SERVICE, Call, Case, JudgeJava, Verdict
from harness.judge_cases import cases
from harness.judge_ours import compare
from harness.judge_rules import configurator
from harness.judge_vectors import GROUP, PLAIN, Vector, overridden, vectors

SEED, N = map(int, os.environ.get("MESHFAST_RULES", "1:150").split(":"))
Judged = list[tuple[Case, Verdict]]
Known = list[tuple[Vector, Verdict]]
#: Of 4,000 rounds: more than five times what chance makes of a half.
APART = 170


@pytest.fixture(scope="module")
def judge() -> Iterator[JudgeJava]:
    judge = obtain(JudgeJava)
    yield judge
    judge.close()


@pytest.fixture(scope="module")
def judged(judge: JudgeJava) -> Judged:
    return [(case, judge.ask(case)) for case in cases(SEED, N)]


@pytest.fixture(scope="module")
def known(judge: JudgeJava) -> Known:
    return [(vector, judge.ask(vector.case)) for vector in vectors()]


def test_the_judge_is_who_it_says(judge: JudgeJava) -> None:
    assert judge.version.startswith("3.3.")


def test_what_is_known_of_rules(known: Known) -> None:
    wrong = []
    for vector, verdict in known:
        (counts,) = verdict.calls
        left = vector.left(counts)
        wanted = {name: share * vector.case.rounds / 100 for name, share in vector.shares.items()}
        slack = APART if len(wanted) > 1 else 0
        if any(abs(left.get(name, 0) - wanted.get(name, 0)) > slack for name in {*left, *wanted}):
            wrong.append(f"{vector.case}\nis {left}, not {wanted}")
    assert not wrong, "\n\n".join(wrong)


def test_what_is_known_of_configurators(judge: JudgeJava) -> None:
    wrong = []
    for documents, providers, wanted in overridden():
        case = Case("vector", tuple(providers.values()), documents, (Call(),))
        told = [one.get("timeout") for one in judge.ask(case).params]
        if told != wanted:
            wrong.append(f"{case}\nis {told}, not {wanted}")
    assert not wrong, "\n\n".join(wrong)


def test_a_configurator_of_a_group_is_for_that_group(judge: JudgeJava) -> None:
    rule = configurator({"side": "consumer", "parameters": {"timeout": 500}}, key=f"g/{SERVICE}:1.0")
    case = Case("group", (*PLAIN.values(), *GROUP.values()), (rule,), (Call(),), {"group": "g", "version": "1.0"})
    assert [one.get("timeout") for one in judge.ask(case).params] == [None, None, "500"]


def outcome(case: Case, counts: dict[str, int]) -> str:
    left = max(len(one.split()) for one in counts)
    if len(counts) > 1:
        return "several"
    return "nobody" if left == 0 else "all" if left == len(case.providers) else "some"


def test_the_cases_have_every_outcome(judged: Judged) -> None:
    found = Counter(outcome(case, counts) for case, verdict in judged for counts in verdict.calls)
    assert all(found[one] > N / 25 for one in ("several", "nobody", "some", "all")), found
    assert all(case.weighted or outcome(case, c) != "several" for case, verdict in judged for c in verdict.calls)


def test_we_decide_alike(judged: Judged) -> None:
    unlike = [f"{case}\n{line}" for case, verdict in judged for line in compare(case, verdict)]
    assert not unlike, f"{len(unlike)} calls, of which the first:\n" + "\n\n".join(unlike[:5])


def test_we_decide_alike_what_is_known(known: Known) -> None:
    told = [(one.case, verdict) for one, verdict in known if one.ours]
    unlike = [f"{case}\n{line}" for case, verdict in told for line in compare(case, verdict)]
    assert not unlike, "\n\n".join(unlike)


def test_a_difference_is_seen(judge: JudgeJava) -> None:
    rule = configurator({"side": "consumer", "parameters": {"timeout": 5}})
    case = Case("seen", tuple(PLAIN.values()), (rule,), (Call(),), many=4000)
    told = judge.ask(case)
    first, second = (one.address for one in case.providers)
    assert compare(case, told) == []
    for counts in ({first: 3}, {"": 3}, {first: 1400, second: 2600}, {f"{first} {second}": 3600, "": 400}):
        assert compare(case, Verdict([counts], told.params)), counts
    assert compare(case, Verdict(told.calls, [{**one, "timeout": "6"} for one in told.params]))
