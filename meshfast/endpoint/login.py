"""What a client of Nacos 2 asks over HTTP, 1000 ports before gRPC: to be let in, where it has a user. All are."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from meshfast import serve
from meshfast.address import Listen, listening
from meshfast.serve import Answer, Request

__all__ = ["Login"]

PATHS = ("/nacos/v1/auth/users/login", "/nacos/v1/auth/login", "/nacos/v3/auth/user/login")


class Login:
    """One address. ``used``: of one before it, too."""

    def __init__(self, used: serve.Used | None = None) -> None:
        self.used = used or serve.Used()
        self._server = serve.Server(self._answer, self.used, what="endpoint", asked_by=False)

    async def start(self, address: str, listen: Listen = listening) -> str:
        """As ``serve.Server``."""
        return await self._server.start(address, listen)

    async def stop(self) -> None:
        await self._server.stop()

    def _answer(self, asked: Request) -> Answer:
        if asked.method == "POST" and asked.path in PATHS:
            told = {"accessToken": "meshfast", "tokenTtl": 18000, "globalAdmin": False}
            return Answer(msgspec.json.encode(told), kind="application/json")
        text = f"{asked.path[:100]} is not served: clients of Nacos 2 come by gRPC, 1000 ports on\n"
        return Answer(text.encode(), HTTPStatus.NOT_FOUND, reason="unknown")
