"""What the demonstration asks of a sidecar's admin address."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec

from meshfast.ask import ask
from meshfast.demo.process import DemoError
from meshfast.demo.topology import HOST, LABEL
from meshfast.demo.wire import METHOD, TRIPLE


async def page(port: int, path: str) -> bytes:
    """The body of a page. DemoError when there is none."""
    try:
        status, body = await ask(f"{HOST}:{port}", path)
    except OSError as error:
        raise DemoError(f"http://{HOST}:{port}{path}: {error or type(error).__name__}") from None
    if status != 200:
        raise DemoError(f"http://{HOST}:{port}{path} answers {status}: {body.decode(errors='replace')}")
    return body


async def ready(port: int) -> bool:
    """The sidecar takes calls."""
    try:
        return (await ask(f"{HOST}:{port}", "/ready"))[0] == 200
    except OSError:
        return False


def explain_path(protocol: str, service: str, label: str) -> str:
    query = {"http": f"/{service}/{METHOD}"} if protocol == TRIPLE else {"service": service}
    return f"/explain?{urlencode(query | ({'label': f'{LABEL}={label}'} if label else {}))}"


async def explain(port: int, protocol: str, service: str, label: str) -> Any:
    """Why this sidecar sends a call where it sends it, as the page's JSON."""
    return msgspec.json.decode(await page(port, explain_path(protocol, service, label)))


async def shares(port: int, app: str) -> Any:
    """How this sidecar shares the calls of an application now, and why, as the page's JSON."""
    return msgspec.json.decode(await page(port, f"/explain?{urlencode({'app': app})}"))


async def counter(port: int, name: str) -> float:
    """The sum of a counter over its series, from the page for Prometheus; 0 when it is not there."""
    total = 0.0
    for line in (await page(port, "/stats/prometheus")).decode().splitlines():
        series, _, value = line.rpartition(" ")
        if not line.startswith("#") and series.partition("{")[0] == name:
            total += float(value)
    return total
