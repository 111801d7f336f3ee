"""How an instance is chosen among those of a group: what ``Cluster.policy`` says of it. Imports nothing of ours."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

STEPS = 64  # MF_WARMUP_STEPS
FULL = 65535


class Kind(IntEnum):
    """The values of ``enum mf_balancer``."""

    WEIGHTED = 0
    RANDOM = 1
    ROUND_ROBIN = 2
    LEAST_REQUEST = 3
    HASH = 4


class By(IntEnum):
    """What calls are hashed by; the values of ``enum mf_hash_by``."""

    HEADER = 0
    COOKIE = 1
    PARAM = 2
    SOURCE = 3
    ARGUMENT = 4


@dataclass(frozen=True, slots=True)
class Balancer:
    """``by``, ``key``, ``argument`` and ``places`` are of HASH: the text that is hashed, and how many places its table
    has (0: as many as are good). ``makes``: of COOKIE, what follows the value of one that a call without it is given,
    "": it is given none. ``warmup_ms``: how long who has just come gets less, ``least`` percent at first; it grows
    with the power of 1/``aggression``."""

    kind: Kind = Kind.WEIGHTED
    by: By = By.HEADER
    key: str = ""
    argument: int = 0
    makes: str = ""
    places: int = 0
    warmup_ms: int = 0
    least: float = 10
    aggression: float = 1

    def warmth(self) -> bytes:
        """The share of its weight that an instance has, of FULL, at each of STEPS: 16 bits each, as the core has it."""
        return _warmth(self.least, self.aggression)

    def words(self) -> str:
        """How it chooses."""
        said = {
            Kind.WEIGHTED: "at random, by weight",
            Kind.RANDOM: "at random, whatever the weights",
            Kind.ROUND_ROBIN: "in turn",
            Kind.LEAST_REQUEST: "by calls in flight",
            Kind.HASH: f"by the hash of {self.subject()}",
        }[self.kind]
        return said + (f", warming up for {self.warmup_ms / 1000:g} s" if self.warmup_ms else "")

    def subject(self) -> str:
        """What is hashed."""
        return {
            By.HEADER: f"header {self.key}",
            By.COOKIE: f"cookie {self.key}" + (", which a call without it is given" if self.makes else ""),
            By.PARAM: f"query parameter {self.key}",
            By.SOURCE: "the caller's address",
            By.ARGUMENT: f"argument {self.argument}",
        }[self.by]


@lru_cache(maxsize=64)
def _warmth(least: float, aggression: float) -> bytes:
    parts = (((i + 0.5) / STEPS) ** (1 / aggression) for i in range(STEPS))
    return array("H", [round(FULL * max(part, least / 100)) for part in parts]).tobytes()
