"""A server on loopback that speaks as much of ZooKeeper as a reader of one needs, or says what a test gives it."""

from __future__ import annotations

import socket
import struct
import threading

NO_NODE = -101


def _text(data: bytes) -> bytes:
    return struct.pack(">i", len(data)) + data


class Served:
    """``tree``: paths with their children's names; ``says``: bytes said to each connection instead of listening."""

    def __init__(self, says: bytes | None = None, silent: bool = False):
        self.tree: dict[str, list[str]] = {}
        self.says, self.silent = says, silent
        self.sessions: list[int] = []  # as they are asked for
        self.auth: list[bytes] = []
        self.expired = False
        self._watched: dict[str, socket.socket] = {}
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self.hang_up()

    def hang_up(self):
        for each in self._open:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def change(self, path, names):
        self.tree[path] = names
        if path in self._watched:
            event = struct.pack(">iqi", -1, -1, 0) + struct.pack(">ii", 4, 3) + _text(path.encode())
            self._watched.pop(path).sendall(_text(event))

    def _accept(self):
        threads = []
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                break
            self._open.append(sock)
            threads.append(threading.Thread(target=self._serve, args=(sock,)))
            threads[-1].start()
        self.hang_up()
        for each in threads:
            each.join()

    def _serve(self, sock):
        with sock, sock.makefile("rb") as stream:
            try:
                if self.says is not None:
                    sock.sendall(self.says)
                    return
                while self.silent:
                    if not stream.read(1):
                        return
                self._greet(sock, self._packet(stream))
                while self._answer(sock, self._packet(stream)):
                    pass
            except (OSError, struct.error):
                return

    def _packet(self, stream):
        return stream.read(struct.unpack(">i", stream.read(4))[0])

    def _greet(self, sock, packet):
        _, _, timeout, session = struct.unpack(">iqiq", packet[:24])
        self.sessions.append(session)
        if self.expired and session:
            timeout, session = 0, -1
        answer = struct.pack(">iiq", 0, timeout, session + 1 if not session else session) + _text(b"p" * 16) + b"\0"
        sock.sendall(_text(answer))

    def _answer(self, sock, packet):
        xid, kind = struct.unpack(">ii", packet[:8])
        error, body = 0, b""
        if kind in (3, 4, 8):
            (length,) = struct.unpack(">i", packet[8:12])
            path, watch = packet[12 : 12 + length].decode(), packet[12 + length]
            if path not in self.tree:
                error = NO_NODE
            elif kind == 8:
                names = [_text(each.encode()) for each in self.tree[path]]
                body = struct.pack(">i", len(names)) + b"".join(names)
                if watch:
                    self._watched[path] = sock
        elif kind == 100:
            self.auth.append(packet)
        sock.sendall(_text(struct.pack(">iqi", xid, 1, error) + body))
        return kind != -11
