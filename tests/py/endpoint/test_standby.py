"""Instances that are shown beside the sidecar: which ones, to whom, and when they change."""

from __future__ import annotations

import pytest
from kazoo.exceptions import NoAuthError
from test_endpoint import Kazoo
from test_endpoint_dubbo import COMMON, OUT, Shown, offer
from zookeepers import Served

from meshfast.endpoint import pushed
from meshfast.endpoint.dubbo import Endpoint
from meshfast.endpoint.standby import EVERY, Labelled, Standbys, unfit
from meshfast.registry import Instance, Offer
from meshfast.registry.url import URL, decode, encode

S = "x.Hello"
JAVA = "consumer://10.0.0.9/x.Hello?release=3.3.6"


class Played(Served):
    """An endpoint with standbys; the test sets the time, and who can be called."""

    def __init__(self, most: int = 1, pod: str = "shop@10.0.0.9", **more) -> None:
        self.shown, self.now, self.away = Shown(), [0.0], set()
        self.standbys = Standbys(most, pod, unavailable=lambda: set(self.away), clock=lambda: self.now[0])
        super().__init__(
            make=lambda: Endpoint("tcp://127.0.0.1:0", self.shown, f"tcp://{OUT}", standbys=self.standbys, **more)
        )

    def list(self, *offers: Offer) -> None:
        def change() -> None:
            self.shown.listings[S] = offers
            self.whole.changed(S)

        self.do(change)

    def later(self, seconds: float) -> None:
        def go_on() -> None:
            self.now[0] += seconds
            self.whole.tend()

        self.do(go_on)


@pytest.fixture
def played():
    one = Played()
    yield one
    one.close()


@pytest.fixture
def client(played):
    with Kazoo(played.port) as one:
        yield one


def consume(client, text: str = JAVA, service: str = S) -> str:
    path = f"/dubbo/{service}/consumers/{encode(text)}"
    client.create(path, ephemeral=True, makepath=True)
    return path


def urls(client) -> list[URL]:
    return [URL.parse(decode(name)) for name in client.get_children(f"/dubbo/{S}/providers")]


def addresses(client) -> list[str]:
    return sorted(f"{one.host}:{one.port}" for one in urls(client) if one.parameters["weight"] == "0")


def test_one_stands_by_once_a_consumer_has_announced_itself(played, client):
    said = {"timestamp": "1", "warmup": "9", "dubbo.tag": "", "token": "t", "a.weight": "7"}
    played.list(offer(S, said, version="1"))
    (own,) = urls(client)
    assert own.parameters["weight"] == "100" and "heartbeat" not in own.parameters
    consume(client)
    own, standby = sorted(urls(client), key=lambda one: -int(one.parameters["weight"]))
    assert (own.host, own.parameters["weight"], own.parameters["heartbeat"]) == ("127.0.0.1", "100", "1000")
    assert own.parameters["dubbo.application.least-reconnect-duration"] == "1000"
    assert (standby.host, standby.port, standby.path) == ("10.0.0.0", 20880, S)
    assert standby.parameters == COMMON | {
        "interface": S, "version": "1", "side": "provider", "dynamic": "true", "weight": "0", "lazy": "true",
        "token": "t",
    }  # fmt: skip
    assert played.do(lambda: (played.standbys.count, played.standbys.shown)) == (1, {S: ["10.0.0.0:20880"]})


def test_one_who_may_not_keep_to_weights_and_nobody_has_any(played, client, caplog):
    played.list(offer(S, {}))
    urls(client)
    consume(client)
    assert len(addresses(client)) == 1
    for _ in range(2):
        other = consume(client, "consumer://10.0.0.9/x.Hello?release=3.3.6&ask.loadbalance=leastactive")
        assert addresses(client) == [] and "heartbeat" not in urls(client)[0].parameters
        assert played.do(lambda: list(played.standbys.unfit)) == [S]
        client.delete(other)
        assert len(addresses(client)) == 1 and played.do(lambda: played.standbys.unfit) == {}
    assert "ask.loadbalance=leastactive" in caplog.text


def test_they_stay_while_the_consumer_comes_again(played, client):
    played.list(offer(S, {}))
    urls(client)
    path = consume(client)
    before = client.get_children(f"/dubbo/{S}/providers")
    client.delete(path)
    assert client.get_children(f"/dubbo/{S}/providers") == before
    consume(client)
    assert client.get_children(f"/dubbo/{S}/providers") == before


def test_nothing_is_left_of_those_who_only_announce_themselves(played, client):
    for number in range(3):
        client.delete(consume(client, service=f"y{number}"))
        client.delete(consume(client, "consumer://10.0.0.9/y?release=1.0", service=f"z{number}"))
    kept = played.standbys
    assert played.do(lambda: (kept._fit, kept._consumers, kept.unfit)) == (set(), {}, {})


@pytest.mark.parametrize(
    "query, fits",
    [
        ("release=3.3.6", True), ("release=2.7.0", True), ("release=2.7.23&loadbalance=random", True),
        ("release=3.3.6-SNAPSHOT&loadbalance=roundrobin&cluster=failfast&sticky=false", True),
        ("release=2.6.12", False), ("dubbo=2.0.2", False), ("release=dubbo-golang-3.3.1", False),
        ("release=apache-dubbo-3.0.0", False), ("release=3.3.6&loadbalance=leastactive", False),
        ("release=3.3.6&loadbalance=consistenthash", False), ("release=3.3.6&cluster=available", False),
        ("release=3.3.6&cluster=broadcast", False), ("release=3.3.6&sticky=true", False),
        ("release=3.3.6&ask.sticky=true", False), ("release=3", False), ("release=3.3.6&default.loadbalance=x", False),
    ],
)  # fmt: skip
def test_who_keeps_to_weights(query, fits):
    assert bool(unfit(URL.parse(f"consumer://10.0.0.9/x.Hello?{query}"))) is not fits
    assert unfit(None)


def test_providers_may_say_otherwise_too(played, client):
    played.list(offer(S, {"loadbalance": "leastactive"}))
    urls(client)
    consume(client)
    assert addresses(client) == [] and "leastactive" in played.do(lambda: played.standbys.unfit[S])
    played.list(offer(S, {"loadbalance": "leastactive"}, {}))
    assert addresses(client) == ["10.0.0.1:20880"] and played.do(lambda: played.standbys.unfit) == {}


def test_what_cannot_be_shown_has_none(played, client):
    played.list(offer(S, {"token": "t"}, {"token": "u"}), offer(S, {"token": "t"}, version="2"))
    urls(client)
    consume(client)
    assert [one.parameters.get("version") for one in urls(client)] == ["2", "2"]


def test_another_only_when_one_goes_and_seldom(played, client):
    every = [{"n": str(number)} for number in range(6)]
    played.list(offer(S, *every))
    urls(client)
    consume(client)
    (first,) = addresses(client)

    def without(*gone: str) -> Offer:
        whole = offer(S, *every)
        return Offer(S, "", "", tuple(one for one in whole.instances if one.address not in gone))

    played.away.add(first)
    played.later(EVERY)
    played.list(offer(S, *every, {}))
    assert addresses(client) == [first]
    played.list(without(first))
    (second,) = addresses(client)
    played.list(without(first, second))
    assert addresses(client) == []
    played.later(EVERY - 1)
    assert addresses(client) == []
    played.later(1)
    (third,) = addresses(client)
    assert len({first, second, third}) == 3
    played.list(without())
    played.later(EVERY)
    assert addresses(client) == [third]


def test_those_that_can_be_called_come_first():
    every = [{} for _ in range(6)]
    played = Played(most=3)
    played.away |= {f"10.0.0.{number}:20880" for number in range(4)}
    played.list(offer(S, *every))
    with Kazoo(played.port) as client:
        urls(client)
        consume(client)
        assert len(addresses(client)) == 3 and {"10.0.0.4:20880", "10.0.0.5:20880"} < set(addresses(client))
    played.close()


def test_standbys_of_many_sidecars_spread():
    listing = (offer(S, *({} for _ in range(8))),)
    own = [URL("dubbo", "", "", "127.0.0.1", 1, S, {})]
    chosen = set()
    for pod in range(100):
        found = [Standbys(1, f"shop@10.1.0.{pod}") for _ in range(2)]
        for one in found:
            one.announced(S, "/c", URL.parse(JAVA))
        first, again = (one.nodes(S, listing, own) for one in found)
        assert first == again and len(first) == 1
        chosen |= set(first)
    assert len(chosen) == 8


def test_they_are_of_the_workloads_own_environment(played, client):
    base, dev, gray = {}, {"env": "dev"}, {"dubbo.tag": "gray"}
    played.do(lambda: played.whole.labelled({"env": "dev"}))
    played.list(offer(S, gray, base, dev))
    urls(client)
    consume(client)
    assert addresses(client) == ["10.0.0.2:20880"]
    played.later(EVERY)
    played.do(lambda: played.whole.labelled({"env": "test"}))
    assert addresses(client) == ["10.0.0.1:20880"]
    played.later(EVERY)
    played.list(offer(S, gray, {"env": "other"}, dev))
    assert addresses(client) == []


def test_labels_of_files_are_no_parameters():
    one = Labelled("10.0.0.7:20880", "dubbo", labels={"env": "dev"})
    other = Instance("10.0.0.8:20880")
    unix = Labelled("unix:///run/a.sock", "dubbo", labels={"env": "dev"})
    found = Standbys(8, "shop@x")
    found.label({"env": "dev"})
    found.announced(S, "/c", URL.parse(JAVA))
    names = found.nodes(S, (Offer(S, "", "", (other, unix, one)),), [URL("dubbo", "", "", "127.0.0.1", 1, S, {})])
    (url,) = (URL.parse(decode(name)) for name in names)
    assert (url.host, url.parameters.get("env")) == ("10.0.0.7", None)


# --- properties


def test_properties_are_shown_and_cannot_be_changed():
    played = Played(properties={"dubbo.consumer.retries": "0"})
    with Kazoo(played.port) as client:
        assert client.get(pushed.PATH)[0] == b"dubbo.consumer.retries=0\n"
        with pytest.raises(NoAuthError):
            client.set(pushed.PATH, b"x")
        with pytest.raises(NoAuthError):
            client.delete(pushed.PATH)
    played.close()


def test_there_are_none_without_a_word_of_them(played, client):
    assert client.exists(pushed.PATH) is None


def test_properties_are_written_as_java_reads_them():
    said = {"dubbo.a b": " x ", "dubbo.#!": "a=b:c\\d\n\te", "dubbo.ü": "€\U0001f600"}
    assert pushed.text(said) == (
        "dubbo.a\\ b=\\ x \n"
        "dubbo.\\#\\!=a\\=b\\:c\\\\d\\n\\te\n"
        "dubbo.\\u00fc=\\u20ac\\ud83d\\ude00\n"
    )


def test_what_was_written_there_before_gives_way():
    class Memory:
        data = None

        def read(self, name: str) -> bytes | None:
            return self.data

        def write(self, name: str, data: bytes) -> None:
            self.data = data

    memory = Memory()
    played = Played(state=memory)
    with Kazoo(played.port) as client:
        client.create(pushed.PATH, b"own", makepath=True)
    played.close()
    played = Played(state=memory, properties={"dubbo.a": "b"})
    with Kazoo(played.port) as client:
        assert client.get(pushed.PATH)[0] == b"dubbo.a=b\n"
    played.close()
