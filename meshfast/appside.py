"""What the sidecar is for its own application: the registry in which it looks, who registers it, and its snapshot."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from meshfast import _core
from meshfast.endpoint.dubbo import Endpoint
from meshfast.endpoint.found import Found, reached_at
from meshfast.endpoint.standby import Standbys
from meshfast.heard import Heard
from meshfast.model import Mesh, Sidecar
from meshfast.registers import EndpointSpec
from meshfast.registration import Configured, Registrations, configured
from meshfast.snapshots import Snapshots
from meshfast.source.registries import Registries

__all__ = ["AppSide"]


class AppSide:
    """``holds`` takes each mesh that is in force, ``open`` comes after the first; ``endpoint`` is None where there is
    none. ``table``: which says what instances can be reached. Who else knows what the application looks for says so to
    ``snapshots.consumed``."""

    def __init__(self, registries: Registries, table: _core.Table) -> None:
        self.registrations = Registrations()
        self.endpoint: Endpoint | None = None
        self.snapshots = Snapshots(lambda: registries.directory)
        self.snapshots.consumed.append(lambda: self.endpoint.services if self.endpoint else ())
        self._registries, self._table, self._found = registries, table, Found(registries)
        self._mesh = Mesh()
        registries.handed_over = self.registrations.settled

    async def open(self, addresses: dict[str, str]) -> None:
        """``addresses`` of the listeners by name; the endpoint's is added. Raises as ``address.listening``."""
        side = self._mesh.sidecar
        if side.endpoint:
            self.endpoint = await self._listen(side, side.endpoint, addresses)

    async def close(self) -> None:
        """Before what follows the configuration ends, which has the state directory."""
        self.registrations.close()
        await self.snapshots.close()
        if self.endpoint:
            await self.endpoint.stop()

    def holds(self, mesh: Mesh) -> None:
        """It is in force: the application may find what is in it."""
        self._mesh = mesh
        for service in self._found.look(mesh):
            if self.endpoint:
                self.endpoint.changed(service)
        if self.endpoint:
            self.endpoint.labelled(self._labels)
        self.snapshots.holds(mesh)

    def register(self, addresses: Mapping[str, str]) -> None:
        """What is configured to be registered, and where."""
        self.registrations.write_to(self._registries.writers)
        self.registrations.only(configured(self._mesh.sidecar, addresses), Configured)

    def tend(self) -> None:
        """Now and then."""
        self.registrations.write_to(self._registries.writers)
        self.snapshots.tend()
        if self.endpoint:
            self.endpoint.tend()

    async def _listen(self, side: Sidecar, spec: EndpointSpec, addresses: dict[str, str]) -> Endpoint:
        made = Endpoint(
            spec.zookeeper, self._found, reached_at(addresses[spec.listener]), parameters=spec.parameters,
            state=self._registries.directory, standbys=self._standbys(side, spec.standby), properties=spec.properties,
        )  # fmt: skip
        made.labelled(self._labels)
        addresses["endpoint"] = await made.start()
        if any(one.register for one in side.registries):
            Heard(made, self.registrations, side, addresses)
        return made

    def _standbys(self, side: Sidecar, most: int) -> Standbys | None:
        pod = f"{side.app}@{side.address or socket.gethostname()}"
        return Standbys(most, pod, unavailable=self._unavailable) if most else None

    def _unavailable(self) -> set[str]:
        return {address for address, available in self._table.peers().items() if not available}

    @property
    def _labels(self) -> dict[str, str]:
        return {one.name: self._mesh.sidecar.labels.get(one.name, "") for one in self._mesh.labels}
