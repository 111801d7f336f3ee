"""Values that other encoders wrote once, as arguments of a request: alone, and all those of one encoder in a row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_encoders import DESCRIPTOR, LEADING, frame

from meshfast import dubbo, hessian

VECTORS = Path(__file__).resolve().parents[3] / "shared/vectors/hessian2"
# Written by rules before Hessian 2.0: 's' for a chunk of text, 'O' for a class definition.
OLDER = {"large_string_chars.bin", "large_string_chars_65536.bin", "car2.bin"}


def recorded() -> Iterator[tuple[str, bytes]]:
    if not VECTORS.is_dir():
        return
    for line in (VECTORS / "caucho-4.0.38.jsonl").read_text().splitlines():
        row = json.loads(line)
        data = bytes.fromhex(row["hex"])
        assert len(data) == row["len"]
        yield f"caucho/{row['name']}", data
    for path in sorted(VECTORS.glob("hessian.js/**/*.bin")):
        if path.name not in OLDER:
            yield str(path.relative_to(VECTORS)), path.read_bytes()


VALUES = list(recorded())
pytestmark = pytest.mark.skipif(not VALUES, reason="../shared/vectors/hessian2 is not beside the tree")


def request(values: list[bytes], ends: str) -> dubbo.Request:
    head = b"".join(map(hessian.encode, ["2.0.2", "a.B", "0.0.0", "m", DESCRIPTOR * len(values)]))
    return dubbo.parse_request(frame(head + b"".join(values) + hessian.encode({"path": "a.B", "ends": ends})))


def test_each_alone() -> None:
    for name, data in VALUES:
        read = request([data], name)
        assert read.attachments == LEADING | {"ends": name}, name
        assert read.is_complete
    print(f"\n{len(VALUES)} recorded values")
    assert len(VALUES) > 200


def test_in_a_row() -> None:
    """Classes are numbered through a body, so these are values that surely have none."""
    row = [data for _, data in VALUES if b"C" not in data and b"O" not in data][:250]
    assert len(row) > 50
    assert request(row, "all").attachments == LEADING | {"ends": "all"}
