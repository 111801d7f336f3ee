"""dubbo-go's applications in a real etcd: sidecars find them there, and register theirs."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Offers, obtain
from harness import mesh
from harness.driver import PeerError
from harness.etcd import Etcd, b64
from harness.go import Go
from harness.java import SERVICE
from harness.process import ANY, HOST, PROJECT, RUN, free_port, until
from harness.registered import Followers, registry, took
from harness.relay import Relay
from harness.sidecar import Sidecar
from harness.way import LOOPS

Refer = Callable[..., str]
_numbers = itertools.count(1)


@pytest.fixture
def etcd() -> Iterator[Etcd]:
    """A server of the test's own: dubbo-go knows one root alone."""
    server = obtain(Etcd)
    yield server
    server.close()


@pytest.fixture
def followers(go_consumer: Go, refer: Refer) -> Iterator[Followers]:
    followers = Followers(go_consumer, refer)
    yield followers
    followers.stop()


class Beside:
    """A sidecar that registers an application, which knows no registry. ``session``: how long it may be away."""

    def __init__(
        self, etcd: Etcd, loop: str, user: str = "", levels: tuple[str, ...] = ("interface",), session: str = "15s"
    ) -> None:
        self.app, self.port, self.loop = free_port(), free_port(), loop
        self._state = RUN / f"state-etcd-{next(_numbers)}"
        shutil.rmtree(self._state, ignore_errors=True)
        address = etcd.address.replace("://", f"://{user}@") if user else etcd.address
        self._more: dict[str, Any] = {
            "state": str(self._state),
            "registries": [registry(address, register=True, subscribe=False, session=session)],
            "registrations": [{"service": SERVICE, "listener": "in"}],
            "advertise": {"address": HOST, "levels": list(levels)},
        }
        self.sidecar: Sidecar | None = None

    def start(self) -> Sidecar:
        listener = mesh.inbound(f"tcp://{ANY}:{self.port}", self.app)
        self.sidecar = Sidecar(self.loop, [], [listener], more=self._more)
        return self.sidecar

    def forget(self) -> None:
        """The next process goes on with nothing."""
        shutil.rmtree(self._state)

    def close(self) -> None:
        if self.sidecar is not None:
            self.sidecar.close()


@pytest.fixture
def besides(etcd: Etcd) -> Iterator[Callable[..., Beside]]:
    made: list[Beside] = []

    def make(loop: str = LOOPS[0], **fields: Any) -> Beside:
        made.append(Beside(etcd, loop, **fields))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_come_and_go(etcd: Etcd, offers: Offers, followers: Followers) -> None:
    """Instances are called from when they are there until their keys are gone."""
    first = offers("A", registry=etcd.taking())[1]
    etcd.listed(SERVICE, first)
    refs = followers.follow(registry(etcd.address, services=[SERVICE]))
    followers.answered_by(refs, "A", what="etcd: first answer")
    second = offers("B", registry=etcd.taking())[1]
    etcd.listed(SERVICE, first, second)
    followers.answered_by(refs, "A", "B", what="etcd: a new instance")
    etcd.drop(SERVICE, first)
    followers.answered_by(refs, "B", what="etcd: an instance less")
    print({what: f"{seconds:.2f} s" for what, seconds in took.items() if what.startswith("etcd")})


def test_an_application_is_found(etcd: Etcd, offers: Offers, followers: Followers) -> None:
    """As instances alone: by the mapping, their keys below /services, and what they say that they offer. Two instances
    of one application: a second one's mapping dubbo-go 3.3.2 does not get written."""
    there = etcd.taking("instance")
    first = offers("A", registry=there, application="shop")[1]
    until("A is written", lambda: len(etcd.keys("/services")) == 1)
    refs = followers.follow(registry(etcd.address, services=[SERVICE]))
    followers.answered_by(refs, "A")
    assert etcd.providers(SERVICE) == []
    offers("B", registry=there, application="shop")
    followers.answered_by(refs, "A", "B", what="etcd: a new instance of an application")
    (key,) = (each for each in etcd.keys("/services/shop") if each.endswith(f":{first}"))
    etcd.ask("/v3/kv/deleterange", key=b64(key))
    followers.answered_by(refs, "B")


def test_a_connection_that_is_cut(etcd: Etcd, offers: Offers, followers: Followers) -> None:
    """It is gone on with and nobody notices; and read anew where etcd has forgotten what came between."""
    with Relay(etcd.port, record=False) as relay:
        first = offers("A", registry=etcd.taking())[1]
        etcd.listed(SERVICE, first)
        refs = followers.follow(registry(f"etcd://{HOST}:{relay.port}", services=[SERVICE]))
        followers.answered_by(refs, "A")
        relay.cut()
        offers("B", registry=etcd.taking())
        followers.answered_by(refs, "A", "B", what="etcd: a new instance after a cut")
        for sidecar in followers.sidecars:
            assert '"error": ""' in sidecar.get("/registries")
        for _ in range(3):
            etcd.ask("/v3/kv/put", key=b64("/elsewhere"))
        etcd.compact()
        relay.cut()
        etcd.drop(SERVICE, first)
        followers.answered_by(refs, "B", what="etcd: an instance less after a compaction")
        for sidecar in followers.sidecars:
            assert "compacted" in sidecar.get("/registries")


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_no_call_notices_that_etcd_is_away(how: str, etcd: Etcd, offers: Offers, followers: Followers) -> None:
    """Under load; what changed meanwhile is followed when it is back."""
    first = offers("A", registry=etcd.taking())[1]
    etcd.listed(SERVICE, first)
    refs = followers.follow(registry(etcd.address, services=[SERVICE], session="3s"))
    followers.answered_by(refs, "A")
    with followers.calling(refs):
        if how == "frozen":
            etcd.freeze()
            for sidecar in followers.sidecars:
                until("it is seen", lambda: sidecar.count("registry_connected") == 0)  # noqa: B023
            etcd.thaw()
        else:
            etcd.kill()
            etcd.start()
    second = offers("B", registry=etcd.taking())[1]
    until("B is written", lambda: second in etcd.providers(SERVICE))
    followers.answered_by(refs, "A", "B", what=f"etcd: a new instance after it was {how}")
    for sidecar in followers.sidecars:
        assert sidecar.count("registry_connected") == 1


@pytest.mark.parametrize("loop", LOOPS)
def test_a_consumer_calls_through_the_sidecar(
    loop: str, etcd: Etcd, offers: Offers, go_consumer: Go, refer: Refer, besides: Callable[..., Beside]
) -> None:
    """It finds it in etcd and knows of no sidecar; the application is killed, and its key goes at once."""
    one = besides(loop)
    provider = offers("A", port=one.app)[0]
    sidecar = one.start()
    etcd.listed(SERVICE, one.port)
    ref = refer(go_consumer, registry=etcd.taking())
    until("A answers", lambda: whoami(go_consumer, ref) == "A")  # it does not wait for who is there
    assert sidecar.count("answers") >= 1
    began = time.monotonic()
    provider.kill()
    etcd.listed(SERVICE)
    print(f"{loop}: an application that was killed is gone from etcd after {time.monotonic() - began:.2f} s")


@pytest.mark.parametrize("levels", [("instance",), ("interface", "instance")], ids=["alone", "both"])
def test_a_consumer_that_looks_for_applications(
    levels: tuple[str, ...], etcd: Etcd, offers: Offers, go_consumer: Go, refer: Refer, besides: Callable[..., Beside]
) -> None:
    """dubbo-go by default. The key goes with the application, and is there again when it is back."""
    one = besides(levels=levels)
    provider = offers("A", port=one.app)[0]
    sidecar = one.start()
    registered(sidecar)
    (key,) = etcd.keys("/services")
    assert key.endswith(f"/{HOST}:{one.port}")
    ref = refer(go_consumer, registry=etcd.taking().partition("?")[0])
    until("A answers", lambda: whoami(go_consumer, ref) == "A")
    before = sidecar.count("answers")
    assert {go_consumer.call(ref, "whoami") for _ in range(10)} == {"A"}
    assert sidecar.count("answers") - before == 10
    provider.kill()
    until("it is gone", lambda: not etcd.keys("/services"))
    offers("B", port=one.app)
    until("it is back", lambda: list(etcd.keys("/services")) == [key])
    until("B answers", lambda: whoami(go_consumer, ref) == "B")


def whoami(consumer: Go, ref: str) -> str:
    try:
        return str(consumer.call(ref, "whoami"))
    except PeerError as error:
        return f"none: {error}"


def test_applications_share_a_mapping(
    etcd: Etcd, offers: Offers, followers: Followers, besides: Callable[..., Beside]
) -> None:
    """One that dubbo-go wrote itself, and one by its sidecar: whoever looks for the service finds both."""
    direct = offers("A", registry=etcd.taking("instance"), application="direct")[1]
    until("A is written", lambda: len(etcd.keys("/services")) == 1)
    one = besides(levels=("instance",))
    offers("B", port=one.app)
    registered(one.start())
    refs = followers.follow(registry(etcd.address, services=[SERVICE]))
    followers.answered_by(refs, "A", "B")
    theirs, ours = (
        json.loads(b64decode(each["value"]))
        for key, each in sorted(etcd.keys("/services").items(), key=lambda each: not each[0].endswith(f":{direct}"))
    )
    assert ours.keys() <= theirs.keys()
    assert {"meshfast", "meshfast.behind"} <= ours["Metadata"].keys()


def registered(sidecar: Sidecar) -> None:
    until("it is registered", lambda: '"state": "registered"' in sidecar.get("/registries"))


@pytest.mark.parametrize(("level", "folder"), [("interface", "/dubbo"), ("instance", "/services")])
def test_nobody_sees_that_a_sidecar_was_killed(
    level: str, folder: str, etcd: Etcd, offers: Offers, besides: Callable[..., Beside]
) -> None:
    """Killed again and again, within its lease: the key stays as it was, and a watcher hears nothing."""
    one = besides(levels=(level,), session="2m")
    offers("A", port=one.app)
    registered(one.start())
    before = etcd.keys(folder)
    assert len(before) == 1
    with etcd.heard(folder) as told:
        for _ in range(3):
            assert one.sidecar is not None
            one.sidecar.kill()
            sidecar = one.start()
            registered(sidecar)
            assert sidecar.count("registry_sessions") == 0
    assert told == [] and etcd.keys(folder) == before
    sidecar.terminate()
    until("it is gone", lambda: not etcd.keys(folder))
    sidecar.wait(30)
    assert not etcd.ask("/v3/lease/leases").get("leases")


def test_an_instance_changes_hands_at_once(etcd: Etcd, offers: Offers, besides: Callable[..., Beside]) -> None:
    """From a process that was killed and left nothing: whoever watches hears of no end, and the old lease's takes
    nothing along."""
    one = besides(levels=("instance",), session="2m")
    offers("A", port=one.app)
    registered(one.start())
    ((key, before),) = etcd.keys("/services").items()
    with etcd.heard("/services") as told:
        assert one.sidecar is not None
        one.sidecar.kill()
        one.forget()
        one.start()
        until("it is the new one's", lambda: etcd.keys("/services")[key]["lease"] != before["lease"])
        etcd.ask("/v3/lease/revoke", ID=before["lease"])
    assert [each.get("type", "PUT") for each in told] == ["PUT"]
    assert list(etcd.keys("/services")) == [key]


def test_an_etcd_that_was_killed_has_it_again(etcd: Etcd, offers: Offers, besides: Callable[..., Beside]) -> None:
    """By the lease that it was of, by a new one where that has ended, and where somebody took the key away."""
    one = besides()
    offers("A", port=one.app)
    sidecar = one.start()
    etcd.listed(SERVICE, one.port)
    ((key, before),) = etcd.keys("/dubbo").items()
    etcd.kill()
    etcd.start()
    until("it is connected", lambda: sidecar.count("registry_connected") == 1)
    registered(sidecar)
    assert etcd.keys("/dubbo") == {key: before}
    etcd.ask("/v3/lease/revoke", ID=before["lease"])
    until("it is written again", lambda: list(etcd.keys("/dubbo")) == [key])
    assert etcd.keys("/dubbo")[key]["lease"] != before["lease"]


def test_a_user(etcd: Etcd, offers: Offers, besides: Callable[..., Beside]) -> None:
    """Without the password nothing is done, and the log says why; with it all is."""
    etcd.secure("hush:hush")
    right, wrong = besides(user="root:hush%3Ahush"), besides(user="root:other")
    offers("A", port=right.app)
    registered(right.start())
    etcd.listed(SERVICE, right.port)
    sidecar = wrong.start()
    until("it is told", lambda: "authentication failed" in sidecar.get("/registries"))
    assert etcd.providers(SERVICE) == [right.port]


def test_the_verb(etcd: Etcd, offers: Offers) -> None:
    port = offers("A", registry=etcd.taking())[1]
    etcd.listed(SERVICE, port)

    def run(*words: str) -> Any:
        command = [sys.executable, "-m", "meshfast", "registry", *words, "-o", "json"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, timeout=60, check=True)
        return json.loads(done.stdout)

    assert [each["service"] for each in run("ls", etcd.address)] == [SERVICE]
    (offered,) = run("get", etcd.address, SERVICE)
    assert [each["address"].rpartition(":")[2] for each in offered["instances"]] == [str(port)]
