"""The native loop as a selector, beside the standard library's."""

from __future__ import annotations

import os
import selectors
import socket

import pytest

from meshfast import loop

BACKENDS = ["epoll", "io_uring"]


def _open(backend):
    if backend == "stdlib":
        return selectors.EpollSelector()
    try:
        return loop.NativeSelector(backend)
    except OSError as error:
        pytest.skip(f"no {backend} here: {error}")


def _each(what, backends):
    """A case for each backend, with its twin in C."""
    twins = {one: f"loop.{what}/{'epoll' if one == 'stdlib' else one}" for one in backends}
    cases = [pytest.param(one, marks=pytest.mark.twin(twin)) for one, twin in twins.items()]
    return pytest.mark.parametrize("backend", cases)


@_each("turn", ["stdlib", *BACKENDS])
def bench_select_idle(benchmark, backend):
    """Nothing is ready, and nothing is waited for."""
    with _open(backend) as selector:
        assert benchmark(selector.select, 0) == []


@_each("ready", ["stdlib", *BACKENDS])
def bench_select_ready(benchmark, backend):
    """One socket has a byte, which is left there."""
    ours, theirs = socket.socketpair()
    with ours, theirs, _open(backend) as selector:
        key = selector.register(ours, selectors.EVENT_READ)
        theirs.send(b"x")
        assert benchmark(selector.select) == [(key, selectors.EVENT_READ)]


@_each("wake", BACKENDS)
def bench_wake(benchmark, backend):
    """A wake and the select that it ends: of itself a wake makes nothing ready, so that this one does not wait."""
    with _open(backend) as selector:

        def once():
            selector.loop.wake()
            return selector.select(0)

        assert benchmark(once) == []


@pytest.mark.twin("loop.wake/epoll")
def bench_wake_stdlib(benchmark):
    """How asyncio wakes a selector of the standard library: a byte through a descriptor, read out again."""
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    one = (1).to_bytes(8, "little")
    with selectors.EpollSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)

        def once():
            os.write(fd, one)
            ready = selector.select(0)
            os.read(fd, 8)
            return ready

        assert len(benchmark(once)) == 1
    os.close(fd)
