"""Paths and ports of the admin address: taken ones, stale ones, and those that cannot be had."""

from __future__ import annotations

import asyncio
import os
import socket
import stat

import pytest
from admins import Still, admin, connect, get, on_loop, raw, status

from meshfast.address import dial, listening
from meshfast.ask import ask
from meshfast.hints import told

BACKENDS = pytest.mark.parametrize("backend", ["epoll", "io_uring"])


@BACKENDS
def test_a_taken_path_is_an_error_and_stays_with_its_owner(backend, tmp_path):
    path = tmp_path / "a.sock"
    address = f"unix://{path}"

    async def story() -> None:
        async with admin(Still(), address):
            assert stat.S_IMODE(os.lstat(path).st_mode) == 0o600
            for _ in range(3):
                with pytest.raises(OSError, match=f"admin address {address}: Address already in use") as refused:
                    async with admin(Still(), address):
                        pass
                assert "choose another address" in told(refused.value)
            assert status(await raw(address, get())) == 503
        assert not path.exists()

    on_loop(backend, story)


def test_what_was_left_behind_is_replaced_and_what_is_not_ours_stays(tmp_path):
    path = tmp_path / "a.sock"

    async def story() -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
            dead.listen()
        assert path.exists()
        async with admin(Still(), f"unix://{path}"):
            assert status(await raw(f"unix://{path}", get())) == 503
            os.rename(path, tmp_path / "moved")  # by somebody who has a use for the name
            path.write_text("another's")
        assert path.read_text() == "another's"
        with pytest.raises(OSError, match="in use"):
            await listening("admin address", f"unix://{path}")
        assert path.read_text() == "another's"

    asyncio.run(story())


def test_of_many_that_start_at_once_one_has_it(tmp_path):
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async def story() -> None:
        found = await asyncio.gather(
            *(listening("admin address", f"unix://{path}") for _ in range(20)), return_exceptions=True
        )
        won = [one for one in found if not isinstance(one, OSError)]
        assert len(won) == 1
        won[0].give_back()

    asyncio.run(story())


def test_what_cannot_be_had_is_named(tmp_path):
    async def story() -> None:
        async with admin(Still()) as bound:
            with pytest.raises(OSError, match=f"admin address tcp://{bound}: Address already in use"):
                await listening("admin address", f"tcp://{bound}")
        nowhere = f"unix://{tmp_path}/none/a.sock"
        with pytest.raises(OSError, match=f"admin address {nowhere}: No such file") as refused:
            await listening("admin address", nowhere)
        assert told(refused.value).endswith("; make the directory first")

    asyncio.run(story())


def test_a_name_without_a_path():
    async def story() -> None:
        name = f"unix://@meshfast-test-{os.getpid()}"
        async with admin(Still(), name) as bound:
            assert bound == name
            reader, writer = await dial(name)
            writer.write(get(host="anything"))
            assert status(await reader.read(-1)) == 503
            writer.close()
        with pytest.raises(OSError):
            await dial(name)

    asyncio.run(story())


def test_what_is_asked_may_be_written_as_a_browser_has_it():
    async def story() -> None:
        async with admin(Still()) as bound:
            assert (await ask(f"http://{bound}/", "/ready"))[0] == 503
            assert (await ask(f"tcp://{bound}", "/ready"))[0] == 503
            assert (await ask(bound, "/drain", "POST"))[0] == 200
        for bad in ("localhost", "http://localhost/", "tcp://localhost:", "x:y"):
            with pytest.raises(OSError, match="write it as tcp://host:port"):
                await ask(bad, "/ready")

    asyncio.run(story())


def test_told():
    assert told(OSError("plain")) == "plain" and told(MemoryError()) == "no memory"
    assert told(FileNotFoundError(2, "No such file", "/a/b")).startswith("/a/b: No such file")


def test_the_helpers_reach_both_kinds():
    async def story() -> None:
        async with admin(Still(), "tcp://[::1]:0") as bound:
            assert bound.startswith("[::1]:")
            reader, writer = await connect(bound)
            writer.write(get(host=bound))
            assert status(await reader.read(-1)) == 503
            writer.close()

    asyncio.run(story())
