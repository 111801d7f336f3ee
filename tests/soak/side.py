"""One proxy with its providers, callers and churn, sampled from outside once a second."""

from __future__ import annotations

import json
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from calls.programs import Asker, Proxy

from soak.churn import LABEL, VALUES, Churn, Nuisance, Policy, Providers
from soak.grpc import Grpc

#: What a caller may be told while providers are killed under it: the connection was lost, no instance is available.
ALLOWED = "35,80"
#: What the witness writes: given out by malloc; free in its heaps, resident or not; Python's objects.
WITNESSED = ("allocated", "free", "objects")
#: From the proxy's metrics into each sample.
COUNTERS = (
    "calls", "answers", "answers_local", "answers_late", "calls_active", "calls_retried", "calls_abandoned",
    "downstream_active", "upstream_active", "upstream_reset", "bad_frames", "bad_connections", "limit_output_high",
    "limit_call_timeout", "table_retired", "services", "config_version", "config_rejected", "out_of_memory",
)  # fmt: skip
ASKED = ("begun", "right", "one_way", "heartbeats", "errors", "crossed", "twice", "lost", "abandoned", "opened")

CALLERS: dict[str, dict[str, object]] = {
    "steady": {"connections": 24, "inflight": 8, "sizes": "0,0,16,64,64,64,200,200,1000,5000", "one_way": 5, "beat": 2},
    "large": {"connections": 4, "inflight": 2, "sizes": "20000,70000,262144"},
    "brief": {"connections": 16, "inflight": 4, "sizes": "64,200,1000", "life": 60, "die": 30, "one_way": 3},
    "slow": {"connections": 4, "inflight": 16, "sizes": "1000,9000,40000", "slow": 4},
}

#: So much of a run, and no longer, all callers are there twice, and every few samples the proxy stands still for a
#: second: memory reaches at once the highest load there will be, where it would else creep towards it for hours, a step
#: at each moment in which the machine was busy elsewhere.
BURST, BURST_S = 0.1, 60.0
HALT_EVERY, HALT_S = 5, 1.0

Sample = dict[str, float]


def burst(seconds: float) -> int:
    """How long the burst at the begin of a run of ``seconds`` lasts."""
    return max(1, int(min(seconds * BURST, BURST_S)))


def descriptors_left(idle: Sample, settled: Sample) -> float:
    """How many more there are than before the load; upstream connections apart, which stay for later calls."""
    return settled["fds"] - settled["upstream_active"] - (idle["fds"] - idle["upstream_active"])


class Side:
    """A proxy on ``loop`` under load from ``start`` to ``settle``; a context manager."""

    def __init__(self, loop: str, folder: Path, workers: int) -> None:
        self.loop = loop
        self._folder = folder / loop
        self._folder.mkdir()
        self._witness = self._folder / "allocated"
        self._workers = workers
        self._stack = ExitStack()
        self._askers: list[Asker] = []
        self._steady: list[Asker] = []  # those of the whole run
        self._readers: list[threading.Thread] = []
        self._told: dict[str, dict[str, Any]] = {}
        self.samples: list[Sample] = []
        self.idle: Sample = {}
        self.settled: Sample = {}

    def __enter__(self) -> Self:
        try:
            self._providers = Providers(self._folder)
            self._stack.callback(self._providers.close)
            self._grpc = self._stack.enter_context(Grpc(self._folder))
            self._policy = Policy(self._providers.ports(), self._grpc.document())
            self.proxy = Proxy(
                "proxy", self._folder, loop=self.loop, workers=self._workers, mesh=self._policy.documents(),
                limits={"peerBackoff": "100ms"}, module=("soak.inside", self._witness),
                protocol="auto",
            )  # fmt: skip
            self._stack.callback(self.proxy.close)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def start(self, seconds: float) -> None:
        """Begins the load; it would end by itself a while after ``seconds``, were it forgotten."""
        self.idle = self._look(0.0)
        self._burst_s = burst(seconds)
        self._churn = Churn(self.proxy, self._policy, self._providers, self._grpc)
        self._nuisance = Nuisance(self.proxy.port)
        for name, options in CALLERS.items():
            self._ask(name, int(seconds) + 600, options)
        self._steady = list(self._askers)
        for name, options in CALLERS.items():
            self._ask(f"burst-{name}", self._burst_s, options)
        self._grpc.start(self.proxy.port)
        self._churn.start()
        self._nuisance.start()

    def _ask(self, name: str, seconds: int, options: dict[str, object]) -> None:
        asker = Asker(
            name, self._folder, self.proxy.port, who=len(self._askers), seconds=seconds, allow=ALLOWED, timeout=15000,
            stall=30000, progress=True, label=f"{LABEL}={','.join((*VALUES, '-', '-'))}", **options,
        )  # fmt: skip
        self._stack.callback(asker.close)
        self._askers.append(asker)
        reader = threading.Thread(target=self._read, args=(asker,), daemon=True)
        self._readers.append(reader)
        reader.start()

    def _read(self, asker: Asker) -> None:
        assert asker.process.stdout is not None
        for line in asker.process.stdout:
            self._told[asker.name] = json.loads(line)

    def _look(self, at: float) -> Sample:
        proc = Path(f"/proc/{self.proxy.process.pid}")
        sample: Sample = {"at": at, "fds": float(len(list((proc / "fd").iterdir())))}
        for name, file, key in (("rss", "status", "VmRSS:"), ("pss", "smaps_rollup", "Pss:")):
            try:
                lines = (proc / file).read_text().splitlines()
                sample[name] = next(float(line.split()[1]) * 1024 for line in lines if line.startswith(key))
            except (OSError, StopIteration):
                sample[name] = float("nan")
        try:
            found = [float(word) for word in self._witness.read_text().split()]
        except OSError:  # it has just started
            found = [float("nan")] * len(WITNESSED)
        sample.update(zip(WITNESSED, found, strict=True))
        counted = self.proxy.counters()
        sample.update({name: counted[name] for name in COUNTERS})
        # Of those that are no connection: their number does not follow the load, so that one that leaks is seen.
        sample["fds_apart"] = sample["fds"] - counted["upstream_active"] - counted["downstream_active"]
        for name in ASKED:
            sample[f"asked_{name}"] = float(sum(told.get(name, 0) for told in list(self._told.values())))
        return sample

    def sample(self, at: float) -> Sample:
        """Looks once, and keeps what it saw.

        :raises RunError: a caller or the proxy has ended
        """
        self.proxy.check()
        self._grpc.check()
        for asker in self._steady:
            asker.check()
        if at < self._burst_s and len(self.samples) % HALT_EVERY == HALT_EVERY - 1:
            self._halt()
        self.samples.append(self._look(at))
        return self.samples[-1]

    def _halt(self) -> None:
        """All that comes meanwhile waits for the proxy at once."""
        self.proxy.process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(HALT_S)
        finally:
            self.proxy.process.send_signal(signal.SIGCONT)

    def settle(self, seconds: float = 60.0) -> None:
        """Ends the load and waits until the proxy has nothing left of it."""
        self._churn.close()
        self._nuisance.close()
        self._told_grpc = self._grpc.finish()
        for asker in self._askers:
            asker.process.terminate()
        for asker, reader in zip(self._askers, self._readers, strict=True):
            asker.process.wait(seconds)
            reader.join(seconds)
        deadline = time.monotonic() + seconds
        while True:
            self.settled = self._look(time.monotonic())
            busy = any(self.settled[key] for key in ("calls_active", "downstream_active", "table_retired"))
            if not (busy or descriptors_left(self.idle, self.settled) > 0) or time.monotonic() > deadline:
                break
            time.sleep(0.2)

    def totals(self) -> dict[str, Any]:
        """What the callers counted in the end, and the churn."""
        found: dict[str, Any] = {key: sum(told[key] for told in self._told.values()) for key in ASKED}
        status: dict[str, int] = {}
        for told in self._told.values():
            for code, n in told.get("status", {}).items():
                status[code] = status.get(code, 0) + n
        return found | {
            "status": status,
            "first": next((told["first"] for told in self._told.values() if told.get("first")), ""),
            "grpc": self._told_grpc,
            "asker_codes": [asker.process.returncode for asker in self._askers],
            "policies_written": self._churn.written,
            "instances_changed": self._policy.changes,
            "providers_killed": self._providers.crashes,
            "nonsense_sent": self._nuisance.sent,
            "churn_error": self._churn.error,
        }
