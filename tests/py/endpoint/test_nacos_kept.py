"""What applications wrote into the Nacos that their sidecar is, over a restart."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from nacosclients import Client, Played
from test_endpoint import until
from test_endpoint_dubbo import offer
from test_endpoint_kept import Memory, crashed
from test_nacos import HELLO, PROVIDER, wanted

from meshfast.endpoint.limits import Limits
from meshfast.endpoint.returning import RETURN
from meshfast.errors import SourceError


def filled(played: Played) -> Client:
    """A client that has written of all that there is."""
    played.list("x.Hello", offer("x.Hello", {}))
    client = Client(played)
    client.subscribe(HELLO)
    client.register("providers:y.Other::", **{**PROVIDER, "interface": "y.Other", "path": "y.Other"})
    client.register("shop", **{"dubbo.metadata.revision": "r1", "dubbo.metadata.storage-type": "remote"})
    offered = msgspec.json.encode({"app": "shop", "revision": "r1", "services": {}}).decode()
    client.good("ConfigPublishRequest", dataId="shop", group="r1", content=offered)
    return client


def told(wanted: dict[str, Any]) -> dict[str, Any]:
    """What is registered, whoever said so."""
    return {path: (one.provider, one.data) for path, one in wanted.items()}


@pytest.mark.parametrize("killed", [False, True])
def test_it_goes_on(killed):
    state = Memory()
    played = Played(state=state)
    client = filled(played)
    before = told(wanted(played))
    hosts = client.subscribe(HELLO)
    if killed:
        until("all to be kept", lambda: all(one in (state.data or b"") for one in (b"y.Other", b"r1", b"x.Hello")))
        until("its revision to be kept", lambda: b"services" in (state.data or b""))
        state = crashed(state)
    played.close()
    client.close()

    played = Played(state=state)  # nothing is known yet of any service
    assert told(wanted(played)) == before and played.do(lambda: played.whole.awaited) == 2
    assert played.do(lambda: played.whole.written.get("shop", "r1"))
    heard: list[int] = []
    played.whole.hears = lambda: heard.append(1)
    client = Client(played)
    assert client.subscribe(HELLO) == hosts  # at once
    assert played.do(lambda: played.whole.naming.waits) == 0
    client.register("shop", **{"dubbo.metadata.revision": "r1", "dubbo.metadata.storage-type": "remote"})
    assert played.do(lambda: played.whole.awaited) == 1
    timer = played.do(lambda: next(iter(played.whole._away.values())))
    assert 0 < played.do(lambda: timer.when() - played.loop.time()) <= RETURN
    played.do(lambda: timer._run())  # its time has come
    assert [path.rpartition("/")[0] for path in wanted(played)] == ["nacos/DEFAULT_GROUP/shop"]
    played.list("x.Hello", offer("x.Hello", {"timeout": "9"}))
    assert [found["serviceName"] for _, found in client.told] == [HELLO]
    client.close()
    played.close()


@pytest.mark.parametrize(
    "state", [Memory(b"{"), Memory(b'{"said": [["a"]]}'), Memory(error=SourceError("not ours")), Memory(b"[" * 100_000)]
)
def test_what_cannot_be_trusted_is_not_used(state, caplog):
    played = Played(state=state)
    assert wanted(played) == {} and "is not used" in caplog.text
    client = filled(played)
    assert len(wanted(played)) == 2
    client.close()
    played.close()


def test_no_more_than_the_limits_comes_back(caplog):
    state = Memory()
    played = Played(state=state)
    filled(played).close()
    played.close()
    played = Played(Limits(registrations=1), state=state)
    assert len(wanted(played)) == 1 and "the limit of registrations" in caplog.text
    played.close()


def test_a_state_that_cannot_be_written(caplog):
    state = Memory()
    state.full = OSError(28, "No space left on device")
    played = Played(state=state)
    client = filled(played)
    until("it to be told", lambda: "not kept over a restart: " in caplog.text and "No space left" in caplog.text)
    assert played.do(lambda: played.whole.book.failed)
    assert len(wanted(played)) == 2 and len(client.subscribe(HELLO)) == 1
    client.close()
    played.close()
