"""Which files a configuration is made of, and their bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from meshfast.config.compose import MAX_BYTES
from meshfast.config.document import Report, Text

SUFFIXES = (".yaml", ".yml")
USUAL = 1 << 16  # bytes asked for first; room for MAX_BYTES takes longer to get than most files to read


def files(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """The files that paths mean: themselves, or for a directory its *.yaml and *.yml, sorted by name.

    Not recursive. Names that start with a dot are left out: Kubernetes keeps the versions of a ConfigMap there.
    Raises OSError for a directory that cannot be listed.
    """
    out: dict[str, None] = {}  # text: ten thousand Paths take longer than all the rest of a look
    for each in map(Path, paths):
        if each.is_dir():
            with os.scandir(each) as there:
                named = [one.name for one in there if _is_yaml(one)]
            first = str(each / "x")[:-1]
            out.update(dict.fromkeys([first + name for name in sorted(named)]))
        else:
            out[str(each)] = None
    return list(out)


def _is_yaml(one: os.DirEntry[str]) -> bool:
    if not one.name.endswith(SUFFIXES) or one.name[0] == ".":
        return False
    # A link to nothing stays, so that it is reported; a pipe would block its reader.
    return one.is_file(follow_symlinks=False) or os.path.isfile(one) or not os.path.exists(one)


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
            with open(path, "rb") as opened:
                data = opened.read(USUAL)
                if len(data) == USUAL:
                    data += opened.read(MAX_BYTES + 1 - USUAL)
        except OSError as error:
            report.add_at(Text(path, b""), 1, 1, f"cannot be read: {error.strerror}")
        else:
            out.append(Text(path, data))
    return out
