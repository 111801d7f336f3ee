"""nghttp2's server and programs, curl and h2spec."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .process import BUILD, PROJECT, RUN, Process, accepts, free_port, need, need_tool

LARGE = 3 << 20


class Nghttpd(Process):
    """A server of a few files, of which ``who`` says its name, that sends uploads back and ends each answer with a
    trailer."""

    def __init__(self, name: str = "a") -> None:
        program = need_tool("nghttpd")
        self.port = free_port()
        self.files: Path = RUN / f"htdocs-{name}"
        self.files.mkdir(parents=True, exist_ok=True)
        (self.files / "index.html").write_text("a page of some bytes\n" * 20)
        (self.files / "large").write_bytes(bytes(i % 251 for i in range(LARGE)))
        (self.files / "empty").write_bytes(b"")
        (self.files / "who").write_text(name)
        options = ["--no-tls", "--echo-upload", "--trailer", "x-end: yes", "-a", "127.0.0.1", "-d", self.files]
        super().__init__(f"nghttpd-{name}", [program, *options, self.port])
        self.ready(f"nghttpd on port {self.port}", lambda: accepts(self.port))


def run(*command: object, seconds: float = 60) -> str:
    """What a program says, which must end well."""
    words = [str(word) for word in command]
    words[0] = need_tool(words[0])
    done = subprocess.run(words, capture_output=True, timeout=seconds, cwd=PROJECT)
    text = done.stdout.decode(errors="replace")
    assert done.returncode == 0, f"{words}: {done.returncode}\n{text[-2000:]}\n{done.stderr.decode()[-2000:]}"
    return text


def h2spec(port: int, seconds: int) -> str:
    """Its report of a server; each of its cases waits ``seconds`` at most."""
    program = BUILD / "h2spec" / "h2spec"
    need(program.exists(), "h2spec")
    command = [str(program), "--strict", "-h", "127.0.0.1", "-p", str(port), "-o", str(seconds)]
    done = subprocess.run(command, capture_output=True, timeout=600)
    return done.stdout.decode(errors="replace")
