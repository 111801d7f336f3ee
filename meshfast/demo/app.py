"""One application of the demonstration: ``python -m meshfast.demo.app --name B --env dev1 --listen 127.0.0.1:1 ...``.

It serves ``demo.<name>`` and, to answer, calls the next application through its sidecar. It hands on the trace id
(x-request-id) and nothing else: it has never heard of traffic labels.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Mapping

from meshfast import dubbo
from meshfast.demo.wire import TRACE, Address, Client, Server

ARROW = " -> "
NEXT_TIMEOUT = 8.0  # seconds
GRACE = 5.0  # seconds


def address(text: str) -> Address:
    """``host:port`` -> (host, port)."""
    host, _, port = text.rpartition(":")
    return host, int(port)


class Application:
    """What the program does with a call: its own name, then what the next application said."""

    def __init__(self, name: str, env: str, sidecar: Address, following: str) -> None:
        self.me = f"{name}({env or 'base'})"
        self.following = following
        self.client = Client(sidecar)

    async def answer(self, request: dubbo.Request) -> tuple[str, Mapping[str, str]]:
        """The path from here on, and the trace id so that the caller can tell whose answer this is."""
        trace = request.attachments.get(TRACE, "")
        path = self.me
        if self.following:
            path += ARROW + await self._next(trace)
        return path, {TRACE: trace}

    async def _next(self, trace: str) -> str:
        try:
            response = await self.client.call(self.following, (self.me,), {TRACE: trace}, NEXT_TIMEOUT)
        except (OSError, ValueError) as error:
            return f"[{self.following}: {error or type(error).__name__}]"
        if response.exception is not None:
            return f"[{self.following}: status {response.status}, {response.exception}]"
        if response.attachments.get(TRACE, "") != trace:
            return f"[{self.following}: the answer to another call]"
        return str(response.value)


async def run(options: argparse.Namespace) -> None:
    application = Application(options.name, options.env, address(options.sidecar), options.next)
    server = Server(application.answer)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.start(address(options.listen))
    print(f"{application.me} serves demo.{options.name} on {options.listen}", flush=True)
    await stop.wait()
    await server.stop(GRACE)
    with contextlib.suppress(OSError):
        await application.client.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="one application of the meshfast demonstration")
    parser.add_argument("--name", required=True, help="A, B or C: it serves demo.<name>")
    parser.add_argument("--env", default="", help="the environment it stands in; empty: the baseline")
    parser.add_argument("--listen", required=True, help="host:port to serve on")
    parser.add_argument("--sidecar", required=True, help="host:port of the sidecar's outbound listener")
    parser.add_argument("--next", default="", help="the service to call to answer; empty: none")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
