"""Latency as a document, goals and a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from trueflow.benchmarks.latency import LatencyResult
from trueflow.benchmarks.latency_overlap import OverlapResult
from trueflow.benchmarks.report import SCHEMA

__all__ = ["as_document", "as_page", "soak_goals"]

LEAST_HZ, MOST_P99_S, MOST_GROWTH = 30.0, 66e-3, 0.01
SLACK_HZ = 0.05  # 30 packets/s are sent, by another clock reading

Document = Mapping[str, Any]


def as_document(
    *,
    provenance: Mapping[str, object],
    ladder: Sequence[LatencyResult] = (),
    receiving: Sequence[LatencyResult] = (),
    chains: Sequence[OverlapResult] = (),
    soak: Mapping[str, Any] | None = None,
    quick: bool = False,
) -> dict[str, Any]:
    """Everything that was measured, ready for JSON; what was not run is not there."""
    document: dict[str, Any] = {"schema": SCHEMA, "benchmark": "latency", "provenance": dict(provenance)}
    if quick:
        document["quick"] = True
    if ladder:
        document["results"] = [{**asdict(r), "share_missing": r.share_missing} for r in ladder]
    if receiving:
        document["receiving"] = [{**asdict(r), "share_missing": r.share_missing} for r in receiving]
    if chains:
        document["chains"] = [asdict(r) for r in chains]
    if soak is not None:
        document["soak"] = dict(soak) | {"goals": soak_goals(soak)}
    return document


def soak_goals(soak: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the soak was to show, what it showed, and whether that is enough."""
    settled, growth = soak["report"]["settled"], soak["report"]["memory"]["growth"]
    grown = None if growth is None else 1e2 * growth  # a run of less than a minute shows nothing
    found = (
        ("pictures per second", settled["frames_per_s"], f">= {LEAST_HZ:g}", LEAST_HZ - SLACK_HZ, True),
        ("p99 latency, ms", 1e3 * settled["latency"]["p99_s"], f"<= {1e3 * MOST_P99_S:g}", 1e3 * MOST_P99_S, False),
        ("packets without a picture", settled["n_missing"], "0", 0, False),
        ("memory after the first minute, %", grown, f"<= {1e2 * MOST_GROWTH:g}", 1e2 * MOST_GROWTH, False),
    )
    return [
        {
            "what": what,
            "found": value,
            "goal": goal,
            "met": value is not None and (value >= bound if at_least else value <= bound),
        }
        for what, value, goal, bound, at_least in found
    ]


def as_page(document: Document) -> str:
    """The page, in Markdown."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Document) -> Iterator[str]:
    made, quick = document["provenance"], document.get("quick", False)
    yield "# Latency"
    yield ""
    command = f"trueflow bench latency{' --quick' if quick else ''}"
    yield f"Made by `{command}`; what is measured, and how, is in docs/live.md."
    if quick:
        yield "The run of a quarter of an hour is in [latency_long.md](latency_long.md)."
    yield ""
    load = ", ".join(f"{value:.1f}" for value in made["load_average"])
    yield f"{made['processor']}, {made['cores']}; {made['date']}, commit {made['commit']}, load average before: {load}."
    if "soak" in document:
        yield from _soak(document["soak"])
    for case in dict.fromkeys(row["case"] for row in document.get("results", ())):
        yield from _ladder(case, [row for row in document["results"] if row["case"] == case])
    if "receiving" in document:
        yield from _receiving(document["receiving"])
    if "chains" in document:
        yield from _chains(document["chains"])


def _soak(soak: Document) -> Iterator[str]:
    settled = soak["report"]["settled"]
    yield ""
    yield f"## `{soak['source']}` at {soak['rate_hz']:g} packets/s for {soak['seconds']:g} s"
    yield ""
    yield f"`trueflow frontend` and `trueflow view --live --headless`; after a warm-up, {settled['n_frames']} pictures."
    yield ""
    yield from _table(
        ("", "found", "goal", ""),
        [(g["what"], _found(g["found"]), g["goal"], _verdict(g)) for g in soak["goals"]],
    )
    latency = settled["latency"]
    yield ""
    yield f"Latency: {_quantiles(latency)} ms."


def _verdict(goal: Document) -> str:
    if goal["found"] is None:
        return ""
    return "met" if goal["met"] else "**missed**"


def _found(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4g}"


def _ladder(case: str, rows: Sequence[Document]) -> Iterator[str]:
    yield ""
    yield f"## `{case}`, from first byte received to picture handed to the display"
    yield ""
    yield from _table(
        ("sent /s", "shown /s", "p50 ms", "p95", "p99", "max", "from sent p99", "jitter", "between pictures",
         "lost", "dropped", "late", "waiting", "at most", "CPUs", "front end", "MB", "grown"),
        [_ladder_row(row) for row in rows],
    )  # fmt: skip


def _ladder_row(row: Document) -> tuple[str, ...]:
    latency = row["latency"]
    quantiles = (latency[f"{name}_s"] for name in ("p50", "p95", "p99", "max"))
    return (
        f"{row['rate_hz']:g}" if row["rate_hz"] else "all",
        f"{row['frames_per_s']:.1f}",
        *(f"{1e3 * value:.1f}" for value in quantiles),
        f"{1e3 * row['from_sent']['p99_s']:.1f}",
        f"{1e3 * row['jitter_s']:.1f}",
        f"{1e3 * row['interval_jitter_s']:.1f}",
        str(row["n_lost"]),
        str(row["n_dropped"]),
        str(row["n_missed"]),
        f"{row['mean_depth']:.2f}",
        str(row["deepest"]),
        f"{row['cpus']:.2f}",
        f"{row['frontend_cpus']:.2f}",
        f"{row['resident_bytes'] / 2**20:.0f}",
        f"{row['growth_bytes'] / 2**20:+.1f}",
    )


def _receiving(rows: Sequence[Document]) -> Iterator[str]:
    yield ""
    yield "## Receiving beside the chain, or in turn with it"
    yield ""
    yield from _table(
        ("case", "receiving", "sent /s", "shown /s", "p50 ms", "p99", "from sent p50", "lost", "dropped"),
        [
            (
                row["case"],
                row["mode"],
                f"{row['rate_hz']:g}" if row["rate_hz"] else "all",
                f"{row['frames_per_s']:.1f}",
                f"{1e3 * row['latency']['p50_s']:.1f}",
                f"{1e3 * row['latency']['p99_s']:.1f}",
                f"{1e3 * row['from_sent']['p50_s']:.1f}",
                str(row["n_lost"]),
                str(row["n_dropped"]),
            )
            for row in rows
        ],
    )


def _chains(rows: Sequence[Document]) -> Iterator[str]:
    yield ""
    yield "## One frame on all threads, or several frames with a thread each"
    yield ""
    yield from _table(
        ("case", "frames at a time", "threads each", "frames/s", "p50 ms", "p99"),
        [
            (
                row["case"],
                str(row["n_chains"]),
                str(row["n_threads"]),
                f"{row['frames_per_s']:.1f}",
                f"{1e3 * row['latency']['p50_s']:.1f}",
                f"{1e3 * row['latency']['p99_s']:.1f}",
            )
            for row in rows
        ],
    )


def _quantiles(spread: Document) -> str:
    return ", ".join(f"{name} {1e3 * spread[f'{name}_s']:.1f}" for name in ("p50", "p95", "p99", "max"))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
