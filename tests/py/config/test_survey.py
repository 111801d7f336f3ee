"""The summary of a folder: verdicts by kind, what refuses by field."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from meshfast.config.survey import survey

ROUTES = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec:
  hosts: [{host}]
  http:
  - route: [{{destination: {{host: elsewhere, subset: v1}}}}]
{more}"""


def routes(name: str, host: str, more: str = "") -> str:
    return ROUTES.format(name=name, host=host, more=more)


def folder(at: Path, **files: str) -> Path:
    for name, text in files.items():
        (at / f"{name}.yaml").write_text(text)
    return at


def test_judges_each_document_with_the_names_of_others_as_given(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / ".git").mkdir()
    folder(tmp_path, a=routes("a", "x"), b=routes("b", "x", "    fault: {}\n    redirect: {uri: /}\n"))
    folder(tmp_path / "below", c=routes("c", "x", "    fault: {}\n") + "---\n" + routes("d", "y"))
    folder(tmp_path / ".git", e="{")
    found = survey([tmp_path])
    assert (found.files, len(found.judged), found.copies, found.unread) == (3, 4, 0, [])
    assert found.kinds() == {"VirtualService": {"accepted": 2, "warned": 0, "refused": 2, "passed": 0}}
    said = [(c.field, c.documents, [Path(o.file).name for o in c.examples]) for c in found.complaints("refused")]
    assert said == [("spec.http[].fault", 2, ["b.yaml", "c.yaml"]), ("spec.http[].redirect", 1, ["b.yaml"])]
    assert found.complaints("warned") == []


def test_what_says_the_same_counts_once(tmp_path: Path) -> None:
    other = "# a comment\n" + routes("a", "x").replace("metadata: {name: a}", "metadata:\n  name: a")
    found = survey([folder(tmp_path, a=routes("a", "x"), b=other)])
    assert (len(found.judged), found.copies) == (1, 1)


def test_names_that_the_author_chose_are_one_field(tmp_path: Path) -> None:
    entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\nspec:\n  hosts: [a]\n"
    ports = "  ports: [{number: 80}]\n  endpoints: [{address: 10.0.0.1, labels: {a.b/c: 1, d: 2}}]\n"
    found = survey([folder(tmp_path, a=entry + ports)])
    assert [(c.field, c.documents) for c in found.complaints("refused")] == [("spec.endpoints[].labels.*", 1)]


def test_counts_files_and_steps(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    found = survey([folder(tmp_path, a="{", b=routes("b", "x"))], lambda *step: steps.append(step))
    assert steps == [(0, 2), (1, 2), (2, 2)]
    assert [(Path(p.origin.file).name, p.origin.line) for p in found.unread] == [("a.yaml", 2)]
    assert [one.verdict for one in found.judged] == ["accepted"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "meshfast", "check", "--summary", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_command(tmp_path: Path) -> None:
    good = folder(tmp_path, a=routes("a", "x"))
    done = run(str(good))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].strip() == "1 document in 1 file"
    assert done.stdout.splitlines()[2].split() == ["VirtualService", "1", "1", "100", "%"]
    folder(tmp_path, b=routes("b", "x", "    fault: {}\n"), c="{")
    done = run(str(good), "-o", "json")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    row = {"kind": "VirtualService", "documents": 2, "accepted": 1, "warned": 0, "refused": 1, "passed": 0}
    assert told["kinds"] == [row]
    [refused] = told["refused"]
    assert (refused["field"], refused["documents"], refused["examples"][0]["line"]) == ("spec.http[].fault", 1, 8)
    assert [each["line"] for each in told["unread"]] == [2]
    assert run(str(tmp_path / "none")).returncode == 1


def test_a_sidecar_that_is_named_holds_for_all(tmp_path: Path) -> None:
    rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec:\n  host: x\n"
    files = folder(tmp_path, a=rule + "  trafficPolicy: {tls: {mode: SIMPLE}}\n", b=routes("b", "x"))
    assert survey([files]).kinds()["DestinationRule"]["refused"] == 1
    own = tmp_path / "own" / "sidecar.yaml"
    own.parent.mkdir()
    own.write_text("apiVersion: meshfast.io/v1\nkind: Sidecar\nspec: {tls: close}\n")
    found = survey([own, files])
    assert found.kinds()["DestinationRule"] == {"accepted": 0, "warned": 1, "refused": 0, "passed": 0}
    assert found.kinds()["Sidecar"]["refused"] == 0
