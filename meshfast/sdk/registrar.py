"""Keeps what an application offers registered with its sidecar, as long as it is there and again when it is back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Sequence
from typing import Any

from meshfast.ask import Talk
from meshfast.errors import StateError

__all__ = ["Refused", "Registrar"]

log = logging.getLogger("meshfast.sdk")

#: Seconds that an answer may take, and between two attempts to find the sidecar, at first and at most.
ANSWER, SOON, LATER = 10.0, 0.1, 1.0


class Refused(StateError):
    """The sidecar says no, and what to do."""


async def _ask(talk: Talk, method: str, target: str, body: object = None) -> dict[str, Any]:
    """
    :raises Refused: it is answered with an error
    :raises OSError: it is not answered
    """
    async with asyncio.timeout(ANSWER):
        status, answer = await talk.ask(method, target, b"" if body is None else json.dumps(body).encode())
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        found = {"error": answer.decode("utf-8", "replace").strip()[:200] or f"status {status}"}
    if status != 200 or "error" in found:
        raise Refused("; ".join(str(found[name]) for name in ("error", "hint") if found.get(name)))
    return found


class Registrar:
    """``offers``: bodies of ``/v1/register``. ``registered``: it knows of all of them now."""

    def __init__(self, api: str, offers: Sequence[dict[str, Any]]) -> None:
        self._api, self._offers = api, offers
        self.registered = False
        self._talk: Talk | None = None
        self._task: asyncio.Task[None] | None = None

    async def inbound(self) -> list[str]:
        """Where the sidecar forwards calls to.

        :raises OSError: it is not there
        """
        talk = await Talk.to(self._api)
        try:
            return [str(one["forward"]) for one in (await _ask(talk, "GET", "/v1/inbound")).get("inbound", ())]
        finally:
            talk.close()

    async def start(self) -> None:
        """Registers; where the sidecar is not there yet, as soon as it is.

        :raises Refused: what is offered cannot be registered
        """
        try:
            await self._register()
        except OSError as error:
            log.warning("nothing is registered yet: the sidecar at %s is not there: %s", self._api, error)
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def leave(self) -> None:
        """Takes all back; returns when the sidecar has heard of it, or is not there."""
        try:
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)
            if self._talk is not None:
                with contextlib.suppress(OSError, Refused):
                    await _ask(self._talk, "DELETE", "/v1/register")
        finally:
            self.close()

    def close(self) -> None:
        """At once: by the end of the connection the sidecar knows. Again is harmless."""
        if self._task is not None:
            self._task.cancel()
        self._let_go()

    async def _keep(self) -> None:
        wait = SOON
        while True:
            if self._talk is not None:
                with contextlib.suppress(OSError):
                    await self._talk.ended()
                log.warning("the sidecar at %s has gone; what is offered is registered when it is back", self._api)
                self._let_go()
                wait = SOON
            await asyncio.sleep(wait)
            wait = min(2 * wait, LATER)
            try:
                await self._register()
            except OSError:
                pass
            except Refused as refused:
                log.error("what is offered is not registered: %s", refused)

    async def _register(self) -> None:
        talk = await Talk.to(self._api)
        try:
            for one in self._offers:
                told = await _ask(talk, "POST", "/v1/register", one)
                where = ", ".join(told.get("registries", ())) or "no registry: none has `register: true`"
                log.info("%s is registered as at %s in %s", one["service"], told.get("address"), where)
        except BaseException:
            talk.close()
            raise
        self._talk, self.registered = talk, True

    def _let_go(self) -> None:
        if self._talk is not None:
            self._talk.close()
        self._talk, self.registered = None, False
