"""What the rules look at: the files that git knows, and their text without comments and strings."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def files(*patterns: str) -> tuple[Path, ...]:
    """Paths relative to the root, sorted; from git where there is a checkout, else from the disk."""
    try:
        listed = ["git", "ls-files", "-co", "--exclude-standard"]
        out = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        names = [Path(line) for line in out.splitlines()]
    except (OSError, subprocess.CalledProcessError):
        names = [p.relative_to(ROOT) for p in ROOT.rglob("*") if p.is_file()]
    return tuple(sorted(p for p in names if any(p.match(one) for one in patterns) and (ROOT / p).is_file()))


@cache
def text(path: Path) -> str:
    return (ROOT / path).read_text()


@cache
def code(path: Path) -> str:
    """C without comments and string literals; line numbers kept."""
    pattern = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|//[^\n]*', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text(path))


def lines(path: Path, pattern: str) -> list[str]:
    """`file:line: text` of every line of the code that the pattern finds."""
    found = []
    for number, line in enumerate(code(path).splitlines(), 1):
        if re.search(pattern, line):
            found.append(f"{path}:{number}: {line.strip()}")
    return found
