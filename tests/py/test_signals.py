"""``meshfast proxy`` and its signals, its log and its last words."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys

import pytest
from peers import Caller, Provider, closing, mesh, until
from test_sidecar import BACKENDS, SIDECAR, address, proxy

RECORD = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) .+")


@pytest.mark.parametrize("backend", BACKENDS)
def test_signals_that_end_nothing(tmp_path, backend):
    async def story() -> None:
        base, dev1 = await Provider("base").start(), await Provider("dev1").start()
        async with closing(base, dev1), proxy(tmp_path, mesh((base, "")), backend) as running:
            caller = await Caller.connect(address(running))
            async with closing(caller):
                for number in (signal.SIGUSR2, signal.SIGUSR1, signal.SIGHUP):
                    running.process.send_signal(number)
                await until(lambda: "configuration 1: nothing is new" in running.log)
                assert "SIGUSR2: nothing to do" in running.log and "SIGHUP: reading" in running.log
                (tmp_path / "mesh.yaml").write_text(mesh((base, ""), (dev1, "dev1")))
                running.process.send_signal(signal.SIGHUP)
                await until(lambda: "configuration 2:" in running.log)
                assert (await caller.ask("com.x.Cart", "a")).value == "base:a"
                (tmp_path / "mesh.yaml").write_text("kind: None")
                running.process.send_signal(signal.SIGHUP)
                await until(lambda: "configuration refused" in running.log)
                assert await running.metric("meshfast_config_last_reload_successful") == 0
                assert (await running.get("/ready"))[0] == 200
                assert (await caller.ask("com.x.Cart", "b")).value == "base:b"
                running.process.send_signal(signal.SIGTERM)
                assert await asyncio.wait_for(running.process.wait(), 15) == 0
            await running.task
            assert re.search(r"INFO SIGTERM: stopping\n", running.log)
            assert re.search(r"INFO stopped: 2 call\(s\) served, 0 lost, up \d+\.\d s\n\Z", running.log)

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_one_ends_at_once(tmp_path, backend, second, monkeypatch):
    monkeypatch.setattr("test_sidecar.SIDECAR", SIDECAR.replace("drainTimeout: 5s", "drainTimeout: 10m"))

    async def never(provider: Provider, writer: asyncio.StreamWriter, frame: object) -> None:
        pass

    async def story() -> None:
        base = await Provider("base", handler=never).start()
        async with closing(base), proxy(tmp_path, mesh((base, "")), backend) as running:
            caller = await Caller.connect(address(running))
            async with closing(caller):
                call = caller.ask("com.x.Cart", "a")
                await until(lambda: base.arrived.is_set())
                assert (await running.get("/drain", "POST"))[0] == 200
                await until(lambda: "draining:" in running.log)
                running.process.send_signal(signal.SIGTERM)  # the first signal, though not the first to ask
                await until(lambda: "SIGTERM: stopping" in running.log)
                assert running.process.returncode is None and not call.done()
                running.process.send_signal(second)
                assert await asyncio.wait_for(running.process.wait(), 15) == 128 + second
                await asyncio.wait({call}, timeout=5)
                assert call.done()  # with an error, not with silence
                call.exception()
            await running.task
            assert f"{second.name} again: ending at once" in running.log
            assert f"{second.name}: 1 call(s) are cut off" in running.log and "drainTimeout:" not in running.log
            assert re.search(r"INFO stopped: \d call\(s\) served, 1 lost, ", running.log)

    asyncio.run(asyncio.wait_for(story(), 60))


async def failing(folder, admin: str, out: str = "127.0.0.1:0") -> list[str]:
    """The log of a proxy that cannot start."""
    text = SIDECAR.format(admin=admin, workers=1).replace("127.0.0.1:0", out)
    (folder / "sidecar.yaml").write_text(text)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "meshfast", "proxy", str(folder), stderr=asyncio.subprocess.PIPE
    )
    _, log = await process.communicate()
    assert process.returncode == 1
    assert b"Traceback" not in log
    return log.decode().splitlines()


def test_start_errors_are_records_that_say_where_and_what_to_do(tmp_path):
    async def story() -> None:
        base = await Provider("base").start()
        other = tmp_path / "other"
        other.mkdir()
        async with closing(base), proxy(tmp_path, mesh((base, "")), "epoll") as running:
            (other / "mesh.yaml").write_text(mesh((base, "")))
            taken = f"unix://{running.admin}"
            lines = await failing(other, taken)
            assert lines[-1].endswith(f"admin address {taken}: Address already in use; another process has it: "
                                      "stop that one, or choose another address")  # fmt: skip
            assert (await running.get("/ready"))[0] == 200  # and the first keeps it
            lines += await failing(other, f"unix://{tmp_path}/none/a.sock")
            assert f"admin address unix://{tmp_path}/none/a.sock: " in lines[-1] and "make the directory" in lines[-1]
            lines += await failing(other, f"unix://{tmp_path}/b.sock", base.address)
            assert f"listener out at {base.address}: Address already in use; another process" in lines[-1]
            lines += await failing(other, f"unix://{tmp_path}/b.sock", "203.0.113.7:1")
            assert "listener out at 203.0.113.7:1: " in lines[-1] and "no interface" in lines[-1]
            assert [line for line in lines if not RECORD.fullmatch(line)] == []
        assert not os.path.exists(tmp_path / "b.sock")

    asyncio.run(asyncio.wait_for(story(), 60))


def test_the_access_log_is_opened_anew(tmp_path, monkeypatch):
    path = tmp_path / "calls.log"
    monkeypatch.setattr("test_sidecar.SIDECAR", SIDECAR + f"  accessLog: {{{{path: {path}}}}}\n")

    async def story() -> None:
        base = await Provider("base").start()
        async with closing(base), proxy(tmp_path, mesh((base, "")), "epoll") as running:
            for number in (signal.SIGUSR1, signal.SIGHUP):
                path.rename(tmp_path / "calls.old")
                running.process.send_signal(number)
                await until(lambda name=number.name: f"{name}: the access log is opened anew" in running.log)
                assert path.exists()
            path.unlink()
            path.mkdir()
            running.process.send_signal(signal.SIGUSR1)
            await until(lambda: f"stays where it was: accessLog.path {path}: Is a directory; it is" in running.log)
            assert (await running.get("/ready"))[0] == 200
        with pytest.raises(AssertionError, match=f"ERROR cannot start: accessLog.path {path}: Is a directory"):
            async with proxy(tmp_path, mesh((base, "")), "epoll"):
                pass

    asyncio.run(asyncio.wait_for(story(), 60))


def test_debug_says_more(tmp_path):
    async def story() -> None:
        base = await Provider("base").start()
        async with closing(base), proxy(tmp_path, mesh((base, "")), "epoll", "--log-level", "debug") as running:
            assert (await running.get("/ready"))[0] == 200
            reader, writer = await asyncio.open_connection(*address(running).rsplit(":", 1))
            writer.write(b"GET / HTTP/1.1\r\n\r\n")  # which goes nowhere here
            await until(lambda: "event: bad_downstream" in running.log)
            await until(lambda: "WARNING bad downstream " in running.log)
            assert "DEBUG admin: GET /ready: 200" in running.log
            running.process.send_signal(signal.SIGHUP)
            await until(lambda: "DEBUG configuration: the source says Same" in running.log)
            writer.close()

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_log_that_nobody_reads_holds_up_nothing(tmp_path, backend):
    async def story() -> None:
        base, dev1 = await Provider("base").start(), await Provider("dev1").start()
        async with closing(base, dev1), proxy(tmp_path, mesh((base, "")), backend, "--log-level", "debug") as running:
            running.task.cancel()  # nobody reads from here on
            await asyncio.gather(running.task, return_exceptions=True)
            caller = await Caller.connect(address(running))
            async with closing(caller):
                for _ in range(1500):
                    assert (await running.get("/nothing-" + "x" * 190))[0] == 404
                assert (await caller.ask("com.x.Cart", "a")).value == "base:a"
                (tmp_path / "mesh.yaml").write_text(mesh((base, ""), (dev1, "dev1")))

                async def applied() -> None:
                    while await running.metric("meshfast_config_version") != 2:
                        await asyncio.sleep(0.01)

                await asyncio.wait_for(applied(), 15)
            running.process.send_signal(signal.SIGTERM)
            await until(lambda: running.process.returncode is not None, 20)
            assert running.process.returncode == 0
            assert running.process.stderr
            await running.process.stderr.read()  # asyncio takes a process for ended once its pipe is

    asyncio.run(asyncio.wait_for(story(), 90))
