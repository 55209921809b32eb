"""Results as a document for JSON (SI units, with provenance) and as tables (ms)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from trueflow.benchmarks.chain import ChainResult
from trueflow.benchmarks.contenders import Comparison, Skipped
from trueflow.benchmarks.timing import Budget, Timing

__all__ = ["SCHEMA", "Table", "chain_table", "comparison_table", "document"]

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]  # header, rows

SCHEMA = "trueflow-bench/1"
TIMES = ("p50 ms", "p95", "p99", "max", "min")


def document(
    benchmark: str,
    *,
    provenance: Mapping[str, object],
    budget: Budget,
    cases: Mapping[str, object],
    results: Sequence[Mapping[str, object]],
    skipped: Sequence[Skipped],
) -> dict[str, Any]:
    """One benchmark run, ready for JSON.

    Parameters
    ----------
    benchmark : {"chain", "das", "doppler"}
    provenance : mapping
        From `provenance.provenance`, taken before the run.
    budget : Budget
    cases : mapping
        What ran, by name: summary and settings.
    results : sequence of mappings
        Rows; durations in seconds.
    skipped : sequence of Skipped
    """
    return {
        "schema": SCHEMA,
        "benchmark": benchmark,
        "provenance": dict(provenance),
        "budget": asdict(budget),
        "cases": dict(cases),
        "results": [dict(row) for row in results],
        "skipped": [asdict(s) for s in skipped],
    }


def chain_table(results: Sequence[ChainResult]) -> Table:
    """Stages; how it compares with real time is said of what takes a packet from its beginning."""
    rows = []
    for r in results:
        rates = (f"{r.frames_per_s:.0f}", f"{r.real_time_factor:.2f}") if "_to_" in r.row else ("", "")
        rows.append((r.row.replace("_", " "), str(r.n_threads), *_times(r.timing), str(r.timing.n_runs), *rates))
    return ("stage", "threads", *TIMES, "runs", "per s", "x real time"), rows


def comparison_table(comparison: Comparison) -> Table:
    """Contenders; what did not run is not in the table."""
    rows = [
        (
            r.name,
            r.variant,
            str(r.n_threads),
            *_times(r.timing),
            str(r.timing.n_runs),
            f"{r.times_slower:.1f}",
            f"{r.phase_difference_p50_rad:.1g}",
        )
        for r in comparison.results
    ]
    return ("who", "how", "threads", *TIMES, "runs", "x ours", "phase off, rad"), rows


def _times(timing: Timing) -> tuple[str, ...]:
    values_ms = [1e3 * v for v in (timing.p50_s, timing.p95_s, timing.p99_s, timing.max_s, timing.min_s)]
    return tuple(f"{v:.2f}" if v < 9.995 else f"{v:.1f}" if v < 99.95 else f"{v:.0f}" for v in values_ms)
