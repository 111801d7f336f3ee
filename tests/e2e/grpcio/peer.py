"""grpcio at either end, told what to do as the other peers are: JSON lines on stdin, answers on stdout, side by side.

Bodies are bytes, so that no generated code is needed. Binary texts travel here as base64.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from typing import Any

import grpc
import provider
from parts import SERVICE, Pattern, pairs, texts

LONGEST = 64 << 20
CHANNEL = [("grpc.max_receive_message_length", LONGEST), ("grpc.use_local_subchannel_pool", 1)]
_channels: dict[str, list[grpc.aio.Channel]] = {}
_open: dict[str, Any] = {}
_loads: dict[str, Load] = {}


def refer(told: dict[str, Any]) -> None:
    """A reference: as many channels as there are ``connections``; several addresses are taken by turns."""
    params = told["params"]
    options = [*CHANNEL, ("grpc.lb_policy_name", "round_robin")]
    if "keepalive" in params:
        options += [
            ("grpc.keepalive_time_ms", int(params["keepalive"])),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
        ]
    if "retries" in params:
        options.append(("grpc.enable_retries", int(params["retries"])))
    target = "ipv4:" + told["url"]
    count = int(params.get("connections", 1))
    _channels[told["ref"]] = [grpc.aio.insecure_channel(target, options) for _ in range(count)]


async def release(told: dict[str, Any]) -> None:
    for channel in _channels.pop(told["ref"], []):
        await channel.close()


def path(method: str) -> str:
    return method if method.startswith("/") else f"/{SERVICE}/{method}"


async def ended(call: Any, began: float, **more: Any) -> dict[str, Any]:
    """How a call ended, and all that came with it."""
    code = await call.code()
    trailing = list(await call.trailing_metadata() or ())
    return {
        "code": code.value[0],
        "message": await call.details() or "",
        "initial": texts(await call.initial_metadata() or ()),
        "trailing": texts(trailing),
        "details": next((base64.b64encode(v).decode() for k, v in trailing if k == "grpc-status-details-bin"), ""),
        "millis": round((time.monotonic() - began) * 1000),
        **more,
    }


def seconds(told: dict[str, Any]) -> float | None:
    return told["timeout"] / 1000 if told.get("timeout") else None


async def call(told: dict[str, Any]) -> dict[str, Any]:
    """One unary call."""
    began = time.monotonic()
    stub = _channels[told["ref"]][0].unary_unary(path(told["method"]))
    going = stub(base64.b64decode(told.get("body", "")), timeout=seconds(told), metadata=pairs(told.get("metadata")))
    body = b""
    try:
        body = await going
    except grpc.aio.AioRpcError:
        pass  # its code is told below
    return await ended(going, began, body=base64.b64encode(body).decode())


async def stream(told: dict[str, Any]) -> dict[str, Any]:
    """One streaming call of ``count`` messages of ``size`` bytes, each looked at: collect, produce or chat."""
    began, method = time.monotonic(), told["method"]
    pattern, count = Pattern(told["size"]), told["count"]
    channel, wrong, got, answer = _channels[told["ref"]][0], 0, 0, b""

    async def messages() -> Any:
        for number in range(count):
            yield pattern.message(number)

    try:
        if method == "collect":
            going = channel.stream_unary(path(method))(messages(), timeout=seconds(told))
            answer = await going
        else:
            if method == "produce":
                asked = json.dumps({"count": count, "size": told["size"], "pause": told.get("pause", 0)}).encode()
                going = channel.unary_stream(path(method))(asked, timeout=seconds(told))
            else:
                going = channel.stream_stream(path(method))(messages(), timeout=seconds(told))
            async for message in going:
                wrong += message != pattern.message(got)
                got += 1
    except grpc.aio.AioRpcError:
        pass
    return await ended(going, began, wrong=wrong, got=got, answer=answer.decode())


async def start(told: dict[str, Any]) -> None:
    """Begin a call that ends only when it is told to; back when its first message, if it is to have one, is here."""
    channel, method = _channels[told["ref"]][0], told["method"]
    if method == "hang":
        going = channel.unary_stream(path(method))(b"", timeout=seconds(told))
        await going.read()
    else:
        going = channel.unary_unary(path(method))(b"", timeout=seconds(told))
    _open[told["name"]] = going


async def finish(told: dict[str, Any]) -> dict[str, Any]:
    """How a call that was begun ends; cancelled first if that is asked."""
    began, going = time.monotonic(), _open.pop(told["name"])
    if told.get("cancel"):
        going.cancel()
    code = await going.code()
    return {"code": code.value[0], "millis": round((time.monotonic() - began) * 1000)}


class Load:
    """Calls by ``threads`` callers, ``calls`` each or until stopped, spread over the channels; answers are checked."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told, self.stopped = told, False
        self.good = self.wrong = self.failed = 0
        self.errors: dict[str, int] = {}
        self.answered_by: dict[str, int] = {}
        channels = _channels[told["ref"]]
        stubs = [channel.unary_unary(path("ask")) for channel in channels]
        self.tasks = [asyncio.ensure_future(self._run(i, stubs[i % len(stubs)])) for i in range(told["threads"])]

    async def _run(self, caller: int, stub: Any) -> None:
        calls, pause = self.told.get("calls") or 1 << 60, self.told.get("pause", 0) / 1000
        padding = b"." * self.told.get("size", 0)
        for number in range(calls):
            if self.stopped:
                return
            body = b"%d/%d%s" % (caller, number, padding)
            try:
                name, _, rest = (await stub(body, timeout=60)).partition(b"|")
            except grpc.aio.AioRpcError as error:
                self.failed += 1
                text = f"{error.code().value[0]} {error.details()}"
                self.errors[text] = self.errors.get(text, 0) + 1
            else:
                self.good += rest == body
                self.wrong += rest != body
                self.answered_by[name.decode()] = self.answered_by.get(name.decode(), 0) + 1
            if pause:
                await asyncio.sleep(pause)

    async def ended(self) -> dict[str, Any]:
        await asyncio.gather(*self.tasks)
        return self.report()

    def report(self) -> dict[str, Any]:
        return {k: getattr(self, k) for k in ("good", "wrong", "failed", "errors", "answered_by")}


async def execute(told: dict[str, Any]) -> Any:
    match told["op"]:
        case "export":
            return await provider.export(told["name"], told["port"], told["params"])
        case "seen":
            return provider.seen()
        case "leave":
            return await provider.leave(told["grace"] / 1000)
        case "refer":
            return refer(told)
        case "release":
            return await release(told)
        case "call":
            return await call(told)
        case "stream":
            return await stream(told)
        case "start":
            return await start(told)
        case "finish":
            return await finish(told)
        case "flood":
            return await Load(told).ended()
        case "load":
            _loads[told["load"]] = Load(told)
            return None
        case "progress":
            return _loads[told["load"]].report()
        case "stop":
            load = _loads.pop(told["load"])
            load.stopped = True
            return await load.ended()
    raise ValueError(f"no such op: {told['op']}")


async def answer(told: dict[str, Any]) -> None:
    said: dict[str, Any] = {"id": told["id"], "ok": True}
    try:
        said["value"] = await execute(told)
    except Exception as error:  # whatever it is, the test is to see it
        said = {"id": told["id"], "ok": False, "error": type(error).__name__, "message": str(error)}
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


async def main() -> None:
    lines = asyncio.StreamReader(limit=16 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    tasks = set()
    while line := await lines.readline():
        task = asyncio.ensure_future(answer(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


if __name__ == "__main__":
    asyncio.run(main())
