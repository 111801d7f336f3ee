"""All that the application says of itself, whether to the registry that the sidecar is or over HTTP, as one source."""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Callable, Mapping

from meshfast.endpoint.dubbo import Endpoint, Wanted
from meshfast.endpoint.http import Api
from meshfast.endpoint.instances import Written
from meshfast.endpoint.nacos import Nacos

__all__ = ["Saying"]


class Saying:
    """As ``heard.Source``. Paths of one and of the other differ, and sessions: those of the API are below 0."""

    def __init__(self, endpoint: Endpoint | None, api: Api | None, nacos: Nacos | None = None) -> None:
        self._all = [one for one in (endpoint, nacos, api) if one is not None]
        self.wanted: Mapping[str, Wanted] = ChainMap(*(one.wanted for one in self._all))
        self.refused: Counter[str] = self._all[0].refused
        written = [one.written for one in (endpoint, nacos) if one is not None]
        self.written = written[0] if written else Written()  # they have one together

    @property
    def hears(self) -> Callable[[], None]:
        return self._all[0].hears

    @hears.setter
    def hears(self, call: Callable[[], None]) -> None:
        for one in self._all:
            one.hears = call

    @property
    def leaves(self) -> Callable[[int], None]:
        return self._all[0].leaves

    @leaves.setter
    def leaves(self, call: Callable[[int], None]) -> None:
        for one in self._all:
            one.leaves = call

    def end(self, session: int) -> None:
        for one in self._all:
            one.end(session)
