"""What the sidecar is for its own application: the registry in which it looks, who registers it, and its snapshot."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping

from meshfast import _core
from meshfast.address import Listen, listening
from meshfast.endpoint.dubbo import Endpoint
from meshfast.endpoint.found import Found, reached_at
from meshfast.endpoint.http import Api, Word
from meshfast.endpoint.nacos import Nacos
from meshfast.endpoint.standby import Standbys
from meshfast.eventlog import Event
from meshfast.heard import Heard, inbound
from meshfast.model import Mesh, Sidecar
from meshfast.registers import EndpointSpec
from meshfast.registration import Configured, Registrations, configured
from meshfast.running import Running
from meshfast.saying import Saying
from meshfast.snapshots import Snapshots
from meshfast.source.registries import Registries

__all__ = ["AppSide"]


class AppSide:
    """``holds`` takes each mesh that is in force, ``open`` comes after the first; ``endpoint``, ``nacos`` and
    ``api`` are None where there is none. ``table``: which says what instances can be reached; ``state``: of which
    whoever changes it says ``tell``."""

    def __init__(self, registries: Registries, table: _core.Table, state: Running) -> None:
        self.registrations = Registrations()
        self.endpoint: Endpoint | None = None
        self.nacos: Nacos | None = None
        self.api: Api | None = None
        self._heard: Heard | None = None
        self.snapshots = Snapshots(lambda: registries.directory)
        self.snapshots.consumed.append(self.consumed)
        self._registries, self._table, self._found, self._state = registries, table, Found(registries), state
        self._mesh, self._closed = Mesh(), False
        registries.handed_over, registries.changed = self.registrations.settled, self._listed

    async def open(self, addresses: dict[str, str], listen: Listen = listening) -> None:
        """``addresses`` of the listeners by name; the endpoint's are added. Raises as ``address.listening``."""
        side = self._mesh.sidecar
        if side.endpoint and side.endpoint.zookeeper:
            self.endpoint = await self._listen(side, side.endpoint, addresses, listen)
        if side.endpoint and side.endpoint.nacos:
            self.nacos = await self._be_nacos(side.endpoint, addresses, listen)
        if side.endpoint and side.endpoint.http:
            made = Api(side.endpoint.http, self._found, inbound(side, addresses), state=self._registries.directory)
            addresses["endpoint-http"] = await made.start(listen)
            self.api = made
        self._hear(side, addresses)

    async def close(self) -> None:
        """Before what follows the configuration ends, which has the state directory. Again is harmless."""
        if self._closed:
            return
        self._closed = True
        self.registrations.close()
        if self._heard:
            self._heard.close()
        await self.snapshots.close()
        if self.api:
            await self.api.stop()
        if self.nacos:
            await self.nacos.stop()
        if self.endpoint:
            await self.endpoint.stop()

    def consumed(self) -> frozenset[str]:
        """The services that the application calls, as far as it says so."""
        return frozenset().union(*(one.consumed for one in (self.endpoint, self.nacos, self.api) if one))

    def tell(self) -> None:
        """How the sidecar is now, to whom it matters."""
        if self.api:
            self.api.tell(Word(self.snapshots.version, self._state.ready, self._state.draining))

    def holds(self, mesh: Mesh) -> None:
        """It is in force: the application may find what is in it."""
        self._mesh = mesh
        for service in self._found.look(mesh):
            for one in (self.endpoint, self.nacos, self.api):
                if one:
                    one.changed(service)
        if self.endpoint:
            self.endpoint.labelled(self._labels)
        self.snapshots.holds(mesh)
        self.tell()

    def register(self, addresses: Mapping[str, str]) -> None:
        """What is configured to be registered, and where."""
        self.registrations.write_to(self._registries.writers)
        self.registrations.only(configured(self._mesh.sidecar, addresses), Configured)
        if self._heard:
            self._heard.take(self._mesh.sidecar)

    def events(self, found: Iterable[Event]) -> None:
        """What the workers tell."""
        for kind, worker, _, _, peer in found:
            if kind in ("peer_down", "peer_up") and peer in self._behind:
                self.registrations.reaches(peer, worker, kind == "peer_up")

    @property
    def _behind(self) -> set[str]:
        """Where the application is."""
        listeners = self._mesh.sidecar.listeners
        return {one.forward.removeprefix("tcp://") for one in listeners if one.direction == "inbound"}

    def tend(self) -> None:
        """Now and then."""
        self.registrations.write_to(self._registries.writers)
        self.snapshots.tend()
        self.tell()  # of the snapshot, which is written aside
        if self.endpoint:
            self.endpoint.tend()

    async def _listen(
        self, side: Sidecar, spec: EndpointSpec, addresses: dict[str, str], listen: Listen
    ) -> Endpoint:  # fmt: skip
        made = Endpoint(
            spec.zookeeper, self._found, reached_at(addresses[spec.listener]), parameters=spec.parameters,
            state=self._registries.directory, standbys=self._standbys(side, spec.standby), properties=spec.properties,
        )  # fmt: skip
        made.labelled(self._labels)
        addresses["endpoint"] = await made.start(listen)
        return made

    async def _be_nacos(self, spec: EndpointSpec, addresses: dict[str, str], listen: Listen) -> Nacos:
        made = Nacos(
            spec.nacos, self._found, reached_at(addresses[spec.listener]), parameters=spec.parameters,
            state=self._registries.directory, properties=spec.properties,
            written=self.endpoint.written if self.endpoint else None,
        )  # fmt: skip
        addresses["endpoint-nacos"] = await made.start(listen)
        return made

    def _hear(self, side: Sidecar, addresses: Mapping[str, str]) -> None:
        """What the application offers is registered, where anybody takes it."""
        taking = tuple(one.name for one in side.registries if one.register)
        if not taking or not side.endpoint:
            return
        self._heard = Heard(Saying(self.endpoint, self.api, self.nacos), self.registrations, side, addresses)
        if self.api:
            self.api.judge, self.api.registries = self._heard.judged, taking

    def _listed(self, service: str) -> None:
        for one in (self.nacos, self.api):
            if one:
                one.changed(service)

    def _standbys(self, side: Sidecar, most: int) -> Standbys | None:
        pod = f"{side.app}@{side.address or socket.gethostname()}"
        return Standbys(most, pod, unavailable=self._unavailable) if most else None

    def _unavailable(self) -> set[str]:
        return {address for address, available in self._table.peers().items() if not available}

    @property
    def _labels(self) -> dict[str, str]:
        return {one.name: self._mesh.sidecar.labels.get(one.name, "") for one in self._mesh.labels}
