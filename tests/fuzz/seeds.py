"""Writes the golden frames, each whole and its body alone, as one file each into the folder given."""

import sys
from pathlib import Path

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for line in (Path(__file__).parents[1] / "wire/dubbo.txt").read_text().splitlines():
    if not line.startswith("#"):
        name, data = line.split(" ")[:2]
        (folder / name).write_bytes(bytes.fromhex(data))
        (folder / f"{name}.body").write_bytes(bytes.fromhex(data)[16:])
