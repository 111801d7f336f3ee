"""An etcd as Dubbo's registry, by its JSON gateway: the keys are the paths of nodes; see ``registry.tree``."""

from __future__ import annotations

from typing import Any

from meshfast.registry import Tell
from meshfast.registry.application import instance_of_go
from meshfast.registry.etcdclient import Client
from meshfast.registry.link import Ensemble, Session, Told
from meshfast.registry.times import Times
from meshfast.registry.tree import Tree, path_of

__all__ = ["PORT", "Etcd"]

#: Where an etcd is asked, if its address does not say.
PORT = 2379


class Etcd(Tree):
    """``address``: ``etcd://user:password@10.0.0.1:2379,10.0.0.2:2379``; ``leased``: whether there are to be
    registrations, which need a lease of ``session`` seconds. What else there is, see ``Tree``.

    :raises ValueError: an address that is none
    """

    def __init__(
        self, name: str, address: str, tell: Tell, *, root: str = "/dubbo", services: str = "/services",
        leased: bool = False, times: Times | None = None, **options: Any,
    ) -> None:  # fmt: skip
        times = times or Times()
        ensemble = Ensemble.parse(address, "etcd", PORT)
        prefixes = tuple(dict.fromkeys(f"{path_of(each)}/" for each in (root, services)))
        turn = int(times.luck() * len(ensemble.hosts.split(",")))  # not all sidecars begin with the same server

        def connect(ensemble: Ensemble, seconds: float, session: Session | None, told: Told) -> Client:
            nonlocal turn
            turn += 1
            return Client(
                ensemble, seconds, session, told,
                prefixes=prefixes, leased=leased, times=times, refused=self._unwatched, first=turn,
            )  # fmt: skip

        super().__init__(
            name, ensemble, tell, connect,
            root=root, services=services, times=times, where="etcd://", form=instance_of_go, **options,
        )  # fmt: skip

    def _unwatched(self, prefix: str, why: str) -> None:
        self._notes.count("unreadable")
        self._notes.warn(f"{prefix} cannot be watched", why)
