"""What the guides point at is there."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import pytest

from sandbox_worker.run.libraries import KNOBS

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted({*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), REPOSITORY / "sandbox_worker" / "README.md"})


def anchors(page):
    """Of its headings, as they are linked to."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", text):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_each_library_has_the_line_that_the_kit_tells():
    page = (REPOSITORY / "docs" / "developers.md").read_text().replace("`", "")
    assert [name for name, knob in KNOBS.items() if f"| {name} | {knob} |" not in page] == []


def test_the_operators_lines_are_those_that_are_logged():
    text = (REPOSITORY / "docs" / "operators.md").read_text()
    rows = re.findall(r"^\| (`[^|]*`) \|", text.partition("Lines to know")[2].partition("\n## ")[0], re.MULTILINE)
    told = set(chain.from_iterable(re.findall(r"`([^`]+)`", row) for row in rows))
    source = "".join(path.read_text() for path in (REPOSITORY / "bot").rglob("*.py"))
    assert len(told) > 5
    assert [message for message in told if f'"{message}' not in source] == []
