"""The Dubbo2 frame."""

from __future__ import annotations

import pytest

from bench.micro.samples import SERVICE, nested, request
from meshfast import dubbo, hessian

FIVE = request()
ARGUMENT = request("x" * 64)


@pytest.mark.twin("dubbo.head")
def bench_parse_head(benchmark):
    assert benchmark(dubbo.parse_head, FIVE).body_length == len(FIVE) - 16


@pytest.mark.twin("dubbo.five")
def bench_parse_request_lazy(benchmark):
    """Read, and no text made of it."""
    assert not benchmark(dubbo.parse_request, FIVE).is_opaque


def _full(frame):
    read = dubbo.parse_request(frame)
    return read.service, read.version, read.method, read.parameter_types, read.timeout, read.attachments


@pytest.mark.twin("dubbo.five")
def bench_parse_request_full(benchmark):
    """Read, and every string and attachment asked for."""
    assert benchmark(_full, FIVE)[0] == SERVICE


@pytest.mark.twin("dubbo.stamp_frame")
def bench_stamp(benchmark):
    stamped = benchmark(dubbo.stamp, ARGUMENT, {"x-mesh-label": "dev1"})
    assert dubbo.parse_request(stamped).attachments["x-mesh-label"] == "dev1"


@pytest.mark.twin("dubbo.build")
def bench_encode_request(benchmark):
    assert benchmark(request, "x" * 64) == ARGUMENT


@pytest.mark.twin()
def bench_encode_response(benchmark):
    assert dubbo.decode_response(benchmark(dubbo.encode_response, 1, "x" * 64)).value == "x" * 64


@pytest.mark.twin("dubbo.error")
def bench_error_answer(benchmark):
    assert benchmark(dubbo.error_answer, 1, 60, "no such service")[3] == 60


@pytest.mark.twin("traceid.traceparent")
def bench_traceid(benchmark):
    value = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert benchmark(dubbo.traceid, "traceparent", value) == "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.twin("hessian.put_string")
def bench_hessian_encode_string(benchmark):
    assert benchmark(hessian.encode, SERVICE)[-len(SERVICE) :] == SERVICE.encode()


@pytest.mark.twin("hessian.skip_nested")
def bench_hessian_decode_nested(benchmark):
    """Builds all of it, where the twin only passes over it: the data plane never needs the values."""
    value, _ = benchmark(hessian.decode, nested())
    assert len(value) == 4
