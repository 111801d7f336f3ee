"""What attackers of HTTP/2 proxies have sent, to the provider of others: others' answers come as those of a twin do."""

from __future__ import annotations

from signal import SIGKILL

from faults.rows import Play, fault
from faults.sidecar import SLOW, entry
from faults.stage import Stage
from faults.twin import CALM, STEADY, beside_twin, over, strike

LEAST_S = 3.0
MORE = 20  # times as long at most, for one that has not yet done what it is for: on a busy machine it is slow
ANSWER = 60_000  # of the provider that slow readers call

#: How they flood; which counter tells that it took place, if any, and how often it must at least, else how many bytes
#: were sent; what it is.
FLOODS = (
    ("continuation", "limit_h2_continuations_total", 50, "blocks of fields that never end"),
    ("ping", "limit_h2_controls_total", 1, "PINGs whose answers are not read"),
    ("settings", "limit_h2_controls_total", 1, "SETTINGS whose answers are not read"),
    ("bomb", "limit_h2_header_list_total", 1000, "calls with 12 MB of fields, by few bytes"),
    ("made", "limit_h2_resets_total", 1, "calls that the sidecar is made to reset"),
    ("reader", "", 20_000, "calls for 60 kB each, whose answers are read a little at a time"),
)


def _play(how: str, counter: str, least: int) -> Play:
    def play(stage: Stage) -> None:
        def begin(one: Stage) -> None:
            address = one.provider("a").address
            slow = one.provider("slow", answer=ANSWER).address if how == "reader" else address
            one.begin([address], documents=[entry(SLOW, [slow])], load=STEADY, neighbour=CALM)

        with beside_twin(stage, begin) as twin:
            strike(stage, twin)
            flood = stage.flood(how)
            stage.last(max(stage.row.seconds, LEAST_S))
            for _ in range(MORE):
                connected, closed, sent = flood.ask("count")
                bitten = stage.moved(counter) if counter else sent
                if bitten >= least:
                    break
                stage.last(LEAST_S)
            found = f"{bitten:,} times, {sent:,} bytes, {connected:,} connections, {closed:,} closed"
            stage.row.check(f"it took place: {counter.removesuffix('_total') or 'they called'}", bitten >= least, found)
            flood.end(SIGKILL)
            over(stage, twin)

    return play


for _how, _counter, _least, _text in FLOODS:
    fault(f"grpc-flood-{_how}", f"{_text}, from 4 connections to the provider of others", grpc=True)(
        _play(_how, _counter, _least)
    )
