"""Files that are half of what they will be: written in pieces where they lie, or one after the other.

Where nothing may be taken half, files rest for an hour, so that no time decides.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from meshfast import config
from meshfast.source import Bad, Event, Good, Same
from meshfast.source.file import REST, FileSource, Loaded

HOUR = 3600.0
PATIENCE = 20.0


def app(name: str, *addresses: str) -> str:
    """One to a document, its endpoints last."""
    lines = ["apiVersion: networking.istio.io/v1", "kind: ServiceEntry", f"metadata: {{name: {name}}}", "spec:"]
    lines += [f"  hosts: [com.x.{name}]", "  ports: [{number: 20880}]", "  endpoints:"]
    return "\n".join([*lines, *(f"  - {{address: {address}}}" for address in addresses)]) + "\n"


def whole(n: int = 4) -> str:
    return "---\n".join(app(f"S{i}", "10.0.0.1", "10.0.0.2") for i in range(n))


class Watch:
    """A source that is followed, and what it has read and given."""

    def __init__(self, path: Path, rest: float) -> None:
        self.source = FileSource([path], poll=0.005, settle=0.001, rest=rest)
        self.events: list[Event] = []
        self.read: list[dict[str, bytes]] = []
        load = self.source._build

        def build(texts: list[config.Text], report: config.Report) -> Loaded:
            self.read.append({Path(text.name).name: text.data for text in texts})
            return load(texts, report)

        self.source._build = build  # type: ignore[method-assign]

    async def follow(self) -> None:
        async for event in self.source:
            self.events.append(event)

    async def until(self, there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not there():
            assert time.monotonic() < deadline, self.events[-1:]
            await asyncio.sleep(0.002)

    async def seen(self, path: Path) -> None:
        """Waits until it was read as it is now."""
        data, begun = path.read_bytes(), len(self.read)
        await self.until(lambda: any(one.get(path.name) == data for one in self.read[begun:]))

    async def gives(self, n: int) -> dict[str, set[str]]:
        await self.until(lambda: len(self.events) >= n)
        return offers(self.events[n - 1])

    @property
    def good(self) -> list[dict[str, set[str]]]:
        return [offers(event) for event in self.events if isinstance(event, Good)]


def offers(event: Event) -> dict[str, set[str]]:
    """The addresses by service."""
    assert isinstance(event, Good), event
    of = {host: {e.address for e in c.endpoints} for c in event.mesh.clusters.values() for host in c.hosts}
    return {service.name: of[service.name] for service in event.mesh.services}


def watching(path: Path, rest: float, body: Callable[[Watch], Awaitable[None]]) -> None:
    async def run() -> None:
        watch = Watch(path, rest)
        task = asyncio.create_task(watch.follow())
        try:
            await watch.gives(1)
            await body(watch)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_pieces_of_the_same_are_never_taken(tmp_path: Path) -> None:
    """Cut between documents, inside one that is still good, and inside a line."""
    path = tmp_path / "a.yaml"
    text = whole()
    path.write_text(text)
    borders = [at + 1 for at, c in enumerate(text) if c == "\n"]
    cuts = sorted({*borders[:-1], *(at + 3 for at in borders[:-1]), len(text) - 1, len(text) - 3})

    async def body(watch: Watch) -> None:
        with path.open("w") as out:
            done = 0
            for cut in cuts:
                out.write(text[done:cut])
                out.flush()
                await watch.seen(path)
                done = cut
            out.write(text[done:])
        path.write_text(text + "---\n" + app("More", "10.0.0.9"))
        await watch.until(lambda: "com.x.More" in watch.good[-1])
        first, *then = watch.good
        assert all(first.items() <= each.items() for each in then), then

    watching(path, HOUR, body)


def test_what_is_added_does_not_wait_and_what_goes_does_until_it_rests(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(whole(2))

    async def body(watch: Watch) -> None:
        path.write_text(whole(2) + "---\n" + app("New", "10.0.0.1"))
        assert "com.x.New" in await watch.gives(2)
        path.write_text(whole(2))
        await watch.seen(path)
        assert len(watch.events) == 2
        watch.source.again()
        assert "com.x.New" not in await watch.gives(3)
        path.write_text(app("S0", "10.0.0.1"))
        await watch.seen(path)
        path.write_text(whole(2))  # it was no more than half
        watch.source.again()
        await watch.until(lambda: len(watch.events) > 3)
        assert watch.events[3:] == [Same()]

    watching(path, HOUR, body)

    async def rests(watch: Watch) -> None:
        path.write_text(app("S0", "10.0.0.1"))
        assert await watch.gives(2) == {"com.x.S0": {"10.0.0.1:20880"}}
        path.unlink()
        (tmp_path / "b.yaml").write_text(app("Other", "10.0.0.1"))
        await watch.until(lambda: watch.good[-1].keys() == {"com.x.Other"})

    path.write_text(whole(2))
    watching(tmp_path, 0.02, rests)


def test_by_rename_at_once(tmp_path: Path) -> None:
    path, aside = tmp_path / "a.yaml", tmp_path / "a.new"
    path.write_text(whole(3))

    async def body(watch: Watch) -> None:
        for n in (2, 1):
            aside.write_text(whole(n))
            aside.rename(path)
            assert len(await watch.gives(4 - n)) == n

    watching(path, HOUR, body)


def test_by_a_link_at_once(tmp_path: Path) -> None:
    """As with a ConfigMap that loses a service, and then one of its keys."""
    for version, keys in (("..1", {"a": 2, "b": 3}), ("..2", {"a": 1, "b": 3}), ("..3", {"a": 1})):
        (tmp_path / version).mkdir()
        for key, n in keys.items():
            text = whole(n) if key == "a" else app("B", "10.0.0.1")
            (tmp_path / version / f"{key}.yaml").write_text(text)

    def swap(version: str) -> None:
        (tmp_path / "..new").symlink_to(version)
        (tmp_path / "..new").rename(tmp_path / "..data")

    swap("..1")
    for key in ("a", "b"):
        (tmp_path / f"{key}.yaml").symlink_to(f"..data/{key}.yaml")

    async def body(watch: Watch) -> None:
        assert watch.good[-1].keys() == {"com.x.S0", "com.x.S1", "com.x.B"}
        swap("..2")
        assert (await watch.gives(2)).keys() == {"com.x.S0", "com.x.B"}
        (tmp_path / "b.yaml").unlink()
        swap("..3")
        assert (await watch.gives(3)).keys() == {"com.x.S0"}

    watching(tmp_path, HOUR, body)


def test_a_file_in_doubt_holds_up_no_other(tmp_path: Path) -> None:
    slow, other, aside = tmp_path / "slow.yaml", tmp_path / "other.yaml", tmp_path / "aside"
    slow.write_text(whole(2))
    other.write_text(app("Other", "10.0.0.1", "10.0.0.2"))

    async def body(watch: Watch) -> None:
        before = watch.good[-1]
        slow.write_text(app("S0", "10.0.0.1"))
        await watch.seen(slow)
        other.write_text(app("Other", "10.0.0.1", "10.0.0.2", "10.0.0.3"))
        assert len((await watch.gives(2))["com.x.Other"]) == 3
        aside.write_text(app("Other", "10.0.0.9"))
        aside.rename(other)
        assert await watch.gives(3) == before | {"com.x.Other": {"10.0.0.9:20880"}}

    watching(tmp_path, HOUR, body)


def test_an_instance_that_moves_from_file_to_file(tmp_path: Path) -> None:
    """And files that are removed to be made again, as git does it."""
    one, two = tmp_path / "1.yaml", tmp_path / "2.yaml"
    one.write_text(whole(2))
    two.write_text(app("T", "10.0.0.1"))

    async def body(watch: Watch) -> None:
        first = watch.good[-1]
        one.write_text(app("S0", "10.0.0.1", "10.0.0.2"))
        await watch.seen(one)
        two.write_text(app("T", "10.0.0.1") + "---\n" + app("S1", "10.0.0.1", "10.0.0.2"))
        await watch.seen(two)
        two.unlink()
        await watch.until(lambda: "2.yaml" not in watch.read[-1] or watch.read[-2].keys() == {"1.yaml"})
        two.write_text(app("T", "10.0.0.1") + "---\n" + app("S1", "10.0.0.1", "10.0.0.2", "10.0.0.3"))
        await watch.until(lambda: "10.0.0.3:20880" in watch.good[-1]["com.x.S1"])
        assert all(first[name] <= each[name] for each in watch.good for name in first)

    watching(tmp_path, HOUR, body)


def test_a_second_by_default() -> None:
    assert REST == 1.0


def test_a_bad_half_is_told_and_the_good_whole_follows(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(whole())

    async def body(watch: Watch) -> None:
        path.write_text(whole()[: whole().rfind("spec:")])
        await watch.until(lambda: isinstance(watch.events[-1], Bad))
        os.truncate(path, whole().index("---"))
        await watch.seen(path)
        path.write_text(whole())
        await watch.until(lambda: len(watch.good) == 2)
        assert watch.good[1] == watch.good[0]

    watching(path, HOUR, body)
