"""A decision of the table in words: what ``meshfast explain`` and the admin page ``/explain`` show.

The answer is plain data:

``service``, ``method``, ``headers``, ``labels``  what was asked
``http``                                          of an HTTP/2 request its method, scheme, authority and path
``address``                                       where the call goes; "" when it goes nowhere
``error``                                         why it goes nowhere; "" otherwise
``hint``                                          what may have been meant; "" otherwise
``refused``                                       whether the question itself makes no sense
``subset``                                        the subset that took it
``rule``, ``origin``                              the rule that decided, and where it was written
``fallbacks``                                     how many targets were passed over
``timeout_ms``                                    the rule's; 0: none
``answered``                                      how the rule answers itself, in place of an instance; ""
``why``                                           one line: the targets passed over and the reasons
``steps``                                         every step: ``text``, ``origin``, ``outcome`` (+ taken, - passed over)
``branches``                                      the targets that the weights pick from, each with ``target``,
                                                  ``share`` (percent), ``instances`` (how many share its calls), and
                                                  ``address``, ``error``, ``subset``, ``fallbacks``, ``why``, ``steps``

Of several branches, those without "branches" tell of the one with the largest share that goes somewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from meshfast import besides, doing, guards, httpview
from meshfast.config.document import did_you_mean, listed
from meshfast.model import (
    NAMESPACE,
    Cluster,
    Family,
    Field,
    Http,
    Label,
    LabelKind,
    Pattern,
    Rule,
    Service,
    Speaks,
    Subset,
    Target,
    TargetKind,
)
from meshfast.routing import Decision, Step, Table
from meshfast.stepped import meaning, say, step_words
from meshfast.words import Asked

__all__ = ["explain"]

Pairs = list[tuple[str, str]]
Headers = Mapping[str, str] | Iterable[tuple[str, str]]


def explain(
    table: Table, service: str = "", method: str = "", headers: Headers | None = None,
    labels: Mapping[str, str] | None = None, http: Http | None = None, arguments: Iterable[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """Asks the table and puts the answer in words. The same question has the same answer: nothing is drawn.

    An HTTP/2 request says by ``http`` which service and method it means; its headers may be repeated.
    ``arguments``: of a call of Dubbo, as Java's ``String.valueOf`` says them.
    """
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers or ())
    carried, labels, speaks, other, error = dict(pairs), dict(labels or {}), Speaks.DUBBO, "", ""
    if http is not None:
        speaks, service, method, other, said, pairs, error = httpview.view(http, pairs)
        carried = {name.lower(): value for name, value in said}
    defined = [label for label in table.labels() if label.protocols & speaks]
    found = {label.name: value for label in defined if (value := _carried(label, carried, http))} | labels
    shown = carried if http is None else httpview.joined(pairs)
    own = table.mesh().sidecar
    asked = Asked(service, method, shown, found, {**own.labels, NAMESPACE: own.namespace}, http, tuple(arguments))
    asked, first = _first(table, asked, pairs, other if http else carried.get("interface", ""))
    service = asked.service if http else service
    answer: dict[str, Any] = {"service": service, "method": method, "headers": shown, "labels": found}
    if http is not None:
        answer["http"] = asdict(http)
    if asked.arguments:
        answer["arguments"] = list(asked.arguments)
    if error:
        return answer | _nowhere(error)
    unknown = _undefined(table, labels, first.service)
    if unknown:
        return answer | _refused(table, unknown)
    told = [_told(table, asked, _decide(table, asked, pairs, each), share) for each, share in _shares(first)]
    rule = _matched(first)
    best = next((one for one in told if one["address"]), told[0] if told else _told(table, asked, first, 100.0))
    actions = rule[1].actions if rule else None
    if rule and (words := doing.answered(actions, http)):
        return answer | _nowhere("") | _ruled(rule) | {
            "answered": words,
            "steps": [*_steps(asked, first, ("service", "rule")), say("+", "action", words, rule[1].origin)],
        }  # fmt: skip
    return answer | {
        "address": best["address"],
        "error": best["error"],
        "hint": _services_like(table, service) + _elsewhere(table) if first.service is None
        else "" if best["address"] else _by_name(table, first.service),
        "refused": False,
        "subset": best["subset"],
        **_ruled(rule if best["address"] else None, best["fallbacks"]),
        "why": best["why"],
        "answered": "",
        "steps": [
            *_steps(asked, first, ("service", "rule")),
            *_met(rule),
            *_acts(rule),
            *_besides(table, asked, pairs, rule),
            *best["steps"],
        ],
        "branches": told,
    }


def _ruled(rule: tuple[int, Rule] | None, fallbacks: int = 0) -> dict[str, Any]:
    if rule is None:
        return {"rule": "", "origin": "", "fallbacks": fallbacks, "timeout_ms": 0}
    number, one = rule
    said = {"rule": one.name or f"rule {number + 1}", "origin": str(one.origin or "")}
    return said | {"fallbacks": fallbacks, "timeout_ms": one.timeout_ms}


def _met(rule: tuple[int, Rule] | None) -> Iterator[dict[str, str]]:
    """What its rule may do with it before it goes anywhere."""
    if rule is not None:
        yield from (say("+", "action", text, rule[1].origin) for text in doing.met(rule[1].actions))


def _besides(table: Table, asked: Asked, pairs: Pairs, matched: tuple[int, Rule] | None) -> list[dict[str, str]]:
    """What the rule that matched does with the call besides."""
    if matched is None:
        return []
    rule, known = matched[1], (asked.method, asked.http, asked.arguments)
    told = besides.told(table, rule, asked.service, pairs, asked.labels, *known)
    return [say(*one) for one in told]


def _decide(table: Table, asked: Asked, pairs: Pairs, branch: int | None) -> Decision:
    return table.explain(
        asked.service, pairs, asked.labels, method=asked.method, http=asked.http, random=0, branch=branch,
        arguments=asked.arguments,
    )  # fmt: skip


def _first(table: Table, asked: Asked, pairs: Pairs, alias: str) -> tuple[Asked, Decision]:
    """By the path, or where that is not listed itself, by the attachment ``interface`` or the host."""
    first = _decide(table, asked, pairs, None)
    if alias and (first.service is None or first.service.pattern is not Pattern.EXACT):
        other = replace(asked, service=alias)
        second = _decide(table, other, pairs, None)
        if second.service is not None and (first.service is None or second.service.pattern is Pattern.EXACT):
            return other, second
    return asked, first


def _carried(label: Label, headers: Mapping[str, str], http: Http | None) -> str:
    """The label's value as a call would have it; what is remembered by trace id only a call can find."""
    for source in label.sources:
        name = source.text if http is None else source.text.lower()
        if source.kind == LabelKind.HEADER and headers.get(name):
            return headers[name]
        if source.kind == LabelKind.LOCAL and source.text:
            return source.text
    return ""


# --- questions that make no sense


def _undefined(table: Table, labels: Mapping[str, str], service: Service | None) -> str:
    """The first label that was given and that nobody defines, or ""."""
    known = _defined(table)
    for rule in service.rules if service is not None and not known.issuperset(labels) else ():
        known |= {t.text for t in rule.targets if t.kind in (TargetKind.LABEL, TargetKind.BASELINE)}
        known |= {c.key for match in rule.matches for c in match.conditions if c.field is Field.LABEL}
    return next((name for name in labels if name not in known), "")


def _defined(table: Table) -> set[str]:
    return {label.name for label in table.labels()} | {idle.name for idle in table.mesh().idle}


def _refused(table: Table, label: str) -> dict[str, Any]:
    known = sorted(_defined(table))
    hint = did_you_mean(label, known)
    defined = listed("defined are", known, "no label is defined: add a TrafficLabel")
    error = f"no TrafficLabel defines the label {label}"
    return _nowhere(error) | {"hint": f"{hint} {defined}" if hint else defined, "refused": True}


def _nowhere(error: str) -> dict[str, Any]:
    return {
        "address": "", "error": error, "hint": "", "refused": False, "answered": "",
        "subset": "", "rule": "", "origin": "", "fallbacks": 0, "timeout_ms": 0, "why": "", "steps": [], "branches": [],
    }  # fmt: skip


def _services_like(table: Table, service: str) -> str:
    """Which service may have been meant by one that is not there."""
    cluster = table.mesh().clusters.get(service)
    if cluster is not None:
        return listed(f"{service} is an application; it offers", cluster.hosts, f"{service} is an application")
    names = [one.name for one in table.mesh().services if one.pattern is Pattern.EXACT]
    return did_you_mean(service, names, listed("there are", names, "no service is listed", most=4))


def _elsewhere(table: Table) -> str:
    """Where calls to a service that is not listed go all the same."""
    open_ = [one for one in table.mesh().sidecar.listeners if one.direction == "outbound" and one.unknown == "forward"]
    ways = [f"by the listener {one.name} to {one.forward}" for one in open_ if one.forward]
    ways += [f"by the listener {one.name} to where its caller dialled" for one in open_ if one.transparent]
    return f"; it goes {' or '.join(ways)}" if ways else ""


def _by_name(table: Table, service: Service) -> str:
    """Why a service may have no instance: names that are not resolved, here or not yet."""
    clusters = dict.fromkeys(target.cluster for rule in service.rules for target in rule.targets)
    known = table.mesh().clusters
    hosts = [named.host for name in clusters if name in known for named in known[name].named]
    return f"{', '.join(hosts[:4])}: a running sidecar asks for these names, see its /config_dump" if hosts else ""


# --- branches


def _matched(decision: Decision) -> tuple[int, Rule] | None:
    """The rule that matched and its number, whether or not it leads somewhere."""
    found = next((step.rule for step in decision.steps if step.kind == "match"), None)
    return None if found is None or decision.service is None else (found, decision.service.rules[found])


def _acts(matched: tuple[int, Rule] | None) -> Iterator[dict[str, str]]:
    """What the rule does besides."""
    if matched is not None and matched[1].actions is not None:
        for each in filter(None, (matched[1].actions.retries,)):
            yield say("+", "rule", each.words(), matched[1].origin)


def _shares(decision: Decision) -> list[tuple[int, float]]:
    """The targets that the weights pick from, in their order, largest share first; and their percentages."""
    matched = _matched(decision)
    if matched is None or not matched[1].targets:
        return []
    weights = [target.weight for target in matched[1].targets]
    total = sum(weights)
    if not total:
        return [(0, 100.0)]  # where all are 0, the first is taken
    shares = [(i, round(100 * weight / total, 2)) for i, weight in enumerate(weights) if weight]
    return sorted(shares, key=lambda each: -each[1])


def _told(table: Table, asked: Asked, decision: Decision, share: float) -> dict[str, Any]:
    steps = list(_steps(asked, decision, ("target",)))
    last = next((step for step in reversed(decision.steps) if step.kind == "target"), None)
    first = next((step for step in decision.steps if step.kind == "target"), None)
    service = decision.service
    begin = service.rules[first.rule].targets[first.target] if service and first else None
    end = service.rules[last.rule].targets[last.target] if service and last and decision.route else None
    count = _instances(table, end, last.text, _family(asked)) if end and last else 0
    if count > 1 and end and last:
        steps[-1]["text"] += f", one of {count}{_chosen(table, end, last.text)}"
    steps[-1:-1] = [each for step in decision.steps if step.kind == "target" for each in _ejected(table, service, step)]
    if service and last and decision.route:
        ruled = service.rules[last.rule]
        words = doing.changed(ruled.actions, last.target, asked.http)
        steps += [say("+", "target", text, ruled.origin) for text in words]
    return {
        "target": meaning(begin, first.text) if begin and first else "",
        "share": share,
        "address": decision.route.address if decision.route else "",
        "error": decision.error,
        "subset": _subset(end, last.text) if end and last else "",
        "instances": count,
        "fallbacks": decision.route.fallbacks if decision.route else 0,
        "why": "; ".join(step["text"] for step in steps if step["outcome"] == "-"),
        "steps": steps,
    }


def _ejected(table: Table, service: Service | None, step: Step) -> Iterator[dict[str, str]]:
    """Who of a target is passed over for having failed."""
    if service is None:
        return
    target = service.rules[step.rule].targets[step.target]
    for address, seconds in guards.ejected(table, target.cluster, _subset(target, step.text)).items():
        yield say("-", "target", f"instance {address} is ejected for another {seconds:.3g} s")


def _chosen(table: Table, target: Target, text: str) -> str:
    """How one of its instances is chosen, where policy says."""
    cluster = table.mesh().clusters.get(target.cluster)
    if cluster is None:
        return ""
    subset = _declared(cluster, target, text)
    policy = cluster.policy if subset is None else subset.policy
    if policy is None:
        return ""
    said = [each.words() for each in (policy.balancer, policy.budget) if each is not None]
    return "".join(f", {words}" for words in said)


def _declared(cluster: Cluster, target: Target, text: str) -> Subset | None:
    """The declared subset that a target ends at; a label's value names none that is a list."""
    if target.kind not in (TargetKind.SUBSET, TargetKind.LABEL):
        return None
    lists = target.kind is TargetKind.SUBSET
    return next((one for one in cluster.subsets if one.name == text and (lists or one.members is None)), None)


def _subset(target: Target, text: str) -> str:
    """The name of the target that took it: the subset, the label's value, or "baseline"."""
    return {TargetKind.ALL: "", TargetKind.BASELINE: "baseline"}.get(target.kind, text)


def _family(asked: Asked) -> Family:
    return Family.DUBBO if asked.http is None else Family.HTTP


def _instances(table: Table, target: Target, text: str, family: Family) -> int:
    """How many instances are listed where a target ends; 0 where the mesh does not have it any more."""
    cluster = table.mesh().clusters.get(target.cluster)
    if cluster is None:
        return 0
    there = [endpoint for endpoint in cluster.endpoints if endpoint.at(family)]
    if target.kind is TargetKind.ALL:
        return len(there)
    if target.kind is TargetKind.BASELINE:
        return sum(target.text not in endpoint.labels for endpoint in there)
    subset = _declared(cluster, target, text) or Subset(text, {target.text: text})
    return sum(map(subset.has, there))


# --- steps


def _steps(asked: Asked, decision: Decision, about: tuple[str, ...]) -> Iterator[dict[str, str]]:
    before: dict[str, str] = {}
    for step in decision.steps:
        told = step_words(asked, step, decision.service)
        if told["about"] in about and told != before and not _overtaken(step, decision):
            yield told
        before = told


def _overtaken(step: Step, decision: Decision) -> bool:
    """Whether it is about one of several matches that one written match is to the core, another of which held."""
    if step.kind != "no_match" or decision.service is None:
        return False
    held = next((one for one in decision.steps if one.kind == "match"), None)
    matches = decision.service.rules[step.rule].matches
    if held is None or held.rule != step.rule or not matches:
        return False
    origin = matches[step.match].origin
    return origin is not None and matches[held.match].origin == origin
