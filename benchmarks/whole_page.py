"""The whole chain to a color image, as a document, goals and a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from trueflow.benchmarks.markdown import stamp_line, table
from trueflow.benchmarks.report import SCHEMA
from trueflow.benchmarks.whole import NETWORK, WholeResult

__all__ = ["LEAST_HZ", "MOST_P99_S", "as_document", "as_page"]

Document = Mapping[str, Any]

LEAST_HZ, TRIED_HZ, MOST_P99_S = 30.0, 60.0, 50e-3
SLACK_HZ = 0.05  # 30 packets/s are sent, by another clock reading
LEAST_S = 20.0


def as_document(results: Sequence[WholeResult], *, provenance: Mapping[str, object]) -> dict[str, Any]:
    """Everything that was measured, ready for JSON."""
    rows = [asdict(result) for result in results]
    return {
        "schema": SCHEMA,
        "benchmark": "whole",
        "provenance": dict(provenance),
        "results": rows,
        "goals": [goal for row in rows for goal in _goals(row)],
    }


def _goals(row: Document) -> Iterator[dict[str, Any]]:
    """The goals are those of the chain with the network; without it the same is asked."""
    what = f"{NETWORK[row['network']]}, {row['pace']}"
    long = row["seconds"] >= LEAST_S - 1
    rate, p99_s = row["frames_per_s"], row["latency"]["p99_s"]
    yield {"what": f"{what}: images per second", "goal": f">= {LEAST_HZ:g}", "found": f"{rate:.1f}",
           "met": long and rate >= LEAST_HZ - SLACK_HZ}  # fmt: skip
    yield {"what": f"{what}: p99, ms", "goal": f"<= {1e3 * MOST_P99_S:g}", "found": f"{1e3 * p99_s:.1f}",
           "met": long and p99_s <= MOST_P99_S}  # fmt: skip
    if row["pace"] == "back to back" and row["network"] == "on":
        yield {"what": f"{what}: images per second, to try for", "goal": f">= {TRIED_HZ:g}", "found": f"{rate:.1f}",
               "met": long and rate >= TRIED_HZ}  # fmt: skip


def as_page(document: Document) -> str:
    """The page, in Markdown."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Document) -> Iterator[str]:
    first = document["results"][0]
    rows, columns = first["image"]
    yield "# From channel RF to a color image"
    yield ""
    yield "Made by `trueflow bench whole`."
    yield ""
    yield stamp_line(document["provenance"])
    yield ""
    yield (
        f"Packets of `{first['case']}` in memory, through the whole chain, to RGB images in memory, {rows} x {columns} "
        f"pixels: B-mode, and color over it where there is flow, drawn as `trueflow replay` draws them, at the frame's "
        f"own resolution. Each run takes {first['seconds']:.0f} s after a warm-up: back to back, or with a packet due "
        f"every 30th of a second, from which its latency counts. The case is a frozen packet, made for timing: one "
        "straight vessel, simulated with few scatterers, and not the scene `sim://femoral`. A part "
        "of its color is side lobes beside the vessel: [the comparison](compare.md#the-whole-chain) counts them."
    )
    yield ""
    yield from table(
        ("", "goal", "found", ""),
        [(g["what"], g["goal"], g["found"], "met" if g["met"] else "**missed**") for g in document["goals"]],
    )
    yield ""
    yield from table(
        ("", "pace", "images/s", "p50 ms", "p95", "p99", "max", "of that drawing, p50", "dropped", "CPUs"),
        [_row(row) for row in document["results"]],
    )


def _row(row: Document) -> list[str]:
    quantiles = [f"{1e3 * row['latency'][f'{name}_s']:.1f}" for name in ("p50", "p95", "p99", "max")]
    return [
        NETWORK[row["network"]],
        row["pace"],
        f"{row['frames_per_s']:.1f}",
        *quantiles,
        f"{1e3 * row['picture']['p50_s']:.1f}",
        str(row["n_dropped"]),
        f"{row['cpus']:.2f}",
    ]
