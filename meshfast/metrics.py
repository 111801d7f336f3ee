"""What the sidecar counts, in Prometheus' text format (version 0.0.4).

Names: ``meshfast_`` and the name in ``csrc/proxy/counters.h``, with ``_total`` for counters. Waits are in seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import psutil

from meshfast import _core

if TYPE_CHECKING:
    from meshfast.sidecar import Sidecar

__all__ = ["prometheus"]

Sample = tuple[str, dict[str, str], float]


def prometheus(sidecar: Sidecar) -> str:
    """The whole page."""
    out: list[str] = []
    for name, kind, text, samples in _families(sidecar):
        out.append(f"# HELP {name} {text}")
        out.append(f"# TYPE {name} {kind}")
        out.extend(_line(sample, labels, value) for sample, labels, value in samples)
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


def _families(sidecar: Sidecar) -> Iterator[tuple[str, str, str, Iterable[Sample]]]:
    engine = sidecar.engine
    assert engine
    values = engine.counters()
    for name, (kind, text) in _core.counters().items():
        full = f"meshfast_{name}" + ("_total" if kind == "counter" else "")
        yield full, kind, text, [(full, {}, values[name])]
    yield from _loop(engine)
    yield from _serializations(engine)
    yield from _services(sidecar)
    yield from _own(sidecar)


def _loop(engine: _core.Engine) -> Iterator[tuple[str, str, str, Iterable[Sample]]]:
    loop = {"loop": engine.loop_name}
    for key, value in engine.loop_counts().items():
        name = f"meshfast_loop_{key}_total"
        yield name, "counter", f"{key.replace('_', ' ')} of the workers' loops", [(name, loop, value)]


def _serializations(engine: _core.Engine) -> Iterator[tuple[str, str, str, Iterable[Sample]]]:
    rows = engine.serializations()
    texts = {
        "calls": "calls by serialization", "answers": "answers by serialization",
        "bytes_up": "request bytes by serialization", "bytes_down": "answer bytes by serialization",
        "ok": "answers with status 20 by serialization", "errors": "answers with another status by serialization",
    }  # fmt: skip
    for key, text in texts.items():
        name = f"meshfast_serialization_{key}_total"
        yield name, "counter", text, [(name, {"serialization": row["name"], "id": str(row["id"])}, row[key]) for row in rows]
    name = "meshfast_serialization_latency_seconds_sum"
    samples = [(name, {"serialization": r["name"], "id": str(r["id"])}, r["latency_sum_ns"] / 1e9) for r in rows]
    yield name, "counter", "time to the answer, summed, by serialization", samples


def _services(sidecar: Sidecar) -> Iterator[tuple[str, str, str, Iterable[Sample]]]:
    stats = list(sidecar.table.stats())
    plain = {
        "begun": ("meshfast_service_calls_total", "calls by service, application and subset"),
        "bytes_up": ("meshfast_service_request_bytes_total", "request bytes"),
        "bytes_down": ("meshfast_service_answer_bytes_total", "answer bytes"),
        "fallbacks": ("meshfast_service_fallbacks_total", "calls that came to this subset by a fallback"),
        "one_way": ("meshfast_service_one_way_total", "one-way calls"),
    }
    for key, (name, text) in plain.items():
        yield name, "counter", text, [(name, _where(stat), stat[key]) for stat in stats]
    name = "meshfast_service_answers_total"
    samples = [
        (name, {**_where(stat), "status": status}, count)
        for stat in stats
        for status, count in stat["status"].items()
        if count
    ]
    yield name, "counter", "ends of calls by Dubbo status; `lost`: no answer", samples
    name = "meshfast_service_latency_seconds"
    yield name, "histogram", "from the request's last byte in to the answer's last byte in", _latency(name, stats)


def _where(stat: dict) -> dict[str, str]:  # type: ignore[type-arg]
    return {"service": stat["service"], "host": stat["host"], "subset": stat["subset"]}


def _latency(name: str, stats: list[dict]) -> Iterator[Sample]:  # type: ignore[type-arg]
    for stat in stats:
        total = 0
        for bound, count in stat["latency"]:
            total += count
            le = "+Inf" if bound is None else repr(bound)
            yield f"{name}_bucket", {**_where(stat), "le": le}, total
        yield f"{name}_sum", _where(stat), stat["latency_sum_ns"] / 1e9
        yield f"{name}_count", _where(stat), total


def _own(sidecar: Sidecar) -> Iterator[tuple[str, str, str, Iterable[Sample]]]:
    state = sidecar.state
    process = psutil.Process()
    rows = [
        ("meshfast_config_version", "gauge", "how many configurations were applied", state.version),
        ("meshfast_config_rejected_total", "counter", "configurations refused; the last good one stayed", state.rejected),
        ("meshfast_config_applied_timestamp_seconds", "gauge", "when the one in force was applied", state.applied_at),
        ("meshfast_services", "gauge", "services in the table", len(sidecar.mesh.services)),
        ("meshfast_draining", "gauge", "1 while draining", int(state.draining)),
        ("meshfast_uptime_seconds", "gauge", "since the start", time.time() - state.started),
        ("meshfast_resident_bytes", "gauge", "resident memory of the whole process", process.memory_info().rss),
        ("meshfast_open_descriptors", "gauge", "open file descriptors of the whole process", process.num_fds()),
    ]
    for name, kind, text, value in rows:
        yield name, kind, text, [(name, {}, value)]
