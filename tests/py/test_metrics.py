"""The page for Prometheus: what is on it, in which form, and how much of it is made at once."""

from __future__ import annotations

import asyncio
import gzip
import re
import tracemalloc

import pytest
from admins import Still, admin, get, on_loop, raw, status
from test_admin import unchunked

from meshfast import _core, config
from meshfast.exposition import Metric, labelled, pieces, sample
from meshfast.metrics import GROUPS, PAGE, methods, peers, prometheus, services
from meshfast.pieces import gzipped

BOUNDS = (*(0.001 * 2**i for i in range(19)), None)


def row(number: int) -> dict[str, object]:
    return {
        "direction": "outbound", "service": f"com.x.S{number}", "host": f"app{number % 50}", "subset": f"dev{number}",
        "begun": 5, "bytes_up": 1, "bytes_down": 2, "fallbacks": 0, "one_way": 0, "relayed": 1, "retries": 0,
        "status": {"20": 4, "31": 1, "35": 0},
        "grpc": {"0": 2, "14": 1, "other": 1}, "http": {"4xx": 3},
        "outcomes": {"ok": 4, "timeout": 1, "lost": 0}, "latency_sum_ns": 12_345_678,
        "latency": [(bound, 1) for bound in BOUNDS],
    }  # fmt: skip


def many(number: int):
    """Pages of rows that exist only while they are looked at."""
    return ([row(i) for i in range(at, min(at + PAGE, number))] for at in range(0, number, PAGE))


def test_a_hundred_thousand_series_in_pieces():
    wanted = 100_000 // 28 + 1
    tracemalloc.start()
    lines = longest = 0
    try:
        for piece in pieces(services(many(wanted))):
            lines += piece.count("\n")
            longest = max(longest, len(piece))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert lines >= 100_000
    assert peak < 8 << 20 and longest < 1 << 19
    packed = b"".join(gzipped(piece.encode() for piece in pieces(services(many(100)))))
    assert gzip.decompress(packed).decode() == "".join(pieces(services(many(100))))


def test_samples_of_a_family_stand_together_below_its_head():
    text = "".join(pieces(services(many(250))))
    heads = re.findall(r"^# TYPE (\S+) ", text, re.M)
    assert len(heads) == len(set(heads)) == len(GROUPS["services"])
    for block in re.split(r"^# HELP ", text, flags=re.M)[1:]:
        name = block.split(" ", 1)[0]
        series = [line for line in block.splitlines()[2:]]
        assert series and all(line.startswith(name) for line in series)
    assert 'answers_total{direction="outbound",service="com.x.S7",host="app7",subset="dev7",reason="timeout"} 1' in text
    where = 'answers_total{direction="outbound",service="com.x.S7",host="app7",subset="dev7"'
    assert f'meshfast_service_{where},status="20"}} 4\n' in text
    for protocol, told, count in (("grpc", "0", 2), ("grpc", "14", 1), ("grpc", "other", 1), ("http", "4xx", 3)):
        assert f'meshfast_service_http2_{where},protocol="{protocol}",status="{told}"}} {count}\n' in text
    assert len(re.findall(r'_http2_answers_total\{.*service="com.x.S7"', text)) == 4
    assert 'reason="ok"' not in text and 'reason="lost"' not in text
    buckets = re.findall(r'_bucket\{direction="outbound",service="com.x.S7",.*le="(.+)"\} (\d+)', text)
    assert len(buckets) == 20 and buckets[-1] == ("+Inf", "20")
    assert [int(count) for _, count in buckets] == sorted(int(count) for _, count in buckets)


def test_methods_by_status_of_http2():
    mine, others = {"method": "m"} | row(7), {"method": "n", **row(7), "grpc": {}, "http": {}}
    text = "".join(pieces(methods([[mine], [others]])))
    where = 'meshfast_method_http2_answers_total{direction="outbound",service="com.x.S7",method="m"'
    assert f'{where},protocol="grpc",status="14"}} 1\n{where},protocol="grpc",status="other"}} 1\n' in text
    assert f'{where},protocol="http",status="4xx"}} 3\n' in text and text.count("\nmeshfast_method_http2_") == 4
    assert len(re.findall(r"^# TYPE ", text, re.M)) == len(GROUPS["methods"])


def test_what_dubbo_alone_shows_is_as_it_was():
    """Names and labels of series that others have on their pages."""
    dubbo = row(7) | {"grpc": {}, "http": {}}
    assert "http2" not in "".join(pieces(services([[dubbo]])))
    series = {metric.name: metric.labels for metric in GROUPS["services"]}
    where = ("direction", "service", "host", "subset")
    assert series["meshfast_service_answers_total"] == (*where, "status")
    assert series["meshfast_service_local_answers_total"] == (*where, "reason")


def test_a_family_without_samples_is_left_out():
    metric = Metric("a", "gauge", 'about \\ and\n"', ("x",))
    assert "".join(pieces([(metric, []), (metric, [[]])])) == ""
    line = metric.line(('"\\\n\u00e9',), 0.5)
    assert "".join(pieces([(metric, [[], [line]])])) == (
        '# HELP a about \\\\ and\\n"\n# TYPE a gauge\na{x="\\"\\\\\\n\u00e9"} 0.5\n'
    )
    assert sample("a", "", 3.0) == "a 3\n" and labelled((), ()) == ""


def test_instances_that_rest():
    unused = {"available": True, "calls": 0, "calls_active": 0, "connections": 0, "failures": 0}
    rests, used = unused | {"available": False}, unused | {"connections": 2}
    found = {"10.0.0.1:1": unused, "10.0.0.2:1": rests, "10.0.0.3:1": used}
    short = "".join(pieces(peers(found, False)))
    assert 'meshfast_peer_available{peer="10.0.0.2:1"} 0\nmeshfast_peer_available{peer="10.0.0.3:1"} 1\n' in short
    assert 'meshfast_peer_connections_total{peer="10.0.0.3:1"} 2\n' in short and "10.0.0.1" not in short
    assert "".join(pieces(peers(found, True))).count("\nmeshfast_peer_available{") == 3
    assert "".join(pieces(peers({"10.0.0.1:1": unused}, False))) == ""


ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: app{i}}}
spec:
  hosts: [com.x.S{i}]
  ports: [{{name: dubbo, number: 20880, protocol: DUBBO}}]
  endpoints: [{{address: 10.0.0.1, labels: {{env: dev1}}}}, {{address: 10.0.0.2}}]
---"""
LABEL = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: by-label}
spec: {hosts: ["*"], http: [{route: [{destination: {subset: $env}}]}]}
---
apiVersion: istio.alibabacloud.com/v1
kind: TrafficLabel
metadata: {name: env}
spec: {rules: [{labels: [{name: env}]}]}
"""


@pytest.mark.parametrize("backend", ["epoll", "io_uring"])
def test_only_what_was_used(backend):
    still = Still()
    text = "".join(ENTRY.format(i=i) for i in range(300)) + LABEL
    still.mesh = config.load_texts([("mesh.yaml", text.encode())])
    still.table.publish(still.mesh)

    async def page(address: str, target: str, *heads: str) -> str:
        answer = await raw(address, get(target, *heads))
        assert status(answer) == 200
        body = unchunked(answer.partition(b"\r\n\r\n")[2])
        return (gzip.decompress(body) if heads else body).decode()

    async def story() -> None:
        async with admin(still) as address:
            short = await page(address, "/stats/prometheus", "Accept-Encoding: gzip")
            assert "meshfast_service_" not in short and "meshfast_peer_" not in short and len(short) < 40960
            assert "meshfast_calls_total 0" in short and "process_open_fds " in short
            every = await page(address, "/stats/prometheus?all")
            assert every.count("\nmeshfast_service_calls_total{") >= 600
            assert every.count("\nmeshfast_peer_available{") == 2

    on_loop(backend, story)


def test_names_are_what_prometheus_calls_good():
    for metric in (metric for group in GROUPS.values() for metric in group):
        assert metric.name.endswith("_total") is (metric.kind == "counter"), metric.name
        assert not re.search(r"_(sum|count|bucket|info)$", metric.name) or metric.name == "meshfast_build_info"
        assert not re.search(r"_(ms|ns|us|kb|mb|kib|mib|milliseconds|microseconds)\b", metric.name)
        assert metric.text


def test_while_the_last_configuration_is_refused():
    async def story() -> None:
        still = Still()
        still.engine = _core.Engine(still.table.native)
        still.state.ready = True
        async with admin(still) as address:
            assert (await raw(address, get("/ready"))).endswith(b"\r\n\r\nready\n")
            still.state.last_error = "no"
            still.state.rejected = 1
            answer = await raw(address, get("/ready"))
            assert status(answer) == 200 and b"refused" in answer
            text = "".join(prometheus(still))
            assert "meshfast_config_last_reload_successful 0\n" in text and "meshfast_config_rejected_total 1\n" in text

    asyncio.run(story())
