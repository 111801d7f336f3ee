"""A Nacos's open API in a few lines: instances that beat, configs and users, and what may go wrong."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
from urllib.parse import parse_qsl, urlsplit

import h11

API = "/nacos/v1"
LIST, NAMES, INSTANCE = f"{API}/ns/instance/list", f"{API}/ns/service/list", f"{API}/ns/instance"
BEAT, CONFIGS, LOGIN = f"{API}/ns/instance/beat", f"{API}/cs/configs", f"{API}/auth/login"


class Refusal(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Played:
    """``services``: by namespace and name with group, the instances by address. ``instead``: by path, what answers in
    its place: bytes for a whole answer as it goes over the wire, or "hang". ``asked``: methods, paths and what was
    asked, in order."""

    def __init__(self) -> None:
        self.services: dict[tuple[str, str], dict[str, dict]] = {}
        self.configs: dict[tuple[str, str, str], bytes] = {}
        self.users: dict[str, str] = {}
        self.tokens: set[str] = set()
        self.ttl = 18000
        self.instead: dict[str, bytes | str] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.interval = 5000
        self.beats_of_unknown = 10200  # or what it says of one that it does not know
        self.before_page = self.before_publish = lambda asked: None
        self.tokens_made = itertools.count(1)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None] | None] = set()  # the loop itself does not hold them
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for each in list(self._writers):
            each.transport.abort()
        await self._server.wait_closed()

    # --- what is in it

    def put(self, service: str, ip: str, port: int, metadata: dict, **fields) -> None:
        at = {"ip": ip, "port": port, "weight": 1.0, "healthy": True, "enabled": True, "clusterName": "DEFAULT"}
        self.of(service)[f"{ip}:{port}"] = at | {"metadata": metadata} | fields

    def of(self, service: str, namespace: str = "") -> dict[str, dict]:
        name = service if "@@" in service else f"DEFAULT_GROUP@@{service}"
        return self.services.setdefault((namespace, name), {})

    def drop(self, service: str, at: str) -> None:
        self.of(service).pop(at)

    def count(self, method: str, path: str) -> int:
        return sum((one, where) == (method, path) for one, where, _ in self.asked)

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
                        http.receive_data(await reader.read(65536))
                    elif isinstance(event, h11.Request):
                        request = event
                    elif isinstance(event, h11.Data):
                        body += event.data
                    elif isinstance(event, h11.ConnectionClosed):
                        return
                method, url = request.method.decode(), urlsplit(request.target.decode())
                token = dict(request.headers).get(b"authorization", b"").decode().removeprefix("Bearer ")
                asked = dict(parse_qsl(url.query, True)) | dict(parse_qsl(body.decode(), True))
                self.asked.append((method, url.path, asked))
                other = self.instead.get(url.path)
                if other == "hang":
                    await asyncio.Event().wait()
                if isinstance(other, bytes):
                    writer.write(other)
                    await writer.drain()
                    return
                try:
                    status, found = 200, self._answer(method, url.path, asked, token)
                except Refusal as no:
                    status, found = no.status, str(no).encode()
                headers = [("content-type", "application/json"), ("content-length", str(len(found)))]
                writer.write(http.send(h11.Response(status_code=status, headers=headers)))
                writer.write(http.send(h11.Data(data=found)) + http.send(h11.EndOfMessage()))
                await writer.drain()
                http.start_next_cycle()
        except (h11.ProtocolError, ConnectionError):
            return
        finally:
            self._writers.discard(writer)
            self._tasks.discard(asyncio.current_task())
            writer.close()

    def _answer(self, method: str, path: str, asked: dict[str, str], token: str) -> bytes:
        if path == LOGIN:
            if self.users.get(asked["username"]) != asked["password"]:
                raise Refusal(403, "unknown user!")
            made = f"token-{next(self.tokens_made)}"
            self.tokens.add(made)
            return json.dumps({"accessToken": made, "tokenTtl": self.ttl}).encode()
        if self.users and token not in self.tokens:
            why = {"status": 403, "error": "Forbidden", "message": "unknown user!", "path": path}
            raise Refusal(403, json.dumps(why))
        if path == CONFIGS:
            return self._config(method, asked)
        namespace = asked.get("namespaceId", "")
        if (method, path) == ("GET", NAMES):
            self.before_page(asked)
            group, page, size = asked["groupName"], int(asked["pageNo"]), int(asked["pageSize"])
            names = [name.partition("@@")[2] for where, name in self.services if where == namespace
                     and name.startswith(f"{group}@@")]  # fmt: skip
            return json.dumps({"count": len(names), "doms": names[(page - 1) * size : page * size]}).encode()
        if (method, path) == ("GET", LIST):
            hosts = list(self.services.get((namespace, asked["serviceName"]), {}).values())
            stamp = len(self.asked)
            return json.dumps({"name": asked["serviceName"], "hosts": hosts, "lastRefTime": stamp}).encode()
        at = f"{asked['ip']}:{asked['port']}"
        there = self.services.setdefault((namespace, asked["serviceName"]), {})
        if (method, path) == ("POST", INSTANCE):
            self._register(there, at, json.loads(asked["metadata"]))
        elif (method, path) == ("DELETE", INSTANCE):
            there.pop(at, None)
        elif (method, path) == ("PUT", BEAT):
            if at not in there and self.beats_of_unknown != 10200:
                return json.dumps({"code": self.beats_of_unknown}).encode()
            if at not in there:
                self._register(there, at, json.loads(asked["beat"])["metadata"])
            there[at]["healthy"] = True
            return json.dumps({"code": 10200, "clientBeatInterval": self.interval}).encode()
        else:
            raise Refusal(404, "Not Found")
        return b"ok"

    def _register(self, there: dict[str, dict], at: str, metadata: dict) -> None:
        ip, _, port = at.rpartition(":")
        there[at] = {"ip": ip, "port": int(port), "weight": 1.0, "healthy": True, "enabled": True,
                     "clusterName": "DEFAULT", "metadata": metadata}  # fmt: skip

    def _config(self, method: str, asked: dict[str, str]) -> bytes:
        key = asked.get("tenant", ""), asked["group"], asked["dataId"]
        if asked.get("search"):
            names = [name for where, group, name in self.configs if (where, group) == key[:2]]
            page, size = int(asked["pageNo"]), int(asked["pageSize"])
            items = [{"dataId": name, "group": key[1]} for name in names[(page - 1) * size : page * size]]
            return json.dumps({"totalCount": len(names), "pageItems": items}).encode()
        if method == "GET":
            if key not in self.configs:
                raise Refusal(404, "config data not exist")
            return self.configs[key]
        self.before_publish(asked)
        now = self.configs.get(key)
        version = hashlib.md5(now).hexdigest() if now else "0"
        with contextlib.suppress(KeyError):
            if asked["casMd5"] != version:
                raise Refusal(500, "caused: Cas publish fail, server md5 may have changed.")
        self.configs[key] = asked["content"].encode()
        return b"true"
