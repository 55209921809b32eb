"""Pieces of generated pages: tables, and the line that says where and when figures were made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["short_stamp", "stamp_line", "table"]

COMMIT_DIGITS = 10


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A Markdown table, line by line."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def short_stamp(made: Mapping[str, Any]) -> str:
    """Machine, date and commit in few words."""
    processor = str(made["processor"]).partition(" (")[0]
    commit = str(made["commit"] or "not known")
    shown = commit[:COMMIT_DIGITS] + ("+" if commit.endswith("+") else "")
    return f"{processor}, cores: {made['cores']}, {str(made['date'])[:10]}, commit {shown}"


def stamp_line(made: Mapping[str, Any]) -> str:
    """Machine, date and commit of a document's provenance."""
    load = ", ".join(f"{value:.1f}" for value in made["load_average"])
    commit = made["commit"] or "not known"
    return (
        f"{made['processor']}, {made['cores']}; library {made['library_level']}; {made['date']}, commit {commit}, load "
        f"average before: {load}."
    )
