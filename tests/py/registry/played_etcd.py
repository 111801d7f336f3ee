"""An etcd's JSON gateway in a few lines: keys with revisions, leases, watches and users, and what may go wrong."""

from __future__ import annotations

import asyncio
import itertools
import json
from base64 import b64decode, b64encode

import h11

LEASES = itertools.count(7001)


def b64(text: bytes | str) -> str:
    return b64encode(text.encode() if isinstance(text, str) else text).decode()


class Refusal(Exception):
    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(text)
        self.status, self.code = status, code


class Stream:
    """A watch that is open. ``lines`` is what it is told, None to end it."""

    def __init__(self, begin: str, end: str, start: int) -> None:
        self.begin, self.end, self.start = begin, end, start
        self.lines: asyncio.Queue[bytes | None] = asyncio.Queue()

    def has(self, key: str) -> bool:
        return self.begin <= key < self.end


class Played:
    """``keys``: value, lease, revision made, revision changed. ``instead``: by path, what answers in its place: bytes
    for a whole answer as it goes over the wire, or "hang". ``asked``: paths and bodies, in order."""

    def __init__(self) -> None:
        self.keys: dict[str, tuple[bytes, int, int, int]] = {}
        self.history: list[tuple[int, str, str, bytes]] = []
        self.revision, self.compacted, self.cluster = 1, 0, 77
        self.leases: dict[int, int] = {}
        self.kept: list[int] = []
        self.users: dict[str, str] = {}
        self.tokens: set[str] = set()
        self.denied: tuple[str, ...] = ()
        self.instead: dict[str, bytes | str] = {}
        self.asked: list[tuple[str, dict]] = []
        self.streams: list[Stream] = []
        self.pieces = 0  # bytes written at once; 0: all
        self.before_page = self.before_txn = lambda body: None
        self.tokens_made = itertools.count(1)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None] | None] = set()  # the loop itself does not hold them
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """As a crash: what it holds stays."""
        self._server.close()
        for each in list(self._writers):
            each.transport.abort()
        for stream in self.streams:
            stream.lines.put_nowait(None)
        self.streams.clear()
        await self._server.wait_closed()

    # --- what is in it

    def put(self, key: str, value: bytes = b"", lease: int = 0) -> None:
        self.revision += 1
        made = self.keys[key][2] if key in self.keys else self.revision
        self.keys[key] = (value, lease, made, self.revision)
        self._event("PUT", key, value)

    def drop(self, key: str) -> None:
        if self.keys.pop(key, None) is not None:
            self.revision += 1
            self._event("DELETE", key, b"")

    def expire(self, lease: int) -> None:
        self.leases.pop(lease, None)
        for key in [key for key, one in self.keys.items() if one[1] == lease]:
            self.drop(key)

    def compact(self) -> None:
        self.compacted = self.revision

    def cut(self) -> None:
        """All watches end."""
        for each in self.streams:
            each.lines.put_nowait(None)
        self.streams.clear()

    def count(self, path: str) -> int:
        return sum(each == path for each, _ in self.asked)

    def _event(self, kind: str, key: str, value: bytes) -> None:
        self.history.append((self.revision, kind, key, value))
        for each in self.streams:
            if each.has(key):
                each.lines.put_nowait(self._line({"events": [self._told(self.history[-1])]}))

    def _told(self, event: tuple[int, str, str, bytes]) -> dict:
        revision, kind, key, value = event
        kv = {"key": b64(key), "mod_revision": str(revision)} | ({"value": b64(value)} if value else {})
        return {"kv": kv} | ({"type": "DELETE"} if kind == "DELETE" else {})

    def _header(self) -> dict:
        return {"cluster_id": str(self.cluster), "revision": str(self.revision)}

    def _line(self, fields: dict) -> bytes:
        return json.dumps({"result": {"header": self._header(), **fields}}).encode() + b"\n"

    # --- how it answers

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._tasks.add(asyncio.current_task())
        http = h11.Connection(h11.SERVER)
        try:
            while True:
                request, body = None, b""
                while not isinstance(event := http.next_event(), h11.EndOfMessage):
                    if event is h11.NEED_DATA:
                        data = await reader.read(65536)
                        http.receive_data(data)
                    elif isinstance(event, h11.Request):
                        request = event
                    elif isinstance(event, h11.Data):
                        body += event.data
                    elif isinstance(event, h11.ConnectionClosed):
                        return
                path = request.target.decode()
                token = dict(request.headers).get(b"authorization", b"").decode()
                asked = json.loads(body)
                self.asked.append((path, asked))
                other = self.instead.get(path)
                if other == "hang":
                    await asyncio.Event().wait()
                if isinstance(other, bytes):
                    await self._write(writer, other)
                    return
                try:
                    found = self._watch(asked, token) if path == "/v3/watch" else self._answer(path, asked, token)
                except Refusal as no:
                    status, found = no.status, {"error": str(no), "message": str(no), "code": no.code}
                else:
                    status = 200
                if isinstance(found, Stream):
                    await self._streamed(http, writer, found)
                    return
                await self._write(writer, http.send(h11.Response(status_code=status, headers=CHUNKED)))
                await self._write(writer, http.send(h11.Data(data=json.dumps(found).encode())))
                await self._write(writer, http.send(h11.EndOfMessage()))
                http.start_next_cycle()
        except (h11.ProtocolError, ConnectionError):
            return
        finally:
            self._writers.discard(writer)
            self._tasks.discard(asyncio.current_task())
            writer.close()

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        for at in range(0, len(data), self.pieces or len(data) or 1):
            writer.write(data[at : at + (self.pieces or len(data))])
            await writer.drain()
            if self.pieces:
                await asyncio.sleep(0)

    async def _streamed(self, http: h11.Connection, writer: asyncio.StreamWriter, stream: Stream) -> None:
        await self._write(writer, http.send(h11.Response(status_code=200, headers=CHUNKED)))
        while (line := await stream.lines.get()) is not None:
            await self._write(writer, http.send(h11.Data(data=line)))
        await self._write(writer, http.send(h11.EndOfMessage()))

    def _allow(self, token: str, key: str) -> None:
        if self.users and not token:
            raise Refusal(400, 3, "etcdserver: user name is empty")
        if self.users and token not in self.tokens:
            raise Refusal(401, 16, "etcdserver: invalid auth token")
        if key.startswith(self.denied):
            raise Refusal(403, 7, "etcdserver: permission denied")

    def _watch(self, body: dict, token: str) -> Stream:
        asked = body["create_request"]
        begin, end = (b64decode(asked[each]).decode() for each in ("key", "range_end"))
        stream = Stream(begin, end, int(asked.get("start_revision", 0)))
        try:
            self._allow(token, begin)
        except Refusal as no:
            why = f"rpc error: code = PermissionDenied desc = {no}"
            stream.lines.put_nowait(self._line({"created": True, "canceled": True, "cancel_reason": why}))
            return stream
        stream.lines.put_nowait(self._line({"created": True}))
        if stream.start and stream.start <= self.compacted:
            stream.lines.put_nowait(self._line({"canceled": True, "compact_revision": str(self.compacted)}))
            return stream
        missed = [each for each in self.history if stream.start and each[0] >= stream.start and stream.has(each[2])]
        if missed:
            stream.lines.put_nowait(self._line({"events": [self._told(each) for each in missed]}))
        self.streams.append(stream)
        return stream

    def _answer(self, path: str, body: dict, token: str) -> dict:
        key = b64decode(body.get("key", "")).decode()
        if path == "/v3/auth/authenticate":
            if not self.users:
                raise Refusal(412, 9, "etcdserver: authentication is not enabled")
            if self.users.get(body["name"]) != body["password"]:
                raise Refusal(400, 3, "etcdserver: authentication failed, invalid user ID or password")
            token = f"token-{next(self.tokens_made)}"
            self.tokens.add(token)
            return {"header": self._header(), "token": token}
        if path == "/v3/kv/range":
            self._allow(token, key)
            return self._range(key, body)
        if path == "/v3/lease/grant":
            one = next(LEASES)
            self.leases[one] = int(body["TTL"])
            return {"header": self._header(), "ID": str(one), "TTL": str(self.leases[one])}
        if path == "/v3/lease/keepalive":
            one = int(body["ID"])
            self.kept.append(one)
            found = {"TTL": str(self.leases[one])} if one in self.leases else {}
            return {"result": {"header": self._header(), "ID": str(one), **found}}
        if path == "/v3/lease/revoke":
            self.expire(int(body["ID"]))
            return {"header": self._header()}
        if path == "/v3/kv/deleterange":
            self._allow(token, key)
            there = key in self.keys
            self.drop(key)
            return {"header": self._header()} | ({"deleted": "1"} if there else {})
        if path == "/v3/kv/txn":
            return self._txn(body, token)
        raise Refusal(404, 5, "Not Found")

    def _txn(self, body: dict, token: str) -> dict:
        self.before_txn(body)
        steps = [next(iter(each.items())) for each in body["success"]]
        keys = [b64decode(one["key"]).decode() for _, one in steps]
        for key in keys:
            self._allow(token, key)
        if len(set(keys)) < len(keys):
            raise Refusal(400, 3, "etcdserver: duplicate key given in txn request")
        if not all(map(self._holds, body["compare"])):
            return {"header": self._header()}
        for key, (what, one) in zip(keys, steps, strict=True):
            lease = self.keys[key][1] if one.get("ignore_lease") else int(one.get("lease", 0))
            if lease and lease not in self.leases:
                raise Refusal(404, 5, "etcdserver: requested lease not found")
            if what == "request_put":
                self.put(key, b64decode(one["value"]), lease)
            else:
                self.drop(key)
        return {"header": self._header(), "succeeded": True}

    def _holds(self, compare: dict) -> bool:
        _, _, made, changed = self.keys.get(b64decode(compare["key"]).decode(), (b"", 0, 0, 0))
        found, field = {"CREATE": (made, "create_revision"), "MOD": (changed, "mod_revision")}[compare["target"]]
        wanted = int(compare[field])
        return found > wanted if compare.get("result") == "GREATER" else found == wanted

    def _range(self, key: str, body: dict) -> dict:
        self.before_page(body)
        if int(body.get("revision", 0)) and int(body["revision"]) < self.compacted:
            raise Refusal(400, 11, "etcdserver: mvcc: required revision has been compacted")
        end = b64decode(body["range_end"]).decode() if "range_end" in body else key + "\0"
        found = sorted(each for each in self.keys if key <= each < end)
        limit = int(body.get("limit", 0)) or len(found)
        kvs = []
        for each in found[:limit]:
            value, lease, made, changed = self.keys[each]
            kv = {"key": b64(each), "create_revision": str(made), "mod_revision": str(changed)}
            kv |= {"value": b64(value)} if value and not body.get("keys_only") else {}
            kvs.append(kv | ({"lease": str(lease)} if lease else {}))
        more = {"more": True} if len(found) > limit else {}
        return {"header": self._header()} | ({"kvs": kvs, "count": str(len(found))} if kvs else {}) | more


CHUNKED = [("content-type", "application/json"), ("transfer-encoding", "chunked")]
