"""Cells, tables and names as the dealiasing pages write them."""

from __future__ import annotations

from collections.abc import Sequence

from trueflow.benchmarks.dealias import ENGINE
from trueflow.benchmarks.dealias_peers import PEERS

__all__ = ["BEGIN", "END", "band_title", "number", "percent", "table", "title", "with_table"]

# Between these a page of the documentation has a table that is not written by hand.
BEGIN, END = "<!-- table: written by `trueflow bench dealias --update` -->\n", "<!-- end of table -->\n"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return ["| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *rows)]


def title(name: str) -> str:
    """A contender, with what it is given."""
    if name == ENGINE:
        return f"**{name}** (the engine)"
    if name == "skimage":
        return f"{name} (near-wall rule)"
    return f"{name} (oracle's offset)" if name in PEERS else name


def band_title(band: tuple[float, float]) -> str:
    """A band of speeds."""
    return f"{band[0]:g} to {band[1]:g} v_N"


def percent(value: float | None) -> str:
    """A rate; empty where there is none."""
    return "" if value is None else f"{100 * value:.2f} %"


def number(value: float | None) -> str:
    """Three digits; empty where there is none."""
    return "" if value is None else f"{value:.3f}"


def with_table(page: str, lines: Sequence[str]) -> str:
    """A page with the table between `BEGIN` and `END` replaced.

    Raises
    ------
    ValueError
        The page has no such place.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"page: expected one table between {BEGIN.strip()} and {END.strip()}")
    return "\n".join([before + begin, *lines, "", end + after])
