"""Draws what decides about folds, from one simulated frame: the pictures of docs/dealiasing.md.

`python -m trueflow.benchmarks.evidence_pictures FOLDER`, or `make pictures`. In docs/pictures the numbers are kept too:
benchmarks/results/evidence.json, and the table of docs/dealiasing.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from trueflow.benchmarks.evidence import Evidence, Map, gather
from trueflow.benchmarks.evidence_page import as_document, keep, numbers
from trueflow.benchmarks.provenance import provenance
from trueflow.pipeline.cli.demo import SETTINGS
from trueflow.pipeline.config import Config
from trueflow.pipeline.output import Outputs
from trueflow.pipeline.picture.color_maps import color_map
from trueflow.pipeline.picture.compose import ColorScale, Compositor, choose_scale_m_s, envelope_reference
from trueflow.pipeline.picture.draw import load_font, sensible, signed
from trueflow.pipeline.picture.panels import FOLD_INKS, PLAIN_INK, fold_image
from trueflow.pipeline.picture.raster import Raster

__all__ = ["FIGURES", "INDEX", "URL", "Sheet", "draw_figures"]

KEPT = Path(__file__).resolve().parents[1] / "docs" / "pictures"  # where the project keeps them

# A femoral bifurcation just before the systolic peak, as a few cycles of a pulse see it, 100 frames/s so that the frame
# before may speak; the wall filter and mask are those of `trueflow demo`.
URL = "sim://femoral?peak=2.8vN&fps=100&frames=20&seed=1&bandwidth=0.3"
INDEX = 14

Pixels = NDArray[np.uint8]
Ink = tuple[int, int, int]

PANEL, GAP, TOP, LEGEND = 376, 24, 62, 44  # pixels
TEXT, DIM = (230, 230, 230), (170, 170, 170)
SAME, STEPPED, WRONG = (120, 130, 150), (255, 140, 0), (255, 60, 200)
SHADE, LEVEL = 0.4, 12  # of the B-mode below evidence: few levels keep the files small


class Sheet:
    """Draws panels of one frame, all alike in place and size."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = e = evidence
        self.numbers = numbers(evidence)
        self.raster = Raster(e.grid, height_px=PANEL, width_px=PANEL)
        self.nyquist_m_s = e.frame.velocity.nyquist_velocity_m_s
        self.scale_m_s = choose_scale_m_s([e.frame])
        bright = Compositor(self.raster, e.config.display, scale=ColorScale(1.0), reference=envelope_reference(e.frame))
        self.gray = (bright(e.frame, color=False) * SHADE).astype(np.uint8) // LEVEL * LEVEL

    def folds(self, fold: Map, mask: NDArray[np.bool_] | None = None) -> Pixels:
        """Folds in their colors."""
        return fold_image(
            self.gray, self.raster, fold.astype(np.int8), self.evidence.frame.velocity.mask if mask is None else mask
        )

    def inked(self, inks: Map, mask: NDArray[np.bool_]) -> Pixels:
        """Pixels of the mask in inks of their own, (n_z, n_x, 3), not blended with each other."""
        number = np.arange(mask.size, dtype=np.float32).reshape(mask.shape)
        flow, nearest = self.raster.velocity(number, mask, nyquist_velocity_m_s=0.25)
        pixels = self.gray[self.raster.inside]
        pixels[flow] = inks.reshape(-1, 3)[np.rint(nearest).astype(np.intp)]
        image: Pixels = self.gray.copy()
        image[self.raster.inside] = pixels
        return image

    def velocity(self, values_m_s: Map, mask: NDArray[np.bool_], scale_m_s: float) -> Pixels:
        """Velocities on B-mode."""
        entries = ColorScale(scale_m_s).entries(values_m_s.astype(np.float32))
        return self.inked(color_map(self.evidence.config.display.color_map)[entries], mask)


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture of a figure, what stands above it, and what its colors mean: a bar, or named inks."""

    heading: str
    lines: tuple[str, str]
    image: Pixels
    inks: Sequence[tuple[Ink, str]] = ()
    bar: tuple[Pixels, str, str] | None = None


def _regions(sheet: Sheet) -> list[Panel]:
    e = sheet.evidence
    mask, nyquist = e.frame.velocity.mask, sheet.nyquist_m_s
    shuffled = np.random.default_rng(3).permutation(e.regions.max() + 2)
    inks = np.random.default_rng(5).integers(50, 256, (shuffled.size, 3))[shuffled[e.regions]]
    border = e.steps >= 0
    stepped = np.where((e.steps > 0)[..., None], np.array(STEPPED), np.array(SAME))
    # Borders are thinner than a pixel of the picture's mask would allow: flow without one is shown dark.
    borders = sheet.inked(np.where(border[..., None], stepped, 45), mask)
    return [
        Panel(
            "What comes in",
            ("wrapped velocity: what is faster than the", "Nyquist velocity shows the opposite color"),
            sheet.velocity(e.frame.velocity.wrapped_velocity_m_s, mask, nyquist),
            bar=_velocity_bar(sheet, nyquist),
        ),
        Panel(
            f"{e.regions.max() + 1} regions",
            ("inside each the phase stays within 1/8 turn,", "so that no fold can lie in one"),
            sheet.inked(inks, mask),
        ),
        Panel(
            "What their borders say",
            ("most: no fold between the two; some: the", "phase jumps, one fold more on the far side"),
            borders,
            inks=[(SAME, "same fold"), (STEPPED, "one fold apart")],
        ),
    ]


def _second_phase(sheet: Sheet) -> list[Panel]:
    e = sheet.evidence
    inks = _fold_inks()
    alone, summed = (_percent(sheet.numbers[f"second_{of}_right"]) for of in ("pixels", "regions"))
    return [
        Panel("Each pixel on its own", ("the fold that the echo's two sub-bands say:", f"right in {alone} of the flow"),
              sheet.folds(e.second_pixels), inks=inks),
        Panel("Summed by region", ("noise averages out, most in large regions:", f"right in {summed} of the flow"),
              sheet.folds(e.second_regions), inks=inks),
        Panel("True folds", ("of the simulation; borders and the sum over", "whole groups of regions do the rest"),
              sheet.folds(np.where(e.judged, e.true_fold, 0), e.judged), inks=inks),
    ]  # fmt: skip


def _anchors(sheet: Sheet) -> list[Panel]:
    e = sheet.evidence
    mask, known = e.frame.velocity.mask, np.isfinite(e.before)
    wall = ndimage.maximum_filter(e.wall, 3)  # a line of single pixels would hardly be seen
    walls, weight = wall > 0, np.clip(1.5 * wall, 0, 1)[..., None]
    wall_inks = np.where(walls[..., None], 90 + weight * (np.array((255, 230, 90)) - 90), 45)
    before = np.where(known, e.before, 0)
    right = _percent(sheet.numbers["before_right"])
    ramp = _confidence_inks(np.linspace(0.5, 1, 160)[None].repeat(14, axis=0))
    return [
        Panel("Walls", ("flow beside a wall is slow: these pixels say", "fold 0, the slower they look the louder"),
              sheet.inked(wall_inks, mask), inks=[((255, 230, 90), "fold 0")]),
        Panel("The frame before", ("10 ms earlier: the fold that changes a pixel's",
                                   f"velocity least, right in {right} of the flow"),
              sheet.folds(before, known), inks=_fold_inks()),
        Panel("Confidence", ("by how far a group's fold leads, and by the", "weakest border on the way"),
              sheet.inked(_confidence_inks(e.frame.velocity.confidence), mask), bar=(ramp, "0.5", "1")),
    ]  # fmt: skip


def _result(sheet: Sheet) -> list[Panel]:
    e = sheet.evidence
    velocity = e.frame.velocity
    wrong = e.judged & (velocity.fold != e.true_fold)
    inks = np.where(wrong[..., None], np.array(WRONG), np.round(np.array(PLAIN_INK) * 0.6))
    doubt, trust = (sheet.numbers[f"confidence_{kind}"] for kind in ("wrong", "right"))
    bar = _velocity_bar(sheet, sheet.scale_m_s)
    return [
        Panel("Dealiased", ("all evidence together; the color bar ends at",
                            f"{sheet.scale_m_s / sheet.nyquist_m_s:.1f} times the Nyquist velocity"),
              sheet.velocity(velocity.velocity_m_s, velocity.mask, sheet.scale_m_s), bar=bar),
        Panel("Truth", ("of the simulation, on the same scale,", "also where no color is shown"),
              sheet.velocity(e.truth.velocity_m_s, e.truth.mask, sheet.scale_m_s), bar=bar),
        Panel(f"Wrong: {_percent(sheet.numbers['wrong_as_shown'])} of the flow",
              ("along one branch's walls; confidence there is", f"{doubt:.2f} in the median, elsewhere {trust:.2f}"),
              sheet.inked(inks, e.judged), inks=[(WRONG, "wrong fold")]),
    ]  # fmt: skip


FIGURES: dict[str, Callable[[Sheet], list[Panel]]] = {
    "evidence_regions.png": _regions,
    "evidence_second_phase.png": _second_phase,
    "evidence_anchors.png": _anchors,
    "evidence_result.png": _result,
}


def _fold_inks() -> list[tuple[Ink, str]]:
    plain: Ink = tuple(np.round(PLAIN_INK * 0.6).astype(int).tolist())
    return [(FOLD_INKS.get(fold, plain), signed(fold)) for fold in (-2, -1, 0, 1, 2)]


def _confidence_inks(confidence: Map) -> Map:
    """Dark red at 0.5 and below, through orange, to white at 1."""
    at = np.clip((confidence - 0.5) / 0.5, 0, 1)
    stops, inks = (0.0, 0.6, 0.85, 1.0), np.array([(90, 0, 30), (220, 70, 20), (250, 190, 60), (245, 250, 245)])
    return np.stack([np.interp(at, stops, inks[:, channel]) for channel in range(3)], axis=-1)


def _velocity_bar(sheet: Sheet, scale_m_s: float) -> tuple[Pixels, str, str]:
    table = color_map(sheet.evidence.config.display.color_map)
    ends = _cm_s(scale_m_s)
    return table[None, np.linspace(0, len(table) - 1, 160).astype(int)].repeat(14, axis=0), f"-{ends}", f"+{ends} cm/s"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _cm_s(speed_m_s: float) -> str:
    return f"{sensible(speed_m_s * 100):g}"


def compose(panels: Sequence[Panel]) -> Image.Image:
    """Panels side by side, words above, colors below."""
    height = max(panel.image.shape[0] for panel in panels)
    sheet = Image.new("RGB", (len(panels) * (PANEL + GAP) + GAP, TOP + height + LEGEND))
    pen, heading, small = ImageDraw.Draw(sheet), load_font(19), load_font(15)
    for column, panel in enumerate(panels):
        left = GAP + column * (PANEL + GAP)
        pen.text((left, 2), panel.heading, TEXT, heading)
        for line, text in enumerate(panel.lines):
            pen.text((left, 24 + 17 * line), text, DIM, small)
        sheet.paste(Image.fromarray(panel.image), (left, TOP))
        y = TOP + height + 14
        if panel.bar is not None:
            strip, low, high = panel.bar
            pen.text((left, y + 7), low, TEXT, small, anchor="lm")
            at = left + 12 + round(small.getlength(low))
            sheet.paste(Image.fromarray(strip.astype(np.uint8)), (at, y))
            pen.text((at + strip.shape[1] + 12, y + 7), high, TEXT, small, anchor="lm")
        _draw_inks(pen, left, y, panel.inks, small)
    return sheet


def _draw_inks(pen: ImageDraw.ImageDraw, left: int, y: int, inks: Sequence[tuple[Ink, str]], font: Any) -> None:
    for ink, text in inks:
        pen.rectangle([left, y, left + 22, y + 14], ink)
        pen.text((left + 30, y + 7), text, TEXT, font, anchor="lm")
        left += 30 + round(font.getlength(text)) + 22


def draw_figures(evidence: Evidence, folder: Path) -> None:
    """Write all figures."""
    sheet = Sheet(evidence)
    with Outputs() as outputs:
        for name, panels in FIGURES.items():
            compose(panels(sheet)).save(outputs.add(folder / name), format="PNG", optimize=True)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
def _main(folder: Path) -> None:
    """Draw the evidence of one simulated frame into FOLDER."""
    evidence, made = gather(URL, index=INDEX, config=Config().override(SETTINGS)), provenance()
    draw_figures(evidence, folder)
    if folder.resolve() == KEPT:
        keep(as_document(numbers(evidence), source=URL, index=INDEX, made=made))


if __name__ == "__main__":
    _main()
