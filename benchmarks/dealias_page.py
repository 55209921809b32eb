"""The page of a document of figures: goals first, then the tables behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trueflow.benchmarks.dealias import ALL_BANDS, BANDS, ENGINE, LEAST_FLOW
from trueflow.benchmarks.dealias_goals import FITTED, FRESH, best_peer, figure, goals, seed_sets
from trueflow.benchmarks.dealias_markdown import band_title, number, percent, table, title
from trueflow.benchmarks.dealias_sections import disk, evidence, sequences, stagger, timing
from trueflow.benchmarks.validation import FRESH_PEAKS, FRESH_SEEDS

__all__ = ["as_page"]

Document = Mapping[str, Any]

VERDICTS = {True: "met", False: "**missed**", None: ""}


def as_page(document: Document, *, reliability: str | None = None) -> str:
    """Markdown.

    Parameters
    ----------
    document : mapping
        From `as_document`.
    reliability : str, optional
        Where the reliability diagram is, seen from the page.
    """
    lines = [*_head(document)]
    sets = seed_sets(document)
    if sets:
        lines += [*_contenders(sets), *_families(sets), *_confidence(sets, reliability)]
    if "evidence" in document:
        lines += evidence(document["evidence"])
    if "sequences" in document:
        lines += sequences(document["sequences"]["summary"])
    if "disk" in document:
        lines += disk(document["disk"])
    if "stagger" in document:
        lines += stagger(document["stagger"])
    if "timing" in document:
        lines += timing(document)
    return "\n".join([*lines, ""])


def _head(document: Document) -> Iterator[str]:
    made, peaks = document["provenance"], " and ".join(f"{peak:g}" for peak in FRESH_PEAKS)
    yield from ("# Wrong folds: the dealiasing engine and its peers", "")
    yield (
        f"Made by `trueflow bench dealias` on set {document['set']}, {made['date'][:10]}, commit {_commit(made)}, "
        f"{made['processor']}. A fold is wrong where another one brings the velocity nearer the truth; "
        "nobody is told the absolute fold. Frames are sorted by the largest true speed in them, the pixels of a "
        f"family's frames are pooled, and families count alike; one with fewer than {LEAST_FLOW} flow pixels in a band "
        "is not counted there, neither for the engine nor for peers. Figures per case are in dealias.json."
    )
    yield (
        f"\n**{FITTED.capitalize()}**: the scenes that the engine's confidence curves, and with two more draws of the "
        f"faster ones its weights, were fitted to: its figures there flatter it. **{FRESH.capitalize()}**: those of "
        f"{peaks} v_N made {len(FRESH_SEEDS)} times more with other speckle and noise, which nothing was fitted to."
    )
    yield "\n[The cases with the most wrong folds, as pictures](dealias_worst.png)."
    yield from (f"\n{s['name']} was left out: {s['reason']}." for s in document["skipped"])
    rows = [[g.what, g.limit, g.found, VERDICTS[g.met]] for g in goals(document)]
    if rows:
        yield from ("", "## Goals", "", *table(["", "goal", "found", ""], rows))


def _contenders(sets: Mapping[str, Document]) -> Iterator[str]:
    yield from ("", "## Wrong folds on the validation set")
    if versions := next(iter(sets.values()))["peer_versions"]:
        named = ", ".join(f"{name} {version or '?'}" for name, version in versions.items())
        yield (
            f"\nPeers ({named}) get the engine's mask and phase, and for each frame the better, by the truth, of their "
            "own absolute fold and of the near-wall rule: a choice that nobody without the truth can make."
        )
    header = [*(band_title(b) for b in BANDS), "all", "false folds on unaliased pixels", "RMSE / v_N"]
    for seeds, part in sets.items():
        rows = []
        for name in part["contenders"]:
            rates = [percent(figure(part, name, band, "wrong_fold_rate")) for band in (*BANDS, ALL_BANDS)]
            false = percent(figure(part, name, ALL_BANDS, "false_fold_rate_on_unaliased"))
            rows.append([title(name), *rates, false, number(figure(part, name, ALL_BANDS, "rmse_v_n"))])
        yield from ("", *table([seeds, *header], rows))


def _families(sets: Mapping[str, Document]) -> Iterator[str]:
    sets = {seeds: part for seeds, part in sets.items() if ENGINE in part["contenders"]}
    if not sets:
        return
    yield from ("", "## By family", "")
    yield (
        f"Wrong folds: the engine / the best peer; in brackets with fewer than {LEAST_FLOW} flow pixels, which is not "
        "counted in the means. Below, the flow pixels, which the mask shows and whose folds are judged, and what part "
        "of the true flow they are."
    )
    for seeds, part in sets.items():
        wrong, shown = _family_rows(part)
        peer = best_peer(part)
        header = [*(band_title(b) for b in BANDS), "all"]
        yield from ("", *table([f"{seeds}: wrong{f', engine / {peer}' if peer else ''}", *header], wrong))
        yield from ("", *table([f"{seeds}: flow pixels", *header], shown))


def _family_rows(part: Document) -> tuple[list[list[str]], list[list[str]]]:
    """Cells of wrong folds, and of flow pixels, by family and band."""
    peer = best_peer(part)
    names = [ENGINE, *([peer] if peer else [])]
    found = {(row["contender"], row["family"], tuple(row["band_v_n"])): row for row in part["by_family"]}
    wrong, shown = [], []
    for family in part["families"]:
        rates, pixels = [family], [family]
        for band in (*BANDS, ALL_BANDS):
            rows = [row for name in names if (row := found.get((name, family, band)))]
            cell = " / ".join(percent(row["wrong_fold_rate"]) for row in rows if row["wrong_fold_rate"] is not None)
            few = bool(cell) and rows[0]["n_flow"] < LEAST_FLOW
            rates.append(f"({cell})" if few else cell)
            pixels.append(f"{rows[0]['n_flow']:,} ({100 * rows[0]['coverage']:.0f} %)" if rows else "")
        wrong.append(rates)
        shown.append(pixels)
    return wrong, shown


def _confidence(sets: Mapping[str, Document], picture: str | None) -> Iterator[str]:
    told = {seeds: part["confidence"] for seeds, part in sets.items() if part["confidence"]}
    if not told:
        return
    yield from ("", "## Confidence", "")
    for seeds, of in told.items():
        if of["sure_and_right"] is None:
            yield f"{seeds.capitalize()}: no pixel has a confidence of 0.9 or more."
        else:
            yield (
                f"{seeds.capitalize()}: of the pixels with a confidence of 0.9 or more {percent(of['sure_and_right'])} "
                f"have the right fold; {percent(of['sure'])} of the flow pixels are such."
            )
    yield "All frames' pixels are pooled; the picture is of the last named."
    if picture:
        yield f"\n![Right folds by confidence]({picture})"
    yield ""
    header = [cell for seeds in told for cell in (f"flow pixels, {seeds}", "of all", "right folds")]
    rows = []
    for bins in zip(*(of["bins"] for of in told.values()), strict=True):
        cells = [cell for of, b in zip(told.values(), bins, strict=True) for cell in _bin_cells(b, of["n_flow"])]
        if any(b["n_pixels"] for b in bins):
            rows.append([f"{bins[0]['from']:g} to {bins[0]['to']:g}", *cells])
    yield from table(["confidence", *header], rows)


def _bin_cells(b: Mapping[str, Any], n_flow: int) -> tuple[str, str, str]:
    return (f"{b['n_pixels']:,}", percent(b["n_pixels"] / n_flow), percent(b["right"])) if b["n_pixels"] else ("",) * 3


def _commit(made: Mapping[str, Any]) -> str:
    commit = str(made["commit"])
    return commit[:10] + ("+ (with changes)" if commit.endswith("+") else "")
