"""``fault``, ``redirect`` and ``directResponse`` of a rule: calls that wait, fail, or are answered here."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from meshfast.changes import Abort, Delay, Direct, Fault, Redirect, Statuses
from meshfast.config import uri, value
from meshfast.config.document import Refused, Report, did_you_mean
from meshfast.config.field import Choice, Int, Parsed, Record, Struct, spec

MAX_BODY = 1 << 20
MAX_TEXT = 512  # MF_DUBBO_TEXT
ABORTED = "fault filter abort"  # what Envoy says

GRPC = (
    "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED "
    "RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS "
    "UNAUTHENTICATED"
).split()

# Each way that is not here leads to what is behind "or" in the functions below.
_GRPC_OF_HTTP = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}  # gRPC's own table
_DUBBO_OF_HTTP = {404: 60, 408: 31, 429: 100, 502: 50, 504: 31}
_DUBBO_OF_GRPC = {3: 40, 4: 31, 5: 60, 8: 100, 9: 40, 11: 40, 12: 60}
_HTTP_OF_DUBBO = {30: 504, 31: 504, 35: 503, 40: 400, 50: 502, 60: 404, 90: 400, 100: 429}
_GRPC_OF_DUBBO = {30: 4, 31: 4, 35: 14, 40: 13, 50: 13, 60: 12, 90: 13, 100: 8}
_DUBBO = (25, 30, 31, 35, 40, 50, 60, 70, 80, 90, 100)


def of_http(status: int) -> Statuses:
    dubbo = _DUBBO_OF_HTTP.get(status) or (40 if 400 <= status < 500 else 80)
    return Statuses(status, _GRPC_OF_HTTP.get(status, 2), dubbo)


def of_grpc(status: int) -> Statuses:
    return Statuses(200, status, _DUBBO_OF_GRPC.get(status, 80))


def of_dubbo(status: int) -> Statuses:
    return Statuses(_HTTP_OF_DUBBO.get(status, 500), _GRPC_OF_DUBBO.get(status, 2), status)


def _share(text: str) -> int:
    if not re.fullmatch(r"\d+(\.\d*)?([eE][+-]?\d+)?|\.\d+", text) or not 0 <= float(text) <= 100:
        raise Refused(f'"{text}" is not a percentage', "write a number from 0 to 100")
    return int(float(text) * 10_000)  # as Istio reckons it


def _text(text: str) -> str:
    if len(text.encode()) > MAX_TEXT:
        raise Refused(f"the text is longer than {MAX_TEXT} bytes")
    return text


def _dubbo(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) not in _DUBBO:
        words = f"one of {', '.join(map(str, _DUBBO))}"
        raise Refused(f'"{text}" is not a status of Dubbo that says what failed', words)
    return int(text)


def _grpc(text: str) -> int:
    if text not in GRPC:
        raise Refused(f'"{text}" is not a status of gRPC', did_you_mean(text, GRPC, "write UNAVAILABLE or its like"))
    return GRPC.index(text)


@dataclass(slots=True, kw_only=True)
class Percentage(Record):
    value: int = spec(Parsed("a percentage", _share, 0), "0 to 100; down to 0.0001.", 0, shown="0")


@dataclass(slots=True, kw_only=True)
class FaultDelay(Record):
    percentage: Percentage | None = spec(Struct(Percentage), "Of which share of calls.", None, shown="none: of no call")
    percent: int | None = spec(Int(0, 100), "The same, as older documents have it.", None, shown="none")
    fixed: int = spec(Parsed("a duration", value.duration, 1), "How long.", name="fixedDelay")


@dataclass(slots=True, kw_only=True)
class FaultAbort(Record):
    percentage: Percentage | None = spec(Struct(Percentage), "Of which share of calls.", None, shown="none: of no call")
    percent: int | None = spec(Int(0, 100), "The same, as older documents have it.", None, shown="none")
    http: int | None = spec(
        Int(200, 600), "The status of HTTP that its caller is told.", None, name="httpStatus", shown="-"
    )
    grpc: int | None = spec(
        Parsed("a status of gRPC", _grpc, 2), "That of gRPC, `UNAVAILABLE`.", None, name="grpcStatus", shown="-"
    )
    dubbo: int | None = spec(
        Parsed("a status of Dubbo", _dubbo, 80),
        "That of Dubbo, beside one of the two or alone.", None, name="dubboStatus", shown="after the other",
    )  # fmt: skip
    text: str = spec(Parsed("text", _text, ""), "What its caller is told besides.", ABORTED)


@dataclass(slots=True, kw_only=True)
class HttpFault(Record):
    delay: FaultDelay | None = spec(Struct(FaultDelay, "FaultDelay"), "Calls that wait first.", None, shown="none")
    abort: FaultAbort | None = spec(
        Struct(FaultAbort, "FaultAbort"), "Calls that fail here, after their delay.", None, shown="none"
    )


def _code(text: str) -> int:
    if text not in ("301", "302", "303", "307", "308"):
        raise Refused(f"{text} is not one of 301, 302, 303, 307 and 308")
    return int(text)


def _body(text: str) -> bytes:
    raw = text.encode()
    if len(raw) > MAX_BODY:
        raise Refused(f"the body is longer than {MAX_BODY} bytes")
    return raw


def _base64(text: str) -> bytes:
    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("the bytes are not in base64") from None
    if len(raw) > MAX_BODY:
        raise Refused(f"the body is longer than {MAX_BODY} bytes")
    return raw


@dataclass(slots=True, kw_only=True)
class HttpRedirect(Record):
    path: str = spec(
        Parsed("a path", uri.path_and_query, ""),
        "In place of the path; the query stays.",
        "",
        name="uri",
        shown="as it was",
    )
    authority: str = spec(uri.AUTHORITY, "In place of host and port.", "", shown="as it was")
    scheme: str = spec(Choice("http", "https"), "In place of the scheme.", "", shown="as it was")
    port: int = spec(Int(1, 65535), "In place of the port.", 0, shown="as it was")
    derive: str = spec(
        Choice("FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"),
        "FROM_REQUEST_PORT: the port called, also at another `authority`.",
        "FROM_PROTOCOL_DEFAULT",
        name="derivePort",
    )
    code: int = spec(Parsed("301, 302, 303, 307 or 308", _code, 301), "The status.", 301, name="redirectCode")


@dataclass(slots=True, kw_only=True)
class DirectBody(Record):
    string: bytes | None = spec(Parsed("text", _body, b""), "As it is.", None, shown="-")
    raw: bytes | None = spec(Parsed("base64", _base64, b""), "In base64.", None, name="bytes", shown="-")


@dataclass(slots=True, kw_only=True)
class DirectResponse(Record):
    status: int = spec(Int(200, 599), "The status of HTTP; that of gRPC and Dubbo is the one after it.")
    body: DirectBody | None = spec(Struct(DirectBody), "The content, up to 1 MiB.", None, shown="none")


def fault(given: HttpFault | None, report: Report) -> Fault | None:
    """None where nothing of it can ever happen."""
    if given is None:
        return None
    if given.delay is None and given.abort is None and not given.at.bad:
        report.add(given.at, "delay or abort is missing", "delay: {fixedDelay: 5s, percentage: {value: 100}}")
    delay, abort = _delay(given.delay, report), _abort(given.abort, report)
    return Fault(delay, abort) if delay is not None or abort is not None else None


def _chance(given: FaultDelay | FaultAbort, report: Report) -> int:
    if given.percentage is not None:
        return given.percentage.value
    if given.percent is None:
        words = "as with Istio; for every call write percentage: {value: 100}"
        report.warn(given.at, "without percentage it never happens", words)
    return (given.percent or 0) * 10_000


def _delay(given: FaultDelay | None, report: Report) -> Delay | None:
    if given is None:
        return None
    if given.fixed == 0 and not given.at.bad:
        report.add(given.at.at("fixedDelay"), "a delay of 0")
    chance = _chance(given, report)
    return Delay(given.fixed, chance) if chance else None


def _abort(given: FaultAbort | None, report: Report) -> Abort | None:
    if given is None:
        return None
    if given.http is not None and given.grpc is not None:
        report.add(given.at.at("grpcStatus"), "httpStatus and grpcStatus exclude each other", "keep one of them")
    if given.http is not None:
        statuses = of_http(given.http)
    elif given.grpc is not None:
        statuses = of_grpc(given.grpc)
    else:
        statuses = of_dubbo(given.dubbo or 80)
        if given.dubbo is None and not given.at.bad:
            report.add(given.at, "httpStatus, grpcStatus or dubboStatus is missing")
    if given.dubbo is not None:
        statuses = Statuses(statuses.http, statuses.grpc, given.dubbo)
    chance = _chance(given, report)
    return Abort(statuses, given.text, chance) if chance else None


def redirect(given: HttpRedirect | None, report: Report) -> Redirect | None:
    if given is None:
        return None
    derived = given.at.at("derivePort") is not given.at
    if given.port and derived:
        report.add(given.at.at("derivePort"), "port and derivePort exclude each other", "keep one of them")
    if not (given.path or given.authority or given.scheme or given.port or derived or given.at.bad):
        report.add(given.at, "it redirects to where the call came from", "give uri, authority, scheme or port")
    port = -1 if given.derive == "FROM_REQUEST_PORT" else given.port
    return Redirect(of_http(given.code), given.path, given.authority, given.scheme, port)


def direct(given: DirectResponse | None, report: Report) -> Direct | None:
    if given is None:
        return None
    body = given.body
    if body is not None and not body.at.bad and (body.string is None) == (body.raw is None):
        report.add(body.at, "string or bytes, and one of them", "body: {string: ...}")
    content = b"" if body is None else (body.string if body.string is not None else body.raw or b"")
    return Direct(of_http(given.status), content, _spoken(content))


def _spoken(content: bytes) -> str:
    """What gRPC and Dubbo are told: its first line, where it is text."""
    line = content[: MAX_TEXT + 4].split(b"\n")[0].decode(errors="ignore").strip()
    return line[: MAX_TEXT // 4] if line.isprintable() and line else "answered by a rule"

