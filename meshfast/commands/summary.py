"""``meshfast check --summary``: how many documents of a folder are taken, and which fields refuse the others."""

from __future__ import annotations

from rich.progress import Progress

from meshfast.commands.output import console, count, origin_json, print_json, print_table, problem_json
from meshfast.config.survey import VERDICTS, Complaint, Survey, survey

MANY = 50  # files from which on a bar is shown
SHOWN = 30  # fields of one table; the rest is counted


def run(paths: tuple[str, ...], strict: bool, output: str) -> int:
    """Prints the summary; the exit code."""
    bar = Progress(console=console(stderr=True), transient=True, disable=not console(stderr=True).is_terminal)
    with bar:
        task = None

        def step(done: int, every: int) -> None:
            nonlocal task
            if task is None and every >= MANY:
                task = bar.add_task("reading", total=every)
            if task is not None:
                bar.update(task, completed=done)

        found = survey(paths, step)
    if output == "json":
        print_json(_json(found))
    else:
        _print(found)
    bad = found.unread or any(one.problems or (strict and one.warnings) for one in found.judged)
    return 1 if bad else 0


def _json(found: Survey) -> dict[str, object]:
    return {
        "files": found.files,
        "copies": found.copies,
        "kinds": [{"kind": kind, "documents": sum(row.values()), **row} for kind, row in found.kinds().items()],
        "refused": [_complaint(one) for one in found.complaints("refused")],
        "warned": [_complaint(one) for one in found.complaints("warned")],
        "unread": [problem_json(one) for one in found.unread],
    }


def _complaint(one: Complaint) -> dict[str, object]:
    examples = [origin_json(origin) for origin in one.examples]
    return {
        "kind": one.kind, "field": one.field, "documents": one.documents, "message": one.message, "examples": examples
    }  # fmt: skip


def _print(found: Survey) -> None:
    copies = f", {found.copies} more that say the same" if found.copies else ""
    title = f"{count(len(found.judged), 'document')} in {count(found.files, 'file')}{copies}"
    rows = [
        (kind, str(sum(row.values())), *(str(row[verdict] or "") for verdict in VERDICTS), _share(row))
        for kind, row in found.kinds().items()
    ]
    print_table(title, ("kind", "documents", *VERDICTS[:-1], "passed over", "taken"), rows, len(rows))
    for verdict in ("refused", "warned"):
        said = found.complaints(verdict)
        shown = [(str(c.documents), c.kind, c.field, c.message, str(c.examples[0])) for c in said]
        title = f"{verdict} by {count(len(said), 'field')}"
        print_table(title, ("documents", "kind", "field", "the first is told", "there"), shown, SHOWN)
    lost = [(str(p.origin), p.message) for p in found.unread]
    print_table(f"{count(len(lost), 'file')} that cannot be read", ("there", ""), lost, SHOWN)


def _share(row: dict[str, int]) -> str:
    every = sum(row.values()) - row["passed"]
    taken = row["accepted"] + row["warned"]
    return f"{100 * taken // every} %" if every else ""
