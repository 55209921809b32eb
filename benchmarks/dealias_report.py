"""The scores of dealiasers as JSON, as a page of tables, and the worst cases as a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from trueflow.benchmarks.dealias import BANDS, CaseResult, mean_over_families
from trueflow.benchmarks.validation import FAMILIES, Scene, ValidationCase, cases_of, set_version
from trueflow.pipeline.dealias import DEALIASERS
from trueflow.pipeline.errors import TrueflowError, nearest
from trueflow.pipeline.frames import VelocityFrame
from trueflow.pipeline.picture.color_maps import color_map

__all__ = ["WorstCases", "as_document", "as_page", "check_names"]

SHOWN = 6  # worst cases in the picture, of as many families
LEAST_FLOW = 200  # pixels: fewer are no picture
TILE = (250, 250)  # pixels of one map in it
LABEL = 18


def check_names(dealiasers: Sequence[str], families: Sequence[str]) -> tuple[ValidationCase, ...]:
    """The cases of some families (all if none is named).

    Raises
    ------
    TrueflowError
        Unknown dealiaser or family.
    """
    for name in dealiasers:
        _ = DEALIASERS[name]
    for family in families:
        if family not in FAMILIES:
            raise TrueflowError("unknown family", found=repr(family), advice=nearest(family, FAMILIES))
    return cases_of(tuple(families))


def as_document(results: Sequence[CaseResult], provenance: Mapping[str, object]) -> dict[str, Any]:
    """Everything that was measured, ready for JSON: means over families, and each case. nan becomes null."""
    summary = [
        {"dealiaser": name, "band_v_n": list(band), "n_frames": len(chosen), **_means(chosen)}
        for name in dict.fromkeys(r.dealiaser for r in results)
        for band in (*BANDS, (0.0, BANDS[-1][1]))
        if (chosen := _within(results, name, band))
    ]
    cases = [
        {
            **asdict(r.case),
            "dealiaser": r.dealiaser,
            "frame_peak_v_n": r.peak,
            **asdict(r.score),
            "rmse_v_n": r.score.rmse_m_s / r.nyquist_velocity_m_s,
            "duration_s": r.duration_s,
            "sure_and_right": r.sure_and_right,
            "sure": r.sure,
            "coverage": r.coverage,
        }
        for r in results
    ]
    document = {
        "set": set_version(),
        "schema": "trueflow-bench/1", "benchmark": "dealias", "provenance": dict(provenance),
        "families": list(dict.fromkeys(r.case.family for r in results)), "summary": summary, "cases": cases,
    }  # fmt: skip
    plain: dict[str, Any] = _without_nan(document)
    return plain


def as_page(document: Mapping[str, Any]) -> str:
    """Markdown: a summary of all dealiasers, and for each of them wrong folds by family and speed."""
    made = document["provenance"]
    lines = [
        "# Wrong folds on the validation set", "",
        f"Made by `trueflow bench dealias` on set {document['set']}, {made['date'][:10]}, commit {_commit(made)}, "
        f"{made['processor']}. Frames are sorted by the largest true speed in them; figures are means over families.",
        "",
    ]  # fmt: skip
    header = ["dealiaser", *(f"wrong folds, {_band(b)}" for b in BANDS), "all", "false folds", "RMSE / v_N",
              "aliased IoU", "sure", "sure and right", "flow shown", "ms"]  # fmt: skip
    rows = []
    for name in dict.fromkeys(row["dealiaser"] for row in document["summary"]):
        by_band = {tuple(r["band_v_n"]): r for r in document["summary"] if r["dealiaser"] == name}
        whole = by_band[(0.0, BANDS[-1][1])]
        rates = [_percent(by_band[b]["wrong_fold_rate"]) if b in by_band else "" for b in BANDS]
        rows.append([
            name, *rates, _percent(whole["wrong_fold_rate"]), _percent(whole["false_fold_rate_on_unaliased"]),
            _number(whole["rmse_v_n"]), _number(whole["aliased_iou"]), _percent(whole["sure"]),
            _percent(whole["sure_and_right"]), _percent(whole["coverage"]), f"{1e3 * whole['duration_s']:.1f}",
        ])  # fmt: skip
    lines += _table(header, rows)
    for name in (row[0] for row in rows):
        for key, title, show in BY_FAMILY:
            lines += ["", f"## {name}: {title}, by family", ""]
            lines += _table(["family", *map(_band, BANDS)], _by_family(document, name, key, show))
    return "\n".join([*lines, ""])


def _means(results: Sequence[CaseResult]) -> dict[str, float]:
    values: dict[str, Callable[[CaseResult], float]] = {
        "wrong_fold_rate": lambda r: r.score.wrong_fold_rate,
        "false_fold_rate_on_unaliased": lambda r: r.score.false_fold_rate_on_unaliased,
        "rmse_v_n": lambda r: r.score.rmse_m_s / r.nyquist_velocity_m_s,
        "aliased_iou": lambda r: r.score.aliased_iou,
        "sure": lambda r: r.sure,
        "coverage": lambda r: r.coverage,
        "sure_and_right": lambda r: r.sure_and_right,
    }
    means = {name: mean_over_families(results, value) for name, value in values.items()}
    return {**means, "duration_s": float(np.median([r.duration_s for r in results]))}


def _within(results: Sequence[CaseResult], name: str, band: tuple[float, float]) -> list[CaseResult]:
    return [r for r in results if r.dealiaser == name and (band not in BANDS or r.band == band)]


def _by_family(
    document: Mapping[str, Any], name: str, key: str, show: Callable[[float | None], str]
) -> list[list[str]]:
    rows = []
    for family in document["families"]:
        cells = []
        for low, high in BANDS:
            values = [
                c[key] for c in document["cases"]
                if c["dealiaser"] == name and c["family"] == family and c[key] is not None
                and low < max(c["frame_peak_v_n"], 1e-9) <= high
            ]  # fmt: skip
            cells.append(show(float(np.mean(values))) if values else "")
        rows.append([family, *cells])
    return rows


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


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# Tables of the page, for each dealiaser.
BY_FAMILY: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
    ("wrong_fold_rate", "wrong folds", _percent),
    ("false_fold_rate_on_unaliased", "false folds on unaliased pixels", _percent),
    ("rmse_v_n", "RMSE over v_N", _number),
    ("aliased_iou", "IoU of the aliased class", _number),
    ("coverage", "true flow that the mask shows", _percent),
)


class WorstCases:
    """Keeps the frames with the most wrong folds of the last dealiaser named, and draws them.

    A row: what the scanner shows, what came out, the truth, and in white the pixels that are wrong.
    """

    def __init__(self, dealiasers: Sequence[str]) -> None:
        self._name = dealiasers[-1]
        self._rows: list[tuple[float, str, NDArray[np.uint8], str]] = []

    def see(self, result: CaseResult, scene: Scene, frame: VelocityFrame) -> None:
        """Take a frame into account."""
        rate = result.score.wrong_fold_rate
        if result.dealiaser != self._name or not math.isfinite(rate):
            return
        label = f"{result.case.name}: {100 * rate:.1f} % wrong folds ({self._name})"
        if result.score.n_flow_pixels < LEAST_FLOW:
            return
        # One frame of a family: its worst.
        rest = [row for row in self._rows if row[3] != result.case.family]
        same = [row for row in self._rows if row[3] == result.case.family and row[0] >= rate]
        mine = same or [(rate, label, _row(scene, frame), result.case.family)]
        self._rows = sorted([*rest, *mine], key=lambda row: -row[0])

    def save(self, path: Path) -> None:
        """Write the picture."""
        rows = self._rows[:SHOWN]
        width, height = 4 * TILE[0], TILE[1] + LABEL
        image = Image.new("RGB", (width, height * max(len(rows), 1)))
        draw = ImageDraw.Draw(image)
        for i, (_, label, row, _) in enumerate(rows):
            image.paste(Image.fromarray(row).resize((width, TILE[1])), (0, i * height + LABEL))
            draw.text(
                (4, i * height + 3), f"{label}      raw, +-v_N | dealiased | truth, same scale | wrong", fill="white"
            )
        image.save(path, optimize=True)


def _row(scene: Scene, frame: VelocityFrame) -> NDArray[np.uint8]:
    nyquist, truth = frame.nyquist_velocity_m_s, scene.truth
    scale = max(scene.peak, 1.0) * nyquist
    flow = frame.mask & truth.mask
    true_fold = np.rint((truth.velocity_m_s - frame.wrapped_velocity_m_s) / (2 * nyquist))
    wrong = np.repeat((255 * (flow & (frame.fold != true_fold))).astype(np.uint8)[..., None], 3, axis=-1)
    return np.hstack([
        _colored(frame.wrapped_velocity_m_s / nyquist, frame.mask), _colored(frame.velocity_m_s / scale, frame.mask),
        _colored(truth.velocity_m_s / scale, truth.mask), wrong,
    ])  # fmt: skip


def _colored(relative: NDArray[np.floating[Any]], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    table = color_map("red_blue")
    entries = np.clip((relative + 1) / 2 * (len(table) - 1), 0, len(table) - 1).astype(np.intp)
    return np.where(mask[..., None], table[entries], 40).astype(np.uint8)
