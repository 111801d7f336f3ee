"""Conditions in words: what a rule asks of a request, and where a request differs from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from meshfast import httpview
from meshfast.model import GATEWAYS, NAMESPACE, PORT, Condition, Field, Http, Op

__all__ = ["Asked", "differs", "holds", "quoted"]

SHOWN = 100  # characters of a text of somebody's own

_FOLD = "}, ignoreUriCase"  # how the source of such a condition ends

_SUBJECTS = {Field.PATH: "uri", Field.METHOD: "method", Field.AUTHORITY: "authority", Field.SCHEME: "scheme"}


_OF_THE_WORKLOAD = {NAMESPACE: "namespace of this workload", GATEWAYS: "gateway", PORT: "port called"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is explained: with the labels that it would have, and those of this workload."""

    service: str
    method: str
    headers: Mapping[str, str]
    labels: Mapping[str, str]
    workload: Mapping[str, str]
    http: Http | None = None  # then as httpview.view has it, and its headers
    arguments: tuple[str, ...] = ()


def holds(condition: Condition) -> str:
    """What a condition asks, of one that holds."""
    subject, wanted = _subject(condition), _wanted(condition)
    if condition.source == f"no {condition.key}":
        return condition.source  # one of several ways to have none
    if condition.source.startswith("withoutHeaders") and condition.op is not Op.ABSENT:
        return condition.source
    if condition.field is Field.HTTP:
        return condition.source
    if _told(condition):
        return f"{subject} fits {condition.source}"
    match condition.op:
        case Op.EXACT:
            return f"{subject} is {wanted}"
        case Op.PREFIX:
            return f"{subject} begins with {wanted}"
        case Op.REGEX:
            said = {Op.EXACT: "is", Op.PREFIX: "begins with", Op.REGEX: "matches"}[_asks(condition)]
            return f"{subject} {said} {wanted}{_any_case(condition)}"
        case Op.PRESENT:
            return f"{subject} is there"
    return f"no {subject}"


def differs(condition: Condition, asked: Asked, seen: str) -> str:
    """What a request has, and what the condition wants instead. ``seen``: what the core saw."""
    subject, wanted = _subject(condition), _wanted(condition)
    have = _have(condition, asked, seen)
    any_case = _any_case(condition)
    if condition.source == f"no {condition.key}":
        return f"{subject} is {_shown(have or '')}, and there must be none"
    if condition.field is Field.HTTP or (condition.field is Field.NEVER and condition.key == PORT):
        return f"the port called is another one, against {condition.source}"
    if condition.field is Field.NEVER and condition.key == GATEWAYS:
        return f"sidecars are not among its {condition.source}"
    if _told(condition):
        against = f", against {condition.source}" if condition.source != condition.key else ""
        return (f"no {subject}" if have is None else f"{subject} is {_shown(have)}") + against
    if have is None:
        must = {Op.EXACT: ", which must be", Op.PREFIX: ", which must begin with", Op.REGEX: ", which must match"}
        return f"no {subject}{must.get(_asks(condition), '')} {wanted if condition.op in must else ''}".rstrip()
    said = f"{subject} is {_shown(have)}"
    if condition.source.startswith("withoutHeaders") and condition.op is not Op.ABSENT:
        return f"{said}, against {condition.source}"
    match _asks(condition):
        case Op.EXACT:
            said += f", not {wanted}{any_case}"
        case Op.PREFIX:
            said += f", which does not begin with {wanted}{any_case}"
        case Op.REGEX:
            said += f", which does not match {wanted}"
        case Op.ABSENT:
            said += f", against {condition.source}" if condition.source else ", and must not be there"
    if condition.field in (Field.PATH, Field.METHOD) and not asked.method and asked.http is None:
        said += " (no method was given)"
    return said


def _subject(condition: Condition) -> str:
    if condition.field is Field.NEVER:
        return _OF_THE_WORKLOAD.get(condition.key) or f"label {condition.key} of this workload"
    if condition.field is Field.HTTP:
        return "port called"
    if condition.field is Field.PARAM:
        return f"query parameter {condition.key}"
    return _SUBJECTS.get(condition.field) or f"{condition.field.name.lower()} {condition.key}"


def _wanted(condition: Condition) -> str:
    if isinstance(condition.value, str):
        return _shown(condition.value)
    if _any_case(condition):
        return _shown(condition.source.removesuffix(_FOLD).partition(f"{{{_asks(condition).name.lower()}: ")[2])
    return _shown(condition.source.partition("{regex: ")[2].removesuffix("}"))


def _told(condition: Condition) -> bool:
    """Whether what it compares with is told by its source alone, which no expression is written in."""
    written = isinstance(condition.value, str) or ": {" in condition.source or not condition.source
    return condition.op is Op.REGEX and not written and not condition.source.startswith("withoutHeaders")


def _asks(condition: Condition) -> Op:
    """How it compares, as the user wrote it."""
    if not condition.source.endswith(_FOLD):
        return condition.op
    return Op.EXACT if condition.source.startswith("uri: {exact: ") else Op.PREFIX


def _any_case(condition: Condition) -> str:
    return " in any case" if condition.source.endswith(_FOLD) else ""


def quoted(name: str) -> str:
    """A name of any text in a sentence: as it is where it is one word."""
    return name if name and name.isprintable() and " " not in name else repr(name)


def _shown(text: str) -> str:
    """A text as it is; quoted where it would not be seen, cut where it is long."""
    if not text or text != text.strip() or not text.isprintable():
        text = repr(text)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _have(condition: Condition, asked: Asked, seen: str) -> str | None:
    """What the request has there; None: nothing."""
    http = asked.http
    match condition.field:
        case Field.HEADER if http:
            return asked.headers.get(condition.key.lower())
        case Field.PARAM:
            return httpview.param(http, condition.key) if http else None
        case Field.PATH if http:
            return httpview.path(http) or None
        case Field.METHOD | Field.SCHEME | Field.AUTHORITY if http:
            return getattr(http, condition.field.name.lower()) or None
        case Field.SCHEME:
            return None
        case Field.PATH:
            return f"/{asked.service}/{asked.method}"
        case Field.METHOD:
            return asked.method or None
        case Field.AUTHORITY:
            return seen
        case Field.HEADER:
            return asked.headers.get(condition.key)
        case Field.ARGUMENT:
            at = int(condition.key)
            return asked.arguments[at] if at < len(asked.arguments) and not http else None
        case Field.LABEL:
            return asked.labels.get(condition.key) or None
    return asked.workload.get(condition.key)
