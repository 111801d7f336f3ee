"""``meshfast proxy`` as a process: calls, reload, refusal, admin pages, draining."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from peers import Caller, Provider, closing, mesh, until

from meshfast.ask import ask
from meshfast.model import Mesh
from meshfast.sidecar import Sidecar
from meshfast.source import Good

BACKENDS = ["epoll", "io_uring"]

SIDECAR = """
apiVersion: meshfast.io/v1
kind: Sidecar
metadata: {{name: test}}
spec:
  workload: {{app: shop}}
  workers: {workers}
  admin: "{admin}"
  limits: {{drainTimeout: 5s}}
  listeners:
  - {{name: out, bind: "tcp://127.0.0.1:0"}}
"""

class Proxy:
    def __init__(self, process: asyncio.subprocess.Process, admin: str) -> None:
        self.process, self.admin = process, admin
        self.log = ""
        self.task = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self.process.stderr
        while line := await self.process.stderr.readline():
            self.log += line.decode()

    async def get(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        return await ask(f"unix://{self.admin}", path, method)

    async def metric(self, name: str) -> float:
        _, body = await self.get("/stats/prometheus")
        found = re.search(rf"^{re.escape(name)} (\S+)$", body.decode(), re.M)
        return float(found.group(1)) if found else 0.0


@asynccontextmanager
async def proxy(folder: Path, text: str, backend: str, *options: str, workers: int = 1):
    admin = str(folder / "admin.sock")
    (folder / "sidecar.yaml").write_text(SIDECAR.format(admin=f"unix://{admin}", workers=workers))
    (folder / "mesh.yaml").write_text(text)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "meshfast", "proxy", "--loop", backend, *options, str(folder),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    running = Proxy(process, admin)
    try:
        await until(lambda: "ready:" in running.log or process.returncode is not None, 60)
        if process.returncode is not None and backend == "io_uring" and "io_uring" in running.log:
            pytest.skip(f"this kernel: {running.log}")
        assert "ready:" in running.log, running.log
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await asyncio.gather(running.task, return_exceptions=True)


def address(running: Proxy) -> str:
    found = re.search(r"out (\S+:\d+)", running.log)
    assert found
    return found.group(1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_calls_reload_refuse_and_drain(tmp_path, backend):
    async def story() -> None:
        base, dev1 = await Provider("base").start(), await Provider("dev1").start()
        async with closing(base, dev1), proxy(tmp_path, mesh((base, "")), backend, workers=2) as running:
            caller = await Caller.connect(address(running))
            async with closing(caller):
                await calls_and_reload(running, caller, base, dev1)
                await refused(running, caller)
                await drained(running, caller)

    async def calls_and_reload(running: Proxy, caller: Caller, base: Provider, dev1: Provider) -> None:
        label = {"env": "dev1"}
        assert (await caller.ask("com.x.Cart", "a", attachments=label)).value == "base:a"
        new = tmp_path / "mesh.new"
        new.write_text(mesh((base, ""), (dev1, "dev1")))
        os.replace(new, tmp_path / "mesh.yaml")

        async def reached() -> None:
            while (await caller.ask("com.x.Cart", "b", attachments=label)).value != "dev1:b":
                await asyncio.sleep(0.01)

        await asyncio.wait_for(reached(), 1.0)  # live within a second
        assert (await caller.ask("com.x.Cart", "c")).value == "base:c"

    async def refused(running: Proxy, caller: Caller) -> None:
        good = (tmp_path / "mesh.yaml").read_text()
        (tmp_path / "mesh.yaml").write_text(good.replace("kind: VirtualService", "kind: VirtualServise"))
        await until(lambda: "refused" in running.log)
        assert re.search(r"mesh\.yaml:\d+:\d+: .*VirtualServise", running.log)
        assert (await caller.ask("com.x.Cart", "d", attachments={"env": "dev1"})).value == "dev1:d"
        assert await running.metric("meshfast_config_rejected_total") == 1
        (tmp_path / "mesh.yaml").write_text(good + "\n")
        side = tmp_path / "sidecar.yaml"
        was = side.read_text()
        side.write_text(was.replace("workers: 2", "workers: 1"))
        await until(lambda: "cannot change while it runs" in running.log)
        side.write_text(was)

    async def drained(running: Proxy, caller: Caller) -> None:
        running.process.send_signal(signal.SIGTERM)
        await until(lambda: len(caller.events) > 0)
        assert caller.events[0].raw[-2:] == b"\x01R"
        assert (await caller.ask("com.x.Cart", "e")).value == "base:e"  # what still comes is served
        assert await asyncio.wait_for(running.process.wait(), 10) == 0

    asyncio.run(asyncio.wait_for(story(), 60))


def test_admin_pages(tmp_path):
    async def story() -> None:
        base = await Provider("base").start()
        async with closing(base), proxy(tmp_path, mesh((base, "")), "epoll") as running:
            caller = await Caller.connect(address(running))
            async with closing(caller):
                await caller.ask("com.x.Cart", attachments={"env": "gone"})
                await caller.ask("com.x.Missing")
            assert (await running.get("/ready")) == (200, b"ready\n")
            assert (await running.get("/nothing"))[0] == 404
            assert (await running.get("/drain"))[0] == 405
            assert os.stat(running.admin).st_mode & 0o777 == 0o600
            await pages(running)
            assert (await running.get("/drain", "POST"))[0] == 200
            assert await asyncio.wait_for(running.process.wait(), 10) == 0

    async def pages(running: Proxy) -> None:
        clusters = json.loads((await running.get("/clusters"))[1])
        assert clusters[0]["name"] == "cart" and clusters[0]["endpoints"][0]["available"] is True
        dump = json.loads((await running.get("/config_dump"))[1])
        assert dump["version"] == 1 and dump["mesh"]["services"][0]["name"] == "com.x.Cart"
        status, body = await running.get("/explain?service=com.x.Cart&label=env%3Dgone")
        answer = json.loads(body)
        assert status == 200 and answer["subset"] == "baseline"
        assert answer["why"] == "no instance of cart labelled env=gone"
        assert "mesh.yaml" in answer["origin"]
        assert (await running.get("/explain"))[0] == 400
        service = 'service="com.x.Cart",host="cart",subset='
        _, text = await running.get("/stats/prometheus")
        lines = [line for line in text.decode().splitlines() if line.startswith("meshfast_service_answers_total")]
        assert any(service in line and 'status="20"' in line and line.endswith(" 1") for line in lines), lines
        assert re.search(r"^meshfast_service_fallbacks_total\S* 1$", text.decode(), re.M)
        assert await running.metric("meshfast_answers_local_total") == 1
        assert await running.metric("meshfast_labels_header_total") == 1

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_taken_port_and_a_bad_file_are_told(tmp_path):
    async def story() -> None:
        base = await Provider("base").start()
        async with closing(base):
            (tmp_path / "sidecar.yaml").write_text(
                SIDECAR.format(admin=f"unix://{tmp_path}/a.sock", workers=1).replace("127.0.0.1:0", base.address)
            )
            (tmp_path / "mesh.yaml").write_text(mesh((base, "")))
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "meshfast", "proxy", str(tmp_path), stderr=asyncio.subprocess.PIPE
            )
            _, log = await process.communicate()
            assert process.returncode == 1 and b"Address already in use" in log and b"listener out" in log

    asyncio.run(asyncio.wait_for(story(), 60))


def test_watching_outlives_a_mistake_of_ours(monkeypatch):
    async def changes():
        yield Good(Mesh())
        yield Good(Mesh())

    sidecar = Sidecar(changes())
    seen = []

    def reload(mesh):
        seen.append(mesh)
        if len(seen) == 1:
            raise ValueError("not foreseen")

    monkeypatch.setattr(sidecar, "reload", reload)
    asyncio.run(sidecar._watch(aiter(sidecar.source)))
    assert len(seen) == 2 and sidecar.state.rejected == 1 and sidecar.state.last_error == ""
