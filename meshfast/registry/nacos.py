"""A Nacos as Dubbo's registry, by its open API: its services and configs are shown as nodes; see ``registry.tree``."""

from __future__ import annotations

from typing import Any

from meshfast.registry import Tell
from meshfast.registry.application import instance_of_nacos
from meshfast.registry.link import Ensemble, Session, Told
from meshfast.registry.nacosbeats import Beats
from meshfast.registry.nacosclient import Client
from meshfast.registry.times import Times
from meshfast.registry.tree import Tree

__all__ = ["PORT", "Nacos"]

#: Where a Nacos is asked, if its address does not say.
PORT = 8848


class Nacos(Tree):
    """``address``: ``nacos://user:password@10.0.0.1:8848,10.0.0.2:8848``; ``namespace``: its id, "" for the public one;
    ``group``: of the services. What else there is, see ``Tree``.

    :raises ValueError: an address that is none
    """

    def __init__(
        self, name: str, address: str, tell: Tell, *, namespace: str = "", group: str = "DEFAULT_GROUP",
        times: Times | None = None, **options: Any,
    ) -> None:  # fmt: skip
        times = times or Times()
        ensemble = Ensemble.parse(address, "nacos", PORT)
        turn = int(times.luck() * len(ensemble.hosts.split(",")))  # not all sidecars begin with the same server
        namespace = "" if namespace == "public" else namespace
        self.beats = beats = Beats(frozenset(ensemble.hosts.split(",")), namespace, times, self._warn)

        def connect(ensemble: Ensemble, seconds: float, session: Session | None, told: Told) -> Client:
            nonlocal turn
            turn += 1
            return Client(
                ensemble, seconds, session, told, namespace=namespace, group=group, beats=beats, times=times,
                warn=self._warn, count=lambda reason, n: self._notes.count(reason, n), first=turn,
            )  # fmt: skip

        super().__init__(
            name, ensemble, tell, connect, times=times, where=f"nacos://{namespace}/{group}@",
            form=instance_of_nacos, **options,
        )  # fmt: skip

    def _warn(self, what: str, error: Exception | str) -> None:
        self._notes.warn(what, error)

    def _dropped(self, path: str) -> None:
        if (client := self._link.client) is not None:
            client.forget(path)
