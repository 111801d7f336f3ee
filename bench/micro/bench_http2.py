"""Header blocks and frames of HTTP/2: the list of bench/c/blocks.h."""

from __future__ import annotations

import pytest

from meshfast import http2

CONSTANT = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/org.apache.dubbo.demo.GreeterService/sayHello"),
    (b":authority", b"greeter.demo.svc.cluster.local:50051"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
    (b"user-agent", b"grpc-java-netty/1.62.2"),
    (b"grpc-accept-encoding", b"gzip"),
    (b"tri-service-version", b"1.0.0"),
    (b"tri-service-group", b"blue"),
    (b"tri-consumer-appname", b"storefront"),
    (b"baggage-env", b"dev1"),
]
FRESH = [
    (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    (b"grpc-timeout", b"2999871u"),
]


def _ready(headers):
    """A decoder, and a block of `headers` whose constant fields it knows."""
    encoder, decoder = http2.HeaderEncoder(), http2.HeaderDecoder()
    decoder.decode(encoder.encode(CONSTANT + FRESH))
    return encoder, decoder, encoder.encode(headers)


@pytest.mark.twin("hpack.decode_steady")
def bench_decode_steady(benchmark):
    _, decoder, block = _ready(CONSTANT)
    assert benchmark(decoder.decode, block) == CONSTANT


@pytest.mark.twin("hpack.decode_mixed")
def bench_decode_mixed(benchmark):
    _, decoder, block = _ready(CONSTANT + FRESH)
    assert benchmark(decoder.decode, block) == CONSTANT + FRESH


@pytest.mark.twin("hpack.encode_mixed")
def bench_encode_mixed(benchmark):
    encoder, decoder, _ = _ready(CONSTANT)
    assert decoder.decode(benchmark(encoder.encode, CONSTANT + FRESH)) == CONSTANT + FRESH


@pytest.mark.twin("hpack.judge_mixed")
def bench_check_request(benchmark):
    """Finds out the names as well, which the twin has been told."""
    assert benchmark(http2.check_request, CONSTANT + FRESH) is None


@pytest.mark.twin("h2.headers")
def bench_parse_headers_frame(benchmark):
    frame = http2.Headers(1, http2.Flag.END_HEADERS, _ready(CONSTANT + FRESH)[2])
    assert benchmark(http2.parse_frame, frame.encode())[0] == frame
