"""What the access log knows of a call."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import NamedTuple

__all__ = ["FIELDS", "Record", "parse"]


class Record(NamedTuple):
    """One call that has ended."""

    time: float  # its end, seconds since 1970
    direction: str  # outbound or inbound
    service: str
    method: str
    caller: str
    peer: str  # "" when it reached none
    subset: str
    labels: Mapping[str, str]
    protocol: str  # dubbo, grpc, http: whose status it is; "" for none
    status: int  # Dubbo's, gRPC's, HTTP's; 0 for none, which of gRPC alone is one
    outcome: str
    http_status: int  # what an HTTP caller was told, with a grpc-status or without; 0 for none
    bytes_up: int  # of HTTP/2 the content, of Dubbo2 the frame
    bytes_down: int
    duration: float  # seconds
    rule: int  # of the service, from 0, by which it went; -1 for none
    fallbacks: int  # targets of the rule that were passed over
    tries: int  # instances that were chosen by rules, one after the other
    request_id: int  # signed, as Java prints it; of HTTP/2 the stream's


FIELDS = Record._fields
TEXT = (
    "{time} {direction} {caller} {service}.{method} {peer} {subset} {labels} {status} {outcome} "
    "{bytes_up} {bytes_down} {duration} {request_id} {protocol} {http_status} {rule} {fallbacks} {tries}"
)


def parse(text: str) -> list[str | int]:
    """A format's literal parts and the places of its fields; ``text`` is the usual one.

    :raises ValueError: a field that there is not, or braces that do not fit
    """
    parts: list[str | int] = []
    for literal, name, form, conversion in Formatter().parse(TEXT if text == "text" else text):
        if literal:
            parts.append(literal)
        if name is None:
            continue
        if name not in FIELDS:
            raise ValueError(f"unknown field {{{name}}}")
        if form or conversion:
            raise ValueError(f"{{{name}}} takes no format of its own")
        parts.append(FIELDS.index(name))
    return parts
