"""What the sidecar counts, in Prometheus' text format (version 0.0.4).

Names: ``meshfast_`` and the name in ``csrc/call/counters.h``, with ``_total`` for counters. Waits are in seconds. The
lists here are those of docs/metrics.md: see meshfast/reference.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil

from meshfast import _core

if TYPE_CHECKING:
    from meshfast.sidecar import Sidecar

__all__ = ["GROUPS", "Metric", "prometheus"]

Sample = tuple[str, dict[str, str], float]


@dataclass(frozen=True, slots=True)
class Metric:
    """A family of samples. ``kind`` is "counter", "gauge" or "histogram"; ``labels`` are those of every sample."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...] = ()

    def line(self, values: tuple[str, ...], value: float) -> Sample:
        """A sample with these values of its labels."""
        return self.name, dict(zip(self.labels, values, strict=True)), value


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
    "meshfast_serialization_latency_seconds_sum", "counter", "time to the answer, summed, by serialization", _IDS
)

_WHERE = ("service", "host", "subset")
_SERVICES = {
    key: Metric(f"meshfast_service_{name}_total", "counter", text, _WHERE)
    for key, name, text in (
        ("begun", "calls", "calls by service, application and subset"),
        ("bytes_up", "request_bytes", "request bytes"),
        ("bytes_down", "answer_bytes", "answer bytes"),
        ("fallbacks", "fallbacks", "calls that came to this subset by a fallback"),
        ("one_way", "one_way", "one-way calls"),
    )
}
_ANSWERS = Metric(
    "meshfast_service_answers_total", "counter", "ends of calls by Dubbo status; `lost`: no answer", (*_WHERE, "status")
)
_LATENCY = Metric(
    "meshfast_service_latency_seconds",
    "histogram",
    "from the request's last byte in to the answer's last byte in",
    _WHERE,
)

_OWN = {
    key: Metric(f"meshfast_{key}", kind, text)
    for key, kind, text in (
        ("config_version", "gauge", "how many configurations were applied"),
        ("config_rejected_total", "counter", "configurations refused; the last good one stayed"),
        ("config_applied_timestamp_seconds", "gauge", "when the one in force was applied"),
        ("services", "gauge", "services in the table"),
        ("table_retired", "gauge", "replaced parts of the table that a worker may still be reading"),
        ("draining", "gauge", "1 while draining"),
        ("uptime_seconds", "gauge", "since the start"),
        ("resident_bytes", "gauge", "resident memory of the whole process"),
        ("open_descriptors", "gauge", "open file descriptors of the whole process"),
    )
}

#: Every metric there is, by what it is about; the names of the groups are those of the tables in docs/metrics.md.
GROUPS: dict[str, tuple[Metric, ...]] = {
    "workers": tuple(_workers().values()),
    "services": (*_SERVICES.values(), _ANSWERS, _LATENCY),
    "serializations": (*_SERIALIZATIONS.values(), _SERIALIZATION_LATENCY),
    "loops": tuple(_LOOP.values()),
    "process": tuple(_OWN.values()),
}


def prometheus(sidecar: Sidecar) -> str:
    """The whole page."""
    out: list[str] = []
    for metric, samples in _families(sidecar):
        out.append(f"# HELP {metric.name} {metric.text}")
        out.append(f"# TYPE {metric.name} {metric.kind}")
        out.extend(_line(*sample) for sample in samples)
    return "\n".join(out) + "\n"


def _line(name: str, labels: dict[str, str], value: float) -> str:
    if not labels:
        return f"{name} {_number(value)}"
    inside = ",".join(f'{key}="{_escape(text)}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {_number(value)}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _families(sidecar: Sidecar) -> Iterator[tuple[Metric, Iterable[Sample]]]:
    engine = sidecar.engine
    assert engine
    values = engine.counters()
    for name, metric in _workers().items():
        yield metric, [metric.line((), values[name])]
    for key, value in engine.loop_counts().items():
        yield _LOOP[key], [_LOOP[key].line((engine.loop_name,), value)]
    yield from _serializations(engine.serializations())
    yield from _services(sidecar.table.stats())
    yield from _own(sidecar)


def _serializations(rows: list[dict[str, Any]]) -> Iterator[tuple[Metric, Iterable[Sample]]]:
    ids = [(row["name"], str(row["id"])) for row in rows]
    for key, metric in _SERIALIZATIONS.items():
        yield metric, [metric.line(one, row[key]) for one, row in zip(ids, rows, strict=True)]
    metric = _SERIALIZATION_LATENCY
    yield metric, [metric.line(one, row["latency_sum_ns"] / 1e9) for one, row in zip(ids, rows, strict=True)]


def _services(stats: list[dict[str, Any]]) -> Iterator[tuple[Metric, Iterable[Sample]]]:
    for key, metric in _SERVICES.items():
        yield metric, [metric.line(_where(stat), stat[key]) for stat in stats]
    yield _ANSWERS, [
        _ANSWERS.line((*_where(stat), status), count)
        for stat in stats
        for status, count in stat["status"].items()
        if count
    ]
    yield _LATENCY, _latency(stats)


def _where(stat: dict[str, Any]) -> tuple[str, ...]:
    return stat["service"], stat["host"], stat["subset"]


def _latency(stats: list[dict[str, Any]]) -> Iterator[Sample]:
    for stat in stats:
        total = 0
        name, labels, _ = _LATENCY.line(_where(stat), 0)
        for bound, count in stat["latency"]:
            total += count
            yield f"{name}_bucket", {**labels, "le": "+Inf" if bound is None else repr(bound)}, total
        yield f"{name}_sum", labels, stat["latency_sum_ns"] / 1e9
        yield f"{name}_count", labels, total


def _own(sidecar: Sidecar) -> Iterator[tuple[Metric, Iterable[Sample]]]:
    state = sidecar.state
    process = psutil.Process()
    values: dict[str, float] = {
        "config_version": state.version,
        "config_rejected_total": state.rejected,
        "config_applied_timestamp_seconds": state.applied_at,
        "services": len(sidecar.mesh.services),
        "table_retired": sidecar.table.reclaim(),
        "draining": int(state.draining),
        "uptime_seconds": time.time() - state.started,
        "resident_bytes": process.memory_info().rss,
        "open_descriptors": process.num_fds(),
    }
    for key, metric in _OWN.items():
        yield metric, [metric.line((), values[key])]
