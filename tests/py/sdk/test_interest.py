"""The sidecar hears which services are called, again when it is back, and no call waits for one that is not there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import h11
import pytest
from peers import closing
from sdk_world import CART, Counting, FakeFat, meshed, play, until, url

from meshfast import sdk


class Api:
    """What is told to a sidecar; ``answer`` says its status. ``full``: it turns everyone away, as one that has too many
    connections."""

    def __init__(self, path: Path, answer: Callable[[list[str]], Awaitable[int]] | None = None) -> None:
        self.path, self.answer = path, answer
        self.told: list[list[str]] = []
        self.full = False
        self.writers: list[asyncio.StreamWriter] = []

    async def start(self) -> Api:
        self.server = await asyncio.start_unix_server(self._serve, str(self.path))
        return self

    @property
    def address(self) -> str:
        return f"unix://{self.path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        if self.full:
            await reader.read(1)
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\nconnection: close\r\n\r\nfull")
            writer.close()
            return
        http, body = h11.Connection(h11.SERVER), b""
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                assert (event.method, event.target) == (b"POST", b"/v1/consume")
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                services = json.loads(body)["services"]
                status = await self.answer(services) if self.answer else 200
                self.told.append(services)
                said = b"{}" if status == 200 else b'{"error": "not that one"}'
                answer = h11.Response(status_code=status, headers=[("content-length", str(len(said)))], reason=b"")
                parts = [http.send(answer), http.send(h11.Data(data=said)), http.send(h11.EndOfMessage())]
                writer.write(b"".join(part or b"" for part in parts))
                http.start_next_cycle()
                body = b""
            else:
                writer.close()
                return

    async def stop(self) -> None:
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()
        self.path.unlink(missing_ok=True)
        await asyncio.sleep(0)


def test_a_service_is_told_before_its_first_call(tmp_path: Path) -> None:
    async def story() -> None:
        provider, asked = await Counting().start(), asyncio.Event()

        async def answer(services: list[str]) -> int:
            await asked.wait()
            return 200

        api = await Api(tmp_path / "api", answer).start()
        async with closing(provider), meshed(url(provider), api=api.address) as mesh:
            call = asyncio.ensure_future(mesh.service(CART).call("hi", "x"))
            await until(lambda: len(api.writers) == 1)
            await until(lambda: mesh.mode == "thin")
            assert not provider.requests and not call.done()
            asked.set()
            assert await call == "provider:x" and api.told == [[CART]]
            assert await mesh.service(CART).call("hi", "y") == "provider:y"
            assert await mesh.service("com.x.Other").call("hi", "y") == "provider:y"
            assert api.told == [[CART], ["com.x.Other"]] and len(api.writers) == 1
        await api.stop()

    play(story)


def test_who_cannot_be_told_holds_nobody_up(tmp_path: Path) -> None:
    async def story() -> None:
        provider = await Counting().start()
        async with closing(provider), meshed(url(provider), api=f"unix://{tmp_path}/none") as mesh:
            assert await mesh.service(CART).call("hi", "x") == "provider:x"
            api = await Api(tmp_path / "none").start()
            await until(lambda: api.told == [[CART]])
            await api.stop()
            assert await mesh.service("com.x.Other").call("hi", "x") == "provider:x"

    play(story)


def test_one_that_is_refused_takes_no_other_along(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async def answer(services: list[str]) -> int:
            return 400 if "bad name" in services else 200

        provider, api = await Counting().start(), await Api(tmp_path / "api", answer).start()
        async with closing(provider), meshed(url(provider), api=api.address) as mesh:
            calls = [mesh.service(name).call("hi", "x") for name in (CART, "bad name", "com.x.Other")]
            assert await asyncio.gather(*calls) == ["provider:x"] * 3
            assert api.told == [sorted([CART, "bad name", "com.x.Other"]), ["bad name"], [CART], ["com.x.Other"]]
        await api.stop()

    play(story)
    assert "bad name: " in caplog.text and "not that one" in caplog.text


def test_a_sidecar_that_is_back_hears_it_before_calls_come(tmp_path: Path) -> None:
    async def story() -> None:
        sidecar, engine = Counting(), await Counting(name="engine").start()
        allowed = asyncio.Event()
        allowed.set()

        async def answer(services: list[str]) -> int:
            await allowed.wait()
            return 200

        path = tmp_path / "sidecar"
        await sidecar.start(path=str(path))
        api = await Api(tmp_path / "api", answer).start()
        async with closing(engine), meshed(
            f"unix://{path}", lambda: FakeFat(url(engine)), api=api.address
        ) as mesh:  # fmt: skip
            cart = mesh.service(CART)
            assert await cart.call("hi", "x") == "provider:x"
            await api.stop()
            await sidecar.stop()
            assert await cart.call("hi", "x") == "engine:x"
            allowed.clear()
            api = await Api(tmp_path / "api", answer).start()
            await until(lambda: len(api.writers) == 1 and not mesh.client.interest.settled)
            path.unlink()
            back = Counting(name="back")
            await back.start(path=str(path))
            await until(lambda: len(back.writers) > 10)  # probes, and none is enough
            assert mesh.mode == "fat"
            allowed.set()
            await until(lambda: mesh.mode == "thin")
            assert api.told == [[CART]] and await cart.call("hi", "x") == "back:x"
            await back.stop()
            await api.stop()

    play(story)


def test_one_that_takes_and_does_not_answer_holds_nobody_up_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshfast.sdk.interest.ANSWER", 0.05)

    async def story() -> None:
        async def never(services: list[str]) -> int:
            await asyncio.Event().wait()
            return 500

        provider, api = await Counting().start(), await Api(tmp_path / "api", never).start()
        async with closing(provider), meshed(url(provider), api=api.address) as mesh:
            assert await mesh.service(CART).call("hi", "x") == "provider:x"
            await until(lambda: len(api.writers) > 2)  # it is asked again
            assert mesh.client.interest.settled and not mesh.client.interest.fresh("com.x.Other")
        await api.stop()

    play(story)


@pytest.mark.parametrize("services", [(CART,), (CART, "com.x.Other")])
def test_one_that_is_full_is_told_once_it_is_not(tmp_path: Path, services: tuple[str, ...]) -> None:
    async def story() -> None:
        provider, api = await Counting().start(), await Api(tmp_path / "api").start()
        api.full = True
        async with closing(provider), meshed(url(provider), api=api.address) as mesh:
            calls = [mesh.service(name).call("hi", "x") for name in services]
            assert await asyncio.gather(*calls) == ["provider:x"] * len(services)
            await until(lambda: len(api.writers) > 2)  # it is asked again
            assert mesh.client.interest.settled and not mesh.client.interest.fresh("com.x.Third")
            api.full = False
            await until(lambda: api.told == [sorted(services)])
            assert await mesh.service("com.x.Third").call("hi", "x") == "provider:x"
            await until(lambda: api.told[1:] == [["com.x.Third"]] and mesh.client.interest.settled)
        await api.stop()

    play(story)


def test_the_other_face_tells_it_too(tmp_path: Path) -> None:
    async def story() -> None:
        provider, api = await Counting().start(), await Api(tmp_path / "api").start()

        def calls() -> list[str]:
            with sdk.Blocking("tests", address=url(provider), api=api.address, fat=lambda: FakeFat("")) as mesh:
                return [mesh.service(name).call("hi", "x", timeout=20.0) for name in (CART, "com.x.Other", CART)]

        async with closing(provider):
            assert await asyncio.to_thread(calls) == ["provider:x"] * 3
            assert api.told == [[CART], ["com.x.Other"]]
        await api.stop()

    play(story)
