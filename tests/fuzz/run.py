"""Run fuzz targets, two at a time, from the kept corpus and the golden frames; tell what lines the inputs reach.

``run.py FOLDER SECONDS TARGET...`` fails when a target does, or when the kept corpus and the golden frames reach less
than FLOOR.
``run.py --keep FOLDER 0 TARGET...`` writes the kept corpus anew: the least that reaches what all inputs together reach.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.append(str(ROOT / "tests" / "wire"))

CORPUS = HERE / "corpus"
FLOOR = 90.0  # per cent of the lines of csrc/codec, all files together
LONGEST = 2048
KEPT = 300  # bytes of the longest input that is kept
SHOWN = (
    "csrc/codec", "csrc/call", "csrc/protocol", "csrc/engine", "csrc/loop/sock", "csrc/table/dfa", "csrc/table/label",
    "csrc/table/trace",
)  # fmt: skip
#: Scripts of fuzz_h2_call: a call, two callers, refused, left out by GOAWAY, reset, one stream at a time, ends; and
#: such that differ in their trace id alone.
CALLS = (
    "00000001000505020202", "000000100103851102050505020202010580020202", "010000010205010405050202020106ff020202",
    "000000010805011305050502020e10000202050202", "00000001000505020d100107020300000501046162636402",
    "0010000106050106000106002502020630020a02066002", "0000000102a0450202020202091005020910ff02020f000502",
    "0000000201400002020140000202014000020201c00002020140000202018000020201400002020143000202014000020201440002020140000202",
    "0000000201800002020180000202018000020201400002020140000202014800020201480002020148000202015800020201580002020140000202",
    "000000100281400091400081400091400081430091430081800091800081440091440081c00091c000814800914800814800914800814000914000020202020d010302020202",
)  # fmt: skip
OPTIONS = {"ASAN_OPTIONS": "quarantine_size_mb=8:detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1"}


def tool(name: str) -> str:
    """llvm-cov and its like, of the version that the compiler has."""
    command = [os.environ.get("FUZZCC", "clang"), f"-print-prog-name={name}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def golden() -> list[bytes]:
    """The frames of tests/wire."""
    frames = []
    for path in sorted((ROOT / "tests" / "wire").glob("*.txt")):
        for line in path.read_text().splitlines():
            if not line.startswith("#"):
                frames.append(bytes.fromhex(line.split(" ")[1]))
    return frames


def seeds(target: str) -> list[bytes]:
    """Golden frames, as the target's inputs are made: whole, their bodies, or as scripts of a pair."""
    frames = [frame for frame in golden() if len(frame) <= LONGEST]
    if target == "pair":
        comes, let_in = b"\x00", b"\x06"
        said = [b"\x01" + bytes([min(len(f), 254), 0]) + f[:254] for f in frames if len(f) < 255]
        both = [comes + one + let_in + b"\x11" + one[1:] for one in said[::4]]
        # Two providers are asked; each answers for the other, then for itself.
        asks = "00 02 08 01 00 00  02 04 02 00 00  06 06"
        answers = "03 40 14 00 00  03 41 14 00 00  03 00 14 00 00  03 00 14 00 00"
        both.append(bytes.fromhex(asks + answers))
        return [bytes([config, 0]) + one for config in (0, 2, 3) for one in both]
    if target == "h2_call":
        return [bytes.fromhex(script) for script in CALLS]
    if target in ("h2_frame", "h2_view", "hpack", "http1"):  # not Dubbo's
        return []
    bodies = {"hessian", "jsonb", "javaser"}
    return [frame[16:] if target in bodies else frame for frame in frames]


def write(folder: Path, inputs: list[bytes]) -> Path:
    """One file each, named by what is in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in inputs:
        (folder / hashlib.sha1(one).hexdigest()).write_bytes(one)
    return folder


def kept(target: str) -> list[bytes]:
    """What is part of the project: the corpus, and what broke something once."""
    inputs = []
    for path in (CORPUS / f"{target}.txt", HERE / "found" / f"{target}.txt"):
        lines = path.read_text().splitlines() if path.exists() else []
        inputs += [bytes.fromhex(line) for line in lines if not line.startswith("#")]
    return inputs


def call(build: Path, target: str, *arguments: object, profile: str = "/dev/null") -> subprocess.CompletedProcess[str]:
    """One run of a target; the log of the last one is kept beside it."""
    command = [str(build / f"fuzz_{target}"), f"-artifact_prefix={build}/{target}-", *map(str, arguments)]
    env = os.environ | OPTIONS | {"LLVM_PROFILE_FILE": profile}
    done = subprocess.run(command, env=env, text=True, errors="replace", capture_output=True)
    (build / f"{target}.log").write_text(done.stderr)
    return done


def folders(build: Path, target: str) -> list[Path]:
    """Found, kept and seeds, made ready."""
    found = build / f"{target}.found"
    found.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(build / f"{target}.kept", ignore_errors=True)
    return [found, write(build / f"{target}.kept", kept(target)), write(build / f"{target}.seeds", seeds(target))]


def fuzz(build: Path, target: str, seconds: int) -> str | None:
    """A sentence when it failed."""
    found, old, seed = folders(build, target)
    done = call(build, target, "-runs=0", old, seed, profile=f"{build}/{target}.profraw")
    if done.returncode == 0 and seconds:
        done = call(build, target, f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-timeout=20", found, old, seed)
    last = [line for line in done.stderr.splitlines() if "exec/s" in line]
    print(f"{target:10} {last[-1].strip() if last else 'nothing run'}", flush=True)
    if done.returncode:
        return f"{target} failed: its input is in {build}, its words are\n{done.stderr[-3000:]}"
    return None


def keep(build: Path, target: str) -> str | None:
    """Writes a corpus anew."""
    out = build / f"{target}.merged"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    found, old, seed = folders(build, target)
    done = call(build, target, "-merge=1", f"-max_len={LONGEST}", out, old, seed, found)
    if done.returncode:
        return f"{target} cannot be merged\n{done.stderr[-3000:]}"
    golden_ones = set() if target == "pair" else set(seeds(target))
    inputs = {path.read_bytes() for path in out.iterdir()} - golden_ones  # those are in tests/wire already
    inputs = {one for one in inputs if len(one) <= KEPT}
    CORPUS.mkdir(exist_ok=True)
    head = f"# inputs of fuzz_{target}, one a line in hex; written by `make fuzz-keep`"
    lines = [one.hex() for one in sorted(inputs, key=lambda one: (len(one), one))]
    (CORPUS / f"{target}.txt").write_text("\n".join([head, *lines]) + "\n")
    print(f"{target:10} {len(inputs)} inputs, {sum(map(len, inputs))} bytes", flush=True)
    return None


def coverage(build: Path, targets: list[str]) -> float:
    """Prints what lines the kept inputs and the golden frames reach, writes coverage.txt: per cent of the parsers."""
    data = build / "kept.profdata"
    raw = [build / f"{target}.profraw" for target in targets]
    subprocess.run([tool("llvm-profdata"), "merge", "-sparse", *raw, "-o", data], check=True)
    objects = [word for target in targets for word in ("-object", build / f"fuzz_{target}")]
    command = [tool("llvm-cov"), "export", "-summary-only", f"-instr-profile={data}", *objects[1:]]
    out = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout
    lines, parsers = [f"{'file':32} {'lines':>6} {'reached':>8}"], [0, 0]
    for file in json.loads(out)["data"][0]["files"]:
        name = str(Path(file["filename"]).resolve().relative_to(ROOT))
        count = file["summary"]["lines"]
        if not name.startswith(SHOWN):
            continue
        if name.startswith("csrc/codec"):
            parsers[0] += count["covered"]
            parsers[1] += count["count"]
        lines.append(f"{name:32} {count['count']:6} {count['percent']:7.1f}%")
    reached = 100 * parsers[0] / parsers[1]
    lines.append(f"{'csrc/codec, all together':32} {parsers[1]:6} {reached:7.1f}%")
    text = "\n".join(lines) + "\n"
    (build / "coverage.txt").write_text(text)
    print(text, end="")
    return reached


def main(arguments: list[str]) -> int:
    """What the command line says."""
    keeping = arguments[0] == "--keep"
    folder, seconds, *targets = arguments[1 if keeping else 0 :]
    build = Path(folder).resolve()
    with ThreadPoolExecutor(2) as pool:  # two cores
        act = (lambda one: keep(build, one)) if keeping else (lambda one: fuzz(build, one, int(seconds)))
        wrong = [sentence for sentence in pool.map(act, targets) if sentence]
    if not keeping and not wrong:
        reached = coverage(build, targets)
        if reached < FLOOR:
            wrong.append(f"the kept inputs reach {reached:.1f}% of the parsers' lines, less than {FLOOR}%")
    print("\n".join(wrong), end="\n" if wrong else "", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
