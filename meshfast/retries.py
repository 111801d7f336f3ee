"""When a call is tried again, and how many may be: parts of the frozen picture. Imports nothing of ours; waits are
milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag


class RetryOn(IntFlag):
    """After what a call is tried again; the values of ``enum mf_retry_on``."""

    SERVER_ERROR = 1
    GATEWAY = 2
    RESET = 4
    REFUSED = 8
    CONFLICT = 16
    CODES = 32
    LIMITED = 64
    CANCELLED = 128
    DEADLINE = 256
    EXHAUSTED = 512
    INTERNAL = 1024
    UNAVAILABLE = 2048


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call is tried again, after what, and how long each try may take. ``codes``: of HTTP, and below 101 of
    Dubbo2; ``text``: as it was written, for explain."""

    attempts: int
    on: RetryOn
    codes: tuple[int, ...] = ()
    try_ms: int = 0
    backoff_ms: int = 25
    remote: bool = False
    other_peers: bool = True
    text: str = ""

    def words(self) -> str:
        """What is done."""
        said = [f"tried again at most {self.attempts} times, after {self.text}"]
        said += [f"{self.try_ms / 1000:g} s each"] if self.try_ms else []
        said += [f"first within {self.backoff_ms} ms"]
        said += ["leaving out the localities of each two tries"] if self.remote else []
        said += [] if self.other_peers else ["the same instance may be asked again"]
        return ", ".join(said)


@dataclass(frozen=True, slots=True)
class Budget:
    """How many of the calls in flight may be tried again at once: a share in 1/10000 of them, or ``least``."""

    share: int = 2000
    least: int = 3

    def words(self) -> str:
        """What is allowed."""
        return f"tried again at once: {self.share / 100:g} % of its calls, at least {self.least}"
