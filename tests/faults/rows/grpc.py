"""Rows whose callers and providers speak gRPC: those of Dubbo2 again, and what only HTTP/2 has."""

from __future__ import annotations

from faults.rows import also_grpc, configs, crowds, life, peers, wire

TIMED_OUT, UNAVAILABLE = 4, 14
TORN, LATE = 102, 108  # RST_STREAM with INTERNAL_ERROR, with CANCEL: the answer had begun

also_grpc(
    wire.half_caller, wire.delay, wire.byte_provider, wire.byte_caller, crowds.descriptors, configs.move_route,
    configs.churn, life.calm, life.sigterm,
)  # fmt: skip
also_grpc(
    wire.reset, wire.fin, wire.half_provider, wire.refuse, peers.kill, peers.restart, peers.all_gone,
    allowed=(UNAVAILABLE, TORN),
)  # fmt: skip
also_grpc(wire.blackhole, wire.mute, wire.doubt, wire.slow_provider, allowed=(TIMED_OUT, UNAVAILABLE, TORN, LATE))
