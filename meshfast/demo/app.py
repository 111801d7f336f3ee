"""One application of the demonstration: ``python -m meshfast.demo.app --name B --env dev1 --listen 127.0.0.1:1 ...``.

It serves ``demo.<name>`` in Dubbo2 and Triple on one port and, to answer, calls the next application through its
sidecar, in the protocol in which it was called. It hands on the trace id (x-request-id) and nothing else: it has never
heard of traffic labels.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal

from meshfast.demo.protocols import consumer, server
from meshfast.demo.wire import PROTOCOLS, TRACE, Address, Asked

ARROW = " -> "
NEXT_TIMEOUT = 8.0  # seconds
GRACE = 5.0  # seconds


def address(text: str) -> Address:
    """``host:port`` -> (host, port)."""
    host, _, port = text.rpartition(":")
    return host, int(port)


class Application:
    """What the program does with a call: its own name, then what the next application said."""

    def __init__(self, name: str, env: str, sidecar: Address, following: str, work: float = 0) -> None:
        self.work = work
        self.me = f"{name}({env or 'base'})"
        self.following = following
        self.clients = {protocol: consumer(protocol, sidecar) for protocol in PROTOCOLS}

    async def answer(self, asked: Asked) -> str:
        """The path from here on."""
        if self.work:
            await asyncio.sleep(self.work)
        return self.me + ARROW + await self._next(asked) if self.following else self.me

    async def _next(self, asked: Asked) -> str:
        try:
            client = self.clients[asked.protocol]
            reply = await client.call(self.following, self.me, {TRACE: asked.trace}, NEXT_TIMEOUT)
        except (OSError, ValueError) as error:
            return f"[{self.following}: {error or type(error).__name__}]"
        if reply.error or reply.trace != asked.trace:
            return f"[{self.following}: {reply.error or 'the answer to another call'}]"
        return reply.value

    async def close(self) -> None:
        for client in self.clients.values():
            with contextlib.suppress(OSError):
                await client.close()


async def run(options: argparse.Namespace) -> None:
    application = Application(options.name, options.env, address(options.sidecar), options.next, options.work / 1000)
    serving = server(application.answer)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serving.start(address(options.listen))
    print(f"{application.me} serves demo.{options.name} on {options.listen}", flush=True)
    await stop.wait()
    await serving.stop(GRACE)
    await application.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="one application of the meshfast demonstration")
    parser.add_argument("--name", required=True, help="it serves demo.<name>")
    parser.add_argument("--env", default="", help="its environment, or which instance it is; empty: base")
    parser.add_argument("--listen", required=True, help="host:port to serve on")
    parser.add_argument("--sidecar", required=True, help="host:port of the sidecar's outbound listener")
    parser.add_argument("--next", default="", help="the service to call to answer; empty: none")
    parser.add_argument("--work", type=float, default=0, help="milliseconds that an answer takes besides")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
