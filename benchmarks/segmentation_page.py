"""Figures of the segmentation network as a document, goals and a page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from trueflow.benchmarks.contenders import Skipped
from trueflow.benchmarks.dealias_goals import Goal, percent
from trueflow.benchmarks.dealias_timing import TimedRow
from trueflow.benchmarks.report import SCHEMA
from trueflow.benchmarks.segmentation import FrameScore, pooled
from trueflow.benchmarks.segmentation_timing import BOTH_ROW, CHAIN_ROW
from trueflow.benchmarks.validation import set_version
from trueflow.pipeline.training.scenes import HELD_OUT

__all__ = ["as_document", "as_page", "goals"]

LEAST_IOU = 0.93
ERRING, MOST_OF_ALONE = 0.005, 0.5  # families where the engine alone errs by more; of its wrong folds
MOST_RMSE = 0.025
MOST_BOTH_S, LEAST_CHAIN_HZ = 10e-3, 25.0

Document = Mapping[str, Any]


def as_document(
    *,
    network: Mapping[str, Any],
    provenance: Mapping[str, object],
    scenes: Sequence[FrameScore] = (),
    disk: Sequence[FrameScore] = (),
    timing: Sequence[TimedRow] = (),
    skipped: Sequence[Skipped] = (),
) -> dict[str, Any]:
    """Everything that was measured, ready for JSON: nan becomes null, what was not run is not there.

    Parameters
    ----------
    network : mapping
        What is said of the weights.
    provenance : mapping
    scenes, disk, timing, skipped : sequences
    """
    document: dict[str, Any] = {
        "schema": SCHEMA, "benchmark": "segmentation", "set": set_version(), "network": dict(network),
        "provenance": dict(provenance), "skipped": [asdict(s) for s in skipped],
    }  # fmt: skip
    if scenes:
        families = dict.fromkeys(s.family for s in scenes)
        groups = {family: [s for s in scenes if s.family == family] for family in families}
        document["families"] = [_row(name, group) for name, group in groups.items()]
        together = {
            "held out": [s for s in scenes if s.family in HELD_OUT],
            "trained": [s for s in scenes if s.family not in HELD_OUT],
        }
        document["groups"] = [_row(name, group) for name, group in together.items() if group]
        document["frames"] = [_row(s.name, [s]) for s in scenes]
    if disk:
        document["disk"] = [_row(s.name, [s]) for s in disk]
    if timing:
        document["timing"] = [{"n_x": r.size[0], "n_z": r.size[1], "name": r.name, **asdict(r.timing)} for r in timing]
    return document


def _row(name: str, scores: Sequence[FrameScore]) -> dict[str, Any]:
    by_precision, alone, together = pooled(scores)
    rows = {precision: {k: _plain(v) for k, v in t.rates().items()} for precision, t in by_precision.items()}
    return {
        "name": name,
        "held_out": scores[0].family in HELD_OUT,
        "n_frames": len(scores),
        "peak_v_n": max(s.peak for s in scores),
        "n_flow": alone.n_flow,
        "by_precision": rows,
        "wrong_folds_alone": _plain(alone.wrong_fold_rate),
        "wrong_folds_together": _plain(together.wrong_fold_rate),
    }


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def goals(document: Document) -> list[Goal]:
    """Those goals that the document has figures for."""
    found = [*_iou_goals(document), *_fold_goals(document), *_rmse_goals(document)]
    for row in document.get("timing", ()):
        if row["name"] == BOTH_ROW:
            limit = f"at most {1e3 * MOST_BOTH_S:g} ms"
            size = f"{row['n_x']} x {row['n_z']}"
            met = row["p50_s"] <= MOST_BOTH_S
            found.append(Goal(f"median of network and engine, {size}", limit, f"{1e3 * row['p50_s']:.1f} ms", met))
        if row["name"] == CHAIN_ROW:
            rate = 1 / row["p50_s"]
            limit = f"at least {LEAST_CHAIN_HZ:g} frames/s"
            found.append(Goal(CHAIN_ROW, limit, f"{rate:.1f} frames/s", rate >= LEAST_CHAIN_HZ))
    return found


def _iou_goals(document: Document) -> Iterator[Goal]:
    tables = {
        "aliased IoU, families held out": [row for row in document.get("families", ()) if row["held_out"]],
        "aliased IoU, real disk": document.get("disk", ()),
    }
    for what, rows in tables.items():
        each = {row["name"]: iou for row in rows if (iou := _first(row)["aliased_iou"]) is not None}
        if each:
            text = ", ".join(f"{name} {iou:.3f}" for name, iou in each.items())
            yield Goal(what, f"at least {LEAST_IOU:g}", text, min(each.values()) >= LEAST_IOU)


def _fold_goals(document: Document) -> Iterator[Goal]:
    erring = [row for row in document.get("families", ()) if (row["wrong_folds_alone"] or 0) > ERRING]
    if "families" not in document:
        return
    worse = [
        f"{row['name']} ({percent(row['wrong_folds_alone'])}, {percent(row['wrong_folds_together'])} with it)"
        for row in erring
        if row["wrong_folds_together"] > MOST_OF_ALONE * row["wrong_folds_alone"]
    ]
    yield Goal(
        f"families where the engine alone errs by more than {percent(ERRING)} ({len(erring)}) and the network does not "
        "halve that", "none", ", ".join(worse) or "none", not worse,
    )  # fmt: skip


def _rmse_goals(document: Document) -> Iterator[Goal]:
    tables = {
        "families held out": [row for row in document.get("groups", ()) if row["held_out"]],
        "real disk": document.get("disk", ()),
    }
    for what, rows in tables.items():
        each = [rates for row in rows if (rates := _first(row))["rmse"] is not None]
        if each:
            worst = max(each, key=lambda rates: float(rates["rmse"]))
            yield Goal(
                f"RMSE of dealiased pixels over the scene's peak velocity, {what}", f"at most {percent(MOST_RMSE)}",
                f"{percent(worst['rmse'])}; the estimator's own: {percent(worst['rmse_floor'])}",
                worst["rmse"] <= MOST_RMSE,
            )  # fmt: skip


def _first(row: Mapping[str, Any]) -> dict[str, Any]:
    """Rates of the precision that the engine hears."""
    rates: dict[str, Any] = next(iter(row["by_precision"].values()))
    return rates


def as_page(document: Document) -> str:
    """Markdown."""
    lines = [*_head(document)]
    if "families" in document:
        lines += ["", "## Simulated scenes", "", _WORDS, ""]
        lines += _rates_table([*document["families"], *document["groups"]], "family")
    if "disk" in document:
        lines += [
            "",
            "## The rotating disk",
            "",
            "Real channel RF, one pulse in k kept, first frame, inside 9.5 mm.",
            "",
        ]
        lines += _rates_table(document["disk"], "pulses kept")
    if "timing" in document:
        lines += _timing(document)
    return "\n".join([*lines, ""])


_WORDS = (
    "An asterisk marks the families that were held out of training. The network alone: intersection over union of the "
    "aliased class, and pixels with the right fold (beyond +-2: +-2), over true flow that the flow mask shows. "
    "The engine: wrong folds on the same pixels, without the network and with it. RMSE: truly aliased pixels after "
    "network and engine, over the peak velocity of the scene's cycle; and the same with the true folds, which is the "
    "estimator's own error. The network's card (models/weights/MODEL_CARD.md) has figures of other scenes: those that "
    "its training kept back."
)


def _head(document: Document) -> Iterator[str]:
    made, network = document["provenance"], document["network"]
    yield from ("# The segmentation network", "")
    yield (
        f"Made by `trueflow bench segmentation` on set {document['set']}, {made['date'][:10]}, commit "
        f"{str(made['commit'])[:10]}, {made['processor']}. Weights: {network.get('name', 'unnamed')} "
        f"{network.get('version', '')}. Figures per frame are in segmentation.json."
    )
    yield from (f"\n{s['name']} was left out: {s['reason']}." for s in document["skipped"])
    rows = [[g.what, g.limit, g.found, "met" if g.met else "**missed**"] for g in goals(document)]
    if rows:
        yield from ("", "## Goals", "", *_table(["", "goal", "found", ""], rows))


def _rates_table(rows: Sequence[Mapping[str, Any]], what: str) -> list[str]:
    precisions = list(rows[0]["by_precision"])
    header = [
        what, "peak / v_N", *(f"aliased IoU, {p}" for p in precisions), *(f"right folds, {p}" for p in precisions),
        "wrong folds, engine alone", "with the network", "RMSE / peak", "estimator's",
    ]  # fmt: skip
    table = []
    for row in rows:
        rates = list(row["by_precision"].values())
        table.append([
            row["name"] + ("*" if row["held_out"] else ""), f"{row['peak_v_n']:.1f}",
            *("" if r["aliased_iou"] is None else f"{r['aliased_iou']:.3f}" for r in rates),
            *(_percent(r["right_folds"]) for r in rates),
            _percent(row["wrong_folds_alone"]), _percent(row["wrong_folds_together"]),
            _percent(rates[0]["rmse"]), _percent(rates[0]["rmse_floor"]),
        ])  # fmt: skip
    return _table(header, table)


def _timing(document: Document) -> Iterator[str]:
    made = document["provenance"]
    yield from ("", "## Times", "")
    yield (
        f"Milliseconds per frame of 192 x 256 pixels on {made['cores']}; the load average was "
        f"{made['load_average'][0]:.1f} before the run. Interleaved: every round runs everything once.\n"
    )
    header = ["", "median", "p95", "least", "runs"]
    yield from _table(
        header,
        [
            [row["name"], *(f"{1e3 * row[key]:.2f}" for key in ("p50_s", "p95_s", "min_s")), str(row["n_runs"])]
            for row in document["timing"]
        ],
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *rows)]


def _percent(value: float | None) -> str:
    return "" if value is None else percent(value)
