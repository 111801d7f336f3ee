"""Which files a configuration is made of, and their bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from meshfast.config.compose import MAX_BYTES
from meshfast.config.document import Report, Text

SUFFIXES = (".yaml", ".yml")


def files(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The files that paths mean: themselves, or for a directory its *.yaml and *.yml, sorted by name.

    Not recursive. Names that start with a dot are left out: Kubernetes keeps the versions of a ConfigMap there.
    Raises OSError for a directory that cannot be listed.
    """
    out: dict[Path, None] = {}
    for each in map(Path, paths):
        if each.is_dir():
            named = (p for p in each.iterdir() if p.suffix in SUFFIXES and p.name[0] != ".")
            # A link to nothing stays, so that it is reported; a pipe would block its reader.
            out.update(dict.fromkeys(sorted(p for p in named if p.is_file() or not p.exists())))
        else:
            out[each] = None
    return list(out)


def read(paths: Iterable[str | os.PathLike[str]], report: Report) -> list[Text]:
    """The texts of all files; one that cannot be read is in the report."""
    out: list[Text] = []
    given = list(paths)
    try:
        found = files(given)
    except OSError as error:
        report.add_at(Text(str(error.filename), b""), 1, 1, f"cannot be listed: {error.strerror}")
        return out
    if not found:
        names = ", ".join(map(str, given))
        report.add_at(Text(names or "no path", b""), 1, 1, "no *.yaml or *.yml file is there")
    for path in found:
        try:
            with path.open("rb") as opened:
                data = opened.read(MAX_BYTES + 1)
        except OSError as error:
            report.add_at(Text(str(path), b""), 1, 1, f"cannot be read: {error.strerror}")
        else:
            out.append(Text(str(path), data))
    return out
