"""The other SDKs of ``bench/sdk.py``, in the interpreter that has them: a server, or one client that measures itself.

    python sdk_rivals.py serve grpc|dubbo PORT
    python sdk_rivals.py ROW PORT SECONDS      prints calls and microseconds of CPU of this process for one
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

SERVICE, METHOD = "bench.Echo", "echo"
#: A message of protobuf with one string of 100 characters; both sides only pass it on, so no codec is counted.
MESSAGE = b"\x0a\x64" + b"x" * 100
HOST = "127.0.0.1"
THREADS = 16


def serve(kind: str, port: int) -> None:
    if kind == "grpc":
        from concurrent.futures import ThreadPoolExecutor

        import grpc

        handler = grpc.unary_unary_rpc_method_handler(lambda message, context: message)
        server = grpc.server(ThreadPoolExecutor(4))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
        server.add_insecure_port(f"{HOST}:{port}")
        server.start()
        server.wait_for_termination()
    else:
        import dubbo
        from dubbo.configs import ServiceConfig
        from dubbo.proxy.handlers import RpcMethodHandler, RpcServiceHandler

        handlers = [RpcMethodHandler.unary(lambda message: message, METHOD)]
        service = RpcServiceHandler(service_name=SERVICE, method_handlers=handlers)
        dubbo.Server(ServiceConfig(service_handler=service, host=HOST, port=port)).start()
        threading.Event().wait()


def measured(one: Callable[[], Any], seconds: float, threads: int = 1) -> tuple[int, float]:
    """Calls in ``threads`` threads for so long; how many, and microseconds of CPU for one."""
    counts = [0] * threads
    ends = threading.Event()

    def work(number: int) -> None:
        while not ends.is_set():
            one()
            counts[number] += 1

    for _ in range(50):
        one()
    began = time.process_time()
    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for each in workers:
        each.start()
    time.sleep(seconds)
    ends.set()
    for each in workers:
        each.join()
    return sum(counts), 1e6 * (time.process_time() - began) / sum(counts)


async def measured_async(one: Callable[[], Any], seconds: float, tasks: int) -> tuple[int, float]:
    """The same in ``tasks`` tasks of one loop."""
    count, ends = 0, False

    async def work() -> None:
        nonlocal count
        while not ends:
            await one()
            count += 1

    for _ in range(50):
        await one()
    began = time.process_time()
    running = [asyncio.create_task(work()) for _ in range(tasks)]
    await asyncio.sleep(seconds)
    ends = True
    await asyncio.gather(*running)
    return count, 1e6 * (time.process_time() - began) / count


def check(answer: Any) -> None:
    assert answer == MESSAGE, answer


def grpcio(port: int, seconds: float, threads: int) -> tuple[int, float]:
    import grpc

    with grpc.insecure_channel(f"{HOST}:{port}") as channel:
        stub = channel.unary_unary(f"/{SERVICE}/{METHOD}")
        return measured(lambda: check(stub(MESSAGE, timeout=30)), seconds, threads)


def grpcio_async(port: int, seconds: float, tasks: int) -> tuple[int, float]:
    import grpc

    async def story() -> tuple[int, float]:
        async with grpc.aio.insecure_channel(f"{HOST}:{port}") as channel:
            stub = channel.unary_unary(f"/{SERVICE}/{METHOD}")

            async def one() -> None:
                check(await stub(MESSAGE, timeout=30))

            return await measured_async(one, seconds, tasks)

    return asyncio.run(story())


def apache_dubbo(port: int, seconds: float, threads: int) -> tuple[int, float]:
    import dubbo
    from dubbo.configs import ReferenceConfig

    client = dubbo.Client(ReferenceConfig.from_url(f"tri://{HOST}:{port}/{SERVICE}"))
    stub = client.unary(METHOD)
    return measured(lambda: check(stub(MESSAGE)), seconds, threads)


ROWS: dict[str, Callable[[int, float], tuple[int, float]]] = {
    "grpcio async, 1": lambda port, seconds: grpcio_async(port, seconds, 1),
    "grpcio async, 64": lambda port, seconds: grpcio_async(port, seconds, 64),
    "grpcio blocking, 1": lambda port, seconds: grpcio(port, seconds, 1),
    "grpcio blocking, 16": lambda port, seconds: grpcio(port, seconds, THREADS),
    "apache-dubbo, 1": lambda port, seconds: apache_dubbo(port, seconds, 1),
    "apache-dubbo, 16": lambda port, seconds: apache_dubbo(port, seconds, THREADS),
}


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        calls, each = ROWS[sys.argv[1]](int(sys.argv[2]), float(sys.argv[3]))
        print(calls, each, flush=True)
        os._exit(0)  # apache-dubbo has threads that do not end
