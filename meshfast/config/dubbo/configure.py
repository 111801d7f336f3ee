"""Configurators (``OverrideConfigurator``): of what they set, the timeout of calls and the weights of instances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from meshfast.config.document import Refused, Report
from meshfast.config.dubbo import asking, texts
from meshfast.config.dubbo.document import AddressMatch, Config, ConfigMatch, Configurator
from meshfast.config.dubbo.keys import Key, told_apart
from meshfast.config.dubbo.parties import Consumer, Provider, meets_address
from meshfast.config.dubbo.step import ALWAYS, Alternatives, Case, Outcome, Step
from meshfast.config.dubbo.wanted import Glob, literal
from meshfast.model import Field, Origin

TIMEOUT, WEIGHT = "timeout", "weight"
ANYBODY = "0.0.0.0"
MAX_WEIGHT = 65535
MAX_TIMEOUT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class _Set:
    """What a configurator sets for the calls that ``when`` is true of. ``method``: of those alone; "" all."""

    when: Alternatives
    method: str
    timeout_ms: int
    shown: str
    origin: Origin


GENERAL = "general"  # of this type, or none, the rule's ``enabled`` counts alone


def steps(rules: Iterable[Configurator], consumer: Consumer, own: Key, report: Report) -> Iterator[Step]:
    """The timeouts of the calls of ``consumer`` to a service that is called under ``own``; later rules over earlier."""
    said: list[_Set] = []
    for rule in rules:
        for config in _in_force(rule, consumer, report):
            try:
                said += _timeouts(rule, config, consumer, own)
            except Refused as no:
                report.add(config.at, no.message, no.hint)
    for methods in (True, False):
        found = [one for one in reversed(said) if bool(one.method) is methods]
        cases = tuple(Case(one.when, Outcome(timeout_ms=one.timeout_ms), one.shown, one.origin) for one in found)
        if cases:
            yield Step(cases)


def weights(
    rules: Iterable[Configurator], providers: Iterable[Provider], consumer: Consumer, own: Key, report: Report
) -> dict[str, int]:  # fmt: skip
    """The weights that are set, by the address of an instance."""
    out: dict[str, int] = {}
    listed = list(providers)
    for rule in rules:
        for config in _in_force(rule, consumer, report):
            if WEIGHT not in config.parameters:
                continue
            try:
                number = _number(config, WEIGHT, MAX_WEIGHT)
                if _when(rule, config, own) != ALWAYS:
                    raise Refused("a weight for some calls only", "weights are set for a service or an application")
                out |= {one.address: number for one in listed if _meant(config, rule, one)}
            except Refused as no:
                report.add(config.at, no.message, no.hint)
    return out


def advise(rule: Configurator, report: Report) -> None:
    """Warns of what has no effect here."""
    for config in rule.configs:
        if config.side != "consumer":
            hint = "side: consumer is what callers follow"
            report.warn(config.at, "what is set for providers is for their own SDK: passed over", hint)
            continue
        for name in config.parameters:
            if name.rpartition(".")[2] not in (TIMEOUT, WEIGHT):
                report.warn(config.at.at("parameters", name), f"{name} has no effect here", "timeout and weight have")


def _in_force(rule: Configurator, consumer: Consumer, report: Report) -> Iterator[Config]:
    """Those that hold for the calls of ``consumer``, as far as it can tell; those that name its address are last."""
    for config in sorted(rule.configs, key=lambda one: consumer.host in one.addresses) if rule.enabled else ():
        off = not config.enabled and config.type not in ("", GENERAL)
        if config.side != "consumer" or off:
            continue
        try:
            if _for_us(rule, config, consumer):
                yield config
        except Refused as no:
            report.add(config.at, no.message, no.hint)


def _for_us(rule: Configurator, config: Config, consumer: Consumer) -> bool:
    if config.addresses and ANYBODY not in config.addresses and _host(consumer) not in config.addresses:
        return False
    if rule.scope == "service" and config.applications:
        if not {"*", consumer.app} & set(config.applications):
            return False
    match = _match(rule, config)
    if match is None:
        return True
    if match.address is not None:
        anybody = match.address.cidr is None and match.address.wildcard in (ANYBODY, "*")
        if not anybody and not _at(match.address, _host(consumer)):
            return False
    return match.app is None or any(texts.meets(one, consumer.app) for one in match.app.oneof)


def _host(consumer: Consumer) -> str:
    if not consumer.host:
        raise Refused("the address of this workload is not known", "say it in the Sidecar: workload: {address: ...}")
    return consumer.host


def _match(rule: Configurator, config: Config) -> ConfigMatch | None:
    return config.match if rule.config_version.startswith("v3.0") else None


def _at(want: AddressMatch, address: str, port: str = "") -> bool:
    """``AddressMatch.isMatch``; with a port, of an instance's whole address."""
    whole = f"{address}:{port}" if port else address
    if want.cidr is not None and (want.cidr == whole or meets_address(want.cidr, address, port)):
        return True
    if want.wildcard is not None:
        return want.wildcard == ANYBODY or Glob(want.wildcard).fits(whole)
    return want.exact == whole


def _meant(config: Config, rule: Configurator, one: Provider) -> bool:
    whole, anywhere = f"{one.host}:{one.port}", {ANYBODY, f"{ANYBODY}:*", f"{ANYBODY}:{one.port}"}
    if config.provider_addresses and not {whole, one.host, *anywhere} & set(config.provider_addresses):
        return False
    match = _match(rule, config)
    if match is None:
        return True
    if match.provider_address is not None and not _at(match.provider_address, one.host, one.port):
        return False
    return all(texts.meets(param.value, one.get(param.key)) for param in match.param)


def _keys(rule: Configurator, config: Config) -> list[str]:
    return [rule.key] if rule.scope == "service" else [one for one in config.services if one != "*"]


def _when(rule: Configurator, config: Config, own: Key) -> Alternatives:
    """The calls that it is for: those to a service by a group and version."""
    every = rule.scope == "application" and (not config.services or "*" in config.services)
    named = [Key.slashed(text) for text in _keys(rule, config)]
    found = [key for key in named if rule.scope == "service" or key.service == own.service]
    out: Alternatives = ALWAYS if every else tuple(each for key in found for each in told_apart(key, own))
    match = _match(rule, config)
    if match is not None and match.service is not None:
        if not any(texts.meets(one, own.text()) for one in match.service.oneof):
            return ()
    return out


def _timeouts(rule: Configurator, config: Config, consumer: Consumer, own: Key) -> Iterator[_Set]:
    for name in config.parameters:
        if name.startswith("~"):
            raise Refused(f"{name} is not supported", "write match: {param: ...} of configVersion v3.0")
        method, _, what = name.rpartition(".")
        if what != TIMEOUT:
            continue
        if config.provider_addresses or (found := _match(rule, config)) is not None and _some(found):
            raise Refused("a timeout for some instances only", "a call's timeout is set before its instance is chosen")
        when = _when(rule, config, own)
        if method:
            asked = asking.matching(Field.PATH, "", literal(method), f"method {method}")
            when = asking.both(((asked,),), when)
        if when:
            number = _number(config, name, MAX_TIMEOUT)
            yield _Set(when, method, number, f"{name} {number}", config.at.origin())


def _some(match: ConfigMatch) -> bool:
    return match.provider_address is not None or bool(match.param)


def _number(config: Config, name: str, most: int) -> int:
    text = config.parameters[name]
    digits = text.lstrip("0") if text.isascii() and text.isdigit() else ""
    if not digits or len(digits) > len(str(most)) or int(digits) > most:
        raise Refused(f'{name} is "{text}"', f"write a whole number from 1 to {most}")
    return int(digits)
