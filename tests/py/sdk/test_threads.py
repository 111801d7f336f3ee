"""Threads for handlers: they take what comes, and no process waits at its end for what does not end."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import CancelledError

import pytest
from peers import until_now

from meshfast.sdk.threads import Threads


def begun() -> int:
    return sum(one.name.startswith("counted-") for one in threading.enumerate())


def test_they_are_as_many_as_are_needed() -> None:
    threads = Threads(3, "counted")
    assert [threads.submit(pow, 2, number).result(60) for number in range(5)] == [1, 2, 4, 8, 16]
    gate, inside = threading.Event(), threading.Semaphore(0)

    def waits() -> str:
        inside.release()
        assert gate.wait(60)
        return threading.current_thread().name

    done = [threads.submit(waits) for _ in range(5)]
    for _ in range(3):
        assert inside.acquire(timeout=60)
    assert begun() == 3 and not done[3].running()
    gate.set()
    assert {one.result(60) for one in done} <= {"counted-0", "counted-1", "counted-2"}
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 / 0).result(60)
    threads.shutdown()
    with pytest.raises(RuntimeError, match="no more work"):
        threads.submit(waits)
    until_now(lambda: not begun())


def test_what_has_not_begun_is_cancelled() -> None:
    threads, gate, inside = Threads(1, "t"), threading.Event(), threading.Event()

    def waits() -> int:
        inside.set()
        assert gate.wait(60)
        return 1

    begun, waiting, left = threads.submit(waits), threads.submit(waits), threads.submit(waits)
    assert inside.wait(60) and left.cancel()
    threads.shutdown(cancel_futures=True)
    with pytest.raises(CancelledError):
        waiting.result(60)
    gate.set()
    assert begun.result(60) == 1


PROGRAM = """
import asyncio, sys, threading
from peers import Caller
from meshfast import dubbo
from meshfast.sdk.serve import Limits, Offer, Serving

async def story():
    inside = threading.Event()

    def hangs():
        inside.set()
        threading.Event().wait()

    async with Serving(None, Offer("com.x.Stock", {"hangs": hangs}), limits=Limits(leave=0.05)) as serving:
        caller = await Caller.connect(f"127.0.0.1:{serving.port}")
        waits = caller.send(dubbo.encode_request(1, "com.x.Stock", "hangs", ()))
        await asyncio.to_thread(inside.wait)
    try:
        await waits
    except ConnectionResetError:
        await caller.close()
        print("over")

asyncio.run(story())
"""


def test_a_process_whose_handler_hangs_ends() -> None:
    paths = ":".join(one for one in sys.path if one)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False,
        env={"PYTHONPATH": paths},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "over\n"), done.stderr
