"""Programs that speak HTTP/2 before a server by another hand: h2spec, curl, nghttp, h2load."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import obtain
from harness.nghttpd import LARGE, Nghttpd, h2spec, run
from harness.through import Through

#: What h2spec's release in Go's proxy has, with --strict.
CASES = 146
#: nghttpd alone takes HEADERS of a lower number than the last.
AMISS = {"2: Sends stream identifier that is numerically smaller than previous"}
RUNS = int(os.environ.get("MESHFAST_H2SPEC", "1"))
ANSWER = "%{http_version} %{http_code} %{size_download} %{num_connects}"


@pytest.fixture(scope="module")
def server() -> Iterator[Nghttpd]:
    server = obtain(Nghttpd)
    yield server
    server.close()


def test_h2spec(through: Through, server: Nghttpd) -> None:
    """Every case of --strict; MESHFAST_H2SPEC: how often."""
    port = through.onward(server.port)
    for _ in range(RUNS):
        report = obtain(lambda: h2spec(port, 20))
        found = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", report)
        assert found, report[-2000:]
        amiss = set(re.findall(r"^\s*\u00d7 (.*?)\s*$", report.partition("Failures:")[2], re.M))
        assert amiss <= (AMISS if through.is_direct else set()), report.partition("Failures:")[2]
        assert (int(found[1]), int(found[3])) == (CASES, 0)


def curl(port: int, path: str, *options: object) -> str:
    """The version, the status, how many bytes, and how many connections it took, for each address asked for."""
    told = ["curl", "-sS", "--max-time", "30", "--http2-prior-knowledge", "-o", "/dev/null", "-w", ANSWER]
    return run(*told, *options, f"http://127.0.0.1:{port}{path}")


def test_curl(through: Through, server: Nghttpd, tmp_path: Path) -> None:
    """Bodies of all sizes both ways, no body, a status that is an error."""
    port = through.onward(server.port)
    assert curl(port, "/large") == f"2 200 {LARGE} 1"
    assert curl(port, "/empty") == "2 200 0 1"
    assert curl(port, "/none").startswith("2 404 ")
    assert curl(port, "/large", "-I") == "2 200 0 1"
    for size in (0, 1, 16_384, 16_385, 65_535, 65_536, LARGE):
        body, back = tmp_path / "body", tmp_path / "back"
        body.write_bytes(bytes(i % 253 for i in range(size)))
        told = ["curl", "-sS", "--max-time", "30", "--http2-prior-knowledge", "-o", back, "--data-binary", f"@{body}"]
        run(*told, f"http://127.0.0.1:{port}/index.html")
        if size:
            assert back.read_bytes() == body.read_bytes()
    headers = run("curl", "-sS", "--http2-prior-knowledge", "-D", "-", f"http://127.0.0.1:{port}/index.html")
    assert headers.startswith("HTTP/2 200")


def test_nghttp(through: Through, server: Nghttpd) -> None:
    """Several files by one connection, with padding, small windows and a trailer; then an upload with its own."""
    port = through.onward(server.port)
    url = f"http://127.0.0.1:{port}"
    said = run("nghttp", "-nsv", "-b", 200, "-w", 14, "-W", 15, f"{url}/large", f"{url}/index.html", f"{url}/empty")
    assert said.count(":status: 200") == 3
    assert len(re.findall(r"recv \(stream_id=\d+\) x-end: yes", said)) >= 3
    assert said.count("recv GOAWAY") == 0
    assert "RST_STREAM" not in said
    path = server.files / "large"
    said = run("nghttp", "-nv", "-d", path, "--trailer", "x-mine: 1", "--continuation", f"{url}/index.html")
    assert said.count(":status: 200") == 1 and "RST_STREAM" not in said
    received = sum(int(n) for n in re.findall(r"recv DATA frame <length=(\d+)", said))
    assert received == LARGE


@pytest.mark.parametrize(("connections", "streams"), [(1, 1), (1, 100), (16, 10)])
def test_h2load(through: Through, server: Nghttpd, connections: int, streams: int) -> None:
    """Many requests, each answered with 200; then uploads."""
    port = through.onward(server.port)
    url = f"http://127.0.0.1:{port}/index.html"
    count = 1000 * min(connections * streams, 4)
    many = ["-n", count, "-c", connections, "-m", streams]
    for more in ([], ["-d", server.files / "index.html"], ["-w", 10, "-W", 16]):
        said = run("h2load", *many, *more, url)
        assert f"{count} done, {count} succeeded, 0 failed, 0 errored, 0 timeout" in said, said
        assert f"status codes: {count} 2xx" in said, said
