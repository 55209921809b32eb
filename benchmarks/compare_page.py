"""The page of the comparison: who takes how long, how right it is, and who is faster than us."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trueflow.benchmarks.compare_verdict import (
    JOBS,
    OURS,
    faster,
    kind,
    milliseconds,
    same_work,
    summary,
    threads_in_words,
    times,
)
from trueflow.benchmarks.growth_page import PICTURE_FROM_PAGE, growth_lines
from trueflow.benchmarks.markdown import stamp_line, table

__all__ = ["as_page"]

Document = Mapping[str, Any]

PEERS = (
    "PyMUST", "ustb", "ultraspy", "numba", "vbeam", "zea", "keras", "jax", "scikit-image", "region-dealias", "kamui",
    "rapidphase", "torch", "numpy", "scipy",
)  # fmt: skip
NOT_LIMITED = (
    " Its dense products took as many threads as their library likes: threadpoolctl, which limits them, was not there."
)
HEAD = ("who", "how", "threads", "p50 ms", "p95", "p99", "runs", "times ours")
STEPS = (
    ("demodulate", "demodulation"), ("das", "delay-and-sum"), ("beamform", "demodulation and delay-and-sum"),
    ("bmode", "envelope"), ("clutter", "clutter filter"), ("doppler", "R0, R1, averages"), ("flow", "phase, flow mask"),
    ("second_phase", "second phase"), ("dealias", "dealiasing"),
)  # fmt: skip


def as_page(document: Document, *, picture: str = PICTURE_FROM_PAGE) -> str:
    """Markdown, from the document alone; `picture` is where that of growth is, seen from the page."""
    return "\n".join(_lines(document, picture)) + "\n"


def _lines(document: Document, picture: str) -> Iterator[str]:
    made = document["provenance"]
    yield from ("# Side by side", "", "Made by `trueflow bench compare` in one run.", "", stamp_line(made), "")
    versions = [f"{name} {made['packages'][name]}" for name in PEERS if name in made["packages"]]
    yield (
        f"{', '.join(versions)}. The run took {document['seconds']:.0f} s and at most "
        f"{document['peak_memory_bytes'] / 2**30:.1f} GB of memory."
    )
    yield ""
    yield (
        "Everybody gets the same data and prepares beforehand what can be prepared: tables, matrices, compiled "
        "functions, arrays in the layout wanted. Contenders for a job run in turn, in the same rounds; who is quick "
        "runs more often in a round, and each rests before it begins, so that no thread of another one spins on. p95 "
        "and p99 are times that occurred: with fewer than 100 runs p99 is the longest. \"Times ours\" is p50 over that "
        "of Trueflow doing the same on as many threads."
    )
    yield from _short(document)
    yield from _das(document["das"])
    yield from _doppler(document["doppler"])
    yield from _dealias(document["dealias"])
    yield from _chain(document["chain"])
    yield from growth_lines(document["growth"], picture)
    yield from _skipped(document)


def _short(document: Document) -> Iterator[str]:
    yield from ("", "## In short", "")
    threads = [f"Trueflow, {threads_in_words(n)}, ms" for n in document["threads"]]
    rows = []
    for line in summary(document):
        peer = line.peer
        rows.append([
            line.job, *(_ms(line.ours_s.get(n)) for n in document["threads"]),
            "" if peer is None else _who(peer), "" if peer is None else str(peer["n_threads"]),
            "" if peer is None else _ms(peer["timing"]["p50_s"]), "" if line.times is None else times(line.times),
        ])  # fmt: skip
    yield from table(["p50 of", *threads, "fastest peer", "its threads", "ms", "times ours on as many"], rows)
    yield ""
    found = faster(document)
    if not found:
        yield "Nobody was faster than Trueflow anywhere in this run, on as many threads."
        return
    yield "Faster than Trueflow in this run, on as many threads:"
    yield ""
    yield from (f"* {sentence}" for sentence in found)


def _das(section: Document) -> Iterator[str]:
    yield from ("", "## Delay-and-sum", "")
    yield (
        f"`{section['case']}`: {section['n_channels']} channels to {section['n_x']} x {section['n_z']} pixels, times "
        f"per {section['unit']}. The same channel IQ, f-number and boxcar aperture. \"{section['n_ensemble']} pulses "
        "at once\" is what a Doppler ensemble allows: delays are shared. Error: difference of the lag-one phase from "
        "that of an image made in float64 with band-limited interpolation, in place of which all but \"nearest\" "
        "interpolate linearly; median and 95 % quantile over the pixels the wave reaches."
    )
    yield from ("", *_phase_table(section))


def _doppler(sections: Mapping[str, Document]) -> Iterator[str]:
    for job, section in sections.items():
        yield from ("", f"## {JOBS[job][0].upper()}{JOBS[job][1:]}", "")
        what = {
            "velocity": "beamformed IQ to a lag-one velocity without averages",
            "clutter": "a regression filter over the ensemble; the error is that of the phase of what is left",
        }[job]
        yield (
            f"`{section['case']}`: {section['n_x']} x {section['n_z']} pixels x {section['n_ensemble']} pulses, "
            f"{what}. Error: difference of the phase from the same in float64."
        )
        yield from ("", *_phase_table(section))


def _phase_table(section: Document) -> Iterator[str]:
    rows = [
        [*_cells(row, section["rows"]), f"{row['error_p50_rad']:.1e}", f"{row['error_p95_rad']:.1e}"]
        for row in section["rows"]
    ]
    yield from table([*HEAD, "error p50, rad", "p95"], rows)


def _dealias(section: Document) -> Iterator[str]:
    cases = section["cases"]
    yield from ("", "## Dealiasing", "")
    yield (
        "The same wrapped phase and flow mask of frozen scenes with known truth, one after the other. Times are of the "
        "functions alone, on arrays that are ready. The engine also hears the second phase from sub-bands of the "
        "echo, which the chain makes (its time is in the chain's table below). Of peers, the better by the truth of "
        "their own absolute fold and of the near-wall rule, as in [dealias.md](dealias.md), which has all scenes and "
        "speeds: these few are here to stand beside the times."
    )
    sizes = [
        f"{name}: {fact['peak_v_n']:.1f} v_N, {fact['n_shown']:,} of {' x '.join(map(str, fact['shape']))} pixels shown"
        for name, fact in cases.items()
    ]
    yield from ("", "; ".join(sizes) + ".", "")
    rows = [
        [*_cells(row, section["rows"]), *(f"{100 * row['wrong_folds'][name]:.2f} %" for name in cases)]
        for row in section["rows"]
    ]
    yield from table([*HEAD, *(f"wrong folds, {_short_case(name)}" for name in cases)], rows)


def _short_case(name: str) -> str:
    """The family alone: the line above the table has the rest."""
    return name.partition("-")[0]


def _chain(section: Document) -> Iterator[str]:
    yield from ("", "## The whole chain", "")
    yield (
        f"`{section['case']}` ({section['summary']}), from channel RF to envelope and dealiased velocity. The other "
        "chain is benchmarks/plain_chain.py: FFT demodulation, delay-and-sum as one sparse matrix, regression filter, "
        "`uniform_filter`, the same gates for the mask, scikit-image's unwrapping. Wrong folds and error are against "
        "the simulated vessel's true velocity, where it is shown."
        + ("" if section.get("blas_is_limited", True) else NOT_LIMITED)
    )
    rows = [
        [
            *_cells(row, section["rows"]),
            f"{row['n_shown']:,}",
            f"{row['n_judged']:,}",
            f"{100 * row['wrong_folds']:.2f} %",
            f"{row['error_p50_v_n']:.3f}",
        ]
        for row in section["rows"]
    ]
    accuracy = ("pixels shown", "of them in the vessel", "wrong folds there", "median error, v_N")
    yield from ("", *table([*HEAD, *accuracy], rows))
    if "agreement" in section:
        yield from ("", _agreement(section["agreement"]))
    steps = [(key, title) for key, title in STEPS if any(key in row["steps_p50_s"] for row in section["rows"])]
    head = [f"{row['name']}, {threads_in_words(row['n_threads'])}" for row in section["rows"]]
    cells = [[title, *(_ms(row["steps_p50_s"].get(key)) for row in section["rows"])] for key, title in steps]
    yield from ("", *table(["p50 of each step, ms", *head], cells))


def _agreement(found: Mapping[str, float]) -> str:
    return (
        f"It is the same job: {100 * found['mask_iou']:.1f} % of the pixels that either shows are shown by both, and "
        f"there the velocities differ by {found['difference_p50_v_n']:.1e} v_N at the median; folds differ on "
        f"{100 * found['other_folds']:.1f} % of them, on {100 * found['other_folds_in_vessel']:.2f} % within the "
        "vessel. Outside it the mask shows side lobes of the few scatterers that this packet, made for timing, is "
        "simulated with: they have no true fold."
    )


def _skipped(document: Document) -> Iterator[str]:
    parts = [("das", document["das"]), *document["doppler"].items()]
    parts += [(job, document[job]) for job in ("dealias", "chain")]
    left_out = [f"* {JOBS[job]}: {s['name']}: {s['reason']}" for job, part in parts for s in part["skipped"]]
    if left_out:
        yield from ("", "## Not run", "", *left_out)


def _cells(row: Document, rows: Sequence[Document]) -> list[str]:
    """Name to times ours."""
    timing = row["timing"]
    name = "**Trueflow**" if row["name"] == OURS else row["name"]
    ours = same_work(row, rows)
    ratio = "" if ours is None or row["name"] == OURS else times(timing["p50_s"] / ours["timing"]["p50_s"])
    quantiles = (_ms(timing[f"{q}_s"]) for q in ("p50", "p95", "p99"))
    return [name, row.get("variant", ""), str(row["n_threads"]), *quantiles, str(timing["n_runs"]), ratio]


def _who(row: Document) -> str:
    variant = row.get("variant", "")
    return f"{row['name']} ({variant})" if variant and not kind(row) else row["name"]


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else milliseconds(seconds)
