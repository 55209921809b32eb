"""The page of a document of figures: goals first, then the tables behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trueflow.benchmarks.dealias import ALL_BANDS, BANDS, ENGINE
from trueflow.benchmarks.dealias_goals import best_peer, figure, goals
from trueflow.benchmarks.dealias_peers import PEERS

__all__ = ["as_page"]


def as_page(document: Mapping[str, Any], *, reliability: str | None = None) -> str:
    """Markdown.

    Parameters
    ----------
    document : mapping
        From `as_document`.
    reliability : str, optional
        Where the reliability diagram is, seen from the page.
    """
    lines = [*_head(document)]
    if "summary" in document:
        lines += [*_contenders(document), *_families(document)]
    if document.get("confidence"):
        lines += _confidence(document["confidence"], reliability)
    if "evidence" in document:
        lines += _evidence(document["evidence"])
    if "sequences" in document:
        lines += _sequences(document["sequences"]["summary"])
    if "disk" in document:
        lines += _disk(document["disk"])
    if "timing" in document:
        lines += _timing(document)
    return "\n".join([*lines, ""])


def _head(document: Mapping[str, Any]) -> Iterator[str]:
    made = document["provenance"]
    yield from ("# Wrong folds: the dealiasing engine and its peers", "")
    yield (
        f"Made by `trueflow bench dealias` on set {document['set']}, {made['date'][:10]}, commit {_commit(made)}, "
        f"{made['processor']}. A fold is wrong where the velocity is off by 2 v_N or more; nobody is told the absolute "
        "fold. Frames are sorted by the largest true speed in them, the pixels of a family's frames are pooled, and "
        "families count alike. Figures per case are in dealias.json."
    )
    yield from (f"\n{s['name']} was left out: {s['reason']}." for s in document["skipped"])
    rows = [[g.what, g.limit, g.found, "met" if g.met else "**missed**"] for g in goals(document)]
    if rows:
        yield from ("", "## Goals", "", *_table(["", "goal", "found", ""], rows))


def _contenders(document: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## Wrong folds on the validation set", "")
    if versions := document["peer_versions"]:
        named = ", ".join(f"{name} {version or '?'}" for name, version in versions.items())
        yield (
            f"Peers ({named}) get the engine's mask and phase, and for each frame the better, by the truth, of their "
            "own absolute fold and of the near-wall rule: a choice that nobody without the truth can make.\n"
        )
    header = ["", *(_band(b) for b in BANDS), "all", "false folds on unaliased pixels", "RMSE / v_N"]
    rows = []
    for name in document["contenders"]:
        rates = [_percent(figure(document, name, band, "wrong_fold_rate")) for band in (*BANDS, ALL_BANDS)]
        false = _percent(figure(document, name, ALL_BANDS, "false_fold_rate_on_unaliased"))
        rows.append([_title(name), *rates, false, _number(figure(document, name, ALL_BANDS, "rmse_v_n"))])
    yield from _table(header, rows)


def _families(document: Mapping[str, Any]) -> Iterator[str]:
    if ENGINE not in document["contenders"]:
        return
    peer = best_peer(document)
    names = [ENGINE, *([peer] if peer else [])]
    rates = {
        (row["contender"], row["family"], tuple(row["band_v_n"])): (row["wrong_fold_rate"], row["coverage"])
        for row in document["by_family"]
    }
    bands = (*BANDS, ALL_BANDS)
    header = ["family", *(_band(b) for b in BANDS), "all"]
    yield from ("", "## By family", "", f"Wrong folds: the engine{f' / {peer}' if peer else ''}.", "")
    rows, shown = [], []
    for family in document["families"]:
        found = [[rates.get((name, family, band), (None, None)) for name in names] for band in bands]
        cells = (" / ".join(_percent(wrong) for wrong, _ in cell if wrong is not None) for cell in found)
        rows.append([family, *cells])
        shown.append([family, *(_percent(cell[0][1]) for cell in found)])
    yield from (*_table(header, rows), "", "True flow that the mask shows: folds are judged there.", "")
    yield from _table(header, shown)


def _confidence(told: Mapping[str, Any], picture: str | None) -> Iterator[str]:
    yield from ("", "## Confidence", "")
    right, sure = told["sure_and_right"], told["sure"]
    if right is None:
        yield "No pixel has a confidence of 0.9 or more."
    else:
        yield (
            f"Of the pixels with a confidence of 0.9 or more {_percent(right)} have the right fold; {_percent(sure)} "
            "of the flow pixels are such. All frames' pixels pooled."
        )
    if picture:
        yield f"\n![Right folds by confidence]({picture})"
    yield ""
    rows = [
        [f"{b['from']:g} to {b['to']:g}", f"{b['n_pixels']:,}", _percent(b["n_pixels"] / told["n_flow"]),
         _percent(b["right"])]
        for b in told["bins"] if b["n_pixels"]
    ]  # fmt: skip
    yield from _table(["confidence", "flow pixels", "of all", "right folds"], rows)


def _evidence(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield from (
        "",
        "## Evidence, alone and together",
        "",
        "Wrong folds of the engine on the validation set, whose frames have no predecessor.",
        "",
    )
    found = {(row["contender"], tuple(row["band_v_n"])): row for row in rows}
    bands = (*BANDS, ALL_BANDS)
    table = []
    for name in dict.fromkeys(row["contender"] for row in rows):
        here = [found.get((name, band), {}) for band in bands]
        last = here[-1]
        table.append([
            name, *(_percent(row.get("wrong_fold_rate")) for row in here), _percent(last.get("sure")),
            _percent(last.get("sure_and_right")),
        ])  # fmt: skip
    yield from _table(["evidence", *(_band(b) for b in BANDS), "all", "confidence >= 0.9", "of those right"], table)


def _sequences(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield from ("", "## The previous frame", "")
    yield (
        "Wrong folds on six consecutive bursts of systole, the first of which has no aliasing and is not counted; "
        'mean over plug, femoral, bifurcation and cropped, all made to pulsate. "auto" hears the previous frame only '
        "where the largest acceleration allows it.\n"
    )
    columns = list(dict.fromkeys((row["rate_hz"], row["peak_v_n"]) for row in rows))
    found = {(row["setting"], row["rate_hz"], row["peak_v_n"]): row["wrong_fold_rate"] for row in rows}
    table = [
        [setting, *(_percent(found.get((setting, *column))) for column in columns)]
        for setting in dict.fromkeys(row["setting"] for row in rows)
    ]
    yield from _table(["", *(f"{rate} frames/s, {peak:g} v_N" for rate, peak in columns)], table)


def _disk(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield from ("", "## The rotating disk", "")
    yield (
        "Real channel RF, every k-th pulse kept, first frame, settings as by default, no mask and no offset supplied: "
        "wrong folds inside 9.5 mm of the disk's 10 mm.\n"
    )
    kept = list(dict.fromkeys(row["k"] for row in rows))
    found = {(row["contender"], row["k"]): row for row in rows}
    names = list(dict.fromkeys(row["contender"] for row in rows))
    first = [found[names[0], k] for k in kept]
    table = [
        ["pulses left", *(str(row["n_pulses"]) for row in first)],
        ["largest speed / v_N", *(f"{row['peak_v_n']:.1f}" for row in first)],
        ["disk shown", *(_percent(row["coverage"]) for row in first)],
        *([f"wrong: {_title(name)}", *(_percent(found[name, k]["wrong_fold_rate"]) for k in kept)] for name in names),
    ]
    yield from _table(["", *(f"k = {k}" for k in kept)], table)


def _timing(document: Mapping[str, Any]) -> Iterator[str]:
    made = document["provenance"]
    load = made["load_average"][0]
    yield from ("", "## Times", "")
    yield (
        f"Milliseconds per frame, cores: {made['cores']}, {made['processor']}; the load average was {load:.1f} before "
        "the run. Interleaved: every round runs everything once on the same frame of three scenes at 3 v_N; kamui runs "
        'in fewer rounds. "Engine" is the kernels on ready maps of phase, coherence, mask and second phase.\n'
    )
    sizes = list(dict.fromkeys((row["n_x"], row["n_z"]) for row in document["timing"]))
    found = {(row["name"], row["n_x"], row["n_z"]): row for row in document["timing"]}
    table = []
    for name in dict.fromkeys(row["name"] for row in document["timing"]):
        cells = []
        for size in sizes:
            row = found.get((name, *size))
            cells += [f"{1e3 * row['p50_s']:.2f}", f"{1e3 * row['p95_s']:.2f}", str(row["n_runs"])] if row else [""] * 3
        table.append([name, *cells])
    header = [f"{n_x} x {n_z}, {what}" for n_x, n_z in sizes for what in ("median", "p95", "runs")]
    yield from _table(["", *header], table)


def _title(name: str) -> str:
    if name == ENGINE:
        return f"**{name}** (the engine)"
    if name == "skimage":
        return f"{name} (near-wall rule)"
    return f"{name} (oracle's offset)" if name in PEERS else name


def _commit(made: Mapping[str, Any]) -> str:
    commit = str(made["commit"])
    return commit[:10] + ("+ (with changes)" if commit.endswith("+") else "")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *rows)]


def _band(band: tuple[float, float]) -> str:
    return f"{band[0]:g} to {band[1]:g} v_N"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
