"""What is registered for the application: all that is wanted, while the application is healthy and the sidecar ready.

What is wanted comes from whoever says ``want``; what has become of it in each registry is seen by ``shown``. Registries
are independent of each other: one that refuses is tried again alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from meshfast import model
from meshfast.alive import ENDED, Health, Prober
from meshfast.config.registration import labels
from meshfast.registry import LEVELS, Key, Registration, Standing, Writer
from meshfast.registry.times import Later, Times

__all__ = ["App", "Asks", "Configured", "Registrations", "Shown", "configured"]

log = logging.getLogger("meshfast")

#: Seconds between looks at an application, and after one whose connection ended.
LOOK, SOON = 2.0, 0.2

#: Seconds after which the looks at an application count more than that a worker could not reach it once.
REACHED = 5.0

#: What a URL says by these names is not a workload's label, whatever that is called.
KEPT = frozenset(
    "anyhost application category cluster connections deprecated disabled dubbo dynamic enabled generic group "
    "interface loadbalance meshfast methods path pid prefer.serialization protocol release retries serialization side "
    "timeout timestamp token version warmup weight".split()
)

#: Seconds that a registry is kept which another one takes over from.
SETTLED = 15.0


class Asks(Protocol):
    """See ``alive.Prober``."""

    async def look(self) -> str: ...

    def close(self) -> None: ...


#: Makes one: the application's address, its protocol, and what to call when its connection ends.
Asking = Callable[[str, str, Callable[[], None]], Asks]


@dataclass(frozen=True, slots=True)
class Shown:
    """A registration as it is: ``healthy`` None as long as it is not known, ``health`` why not; by registry what has
    become of it."""

    registration: Registration
    healthy: bool | None
    health: str
    registries: Mapping[str, Standing]


class Configured(NamedTuple):
    """A registration that the configuration has."""

    key: Key


def configured(side: model.Sidecar, addresses: Mapping[str, str]) -> dict[Hashable, Registration]:
    """What the configuration wants. ``addresses``: those that the listeners have, by name."""
    behind = {one.name: one.forward for one in side.listeners}
    own = {name: text for name, text in labels(side.labels).items() if name not in KEPT}
    out: dict[Hashable, Registration] = {}
    for spec in side.registrations:
        host, _, port = addresses[spec.listener].removeprefix("tcp://").rpartition(":")
        if side.advertise.address:
            host = f"[{side.advertise.address}]" if ":" in side.advertise.address else side.advertise.address
        one = Registration(
            spec.service, spec.group, spec.version, spec.protocol, f"{host}:{port}",
            {**own, "application": side.app, **spec.parameters}, side.advertise.levels or LEVELS, behind[spec.listener],
        )  # fmt: skip
        out[Configured(one.key)] = one
    return out


class App:
    """An application's port, which is looked at."""

    def __init__(self, address: str, protocol: str, asking: Asking, times: Times, changed: Callable[[], None]) -> None:
        self.address, self.health = address, Health()
        self.withdrawn = 0
        self.since = 0.0  # it has taken calls
        self._times, self._changed = times, changed
        self._asks = asking(address, protocol, self._now)
        self._timer: Later | None = None
        self._task: asyncio.Task[None] | None = None
        self._again = False
        self._now()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        self._asks.close()

    def _now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._again = True
        else:
            self._task = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        began = self._times.now()
        try:
            error = await self._asks.look()
        except Exception as wrong:  # a mistake of ours must not keep it registered, or end the looking
            error = f"{type(wrong).__name__}: {wrong}"
        self._task = None
        now = self._times.now()
        if self.health.take(error, now):
            self._tell()
            self._changed()
        wait = SOON if error == ENDED or self._again else max(0.0, began + LOOK - now)
        self._again = False
        self._timer = self._times.later(wait, self._now)

    def _tell(self) -> None:
        if self.health.up:
            self.since = self._times.now()
            log.info("registration: the application at %s takes calls", self.address)
        else:
            self.withdrawn += 1
            log.warning("registration: the application at %s takes no calls: %s", self.address, self.health.error)


class Registrations:
    """``ready`` is set once calls that come in are served, and taken back by ``leave``."""

    def __init__(self, times: Times | None = None, asking: Asking = Prober) -> None:
        self._times, self._asking = times or Times(), asking
        self._wanted: dict[Hashable, Registration] = {}
        self._apps: dict[tuple[str, str], App] = {}
        self._writers: dict[str, Writer] = {}
        self._ready = self._left = self._closed = False
        self._sure, self._owed = True, set[str]()
        self._rests: dict[str, set[int]] = {}  # by address: workers whose calls did not reach it
        self._waits: dict[App, Later] = {}
        self._withdrawn = 0

    # --- what is wanted, and where

    def want(self, of: Hashable, registration: Registration) -> None:
        """``of``: whose it is, by which it is changed or taken back; of one key the first counts."""
        self._change({of: registration}, [])

    def unwant(self, of: Hashable) -> None:
        self._change({}, [of])

    def only(self, wanted: Mapping[Hashable, Registration], kind: type) -> None:
        """Of those whose ``of`` is of a kind these and no others."""
        self._change(wanted, [of for of in self._wanted if isinstance(of, kind) and of not in wanted])

    def write_to(self, writers: Mapping[str, Writer]) -> None:
        """The registries that take registrations, by name."""
        new = [name for name, writer in writers.items() if self._writers.get(name) is not writer]
        if not new and len(writers) == len(self._writers):
            return
        self._writers = dict(writers)
        if self._ready:
            self._sweep(new)
        self._apply()

    def sure(self, sure: bool) -> None:
        """Whether all is known that is wanted. Until it is, what the process before registered stays."""
        self._sure = sure
        if sure and self._owed:
            owed, self._owed = self._owed, set()
            self._sweep([name for name in owed if name in self._writers])

    def reaches(self, address: str, worker: int, reached: bool) -> None:
        """Whether a worker's calls reach an application. Where one's did not, it rests for a moment, and whoever finds
        the application in a registry meanwhile would be refused: so it is not written before all do."""
        resting = self._rests.setdefault(address, set())
        (resting.discard if reached else resting.add)(worker)
        if not resting:
            del self._rests[address]
            self._apply()

    def ready(self) -> None:
        """Calls that come in are served: registries may say so."""
        if not self._ready and not self._left:
            self._ready = True
            self._apply()
            self._sweep(list(self._writers))

    async def leave(self, seconds: float) -> bool:
        """Takes all back in all registries at once, for good; waits so long at most. Whether there was anything."""
        self._left, self._ready = True, False
        had = any(found.state == "registered" for one in self.shown() for found in one.registries.values())
        for app in self._apps.values():
            app.close()
        self._apply()
        for writer in self._writers.values():
            writer.sweep(())
        gone = asyncio.gather(*(writer.left() for writer in self._writers.values()))
        try:
            async with asyncio.timeout(seconds):
                await gone
        except TimeoutError:
            log.warning("registration: not everything could be withdrawn in %g s", seconds)
        return had

    async def settled(self) -> None:
        """Returns when all that is to be registered is, everywhere; or after a while."""
        deadline = asyncio.get_running_loop().time() + SETTLED
        while self._pending() and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)

    def _pending(self) -> bool:
        if not self._ready:
            return False
        found = [one.registries.get(name) for one in self.shown() if one.healthy for name in self._writers]
        return any(each is None or each.state != "registered" for each in found)

    def close(self) -> None:
        """Looks at nothing any more; what is registered stays."""
        self._left = self._closed = True
        for app in self._apps.values():
            app.close()
        self._apps.clear()
        for each in self._waits.values():
            each.cancel()
        self._waits.clear()

    # --- what has become of it

    def shown(self) -> Iterator[Shown]:
        for key, one in self._one_of_each().items():
            app = self._apps.get((one.behind, one.protocol))
            standing = {name: found for name, writer in self._writers.items() if (found := writer.standing(key))}
            health = app.health if app is not None else Health()
            yield Shown(one, health.up, health.error, standing)

    @property
    def withdrawn(self) -> int:
        """Times that an application was found to take no calls any more."""
        return self._withdrawn + sum(app.withdrawn for app in self._apps.values())

    @property
    def writers(self) -> Mapping[str, Writer]:
        return self._writers

    # --- inside

    def _one_of_each(self) -> dict[Key, Registration]:
        found: dict[Key, Registration] = {}
        for one in self._wanted.values():
            found.setdefault(one.key, one)
        return found

    def _change(self, wanted: Mapping[Hashable, Registration], gone: list[Hashable]) -> None:
        changed = {of: one for of, one in wanted.items() if self._wanted.get(of) != one}
        before = [self._wanted[of] for of in (*changed, *gone) if of in self._wanted]
        if not changed and not before:
            return
        self._wanted.update(changed)
        for of in gone:
            self._wanted.pop(of, None)
        keys = {one.key for one in self._wanted.values()}
        for one in before:
            if one.key not in keys:
                for writer in self._writers.values():
                    writer.drop(one.key)
        self._follow()

    def _sweep(self, names: list[str]) -> None:
        if not self._sure:
            self._owed.update(names)
            return
        keys = list(self._one_of_each())
        for name in names:
            self._writers[name].sweep(keys)

    def _follow(self) -> None:
        """Looks at the applications that something is wanted of."""
        needed = {(one.behind, one.protocol) for one in self._wanted.values()} if not self._left else set()
        for gone in self._apps.keys() - needed:
            app = self._apps.pop(gone)
            self._withdrawn += app.withdrawn
            app.close()
        for new in needed - self._apps.keys():
            self._apps[new] = App(*new, self._asking, self._times, self._apply)
        self._apply()

    def _apply(self) -> None:
        if self._closed:
            return
        for key, one in self._one_of_each().items():
            app = self._apps.get((one.behind, one.protocol))
            up = app.health.up if app is not None else None
            for writer in self._writers.values():
                if self._left or up is False:
                    writer.drop(key)
                elif self._ready and up and not self._waits_for(app):
                    writer.put(one)

    def _waits_for(self, app: App | None) -> bool:
        """Whether workers have yet to reach it; the looks at it count more than their word after a while."""
        if app is None or app.address.removeprefix("tcp://") not in self._rests:
            return False
        left = app.since + REACHED - self._times.now()
        if left > 0 and app not in self._waits:
            self._waits[app] = self._times.later(left, self._waited, app)
        return left > 0

    def _waited(self, app: App) -> None:
        del self._waits[app]
        self._apply()
