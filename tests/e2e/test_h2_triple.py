"""Triple as policy sees it, by peers that say just what a test tells: version and group, paths, attachments, repeated
headers, long blocks, and which answers of ours are gRPC's."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from harness import mesh
from harness.grpc import SERVICE
from harness.h2peer import MARK, Fields, frames
from harness.h2world import World
from harness.process import ANY, free_port, until
from harness.through import Through, entry

GRPC = "application/grpc"
ASK = f"/{SERVICE}/ask"
BASE = "baseline"  # an instance without a label
TRI = ("tri-consumer-appname", "shop")


def head(mark: str, path: str = ASK, more: Fields | None = None, kind: str = GRPC, method: str = "POST") -> Fields:
    """A request's fields; of content type ``kind``, or (empty) of none."""
    fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "peers"), (MARK, mark)]
    return [*fields, *([("content-type", kind)] if kind else []), *(more or [])]


def rule(name: str, *matches: mesh.Document, label: str = "") -> mesh.Document:
    """What matches goes to the subset ``name``."""
    found: mesh.Document = {"name": name, "route": [{"destination": {"host": mesh.APP, "subset": label or name}}]}
    return {**found, "match": list(matches)} if matches else found


def rules(*found: mesh.Document, names: tuple[str, ...] = ("one", "two", "none")) -> list[mesh.Document]:
    """The subsets ``names``, and rules."""
    subsets = [{"name": name, "labels": {"kind": name}} for name in names]
    return [
        {
            "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "kinds"},
            "spec": {"host": mesh.APP, "subsets": subsets},
        },
        {
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "by-kind"},
            "spec": {"hosts": [SERVICE], "http": list(found)},
        },
    ]  # fmt: skip


def exact(**headers: str) -> mesh.Document:
    return {"headers": {name.replace("__", "."): {"exact": text} for name, text in headers.items()}}


def label(name: str, *sources: str) -> mesh.Document:
    return {
        "apiVersion": "istio.alibabacloud.com/v1", "kind": "TrafficLabel", "metadata": {"name": "label"},
        "spec": {"rules": [{"labels": [{"name": name, "valueFrom": list(sources)}]}]},
    }  # fmt: skip


class Kinds:
    """A provider for each subset, a caller before them all, and where the sidecar says a request goes."""

    def __init__(self, behind: Through, world: World, policy: list[mesh.Document], *names: str) -> None:
        self.providers = {name: world.provider() for name in names}
        listed = [(one.port, {"kind": name} if name != BASE else {}) for name, one in self.providers.items()]
        (front,) = behind.by(policy, *listed)
        self.sidecar = behind.sidecars[-1]
        self.caller = world.caller(front)

    def ask(self, fields: Fields) -> tuple[str, Fields]:
        """Who has it and what came there, and it is answered; "" and what was answered here, where nobody has."""
        mark = dict(fields)[MARK]
        before = {name: len(one.find(mark)) for name, one in self.providers.items()}
        call = self.caller.raw(fields)

        def who() -> list[str]:
            return [name for name, one in self.providers.items() if len(one.find(mark)) > before[name]]

        until(f"{mark} somewhere", lambda: who() or call.is_over)
        if not who():
            return "", call.first().fields
        stream = self.providers[who()[0]].find(mark)[-1]
        came = stream.first().fields
        stream.answer()
        assert call.status() == "0"
        return who()[0], came

    def told(self, fields: Fields) -> Any:
        """What ``explain`` says of such a request."""
        said = dict(fields)
        query = [("http", said[":path"]), ("method", said[":method"]), ("authority", said[":authority"])]
        query += [("header", f"{name}={text}") for name, text in fields if not name.startswith(":")]
        return json.loads(self.sidecar.get(f"/explain?{urlencode(query)}"))

    def check(self, wanted: str, fields: Fields) -> Fields:
        """It goes there, however often, and as explained; what came, or what was answered."""
        for _ in range(3):
            name, came = self.ask(fields)
            assert name == wanted, (fields, came)
        said = self.told(fields)
        assert said["subset"] == wanted and bool(said["error"]) is not bool(wanted), said
        if wanted:
            own = [one for one in fields if not one[0].startswith(":")]
            assert [one for one in came if one[0] in dict(own)] == own
        return came


# --- which service, and which of its versions


def test_versions(behind: Through, world: World) -> None:
    """No version and 1.0.0 are the same to Java; a field that is called just ``version`` is an attachment."""
    policy = rules(rule("one", exact(version="1.0.0")), rule("two", exact(version="2.0.0")), rule("none"))
    kinds = Kinds(behind, world, policy, "one", "two", "none")
    for more, wanted in (
        ([("tri-service-version", "1.0.0")], "one"),
        ([("tri-service-version", "2.0.0")], "two"),
        ([("tri-service-version", "3.0.0")], "none"),
        ([], "one"),
        ([("tri-service-version", "")], "one"),
        ([("version", "2.0.0"), ("group", "g"), ("interface", SERVICE)], "one"),
        ([("version", "2.0.0"), TRI], "one"),
        ([("version", "1.0.0"), ("tri-service-version", "2.0.0")], "two"),
        ([("tri-service-version", "1.0.0"), ("tri-service-version", "2.0.0")], "two"),
        ([("version", "2.0.0")], "two"),  # nothing tells of Dubbo here
    ):
        kinds.check(wanted, head("version", more=more))


def test_groups(behind: Through, world: World) -> None:
    """The group, and none, which has no value that stands for it."""
    policy = rules(rule("one", exact(group="g")), rule("two", {"withoutHeaders": {"group": {}}}), rule("none"))
    kinds = Kinds(behind, world, policy, "one", "two", "none")
    for more, wanted in (
        ([("tri-service-group", "g")], "one"),
        ([("tri-service-group", "h")], "none"),
        ([], "two"),
        ([("tri-service-group", "")], "two"),
        ([("group", "g"), ("interface", SERVICE)], "two"),
        ([("group", "h"), ("tri-service-group", "g")], "one"),
    ):
        kinds.check(wanted, head("group", more=more))


PATHS = (
    (f"/{SERVICE}/ask", "one"), (f"/ctx/{SERVICE}/ask", "one"), (f"/a/b/{SERVICE}/ask", "one"),
    (f"/{SERVICE}/ask?x=/y/z", "one"), (f"/{SERVICE}/ask?", "one"), (f"/{SERVICE}/tell", "none"),
)  # fmt: skip
#: And the grpc-status: what names no service, what names another, and what two readers may read differently.
NOWHERE = (
    (f"{ASK}/", "12"), (f"/{SERVICE}", "12"), (f"/{SERVICE}/", "12"), ("//ask", "12"), ("/", "12"), ("//", "12"),
    (f"{ASK}/tell", "12"), (f"/{SERVICE}$Inner/ask", "12"), ("/pkg.Svc/M", "12"),
    (f"/{SERVICE}//ask", "13"), (f"/{ASK}", "13"), (f"/x/..{ASK}", "13"),
)  # fmt: skip


def test_paths(behind: Through, world: World) -> None:
    """The last two segments of what is before the query; where one of them is missing there is no such service."""
    suffix = {"uri": {"regex": f"(/.*)?/{SERVICE.replace('.', '[.]')}/ask"}}
    kinds = Kinds(behind, world, rules(rule("one", suffix), rule("none")), "one", "none")
    for path, wanted in PATHS:
        assert dict(kinds.check(wanted, head("path", path, [TRI])))[":path"] == path
    for path, status in NOWHERE:
        assert dict(kinds.check("", head("path", path, [TRI])))["grpc-status"] == status, path


def test_inner_names(behind: Through, world: World) -> None:
    """A nested interface has a ``$`` in its name, and a service without a package no dot."""
    provider = world.provider()
    front = free_port()
    document = entry([(provider.port, {})])
    document["spec"]["hosts"] = ["com.x.Cart$Inner", "Svc"]
    door = {"name": "out", "bind": f"tcp://{ANY}:{front}", "direction": "outbound"}
    behind.sidecar([document], [door])
    caller = world.caller(front)
    for i, path in enumerate(("/com.x.Cart$Inner/get", "/Svc/M", "/ctx/Svc/M")):
        call = caller.raw(head(f"inner-{i}", path))
        stream = provider.take(f"inner-{i}")
        assert stream.first().get(":path") == path
        stream.answer()
        assert call.status() == "0"


# --- attachments


CONVERT = ("tri-header-convert", "%7B%22userid%22%3A%22userId%22%7D")


def test_upper_case_attachments(behind: Through, world: World) -> None:
    """Their names come in lower case; rules name them as the application does; the map of names is not touched."""
    policy = rules(
        rule("one", exact(userId="7")), rule("two", exact(DUBBO__tag="gray")), rule("none"),
    )  # fmt: skip
    kinds = Kinds(behind, world, policy, "one", "two", "none")
    kinds.check("one", head("upper", more=[TRI, ("userid", "7"), CONVERT]))
    kinds.check("two", head("upper", more=[TRI, ("dubbo.tag", "gray"), CONVERT]))
    kinds.check("none", head("upper", more=[TRI, ("userid", "8"), CONVERT]))


def by_label(name: str = "kind") -> list[mesh.Document]:
    """To the subset that the label names, else to the baseline."""
    route = [{"destination": {"host": mesh.APP, "subset": f"${name}"}}]
    return [*rules({"name": "by-label", "route": route}, names=()), label(name)]


def test_repeated_labels(behind: Through, world: World) -> None:
    """Conditions see all of a name as one list; what goes on is never joined."""
    policy = rules(rule("one", exact(env="dev1,dev2")), rule("two", exact(env="dev1, dev2")), rule("none"))
    kinds = Kinds(behind, world, policy, "one", "two", "none")
    kinds.check("one", head("list", more=[("env", "dev1"), ("env", "dev2")]))
    kinds.check("none", head("list", more=[("env", "dev2"), ("env", "dev1")]))
    kinds.check("two", head("list", more=[("env", "dev1, dev2")]))
    kinds.check("none", head("list", more=[("env", ""), ("env", "dev1")]))
    kinds.check("none", head("list", more=[("env", "dev1"), ("x", "y"), ("env", "dev2"), ("env", "")]))


def test_repeated_labels_route(behind: Through, world: World) -> None:
    """The last of a name is the label, and what is behind a comma is a part of it."""
    kinds = Kinds(behind, world, by_label(), "dev1", "dev2", BASE)
    for texts, wanted in (
        (["dev1", "dev2"], "dev2"), (["dev2", "dev1"], "dev1"), (["", "dev1"], "dev1"), (["dev1, dev2"], BASE),
        (["dev1,dev2"], BASE), (["dev1", ""], BASE),
    ):  # fmt: skip
        first, *others = [("kind", text) for text in texts]
        kinds.check(wanted, head("label", more=[first, ("x-between", "y"), *others]))


def test_label_in_baggage(behind: Through, world: World) -> None:
    """A member of baggage is a label where no field is; ``explain`` sees what the wire does."""
    kinds = Kinds(behind, world, by_label(), "dev1", "dev2", BASE)
    for more, wanted in (
        ([("baggage", "kind=dev1,other=2")], "dev1"),
        ([("baggage", "a=b, kind = dev2 ;p=1")], "dev2"),
        ([("baggage", "a=b"), ("baggage", "Kind=dev%31")], "dev1"),
        ([("baggage", "kind=dev1"), ("kind", "dev2")], "dev2"),
        ([("kind", "dev2"), ("baggage", "kind=dev1")], "dev2"),
        ([("kind", ""), ("baggage", "kind=dev1")], BASE),
        ([("baggage", "kind=nobody")], BASE),
    ):
        kinds.check(wanted, head("baggage", more=more))


# --- stamps


class Stamped:
    """A provider behind the sidecar of a workload whose own label ``Env`` is dev."""

    def __init__(self, behind: Through, world: World) -> None:
        self.provider = world.provider()
        front = free_port()
        inner = behind.onward(self.provider.port) if behind.is_two else self.provider.port
        door = {"name": "out", "bind": f"tcp://{ANY}:{front}", "direction": "outbound"}
        policy = [*rules(rule("none")), label("Env", "$(localLabel)")]
        behind.sidecar([entry([(inner, {"kind": "none"})]), *policy], [door], labels={"Env": "dev"})
        self.peer = world.caller(front).peer
        self._asked = 0

    def ask(self, more: Fields, updates: str = "", never: str = "", huffman: bool = True) -> Fields:
        """What comes of a call with these fields."""
        number = self.peer.next
        self.peer.next += 2
        self._asked += 1
        block = [(name, text, True) if name == never else (name, text) for name, text in head("stamped", more=more)]
        if updates == "two":  # the encoder puts them at the beginning
            self.peer.encoder.header_table_size = 0
            self.peer.encoder.header_table_size = 4096
        data = (b"\x3f\xe1\x1f" if updates == "one" else b"") + self.peer.encoder.encode(block, huffman=huffman)
        self.peer.send(frames.HeadersFrame(number, data, flags=["END_HEADERS", "END_STREAM"]))
        stream = self.provider.take("stamped", self._asked)
        came = stream.first().fields
        stream.answer()
        self.peer.until("the answer", lambda: any(e.end for e in self.peer.of(number)))
        names = [name for name, _ in came]
        assert names == [name.lower() for name in names]
        assert not any(name.startswith(":") for name in names[4:])
        return came


STAMPS: tuple[tuple[Fields, list[str]], ...] = (
    ([], ["dev"]),
    ([("env", "mine")], ["mine"]),
    ([("env", "mine"), ("env", "yours")], ["mine", "yours"]),
    ([("env", "")], ["dev"]),
    ([("env", ""), ("env", "mine")], ["", "mine"]),
    ([("env", "mine"), ("env", "")], ["dev"]),
    ([("baggage", "env=there")], []),
    ([("baggage", "Env=there")], []),
    ([("env", ""), ("baggage", "env=there")], ["dev"]),
)  # fmt: skip


def test_stamps(behind: Through, world: World) -> None:
    """Never over what the request says, never twice, in lower case, behind the pseudo-header fields; read, remembered
    or recalled, whatever size updates the caller's block begins with."""
    stamped = Stamped(behind, world)
    for updates in ("", "", "", "one", "two", ""):
        for huffman in (True, False):
            for more, wanted in STAMPS:
                came = stamped.ask(more, updates, huffman=huffman)
                assert [text for name, text in came if name == "env"] == wanted, (more, updates)


def test_stamps_beside_what_is_never_indexed(behind: Through, world: World) -> None:
    stamped = Stamped(behind, world)
    for _ in range(3):
        came = stamped.ask([("env", "mine")], never="env")
        assert [text for name, text in came if name == "env"] == ["mine"]


def test_stamped_beside_a_map_of_names(behind: Through, world: World) -> None:
    """What is stamped is not in it, and does not need to be."""
    stamped = Stamped(behind, world)
    for _ in range(3):
        came = stamped.ask([CONVERT])
        assert [text for name, text in came if name == CONVERT[0]] == [CONVERT[1]]
        assert [one for one in came if one[0] == "env"] == [("env", "dev")]
