"""Who is faster than whom in a comparison: found in its document, never typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "JOBS", "OURS", "Line", "faster", "kind", "milliseconds", "same_work", "summary", "threads_in_words", "times",
]  # fmt: skip

Document = Mapping[str, Any]
Row = Mapping[str, Any]

OURS = "trueflow"
JOBS = {
    "das": "delay-and-sum, a pulse of 16 at once", "velocity": "Doppler velocity", "clutter": "clutter filter",
    "dealias": "dealiasing", "chain": "the whole chain, a frame",
}  # fmt: skip
ONE_PULSE, SINGLE = "one pulse", "delay-and-sum, a single pulse"


@dataclass(frozen=True, slots=True)
class Line:
    """One job: our p50 (s) by threads, the fastest peer on as many as we ran on, and how many times ours it takes.

    Without such a peer both are None.
    """

    job: str
    ours_s: Mapping[int, float]
    peer: Row | None
    times: float | None


def kind(row: Row) -> str:
    """Which of a job's kinds a row is: a single pulse shares no delays with others, so it is a job of its own."""
    return ONE_PULSE if ONE_PULSE in row.get("variant", "") else ""


def same_work(row: Row, rows: Sequence[Row]) -> Row | None:
    """Our fastest row of the same kind on as many threads; None where there is none."""
    ours = [r for r in rows if r["name"] == OURS and kind(r) == kind(row) and r["n_threads"] == row["n_threads"]]
    return min(ours, key=_p50, default=None)


def summary(document: Document) -> list[Line]:
    """A line for every job; delay-and-sum of a whole ensemble and of a single pulse are two."""
    lines = []
    for job, section in _sections(document):
        rows = section["rows"]
        single = [row for row in rows if kind(row) == ONE_PULSE]
        lines.append(_line(JOBS[job], [row for row in rows if kind(row) != ONE_PULSE]))
        if single:
            lines.append(_line(SINGLE, single))
    return lines


def _line(job: str, rows: Sequence[Row]) -> Line:
    ours: dict[int, float] = {}
    for row in rows:
        if row["name"] == OURS:
            ours[row["n_threads"]] = min(_p50(row), ours.get(row["n_threads"], float("inf")))
    beside = (row for row in rows if row["name"] != OURS and row["n_threads"] in ours)
    peer = min(beside, key=_p50, default=None)
    return Line(job, ours, peer, None if peer is None else _p50(peer) / ours[peer["n_threads"]])


def faster(document: Document) -> list[str]:
    """A sentence for each peer that was faster than us at the same work on as many threads, growth included."""
    found = []
    for job, section in _sections(document):
        for row in section["rows"]:
            ours = same_work(row, section["rows"])
            if row["name"] != OURS and ours is not None and _p50(row) < _p50(ours):
                found.append(_sentence(job, row, ours))
    return [*found, *_faster_as_sizes_grow(document["growth"])]


def _sentence(job: str, row: Row, ours: Row) -> str:
    variant = f" ({row['variant']})" if row.get("variant") else ""
    what = SINGLE if kind(row) == ONE_PULSE else JOBS[job]
    sentence = (
        f"{what}: {row['name']}{variant} takes {milliseconds(_p50(row))} ms, Trueflow {milliseconds(_p50(ours))} "
        f"ms, on {threads_in_words(row['n_threads'])}"
    )
    wrong, right = (r.get("wrong_folds") for r in (row, ours))
    if isinstance(wrong, Mapping) and isinstance(right, Mapping):
        return f"{sentence}; wrong folds {_worst(wrong)} against {_worst(right)} at worst."
    return f"{sentence}."


def _worst(rates: Mapping[str, float]) -> str:
    return f"{100 * max(rates.values()):.1f} %"


def _faster_as_sizes_grow(growth: Document) -> Iterator[str]:
    """One sentence for each peer and job: the points at which it was faster."""
    ours = {
        (c["job"], c["n_threads"], tuple(p["point"])): _p50(p)
        for c in growth["curves"]
        if c["name"] == OURS
        for p in c["points"]
    }
    points: dict[tuple[str, str, int], dict[tuple[int, ...], float]] = {}
    for curve in growth["curves"]:
        for p in curve["points"] if curve["name"] != OURS else ():
            key = curve["job"], curve["n_threads"], tuple(p["point"])
            if key in ours and _p50(p) < ours[key]:
                ratio = ours[key] / _p50(p)
                points.setdefault((curve["job"], curve["name"], curve["n_threads"]), {})[key[2]] = ratio
    for (job, name, n_threads), where in points.items():
        sizes = "; ".join(f"{side}, {channels}, {n}" for side, channels, n in sorted(where))
        low, high = min(where.values()), max(where.values())
        gain = times(low) if times(low) == times(high) else f"{times(low)} to {times(high)}"
        yield (
            f"as sizes grow, {GROWTH_JOBS[job]}: {name} is {gain} times as fast on {threads_in_words(n_threads)}, at "
            f"{sizes} (pixels across, channels, pulses)."
        )


GROWTH_JOBS = {"chain": "chain", "das": "delay-and-sum", "doppler": "velocity", "dealias": "dealiasing"}


def _sections(document: Document) -> Iterator[tuple[str, Document]]:
    yield "das", document["das"]
    yield from document["doppler"].items()
    yield "dealias", document["dealias"]
    yield "chain", document["chain"]


def _p50(row: Row) -> float:
    p50_s: float = row["timing"]["p50_s"]
    return p50_s


def milliseconds(seconds: float) -> str:
    """Three digits, or all before the point."""
    value = 1e3 * seconds
    return f"{value:.0f}" if value >= 999.5 else f"{value:.3g}"


def times(ratio: float) -> str:
    """How many times something is something else."""
    return f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.2f}"


def threads_in_words(n: int) -> str:
    """A number of threads."""
    return f"{n} thread{'' if n == 1 else 's'}"
