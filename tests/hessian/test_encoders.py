"""What real Hessian2 encoders write: the core must pass over each value and end exactly where it ends.

Each body is a request: five strings, several values that share their classes, types and references, and attachments
behind them. It is read whole, and cut behind each value with attachments of ours put there: those are found only when
the core ended at the very byte.
"""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from values import Found, Maker, Told, deep

from meshfast import LimitError, dubbo, hessian

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
ENCODERS = ["java-2.7", "java-3.3", "node"]
VALUES = int(os.environ.get("MESHFAST_HESSIAN_VALUES", "4000"))
SEED = int(os.environ.get("MESHFAST_HESSIAN_SEED", "1"))
DESCRIPTOR = "Ljava/lang/Object;"
DEPTH = 1024  # of the core: maxDepth's most


def command(encoder: str) -> tuple[list[str], dict[str, str]]:
    if encoder == "node":
        modules = BUILD / "hessian/node/node_modules"
        return ["node", "--stack-size=30000", "tests/hessian/encode.js"], {"NODE_PATH": str(modules)}
    home = BUILD / "e2e/java" / encoder.replace("java-", "dubbo").replace(".", "")
    inside = ["java.base/java." + name for name in ("lang", "math", "util", "time", "net", "util.concurrent")]
    inside += ["java.base/java.util.concurrent.atomic", "java.sql/java.sql"]
    opens = [f"--add-opens={package}=ALL-UNNAMED" for package in inside]
    path = f"{home / 'classes'}:{home / 'lib'}/*"
    return ["java", "-XX:+UseSerialGC", "-Xmx512m", *opens, "-cp", path, "meshfast.peer.Values"], {}


def there(encoder: str) -> bool:
    argv, env = command(encoder)
    modules, classes = Path(env.get("NODE_PATH", "")), Path(argv[-2].split(":")[0])
    built = modules / "hessian.js" if encoder == "node" else classes / "meshfast/peer/Values.class"
    return built.exists() and shutil.which(argv[0]) is not None


def encode(encoder: str, bodies: list[dict[str, Any]], folder: Path) -> Iterator[tuple[bytes, list[int]]]:
    """What the encoder writes for each body, and where each of its values ends."""
    argv, env = command(encoder)
    told, wrote = folder / "told", folder / "wrote"
    told.write_text("".join(json.dumps(body) + "\n" for body in bodies))
    with told.open("rb") as source, wrote.open("wb") as sink:
        done = subprocess.run(argv, stdin=source, stdout=sink, stderr=subprocess.PIPE, cwd=ROOT, env=os.environ | env)
    lines = wrote.read_text().splitlines()
    assert len(lines) == len(bodies), f"body {len(lines)}: {done.stderr.decode()[-2000:]}"
    for line in lines:
        reply = json.loads(line)
        yield base64.b64decode(reply["body"]), reply["ends"]


#: What Java makes of the leading strings.
LEADING = {"dubbo": "2.0.2", "path": "a.B", "version": "0.0.0"}


def frame(body: bytes) -> bytes:
    return b"\xda\xbb\xc2\0" + bytes(8) + len(body).to_bytes(4, "big") + body


def leading(n: int) -> list[str]:
    return ["2.0.2", "a.B", "0.0.0", "m", DESCRIPTOR * n]


def body_of(values: list[Told], number: int) -> dict[str, Any]:
    return {"strings": leading(len(values)), "values": values, "attachments": {"path": "a.B", "number": str(number)}}


def bodies(java: bool, most: int) -> list[dict[str, Any]]:
    rng = random.Random(SEED)
    out, n = [], 0
    while n < most:
        maker = Maker(rng, java)
        values = [maker.value() for _ in range(rng.choice([1, 1, 2, 3, 8]))]
        out.append(body_of(values, len(out)))
        n += len(values)
    return out


def check_body(told: dict[str, Any], body: bytes, ends: list[int]) -> None:
    values = told["values"]
    request = dubbo.parse_request(frame(body))
    assert request.attachments == LEADING | told["attachments"]
    assert request.is_complete
    stamped = dubbo.parse_request(dubbo.stamp(frame(body), {"dev": "dev1"}))
    assert stamped.attachments == LEADING | told["attachments"] | {"dev": "dev1"}
    start = len(b"".join(map(hessian.encode, leading(len(values)))))
    for n, end in enumerate(ends, 1):
        head = b"".join(map(hessian.encode, leading(n)))
        cut = dubbo.parse_request(frame(head + body[start:end] + hessian.encode({"ends": str(end)})))
        assert cut.attachments == LEADING | {"ends": str(end)}, (n, end)
    if deep(values, 150):
        return  # the Python reader goes 200 deep
    reader, found = hessian.Reader(body, start), Found()
    for value, end in zip(values, ends, strict=True):
        decoded = reader.next()
        assert reader.at == end
        assert found.same(value, decoded), value


@pytest.mark.parametrize("encoder", ENCODERS)
def test_generated(encoder: str, tmp_path: Path) -> None:
    need(encoder)
    all_told = bodies(encoder != "node", VALUES)
    n = size = 0
    for told, (body, ends) in zip(all_told, encode(encoder, all_told, tmp_path), strict=True):
        try:
            check_body(told, body, ends)
        except Exception as error:
            line = f"{json.dumps(told)[:2000]}\n{body.hex()[:4000]}\nvalues end at {ends}"
            raise AssertionError(f"{encoder}, seed {SEED}: {error!r}\n{line}") from error
        n += len(ends)
        size += len(body)
    print(f"\n{encoder}: {n} values in {len(all_told)} bodies, {size} bytes, seed {SEED}: each ended where it ends")


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("kind", ["list", "map", "object"])
def test_depth(encoder: str, kind: str, tmp_path: Path) -> None:
    need(encoder)
    told = [body_of([["P", kind, depth]], depth) for depth in (DEPTH, DEPTH + 1)]
    (most, _), (over, _) = encode(encoder, told, tmp_path)
    assert dubbo.parse_request(frame(most)).attachments["number"] == str(DEPTH)
    with pytest.raises(LimitError):
        dubbo.parse_request(frame(over))


def need(encoder: str) -> None:
    if there(encoder):
        return
    if os.environ.get("MESHFAST_REQUIRE_PEERS") == "1":
        pytest.fail(f"{encoder} is not there; `make hessian` fetches it")
    pytest.skip(f"{encoder} is not there; `make hessian` fetches it")
