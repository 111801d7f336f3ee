"""The schema of RateLimit, a kind of ours: how many calls may go to some services in so much time."""

from __future__ import annotations

from dataclasses import dataclass

from meshfast.config.field import Choice, Int, ListOf, Record, Struct, spec
from meshfast.config.resource import HOST, HttpMatch

UNITS = {"second": 1_000_000_000, "minute": 60_000_000_000, "hour": 3_600_000_000_000}
MOST = 100_000_000  # so that what a bucket rounds is less than a thousandth


@dataclass(slots=True, kw_only=True)
class RateLimit(Record):
    hosts: tuple[str, ...] = spec(
        ListOf(HOST, least=1),
        "Services, applications (`app` or `app/*`), `prefix.*`, `*.suffix`, or `*`: calls to all of them are counted "
        "together.",
    )
    match: tuple[HttpMatch, ...] = spec(
        ListOf(Struct(HttpMatch, "HTTPMatch", rest="labels")),
        "Which of those calls count: any of them will do. As in a VirtualService.",
        (),
        shown="all",
    )
    requests: int = spec(Int(1, MOST), "How many calls go on in each unit; evenly, one after so much of it.")
    unit: str = spec(Choice(*UNITS), "Of time.", "second")
    burst: int = spec(
        Int(1, MOST), "How many go on at once where none went for a while.", 0, shown="as many as `requests`"
    )
