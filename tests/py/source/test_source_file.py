"""Watching files: every way in which editors and Kubernetes change them. Waits are for events, never for time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from meshfast import config
from meshfast.errors import ConfigError
from meshfast.model import Mesh
from meshfast.source import Bad, Event, Good, Same
from meshfast.source.file import POLL, SETTLE, FileSource, Loaded

Next = Callable[[], Awaitable[Event]]


def entry(service: str, name: str = "shop") -> str:
    head = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
    return f"{head}metadata: {{name: {name}}}\nspec: {{hosts: [{service}]}}\n"


def services(event: Event) -> list[str]:
    assert isinstance(event, Good), event
    return [s.name for s in event.mesh.services]


def watch(path: Path, body: Callable[[Next], Awaitable[None]]) -> None:
    """Runs ``body`` with a function that waits for the next event."""

    async def run() -> None:
        source = FileSource([path], poll=0.01, settle=0.01, rest=0.01)
        events: AsyncIterator[Event] = aiter(source)

        async def following() -> Event:
            return await asyncio.wait_for(anext(events), 10)

        await body(following)
        await events.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())


def test_first_then_each_change(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(entry("a.A"))

    async def body(following: Next) -> None:
        assert services(await following()) == ["a.A"]
        path.write_text(entry("a.B"))  # in place
        assert services(await following()) == ["a.B"]
        aside = tmp_path / "a.yaml~"
        aside.write_text(entry("a.C"))
        aside.rename(path)  # as editors do
        assert services(await following()) == ["a.C"]
        path.unlink()
        gone = await following()
        assert isinstance(gone, Bad) and "cannot be read" in str(gone.error)
        path.write_text(entry("a.D"))
        assert services(await following()) == ["a.D"]

    watch(path, body)


def test_same_size_and_time_but_another_inode(tmp_path: Path) -> None:
    path, aside = tmp_path / "a.yaml", tmp_path / "b"
    path.write_text(entry("a.A"))
    os.utime(path, ns=(1, 1))

    async def body(following: Next) -> None:
        assert services(await following()) == ["a.A"]
        aside.write_text(entry("a.B"))
        os.utime(aside, ns=(1, 1))
        aside.rename(path)
        assert services(await following()) == ["a.B"]

    watch(path, body)


def test_a_config_map(tmp_path: Path) -> None:
    """Kubernetes swaps the link ..data; the files are links through it."""
    for version, service in (("..1", "a.A"), ("..2", "a.B")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "mesh.yaml").write_text(entry(service))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "mesh.yaml").symlink_to("..data/mesh.yaml")

    async def body(following: Next) -> None:
        assert services(await following()) == ["a.A"]
        (tmp_path / "..new").symlink_to("..2")
        (tmp_path / "..new").rename(tmp_path / "..data")
        assert services(await following()) == ["a.B"]

    watch(tmp_path, body)


def test_a_directory_gains_and_loses_files(tmp_path: Path) -> None:
    (tmp_path / "b.yml").write_text(entry("a.A"))
    (tmp_path / "notes.txt").write_text("not: [yaml")

    async def body(following: Next) -> None:
        assert services(await following()) == ["a.A"]
        (tmp_path / "a.yaml").write_text(entry("a.B", "other"))
        assert services(await following()) == ["a.B", "a.A"]
        (tmp_path / "b.yml").unlink()
        assert services(await following()) == ["a.B"]

    watch(tmp_path, body)


def test_only_the_file_that_changed_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(30):
        (tmp_path / f"f{i}.yaml").write_text(entry(f"a.A{i}", f"app{i}"))
    parsed: list[str] = []
    compose = config.read.compose.compose
    monkeypatch.setattr(
        config.read.compose, "compose", lambda text, report: parsed.append(text.name) or compose(text, report)
    )

    async def body(following: Next) -> None:
        first = await following()
        assert isinstance(first, Good) and len(parsed) == 30
        parsed.clear()
        (tmp_path / "f7.yaml").write_text(entry("a.B", "app7"))
        then = await following()
        assert isinstance(then, Good) and parsed == [str(tmp_path / "f7.yaml")]
        old, new = ({s.name: s for s in event.mesh.services} for event in (first, then))
        assert new.keys() == old.keys() - {"a.A7"} | {"a.B"}
        assert all(new[name] is old[name] for name in new.keys() & old.keys())

    watch(tmp_path, body)


def test_links_that_lead_nowhere_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(entry("a.A"))
    (tmp_path / "gone.yaml").symlink_to("nothing")
    (tmp_path / "round.yaml").symlink_to("round.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")  # a reader would wait for its writer
    with pytest.raises(ConfigError) as caught:
        config.load([tmp_path])
    assert [Path(p.origin.file).name for p in caught.value.problems] == ["gone.yaml", "round.yaml"]


def test_a_bad_one_and_back(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(entry("a.A"))

    async def body(following: Next) -> None:
        assert services(await following()) == ["a.A"]
        path.write_text(entry("a.A").replace("hosts", "hots"))
        bad = await following()
        assert isinstance(bad, Bad) and isinstance(bad.error, ConfigError)
        assert len(bad.error.problems) == 1
        path.write_text("")
        bad = await following()
        assert isinstance(bad, Bad) and "the file is empty" in str(bad.error)
        path.write_text(entry("a.A"))
        assert services(await following()) == ["a.A"]

    watch(path, body)


def test_the_same_bytes_are_no_change(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(entry("a.A"))

    async def body(following: Next) -> None:
        assert services(await following()) == ["a.A"]
        path.write_text(entry("a.A"))
        os.utime(path)
        waiting = asyncio.ensure_future(following())
        done, _ = await asyncio.wait([waiting], timeout=0.2)
        assert not done
        path.write_text(entry("a.B"))
        assert services(await waiting) == ["a.B"]

    watch(path, body)


def test_half_written_is_read_again(tmp_path: Path) -> None:
    """A writer that goes on within the settling time is waited for: no Bad comes of it."""
    path = tmp_path / "a.yaml"
    path.write_text(entry("a.A"))
    whole = entry("a.B") * 1 + "---\n" + entry("a.C", "other")

    async def body(following: Next) -> None:
        assert services(await following()) == ["a.A"]
        waiting = asyncio.ensure_future(following())
        with path.open("w") as out:
            for i in range(0, len(whole), 20):
                out.write(whole[i : i + 20])
                out.flush()
                await asyncio.sleep(0)
        assert services(await waiting) == ["a.B", "a.C"]

    watch(path, body)


def test_a_change_while_loading_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(entry("a.A"))
    load = FileSource._load
    writes = iter(["a.B"])

    def slow(self: FileSource, asked: bool) -> Loaded:
        found = load(self, asked)
        for service in writes:
            path.write_text(entry(service))
        return found

    monkeypatch.setattr(FileSource, "_load", slow)

    async def body(following: Next) -> None:
        assert services(await following()) == ["a.B"]

    watch(path, body)


def test_watching_survives_a_mistake_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(entry("a.A"))
    build = config.Loader.build

    def broken(self: config.Loader, texts: list[config.Text], report: config.Report) -> Mesh:
        if b"a.B" in texts[0].data:
            raise MemoryError
        return build(self, texts, report)

    monkeypatch.setattr(config.Loader, "build", broken)

    async def body(following: Next) -> None:
        assert services(await following()) == ["a.A"]
        path.write_text(entry("a.B"))
        bad = await following()
        assert isinstance(bad, Bad) and "MemoryError" in str(bad.error)
        path.write_text(entry("a.C"))
        assert services(await following()) == ["a.C"]

    watch(path, body)


def test_live_with_the_real_times(tmp_path: Path) -> None:
    """A change of a file is an event, with waits between that are well under a second where nothing is taken away."""
    assert POLL + 2 * SETTLE < 0.5
    path = tmp_path / "a.yaml"
    path.write_text(entry("a.A"))

    async def run() -> None:
        events = aiter(FileSource([path]))
        assert services(await anext(events)) == ["a.A"]
        path.write_text(entry("a.A") + "---\n" + entry("a.B", "more"))
        assert services(await asyncio.wait_for(anext(events), 10)) == ["a.A", "a.B"]
        await events.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())


def test_again_reads_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(entry("a.A"))

    async def run() -> None:
        source = FileSource([path], poll=3600, settle=0.01)
        events = aiter(source)

        async def asked() -> Event:
            source.again()
            return await asyncio.wait_for(anext(events), 10)

        assert services(await anext(events)) == ["a.A"]
        assert await asked() == Same()
        path.write_text(entry("a.B"))
        assert services(await asked()) == ["a.B"]
        path.write_text("kind: None")
        assert isinstance(await asked(), Bad)
        assert await asked() == Same()
        await events.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())


def test_what_is_taken_and_not_done_is_logged_once_it_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    routes = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n  hosts: [a.A]\n"
    some, other = tmp_path / "a.yaml", tmp_path / "b.yaml"
    some.write_text(entry("a.A"))
    other.write_text(routes + "  http:\n  - route: [{destination: {}}]\n    corsPolicy: {}\n")

    async def body(following: Next) -> None:
        await following()
        some.write_text(entry("a.A", "other"))
        await following()

    with caplog.at_level("WARNING", "meshfast"):
        watch(tmp_path, body)
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"configuration: {other}:8:5: corsPolicy is not done yet: browsers are answered by the instance"]
