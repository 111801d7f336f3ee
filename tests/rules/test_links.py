"""Every relative link of every page leads to a file, and its #part to a heading there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from house import ROOT, files, text

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    """The page without its fenced blocks and code, in which brackets mean something else."""
    return re.sub(r"^```.*?^```$|`[^`\n]*`", "", text(page), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The parts of a page, as they are linked to."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text(page), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def dead(page: Path) -> list[str]:
    found = []
    for link in LINK.findall(prose(page)):
        path, _, part = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = (page.parent / path) if path else page
        if not (ROOT / target).exists() or (part and part not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", files("*.md"), ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    assert dead(page) == []


def test_the_rule_sees_a_dead_link(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A part, of it\n[a](gone.md) [b](#a-part-of-it) [c](#none) `[d](x.md)` [e](https://x/y)\n")
    assert dead(page) == ["gone.md", "#none"]
