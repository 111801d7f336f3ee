"""Names are asked for as the machine would: its hosts file, servers and search domains; and how long answers hold."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from names_server import NameServer

from meshfast.model import Dns
from meshfast.source.names import Found, Unknown
from meshfast.source.resolver import Resolver

Body = Callable[[NameServer, Resolver], Awaitable[None]]


def play(tmp_path: Path, body: Body, *, conf: str = "", hosts: str = "", timeout: int = 5000) -> None:
    async def run() -> None:
        server = await NameServer().start()
        (tmp_path / "conf").write_text(conf)
        (tmp_path / "hosts").write_text(hosts)
        dns = Dns(servers=(server.address,), timeout_ms=timeout)
        try:
            await body(server, Resolver(dns, str(tmp_path / "hosts"), str(tmp_path / "conf")))
        finally:
            await server.stop()

    asyncio.run(run())


def test_addresses_and_their_time_to_live(tmp_path: Path) -> None:
    async def body(server: NameServer, resolver: Resolver) -> None:
        server.put("db.example", "10.0.0.1", "10.0.0.2", ttl=17)
        found = await resolver.ask("db.example")
        assert (sorted(found.addresses), found.ttl) == (["10.0.0.1", "10.0.0.2"], 17)
        assert [kind for _, kind in server.asked] == ["A"]

    play(tmp_path, body)


def test_ipv6_where_there_is_nothing_else(tmp_path: Path) -> None:
    async def body(server: NameServer, resolver: Resolver) -> None:
        server.put("six.example", "fd00::1", ttl=5, kind="AAAA")
        assert await resolver.ask("six.example") == Found(("fd00::1",), 5)

    play(tmp_path, body)


def test_search_domains(tmp_path: Path) -> None:
    async def body(server: NameServer, resolver: Resolver) -> None:
        server.put("db.ns.svc.cluster.local", "10.0.0.1")
        server.put("db.ns.example", "10.0.0.2")
        assert (await resolver.ask("db.ns")).addresses == ("10.0.0.1",)
        assert (await resolver.ask("db.ns.example")).addresses == ("10.0.0.2",)
        with pytest.raises(Unknown, match="no such name"):
            await resolver.ask("db.ns.")  # as it stands

    play(tmp_path, body, conf="search svc.cluster.local\noptions ndots:5\n")


def test_the_hosts_file_is_asked_first_and_read_anew(tmp_path: Path) -> None:
    async def body(server: NameServer, resolver: Resolver) -> None:
        server.put("db.example", "10.0.0.9")
        assert (await resolver.ask("DB.example")).addresses == ("10.0.0.1", "10.0.0.2")
        (tmp_path / "hosts").write_text("10.0.0.33 db.example\n")
        assert (await resolver.ask("db.example")).addresses == ("10.0.0.33",)
        (tmp_path / "hosts").unlink()
        assert (await resolver.ask("db.example")).addresses == ("10.0.0.9",)

    play(tmp_path, body, hosts="# a comment\nfd00::1 db.example\n10.0.0.1 x db.example # y\n10.0.0.2 db.example\nbad\n")


def test_an_answer_that_has_no_room_comes_over_tcp(tmp_path: Path) -> None:
    async def body(server: NameServer, resolver: Resolver) -> None:
        server.cut = True
        server.put("many.example", *(f"10.0.{i}.1" for i in range(200)))
        assert len((await resolver.ask("many.example")).addresses) == 200
        assert server.over_tcp == 1

    play(tmp_path, body)


def test_who_says_nothing_or_that_he_cannot_is_a_failure(tmp_path: Path) -> None:
    async def body(server: NameServer, resolver: Resolver) -> None:
        server.put("empty.example", kind="TXT")
        server.put("blocked.example", "0.0.0.0", "224.0.0.1")
        for name, said in (
            ("nobody.example", "no such name"), ("empty.example", "it has no address"),
            ("blocked.example", "it has no address"),
        ):  # fmt: skip
            with pytest.raises(Unknown, match=said):
                await resolver.ask(name)
        server.fails = True
        with pytest.raises(Unknown, match="SERVFAIL"):
            await resolver.ask("db.example")
        server.fails, server.mute = False, True
        with pytest.raises(Unknown, match="lifetime expired"):
            await resolver.ask("db.example")

    play(tmp_path, body, timeout=300)


def test_the_machines_servers(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text("nameserver 127.0.0.77\n")
    resolver = Resolver(Dns(), str(tmp_path / "hosts"), str(tmp_path / "conf"))
    assert [str(one) for one in resolver._asked().nameservers] == ["127.0.0.77"]
    (tmp_path / "conf").write_text("nameserver 127.0.0.78\nnameserver ::1\n")
    assert [str(one) for one in resolver._asked().nameservers] == ["127.0.0.78", "::1"]
    (tmp_path / "conf").unlink()
    assert "127.0.0.1" in str(resolver._asked().nameservers[0])
