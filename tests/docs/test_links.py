"""Pages link to what is there, and name what the code has."""

from __future__ import annotations

import dataclasses
import re
import typing
from pathlib import Path

import pytest

from trueflow.pipeline.sim.options import Options

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What a heading is called in links, as GitHub makes it."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert not [page.name for page in (ROOT / "docs").glob("*.md") if f"({page.name})" not in index + "(README.md)"]


def test_the_simulators_options_are_told_with_their_defaults_and_choices() -> None:
    page = (ROOT / "docs" / "simulation.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|$", page, re.MULTILINE))
    assert list(rows) == [field.name for field in dataclasses.fields(Options)]
    hints = typing.get_type_hints(Options)
    for field in dataclasses.fields(Options):
        default = field.default
        if default is not None:
            written = default[0] if isinstance(default, tuple) else default
            assert rows[field.name].startswith(f"{written:g} " if not isinstance(written, str) else f"{written} ")
        hint = hints[field.name]
        choices = [choice for part in (hint, *typing.get_args(hint)) for choice in typing.get_args(part)]
        assert all(choice in rows[field.name] for choice in choices if isinstance(choice, str))
