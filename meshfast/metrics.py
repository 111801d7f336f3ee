"""What the sidecar counts, for Prometheus.

Names: ``meshfast_`` and the name in ``csrc/call/counters.h``, with ``_total`` for counters. Waits are in seconds. The
lists here are those of docs/metrics.md: see meshfast/reference.py.
"""

from __future__ import annotations

import platform
import resource
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import psutil

from meshfast import __version__, _core, doors, guards, listings, localities, logs, metered, snapshots, standing
from meshfast.exposition import Family, Metric, labelled, pieces, sample
from meshfast.routing import Table
from meshfast.running import Shown

__all__ = ["GROUPS", "prometheus"]

#: What one service, application and subset counted; see ``_core.Table.stats``.
Row = Mapping[str, Any]
#: Rows in pages. A page may be empty.
Pages = Iterable[Sequence[Row]]
#: What is kept of a row until its family's turn: its labels, the values of _SERVICES, statuses and reasons; its labels
#: with a protocol, and that one's statuses.
Kept = tuple[str, tuple[int, ...], "Some", "Some", "Told"]
#: What was counted by a name, where anything was.
Some = tuple[tuple[str, int], ...]
Told = tuple[tuple[str, Some], ...]

#: Outcomes that a provider's answer had.
_TOLD = ("ok", "remote_error")

#: Rows of a page: about a millisecond's work.
PAGE = 100


def _workers() -> dict[str, Metric]:
    return {
        name: Metric(f"meshfast_{name}" + ("_total" if kind == "counter" else ""), kind, text)
        for name, (kind, text) in _core.counters().items()
    }


_LOOP = {
    key: Metric(f"meshfast_loop_{key}_total", "counter", text, ("loop",))
    for key, text in {
        "turns": "turns of the workers' loops",
        "waits": "turns that waited for the kernel",
        "syscalls": "system calls",
        "reads": "reads of sockets that brought bytes or an end",
        "writes": "writes to sockets",
        "accepts": "connections accepted",
        "accept_failures": "accepts that failed for want of descriptors or memory",
        "bytes_in": "bytes read",
        "bytes_out": "bytes written",
    }.items()
}

_IDS = ("serialization", "id")
_SERIALIZATIONS = {
    key: Metric(f"meshfast_serialization_{key}_total", "counter", text, _IDS)
    for key, text in {
        "calls": "calls by serialization",
        "answers": "answers by serialization",
        "bytes_up": "request bytes by serialization",
        "bytes_down": "answer bytes by serialization",
        "ok": "answers with status 20 by serialization",
        "errors": "answers with another status by serialization",
    }.items()
}
_SERIALIZATION_LATENCY = Metric(
    "meshfast_serialization_latency_seconds_total", "counter", "time to the answer, summed, by serialization", _IDS
)

_WHERE = ("direction", "service", "host", "subset")
_SERVICES = {
    key: Metric(f"meshfast_service_{name}_total", "counter", text, _WHERE)
    for key, name, text in (
        ("begun", "calls", "calls by service; outbound ones by application and subset too"),
        ("bytes_up", "request_bytes", "request bytes"),
        ("bytes_down", "answer_bytes", "answer bytes"),
        ("fallbacks", "fallbacks", "calls that came to this subset by a fallback"),
        ("one_way", "one_way", "one-way calls"),
        ("retries", "retries", "tries of a call beside its first, by policy"),
        ("relayed", "connections", "HTTP/1 connections relayed, by their first request; bytes count as those of calls"),
    )
}
_ZEROS = (0,) * len(_SERVICES)
_ANSWERS = Metric(
    "meshfast_service_answers_total", "counter", "ends of calls by Dubbo status; `lost`: no answer, of any protocol",
    (*_WHERE, "status"),
)  # fmt: skip
_ANSWERS_H2 = Metric(
    "meshfast_service_http2_answers_total", "counter", "answers by grpc-status, or by class of HTTP status",
    (*_WHERE, "protocol", "status"),
)  # fmt: skip
_LOCAL = Metric(
    "meshfast_service_local_answers_total", "counter", "calls that no provider answered, by reason", (*_WHERE, "reason")
)
_LATENCY = Metric(
    "meshfast_service_latency_seconds",
    "histogram",
    "from the request's last byte in to the answer's last byte in",
    _WHERE,
)

_METHOD = ("direction", "service", "method")
_METHODS = {
    key: Metric(f"meshfast_method_{name}_total", "counter", text, _METHOD)
    for key, name, text in (
        ("begun", "calls", "calls that have ended, by method"),
        ("bytes_up", "request_bytes", "request bytes of a method's calls"),
        ("bytes_down", "answer_bytes", "answer bytes of a method's calls"),
        ("one_way", "one_way", "one-way calls of a method"),
    )
}
_METHOD_ENDS = Metric("meshfast_method_ends_total", "counter", "how a method's calls ended", (*_METHOD, "outcome"))
_METHOD_H2 = Metric(
    "meshfast_method_http2_answers_total", "counter", "as those of services, by method",
    (*_METHOD, "protocol", "status"),
)  # fmt: skip
_METHOD_LATENCY = Metric("meshfast_method_latency_seconds", "histogram", "as that of services, by method", _METHOD)

_PEERS = {
    key: Metric(f"meshfast_peer_{name}", kind, text, ("peer",))
    for key, name, kind, text in (
        ("available", "available", "gauge", "0 while an instance rests or has said READONLY"),
        ("calls", "calls_total", "counter", "calls sent to an instance"),
        ("calls_active", "calls_active", "gauge", "calls that await an instance's answer"),
        ("connections", "connections_total", "counter", "connections made to an instance"),
        ("failures", "failures_total", "counter", "times an instance could not be reached, or was silent"),
    )
}

_OWN = {
    key: Metric(f"meshfast_{key}", kind, text)
    for key, kind, text in (
        ("config_version", "gauge", "how many configurations were applied"),
        ("config_rejected_total", "counter", "configurations refused; the last good one stayed"),
        ("config_last_reload_successful", "gauge", "0 while what is configured last is refused"),
        ("config_applied_timestamp_seconds", "gauge", "when the one in force was applied"),
        ("services", "gauge", "services in the table"),
        ("dns_names", "gauge", "names of hosts that are resolved"),
        ("dns_names_failing", "gauge", "those that had no answer last; what was answered before is used"),
        ("dns_answers_total", "counter", "times a name was answered"),
        ("dns_failures_total", "counter", "times a name was not"),
        ("dns_addresses_dropped_total", "counter", "addresses over `dns.addresses` of one name"),
        ("table_retired", "gauge", "replaced parts of the table that a worker may still be reading"),
        ("draining", "gauge", "1 while draining"),
        ("uptime_seconds", "gauge", "since the start"),
        ("admin_connections", "gauge", "connections open at the admin address"),
        ("admin_requests_total", "counter", "requests at the admin address"),
        ("takeover_taken_total", "counter", "sockets that listen, taken over from the process before"),
        ("takeover_handed_total", "counter", "those that were passed to others"),
        ("takeover_refused_total", "counter", "who was to be passed them and was sent away, or came to nothing"),
        ("log_dropped_total", "counter", "lines of the log that nobody took in time"),
        ("access_log_records_total", "counter", "records written to the access log"),
        ("access_log_dropped_total", "counter", "records of the access log that could not be written in time"),
    )
}
_ENDED_HERE = Metric(
    "meshfast_answers_local_reasons_total", "counter",
    "calls that no provider answered, by reason; those of no service and those refused unread too", ("reason",),
)  # fmt: skip
_REFUSED = Metric("meshfast_admin_refused_total", "counter", "what the admin address turned away", ("reason",))
_BUILD = Metric("meshfast_build_info", "gauge", "always 1", ("version", "python"))

_PROCESS = {
    key: Metric(f"process_{key}", kind, text)
    for key, kind, text in (
        ("cpu_seconds_total", "counter", "user and system time of the whole process"),
        ("resident_memory_bytes", "gauge", "resident memory of the whole process"),
        ("virtual_memory_bytes", "gauge", "address space of the whole process"),
        ("open_fds", "gauge", "open file descriptors of the whole process"),
        ("max_fds", "gauge", "how many it may have"),
        ("start_time_seconds", "gauge", "when it was started"),
    )
}

#: Every metric there is, by what it is about; the names of the groups are those of the tables in docs/metrics.md.
GROUPS: dict[str, tuple[Metric, ...]] = {
    "workers": (*_workers().values(), _ENDED_HERE),
    "services": (*_SERVICES.values(), _ANSWERS, _ANSWERS_H2, _LOCAL, _LATENCY),
    "methods": (*_METHODS.values(), _METHOD_ENDS, _METHOD_H2, _METHOD_LATENCY),
    "guards": guards.METRICS,
    "localities": localities.METRICS,
    "limits": metered.METRICS,
    "registries": listings.METRICS,
    "endpoint": doors.METRICS,
    "registrations": standing.METRICS,
    "snapshot": snapshots.METRICS,
    "peers": tuple(_PEERS.values()),
    "serializations": (*_SERIALIZATIONS.values(), _SERIALIZATION_LATENCY),
    "loops": tuple(_LOOP.values()),
    "process": (_BUILD, *_OWN.values(), _REFUSED, *_PROCESS.values()),
}


def prometheus(shown: Shown, everything: bool = False) -> Iterator[str]:
    """The page, in pieces. Only what was used, but for ``everything``."""
    return pieces(_families(shown, everything))


def _families(shown: Shown, everything: bool) -> Iterator[Family]:
    engine = shown.engine
    assert engine
    values = engine.counters()
    for name, metric in _workers().items():
        yield metric, [[metric.line((), values[name])]]
    yield _ENDED_HERE, [[_ENDED_HERE.line((reason,), count) for reason, count in engine.ended_here().items() if count]]
    for key, value in engine.loop_counts().items():
        yield _LOOP[key], [[_LOOP[key].line((engine.loop_name,), value)]]
    yield from _serializations(engine.serializations())
    yield from services(chain(stat_pages(shown.table, everything), paged(engine.inbound_stats())))
    yield from methods(list(paged(engine.method_stats())))
    yield from guards.families(shown.table.native.guards())
    yield from shown.state.localities.families(shown.table)
    yield from metered.families(shown.table)
    yield from listings.families(shown.registries)
    yield from doors.families(shown.endpoint, shown.api, shown.nacos)
    yield from standing.families(shown.registrations)
    yield from snapshots.families(shown.snapshots)
    yield from peers(shown.table.native.peers(detail=True), everything)
    yield from _own(shown)


def _serializations(rows: list[dict[str, Any]]) -> Iterator[Family]:
    ids = [(row["name"], str(row["id"])) for row in rows]
    for key, metric in _SERIALIZATIONS.items():
        yield metric, [[metric.line(one, row[key]) for one, row in zip(ids, rows, strict=True)]]
    metric = _SERIALIZATION_LATENCY
    yield metric, [[metric.line(one, row["latency_sum_ns"] / 1e9) for one, row in zip(ids, rows, strict=True)]]


def paged(rows: Sequence[Row]) -> Pages:
    return (rows[at : at + PAGE] for at in range(0, len(rows), PAGE))


def stat_pages(table: Table, everything: bool) -> Pages:
    """The table's rows, in pages: those that a call was counted in, or all."""
    return table.native.stats_in_pieces(PAGE, not everything)


def services(pages: Pages) -> Iterator[Family]:
    """The families of services, in this order: the format wants a family's samples together, the histogram is most of
    them, and little is kept of each row for the others."""
    kept: list[list[Kept]] = []

    def latency() -> Iterator[list[str]]:
        for page in pages:
            kept.append([_kept(row) for row in page])
            wheres = [one[0] for one in kept[-1]]
            yield [line for row, where in zip(page, wheres, strict=True) for line in _latency(_LATENCY, row, where)]

    yield _LATENCY, latency()
    for at, metric in enumerate(_SERVICES.values()):
        yield metric, ([sample(metric.name, where, values[at]) for where, values, *_ in page] for page in kept)
    yield _ANSWERS, ([line for where, _, found, *_ in page for line in _each(_ANSWERS, where, found)] for page in kept)
    yield _ANSWERS_H2, ([line for *_, told in page for line in _each_h2(_ANSWERS_H2, told)] for page in kept)
    yield _LOCAL, ([line for where, _, _, found, _ in page for line in _each(_LOCAL, where, found)] for page in kept)


def methods(pages: list[Sequence[Row]]) -> Iterator[Family]:
    """The families of methods, where they are counted."""
    for key, metric in _METHODS.items():
        yield metric, ([sample(metric.name, _method(row), row[key]) for row in page] for page in pages)
    yield _METHOD_ENDS, ([line for row in page for line in _ends(row)] for page in pages)
    yield _METHOD_H2, (
        [line for row in page for line in _each_h2(_METHOD_H2, _told(row, _method(row)))] for page in pages
    )  # fmt: skip
    yield _METHOD_LATENCY, (
        [line for row in page for line in _latency(_METHOD_LATENCY, row, _method(row))] for page in pages
    )  # fmt: skip


def _ends(row: Row) -> list[str]:
    return _each(_METHOD_ENDS, _method(row), _some(row["outcomes"]))


def _method(row: Row) -> str:
    return labelled(_METHOD, tuple([row[name] for name in _METHOD]))


def _kept(row: Row) -> Kept:
    where = labelled(_WHERE, tuple([row[name] for name in _WHERE]))
    if not row["begun"]:
        return where, _ZEROS, (), (), ()
    values = row["begun"] - row["relayed"], *[row[key] for key in _SERVICES if key != "begun"]
    reasons = tuple([one for one in _some(row["outcomes"]) if one[0] not in _TOLD])
    return where, values, _some(row["status"]), reasons, _told(row, where)


def _some(counts: Mapping[str, int]) -> Some:
    return tuple([(name, count) for name, count in counts.items() if count])


def _told(row: Row, where: str) -> Told:
    return tuple([(f'{where},protocol="{name}"', _some(row[name])) for name in ("grpc", "http") if row[name]])


def _each_h2(metric: Metric, told: Told) -> list[str]:
    return [line for where, found in told for line in _each(metric, where, found)]


def _each(metric: Metric, where: str, found: Iterable[tuple[str, int]]) -> list[str]:
    """A sample for each value of the metric's last label."""
    return [sample(metric.name, f'{where},{metric.labels[-1]}="{name}"', count) for name, count in found]


def _latency(metric: Metric, row: Row, where: str) -> Iterator[str]:
    name = metric.name
    total = 0
    for bound, count in row["latency"]:
        total += count
        yield f'{name}_bucket{{{where},le="{"+Inf" if bound is None else repr(bound)}"}} {total}\n'
    yield sample(f"{name}_sum", where, row["latency_sum_ns"] / 1e9)
    yield sample(f"{name}_count", where, total)


def peers(found: Mapping[str, Mapping[str, Any]], everything: bool) -> Iterator[Family]:
    """The families of instances: those that are not available or were ever dialled, or all."""
    rows = [
        (labelled(("peer",), (name,)), one)
        for name, one in found.items()
        if everything or not one["available"] or one["connections"] or one["failures"]
    ]
    for key, metric in _PEERS.items():
        yield (
            metric,
            (
                [sample(metric.name, where, int(one[key])) for where, one in rows[at : at + PAGE]]
                for at in range(0, len(rows), PAGE)
            ),
        )


def _own(shown: Shown) -> Iterator[Family]:
    state, names = shown.state, shown.names
    values: dict[str, float] = {
        "config_version": state.version,
        "config_rejected_total": state.rejected,
        "config_last_reload_successful": int(not state.last_error),
        "config_applied_timestamp_seconds": state.applied_at,
        "services": len(shown.mesh.services),
        "dns_names": len(names.known),
        "dns_names_failing": names.failing,
        "dns_answers_total": names.answers,
        "dns_failures_total": names.failures,
        "dns_addresses_dropped_total": names.dropped,
        "table_retired": shown.table.reclaim(),
        "draining": int(state.draining),
        "uptime_seconds": time.time() - state.started,
        "admin_connections": state.admin.connections,
        "admin_requests_total": state.admin.requests,
        **{f"takeover_{what}_total": state.passed[what] for what in ("taken", "handed", "refused")},
        "log_dropped_total": logs.dropped(),
        "access_log_records_total": state.access_records,
        "access_log_dropped_total": state.access_dropped,
    }
    yield _BUILD, [[_BUILD.line((__version__, platform.python_version()), 1)]]
    for key, metric in _OWN.items():
        yield metric, [[metric.line((), values[key])]]
    yield _REFUSED, [[_REFUSED.line((reason,), count) for reason, count in sorted(state.admin.refused.items())]]
    process = psutil.Process()
    with process.oneshot():
        cpu, memory = process.cpu_times(), process.memory_info()
        figures: dict[str, float] = {
            "cpu_seconds_total": cpu.user + cpu.system,
            "resident_memory_bytes": memory.rss,
            "virtual_memory_bytes": memory.vms,
            "open_fds": process.num_fds(),
            "max_fds": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            "start_time_seconds": process.create_time(),
        }
    for key, metric in _PROCESS.items():
        yield metric, [[metric.line((), figures[key])]]
