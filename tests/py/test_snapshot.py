"""Snapshots: what is in one, that it reads back as it was written, and what is refused."""

from __future__ import annotations

import errno
import json
import os
import random
import time
import typing
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pictures import ENVS, SERVICES, bare, documents, drawn, every, of_documents

from meshfast import snapshot
from meshfast.errors import LimitError, MeshfastError, SourceError, StateError
from meshfast.model import Cluster, Http, IdleLabel, Label, LabelSource, Mesh, Origin, Pattern, Service, Sidecar
from meshfast.plain import LEFT_OUT, picture, plain
from meshfast.registers import Secret
from meshfast.routing import Table
from meshfast.snapshot import NAME, Snapshot, only, read, write
from meshfast.statedir import FORMAT, StateDir, _head

PAGES = sorted(path.name for path in (Path(__file__).parents[2] / "docs").glob("*.md"))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDir]:
    directory = StateDir(str(tmp_path / "state"))
    yield directory
    directory.close()


def kept(mesh: Mesh, version: int = 1, app: str = "shop") -> Snapshot:
    return Snapshot(app, version, time.time(), only(mesh, [one.name for one in mesh.services]))


# --- what it says


@pytest.mark.parametrize("kind", [Cluster, Service, Label, LabelSource, IdleLabel])
def test_every_field_comes_back(kind: type) -> None:
    one = every(kind)
    data = msgspec.json.decode(msgspec.json.encode(plain(one)))
    assert picture(kind, data) == one
    hints = typing.get_type_hints(kind)
    least = kind(**{
        one.name: () if "tuple" in str(hints[one.name]) else every(hints[one.name])
        for one in fields(kind) if one.default is one.default_factory  # both missing
    })  # fmt: skip
    assert picture(kind, msgspec.json.decode(msgspec.json.encode(plain(least)))) == least


def test_nothing_else_is_left_out_and_no_secret_is_in_it(state: StateDir) -> None:
    assert {"origin", "offer"} == LEFT_OUT
    assert {one.name for one in fields(Mesh)} == set(snapshot._Mesh.__struct_fields__)
    side = {one.name for one in fields(Sidecar)}
    assert side - set(snapshot._Side.__struct_fields__) == {
        "address", "workers", "loop", "listeners", "admin", "access_log", "dns", "registries", "registrations",
        "advertise", "state", "endpoint", "origin", "said_at",
    }  # fmt: skip
    text = documents("registries.md")[0]
    mesh = of_documents(text)
    registry = replace(mesh.sidecar.registries[0], user="u", password=Secret("hush"))
    write(state, kept(replace(mesh, sidecar=replace(mesh.sidecar, registries=(registry,), admin="tcp://127.0.0.1:1"))))
    data = Path(state.path, NAME).read_text()
    assert "com.x.Hello" in data and not any(word in data for word in ("hush", "10.1.0.1", "127.0.0.1", "f.yaml"))


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_examples_come_back(page: str, state: StateDir) -> None:
    for number, one in enumerate(documents(page), start=1):
        given = kept(of_documents(one), number)
        write(state, given)
        found = read(state.path, "shop")
        assert found.mesh == bare(given.mesh) and (found.app, found.version) == ("shop", number)
        assert found.written == given.written and found.age < 3600


# --- what is in it


def asked(service: str) -> Iterator[tuple[dict[str, str], dict[str, str], dict[str, Any]]]:
    for i, env in enumerate(ENVS):
        for j, user in enumerate(("", "a", "ab", "abc", "z")):
            for k, http in enumerate((None, Http("POST", "http", service, f"/{service}/add"))):
                draw = random.Random(f"{service}{i}{j}{k}").getrandbits(64)
                yield {"user": user} if user else {}, {"env": env} if env else {}, {"http": http, "random": draw}


def answer(table: Table, service: str, headers: Any, labels: Any, how: Any) -> Any:
    counted = table.counted(service, headers, labels, method="add", http=how["http"])
    try:
        return table.lookup(service, headers, labels, method="add", **how), counted
    except StateError as error:
        return error.name, counted


@pytest.mark.parametrize("seed", range(40))
def test_it_answers_as_the_sidecar_does(seed: int, state: StateDir) -> None:
    mesh = drawn(seed)
    wanted = random.Random(seed).sample([*SERVICES, "com.a", "com.unheard.Of", "y.shop.example"], 5)
    write(state, Snapshot("shop", 1, time.time(), only(mesh, wanted)))
    whole, part = Table(), Table()
    whole.publish(mesh)
    found = read(state.path).mesh
    part.publish(found)
    assert {one.name for one in found.services} <= set(wanted)
    answers = set()
    for service in wanted:
        for headers, labels, how in asked(service):
            expected = answer(whole, service, headers, labels, how)
            assert answer(part, service, headers, labels, how) == expected
            answers.add(str(expected))
    assert len(answers) > 3 or len(found.services) < 2  # it was asked what differs
    for service in {*SERVICES, "com.a.Else"} - set(wanted):
        with pytest.raises(StateError) as refused:
            part.lookup(service)
        assert refused.value.name == "MF_EROUTE_SERVICE"
    mine = {target.cluster for one in found.services for rule in one.rules for target in rule.targets}
    assert mine <= found.clusters.keys() and len(found.clusters) <= len(mine) + 3  # mirrors


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_examples_answer_as_the_sidecar_does(page: str, state: StateDir) -> None:
    for one in documents(page):
        mesh = of_documents(one)
        names = [each.name for each in mesh.services if each.pattern is Pattern.EXACT]
        whole, part = Table(), Table()
        whole.publish(mesh)
        write(state, Snapshot("shop", 1, time.time(), only(mesh, names)))
        part.publish(read(state.path).mesh)
        for name in names:
            for headers, labels, how in asked(name):
                tagged = headers | {"dubbo.tag": labels.get("env", "")}
                assert answer(part, name, tagged, labels, how) == answer(whole, name, tagged, labels, how)


# --- what is refused


def refuses(state: StateDir, said: str, app: str = "") -> None:
    with pytest.raises(SourceError, match=said) as refused:
        read(state.path, app)
    assert str(refused.value).startswith(state.path)


def put(state: StateDir, data: bytes) -> None:
    """Something with a checksum that is right."""
    state.write(NAME, data)


def test_what_is_not_to_be_trusted_is_refused(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    refuses(state, "is not there")
    write(state, kept(drawn(1)))
    file, data = Path(state.path, NAME), Path(state.path, NAME).read_bytes()
    read(state.path, "shop")
    read(file, "shop")
    refuses(state, "of the application 'shop', not of 'other'", "other")
    file.chmod(0o640)
    refuses(state, "has mode 0640")
    file.chmod(0o600)
    os.chmod(state.path, 0o770)
    refuses(state, "has mode 0770")
    os.chmod(state.path, 0o700)
    mine = os.geteuid()
    for other in (mine + 1, 0 if mine else 1):
        monkeypatch.setattr(os, "geteuid", lambda other=other: other)
        refuses(state, "is not of the user that runs this")
        monkeypatch.undo()
    for harmed, said in (
        (data[:-1], "its checksum differs"), (data[: len(data) // 2], "its checksum differs"), (b"", "another version"),
        (data.replace(b"10.0.", b"10.1."), "its checksum differs"), (data[1:], "another version"),
        (data.replace(FORMAT, b"meshfast state 2"), "another version"),
    ):  # fmt: skip
        file.write_bytes(harmed)
        refuses(state, said)
    file.write_bytes(b"x" * (snapshot.MOST + 1))
    refuses(state, f"not a file of at most {snapshot.MOST} bytes")
    file.unlink()
    file.mkdir(0o700)
    refuses(state, "is not a file")
    file.rmdir()
    os.mkfifo(file, 0o600)
    refuses(state, "is not a file")
    file.unlink()
    file.symlink_to("other")
    refuses(state, os.strerror(errno.ELOOP))


def test_a_directory_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "none", tmp_path / "file", tmp_path / "none" / NAME):
        with pytest.raises(SourceError, match="is not there|Not a directory"):
            read(path)


def test_nonsense_with_a_checksum_is_refused(state: StateDir) -> None:
    write(state, kept(drawn(2)))
    whole = json.loads(Path(state.path, NAME).read_bytes().partition(b"\n")[2])
    for data, said in (
        (b"", "is no snapshot"), (b"{", "is no snapshot"), (b"[]", "is no snapshot"), (b"\xff" * 9, "is no snapshot"),
        (b"[" * 1_000_000, "is no snapshot"), (b'{"mesh":' * 100_000, "is no snapshot"),
        (msgspec.json.encode({**whole, "format": 2}), "its format is 2, not 1"),
        (msgspec.json.encode({**whole, "mesh": {**whole["mesh"], "clusters": []}}), "leads to what is not there"),
        (msgspec.json.encode({**whole, "mesh": {}}), "missing required field"),
    ):  # fmt: skip
        put(state, data)
        refuses(state, said)


def test_what_is_too_long_is_not_written(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    one = kept(drawn(3))
    size = write(state, one)
    before = Path(state.path, NAME).read_bytes()
    assert size < len(before) < size + 128
    monkeypatch.setattr(snapshot, "MOST", size)
    with pytest.raises(LimitError, match=f"would have {size} bytes; the limit is {size}: let this application"):
        write(state, one)
    assert Path(state.path, NAME).read_bytes() == before
    monkeypatch.setattr(snapshot, "MOST", size + 128)
    write(state, one)
    assert read(state.path).mesh == bare(one.mesh)  # and what is written can be read


def test_one_that_is_held_is_read(state: StateDir, tmp_path: Path) -> None:
    write(state, kept(drawn(4)))
    with pytest.raises(StateError, match="in use"):
        StateDir(state.path)
    read(state.path)
    state.close()
    read(tmp_path / "state")


# --- what chance makes of it


@pytest.mark.parametrize("seed", range(4))
def test_bytes_that_changed_are_refused_or_read_equal(seed: int, state: StateDir) -> None:
    write(state, kept(drawn(seed)))
    file, pick = Path(state.path, NAME), random.Random(seed)
    data, known = file.read_bytes(), read(state.path)
    refused = 0
    for _ in range(600):
        harmed = bytearray(data)
        for _ in range(pick.randrange(1, 4)):
            at, kind = pick.randrange(len(harmed)), pick.randrange(4)
            if kind == 0:
                harmed[at] ^= 1 << pick.randrange(8)
            elif kind == 1:
                del harmed[at : at + pick.randrange(1, 40)]
            elif kind == 2:
                harmed[at:at] = pick.randbytes(pick.randrange(1, 40))
            else:
                harmed[at:at] = harmed[pick.randrange(len(harmed)) :][: pick.randrange(1, 40)]
        file.write_bytes(harmed)
        try:
            assert read(state.path) == known
        except SourceError:
            refused += 1
    assert refused > 500


ODD: list[Any] = [
    None, "", "x", "$env", 0, -1, 1.5, 2**40, 2**70, True, [], {}, [[]], [None], ["!"], ["AAAA"], {"": ""},
]  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


@pytest.mark.parametrize("seed", range(4))
def test_other_contents_are_refused_or_a_mesh(seed: int, state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a checksum that is right: of whoever may write there, no more than an error comes."""
    write(state, kept(drawn(seed)))
    data = Path(state.path, NAME).read_bytes().partition(b"\n")[2]
    pick, read_ = random.Random(seed), 0
    for _ in range(600):
        whole = json.loads(data)
        container, key = pick.choice(places(whole))
        if isinstance(container, dict) and pick.random() < 0.3:
            container[pick.choice(("x", "name", "labels"))] = container.pop(key)
        elif pick.random() < 0.2:
            del container[key]
        else:
            container[key] = pick.choice(ODD) if pick.random() < 0.8 else pick.choice(places(whole))[0]
        try:
            raw = msgspec.json.encode(whole)
        except (RecursionError, OverflowError):
            continue  # it has itself in it
        monkeypatch.setattr("meshfast.statedir.read", lambda *_, raw=raw: raw)
        try:
            mesh = read(state.path).mesh
        except SourceError:
            continue
        read_ += 1
        assert all(isinstance(one, Service) for one in mesh.services)
        try:
            Table().publish(mesh)
        except (MeshfastError, ValueError, OverflowError, TypeError, KeyError):
            pass  # the core has its own opinion; whoever publishes it asks for that (sdk/fat.py)
    assert read_ > 20


def test_where_something_was_said_is_not_in_it() -> None:
    assert "origin" not in plain(replace(every(Service), origin=Origin("secret.yaml", 1, 1)))


def test_the_checksum_is_that_of_the_state_directory(state: StateDir) -> None:
    write(state, kept(drawn(5)))
    head, _, data = Path(state.path, NAME).read_bytes().partition(b"\n")
    assert head == _head(data)
