"""Pictures of dealiasing: the worst cases, and how often the engine's confidence is right."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from trueflow.benchmarks.dealias import CaseResult
from trueflow.benchmarks.dealias_tally import true_fold
from trueflow.benchmarks.validation import Scene
from trueflow.pipeline.frames import VelocityFrame
from trueflow.pipeline.picture.color_maps import color_map
from trueflow.pipeline.picture.draw import load_font

__all__ = ["WorstCases", "draw_reliability"]

SHOWN = 6  # worst cases in the picture, of as many families
LEAST_FLOW = 200  # pixels: fewer are no picture
TILE = (250, 250)  # pixels of one map in it
LABEL = 18

BAR, GAP, HEIGHT, COUNTS = 44, 10, 220, 90  # pixels
LEFT, TOP, BETWEEN, BOTTOM = 60, 34, 40, 44
GRAY, DIM, RIGHT_COLOR, COUNT_COLOR, IDEAL_COLOR = "#c8c8c8", "#404040", "#5b9bd5", "#808080", "#f0b050"
FONT_PX = 11


class WorstCases:
    """Keeps the frames with the most wrong folds of one contender, and draws them.

    A row: what the scanner shows, what came out, the truth, and in white the pixels that are wrong.
    """

    def __init__(self, contender: str) -> None:
        self._name = contender
        self._rows: list[tuple[float, str, NDArray[np.uint8], str]] = []

    def see(self, result: CaseResult, scene: Scene, frame: VelocityFrame) -> None:
        """Take a frame into account."""
        rate, family = result.tally.wrong_fold_rate, result.case.family
        if result.contender != self._name or not math.isfinite(rate) or result.tally.n_flow < LEAST_FLOW:
            return
        label = f"{result.case.name}: {100 * rate:.1f} % wrong folds ({self._name})"
        # One frame of a family: its worst.
        rest = [row for row in self._rows if row[3] != family]
        same = [row for row in self._rows if row[3] == family and row[0] >= rate]
        mine = same or [(rate, label, _row(scene, frame), family)]
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
    wrong = (255 * (flow & (frame.fold != true_fold(frame, truth)))).astype(np.uint8)
    return np.hstack([
        _colored(frame.wrapped_velocity_m_s / nyquist, frame.mask), _colored(frame.velocity_m_s / scale, frame.mask),
        _colored(truth.velocity_m_s / scale, truth.mask), np.repeat(wrong[..., None], 3, axis=-1),
    ])  # fmt: skip


def _colored(relative: NDArray[np.floating[Any]], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    table = color_map("red_blue")
    entries = np.clip((relative + 1) / 2 * (len(table) - 1), 0, len(table) - 1).astype(np.intp)
    return np.where(mask[..., None], table[entries], 40).astype(np.uint8)


def draw_reliability(told: Mapping[str, Any], path: Path) -> None:
    """The reliability diagram: right folds and pixels by confidence.

    A confidence that means what it says puts each bar's top inside the frame drawn around its bin.

    Parameters
    ----------
    told : mapping
        `confidence` of the document.
    path : Path
        PNG.
    """
    bins = told["bins"]
    width = LEFT + len(bins) * (BAR + GAP) + GAP
    image = Image.new("RGB", (width, TOP + HEIGHT + BETWEEN + COUNTS + BOTTOM))
    draw, font = ImageDraw.Draw(image), load_font(FONT_PX)
    floor, low = TOP + HEIGHT, TOP + HEIGHT + BETWEEN + COUNTS
    draw.text((LEFT, 8), "right folds by confidence (%); framed: the confidence itself", fill="white", font=font)
    draw.text((LEFT, floor + BETWEEN - 22), "flow pixels (%)", fill="white", font=font)
    for part in range(0, 101, 20):
        y = floor - part * HEIGHT // 100
        draw.line((LEFT - 4, y, width, y), fill=DIM)
        draw.text((LEFT - 8, y), str(part), fill=GRAY, font=font, anchor="rm")
    for i, entry in enumerate(bins):
        left = LEFT + GAP + i * (BAR + GAP)
        share = entry["n_pixels"] / max(told["n_flow"], 1)
        if entry["right"] is not None:
            _bar(draw, left, floor, entry["right"] * HEIGHT, RIGHT_COLOR)
            top = floor - entry["right"] * HEIGHT
            draw.text((left + BAR / 2, top - 2), f"{100 * entry['right']:.1f}", fill="white", font=font, anchor="mb")
        draw.rectangle(
            (left, floor - entry["to"] * HEIGHT, left + BAR, floor - entry["from"] * HEIGHT), outline=IDEAL_COLOR
        )
        _bar(draw, left, low, share * COUNTS, COUNT_COLOR)
        draw.text((left + BAR / 2, low - share * COUNTS - 2), f"{100 * share:.1f}", fill=GRAY, font=font, anchor="mb")
        draw.text((left + BAR / 2, low + 14), f"{entry['from']:g}", fill=GRAY, font=font, anchor="mm")
        draw.text((left + BAR / 2, low + 28), f"to {entry['to']:g}", fill=GRAY, font=font, anchor="mm")
    image.save(path, optimize=True)


def _bar(draw: ImageDraw.ImageDraw, left: float, floor: float, height: float, color: str) -> None:
    if height >= 1:
        draw.rectangle((left, floor - height, left + BAR, floor), fill=color)
