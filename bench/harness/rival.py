"""What each proxy of the comparison is to the harness, and what finding and starting them has in common."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from bench.harness.process import Program

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "bench"
TEMPLATES = ROOT / "bench" / "rivals"
SERVICE = "org.meshfast.bench.Echo"
VERSION = "1.0.0"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rival listens and to whom it sends, and a directory of its own for its files."""

    port: int
    backend: str
    directory: Path
    connections: int = 8000  # at most; what some reserve memory for


@dataclass(frozen=True, slots=True)
class Rival:
    """One proxy. ``find`` returns the program that it needs, or None; ``command`` writes its configuration and
    returns what to run; ``missing`` tells how to get it."""

    name: str
    what: str
    missing: str
    find: Callable[[], Path | None]
    command: Callable[[Place], list[str]]
    version: Callable[[], str]
    by_default: bool = True  # else only when asked for by name
    protocol: str = "dubbo"  # or "grpc"; "": any, as the bytes are not read
    backend: tuple[str, ...] = ()  # flags of the backend behind it: what it must have done to a request

    def start(self, place: Place, cpu: int, under: Sequence[str] = ()) -> Program:
        """The program, not yet entered; it serves on 127.0.0.1:``place.port``. ``under``: an emulator and its flags."""
        place.directory.mkdir(parents=True, exist_ok=True)
        return Program(
            self.name,
            [*under, *self.command(place)],
            cpu=cpu,
            slow=bool(under),
            log=place.directory / "log",
            address=f"127.0.0.1:{place.port}",
            env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"},
        )


def fill(template: str, place: Place, **more: str) -> Path:
    """Writes the template with its blanks filled to the rival's directory."""
    text = Template((TEMPLATES / template).read_text()).substitute(
        port=place.port,
        backend=place.backend,
        backend_port=place.backend.rpartition(":")[2],
        directory=place.directory,
        connections=str(place.connections),
        service=SERVICE,
        version=VERSION,
        **more,
    )
    path = place.directory / template
    path.write_text(text)
    return path


def which(name: str) -> Callable[[], Path | None]:
    def find() -> Path | None:
        found = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin") or shutil.which(name)
        return Path(found) if found else None

    return find


def must(path: Path | None) -> Path:
    assert path is not None
    return path


def first_line(argv: Sequence[str | Path]) -> str:
    """What a program says about itself, on whichever stream."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=30, cwd=ROOT)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return lines[0] if lines else "unknown"


def built(name: str) -> Callable[[], Path | None]:
    def find() -> Path | None:
        path = BUILD / name
        return path if path.exists() else None

    return find


def envoy() -> Path | None:
    """Envoy's program: the one in build/, else the system's."""
    inside = sorted(BUILD.glob("envoy/lib/python3*/site-packages/envoy/**/envoy"))
    return next((path for path in inside if path.is_file()), None) or which("envoy")()
