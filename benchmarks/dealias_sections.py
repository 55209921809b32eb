"""The sections of the dealiasing page about evidence, sequences, the disk, staggered pulses and times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trueflow.benchmarks.dealias import ALL_BANDS, BANDS
from trueflow.benchmarks.dealias_markdown import band_title, percent, table, title

__all__ = ["disk", "evidence", "sequences", "stagger", "stagger_table", "timing"]


def evidence(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The engine with each kind of evidence left out, and with it alone."""
    yield from (
        "",
        "## Evidence, alone and together",
        "",
        "Wrong folds of the engine on the validation set, fitted seeds; its frames have no predecessor. The network is "
        "the segmentation network, which is off by default; it is shown the second phase itself.",
        "",
    )
    found = {(row["contender"], tuple(row["band_v_n"])): row for row in rows}
    bands = (*BANDS, ALL_BANDS)
    lines = []
    for name in dict.fromkeys(row["contender"] for row in rows):
        here = [found.get((name, band), {}) for band in bands]
        last = here[-1]
        lines.append([
            name, *(percent(row.get("wrong_fold_rate")) for row in here), percent(last.get("sure")),
            percent(last.get("sure_and_right")),
        ])  # fmt: skip
    yield from table(["evidence", *(band_title(b) for b in BANDS), "all", "confidence >= 0.9", "of those right"], lines)


def sequences(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the previous frame is worth."""
    yield from ("", "## The previous frame", "")
    yield (
        "Wrong folds on six consecutive bursts of systole, the first of which has no aliasing and is not counted; "
        'mean over plug, femoral, bifurcation and cropped, all made to pulsate. "auto" hears the previous frame only '
        "where the largest acceleration allows it.\n"
    )
    columns = list(dict.fromkeys((row["rate_hz"], row["peak_v_n"]) for row in rows))
    found = {(row["setting"], row["rate_hz"], row["peak_v_n"]): row["wrong_fold_rate"] for row in rows}
    lines = [
        [setting, *(percent(found.get((setting, *column))) for column in columns)]
        for setting in dict.fromkeys(row["setting"] for row in rows)
    ]
    yield from table(["", *(f"{rate} frames/s, {peak:g} v_N" for rate, peak in columns)], lines)


def disk(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Real data, by how many pulses are kept."""
    yield from ("", "## The rotating disk", "")
    yield (
        "Real channel RF, every k-th pulse kept, first frame, settings as by default, no mask and no offset supplied: "
        "wrong folds inside 9.5 mm of the disk's 10 mm.\n"
    )
    kept = list(dict.fromkeys(row["k"] for row in rows))
    found = {(row["contender"], row["k"]): row for row in rows}
    names = list(dict.fromkeys(row["contender"] for row in rows))
    first = [found[names[0], k] for k in kept]
    lines = [
        ["pulses left", *(str(row["n_pulses"]) for row in first)],
        ["largest speed / v_N", *(f"{row['peak_v_n']:.1f}" for row in first)],
        ["disk shown", *(percent(row["coverage"]) for row in first)],
        *([f"wrong: {title(name)}", *(percent(found[name, k]["wrong_fold_rate"]) for k in kept)] for name in names),
    ]
    yield from table(["", *(f"k = {k}" for k in kept)], lines)


def stagger(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What a second pulse interval is worth."""
    yield from ("", "## Staggered pulses", "")
    yield (
        "Wrong folds on steady flow without a slow border, 16 pulses, 15 dB, the pixels of three seeds pooled, and the "
        "part of the flow that the mask shows.\n"
    )
    yield from stagger_table(rows)


def stagger_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Scenes down, settings across; last, what coherence the mask asks for."""
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    found = {(row["family"], row["peak_v_n"], row["setting"]): row for row in rows}
    scenes = list(dict.fromkeys((row["family"], row["peak_v_n"]) for row in rows))
    lines = [
        [f"{family}, {peak:g} v_N", *(_wrong_of_shown(found[family, peak, setting]) for setting in settings)]
        for family, peak in scenes
    ]
    gates = {row["setting"]: f"{row['coherence_gate']:.2f}" for row in rows}
    return table(["", *settings], [*lines, ["coherence that the mask asks for", *gates.values()]])


def _wrong_of_shown(row: Mapping[str, Any]) -> str:
    return f"{percent(row['wrong_fold_rate']) or 'nothing'} of {row['coverage']:.2f}"


def timing(document: Mapping[str, Any]) -> Iterator[str]:
    """Durations by size."""
    made = document["provenance"]
    load = made["load_average"][0]
    yield from ("", "## Times", "")
    yield (
        f"Milliseconds per frame, cores: {made['cores']}, {made['processor']}; the load average was {load:.1f} before "
        "the run. Interleaved: every round runs everything once on the same frame of three scenes at 3 v_N; kamui runs "
        'in fewer rounds. "Engine" is the kernels on ready maps of phase, coherence, mask and second phase; of peers '
        "too the function alone is timed, on arrays made ready in its own form. The whole dealias stage begins with R0 "
        "and R1 and ends with velocities.\n"
    )
    sizes = list(dict.fromkeys((row["n_x"], row["n_z"]) for row in document["timing"]))
    found = {(row["name"], row["n_x"], row["n_z"]): row for row in document["timing"]}
    lines = []
    for name in dict.fromkeys(row["name"] for row in document["timing"]):
        cells = []
        for size in sizes:
            row = found.get((name, *size))
            cells += [f"{1e3 * row['p50_s']:.2f}", f"{1e3 * row['p95_s']:.2f}", str(row["n_runs"])] if row else [""] * 3
        lines.append([name, *cells])
    header = [f"{n_x} x {n_z}, {what}" for n_x, n_z in sizes for what in ("median", "p95", "runs")]
    yield from table(["", *header], lines)
