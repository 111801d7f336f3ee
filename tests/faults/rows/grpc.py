"""Rows whose callers and providers speak gRPC: those of Dubbo2 again."""

from __future__ import annotations

from faults.rows import also_grpc, configs, crowds, governed, health, life, peers, selftest, shares, wire

TIMED_OUT, EXHAUSTED, UNAVAILABLE = 4, 8, 14
TORN, LATE = 102, 108  # RST_STREAM with INTERNAL_ERROR, with CANCEL: the answer had begun

also_grpc(selftest.drop, selftest.close, selftest.body, selftest.status, selftest.misrouted, selftest.neighbour)
also_grpc(
    wire.half_caller, wire.byte_provider, wire.byte_caller, crowds.descriptors, configs.churn, life.calm, life.sigterm,
    shares.hung_peers,
)  # fmt: skip
also_grpc(
    wire.reset, wire.fin, wire.half_provider, peers.kill, peers.restart, peers.all_gone, allowed=(UNAVAILABLE, TORN)
)
also_grpc(wire.blackhole, wire.slow_provider, allowed=(TIMED_OUT, UNAVAILABLE, TORN, LATE))

also_grpc(
    wire.delay, configs.move_route, health.hung_connect, shares.full_peer, shares.silent_peer, shares.patient_caller,
    shares.shared_queue, long=True,
)  # fmt: skip
also_grpc(
    wire.refuse, health.app_gone, health.only_machine, health.away, allowed=(UNAVAILABLE, TORN), long=True
)
also_grpc(governed.ejected, allowed=(UNAVAILABLE,))
also_grpc(governed.centre_gone, allowed=(UNAVAILABLE, TORN))
also_grpc(governed.ejected_black, allowed=(TIMED_OUT, UNAVAILABLE, TORN, LATE), long=True)
also_grpc(governed.twice, allowed=(EXHAUSTED,))
also_grpc(wire.mute, wire.doubt, allowed=(TIMED_OUT, UNAVAILABLE, TORN, LATE), long=True)
