"""How a connection begins: which protocol it is, told from its first bytes, and what becomes of those that are none."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
from harness import mesh
from harness.h2peer import PROTOCOL, Peer
from harness.h2tap import PREFACE
from harness.h2world import Stream, World, request
from harness.process import ANY, HOST, free_port, until
from harness.through import Through


class Server:
    """Takes connections, keeps what each read brought, and says what it is told to."""

    def __init__(self, first: bytes = b"") -> None:
        self._server = socket.create_server((HOST, 0))
        self.port = int(self._server.getsockname()[1])
        self.reads: list[list[bytes]] = []
        self.socks: list[socket.socket] = []
        self._first = first
        threading.Thread(target=self._accept, name="server", daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._server.accept()
                self.reads.append([])
                self.socks.append(sock)
                sock.sendall(self._first)
                threading.Thread(target=self._read, args=(sock, self.reads[-1]), name="server", daemon=True).start()

    def _read(self, sock: socket.socket, to: list[bytes]) -> None:
        with contextlib.suppress(OSError):
            while data := sock.recv(1 << 16):
                to.append(data)
        to.append(b"")

    def close(self) -> None:
        for sock in (self._server, *self.socks):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def door(behind: Through, port: int, protocol: str = "auto") -> int:
    """A listener before the server at ``port``, behind another where there are two."""
    if behind.is_two:
        port = behind.onward(port)
    front = free_port()
    behind.sidecars.append(behind.sidecar([], [{**mesh.inbound(f"tcp://{ANY}:{front}", port), "protocol": protocol}]))
    return front


def heard(sock: socket.socket) -> bytes:
    """All that comes, up to the end."""
    sock.settimeout(20)
    found = b""
    with contextlib.suppress(ConnectionError):
        while data := sock.recv(1 << 16):
            found += data
    return found


def goaway(data: bytes) -> int | None:
    """The code of the GOAWAY among frames, if there is one."""
    at = 0
    while at + 9 <= len(data):
        length = int.from_bytes(data[at : at + 3], "big")
        if data[at + 3] == 7:
            return int.from_bytes(data[at + 13 : at + 17], "big")
        at += 9 + length
    return None


def test_preface_and_settings_in_one(behind: Through, world: World, server: Server) -> None:
    """A provider that looks at a few bytes to tell protocols apart never sees only those."""
    caller = world.caller(*behind.to(server.port))
    caller.call("first")
    until("it came", lambda: server.reads and server.reads[0])
    first = server.reads[0][0]
    assert first.startswith(PREFACE) and first[len(PREFACE) + 3 : len(PREFACE) + 5] == b"\x04\x00"


def test_preface_byte_by_byte(behind: Through, world: World) -> None:
    """Taken for nothing else on the way, and a call then goes as any other."""
    provider = world.provider()
    (port,) = behind.to(provider.port)
    sock = socket.create_connection((HOST, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for i in range(len(PREFACE)):
        sock.sendall(PREFACE[i : i + 1])
        behind.sidecars[-1].is_ready()  # it has had a turn
    peer = Peer(sock, True, greet=False)
    peer.raw(bytes(3) + b"\x04" + bytes(5))
    peer.headers(1, request("slow"), True)
    provider.take("slow").answer()
    assert Stream(peer, 1).status() == "0"
    peer.close()
    for one in behind.sidecars:
        assert one.count("opaque_connections") == 0 and one.count("bad_connections") == 0


@pytest.mark.parametrize(
    "said", [b"PRI * HTTP/2.0\r\n\r\nXX", b"PRI * HTTP/1.1\r\n\r\n", b"PRI\xda\xbb" + bytes(14), b"PRI\r\n"], ids=repr
)
@pytest.mark.parametrize("protocol", ["auto", "http2"])
def test_wrong_preface(behind: Through, server: Server, said: bytes, protocol: str) -> None:
    """It is told so and closed, and reaches nobody."""
    with socket.create_connection((HOST, door(behind, server.port, protocol))) as sock:
        sock.sendall(said)
        assert goaway(heard(sock)) == PROTOCOL
    assert not server.reads


def test_half_a_preface(behind: Through, server: Server) -> None:
    """And the end: closed, and nobody is dialled."""
    with socket.create_connection((HOST, door(behind, server.port))) as sock:
        sock.sendall(b"PRI")
        sock.shutdown(socket.SHUT_WR)
        assert heard(sock) == b""
    assert not server.reads


def test_words_that_begin_like_it(behind: Through, server: Server) -> None:
    port = door(behind, server.port)
    for i, said in enumerate((b"PRIVMSG x\r\n", b"PR x\r\n", b"GE\r\n")):
        with socket.create_connection((HOST, port)) as sock:
            sock.sendall(said)
            until("it came", lambda i=i, said=said: len(server.reads) > i and b"".join(server.reads[i]) == said)  # type: ignore[misc]


def test_a_method_in_two_pieces(behind: Through, server: Server) -> None:
    """Not decided before it can be."""
    with socket.create_connection((HOST, door(behind, server.port))) as sock:
        sock.sendall(b"GE")
        behind.sidecars[-1].is_ready()
        assert not server.reads
        sock.sendall(b"T / HTTP/1.1\r\nhost: x\r\n\r\n")
        until("it came", lambda: server.reads and b"".join(server.reads[0]).endswith(b"\r\n\r\n"))
    until("it is counted", lambda: behind.sidecars[-1].count("http1_connections") == 1)


UPGRADE = (
    b"POST /com.x.Cart/add HTTP/1.1\r\nhost: cart\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n"
    b"http2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\ncontent-length: 5\r\n\r\nhello"
)


def test_upgrade_is_the_peers_own(behind: Through, server: Server) -> None:
    """Bytes of HTTP/1, the 101 and all of HTTP/2 behind it: from first to last as they are."""
    switched = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n"
    answer, more = bytes(3) + b"\x04" + bytes(5) + b"\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88", b"\xff" * 3000
    with socket.create_connection((HOST, door(behind, server.port))) as sock:
        sock.sendall(UPGRADE)
        until("it came", lambda: server.reads and b"".join(server.reads[0]) == UPGRADE)
        server.socks[0].sendall(switched + answer)
        sock.sendall(PREFACE + more)
        until("all came", lambda: b"".join(server.reads[0]) == UPGRADE + PREFACE + more)
        server.socks[0].shutdown(socket.SHUT_WR)
        assert heard(sock) == switched + answer
    assert len(server.reads) == 1


@pytest.mark.parametrize("said", [UPGRADE, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"HEAD / HTTP/1.0\r\n\r\n"])
def test_http1_where_http2_alone_is_spoken(behind: Through, server: Server, said: bytes) -> None:
    with socket.create_connection((HOST, door(behind, server.port, "http2"))) as sock:
        sock.sendall(said)
        answer = heard(sock)
    assert answer.startswith(b"HTTP/1.1 505 HTTP Version Not Supported\r\n")
    head, _, text = answer.partition(b"\r\n\r\n")
    assert (b"prior knowledge" in text) is not said.startswith(b"HEAD")
    assert not server.reads
