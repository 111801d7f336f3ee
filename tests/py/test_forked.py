"""An engine in a process that was forked from its own: it is left alone there, and goes on where it is."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, os, socket, sys
from meshfast import _core

table = _core.Table()
idle = _core.Engine(table)
engine = _core.Engine(table, workers=2, backend=sys.argv[1])
address = engine.listen("out", "127.0.0.1:0")
engine.start()

def asked():
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port))) as sock:  # a heartbeat
        sock.sendall(bytes.fromhex("dabbe2140000000000000001000000014e"))
        return sock.recv(16)[:3] == bytes.fromhex("dabb22")

for stops in (True, False):
    child = os.fork()
    if not child:
        assert engine.forked and not idle.forked
        if stops:
            engine.drain()
            assert engine.drained
            engine.stop()
        idle.start()  # has been nobody's yet
        idle.stop()
        del engine, table, idle
        gc.collect()
        sys.exit(7)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7, status
    assert not engine.forked and asked()
engine.stop()
engine.stop()
"""


def test_a_forked_process_leaves_an_engine_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "epoll"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
