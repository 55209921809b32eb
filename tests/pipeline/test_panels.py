"""Three panels over a trace: each shows what its title says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from trueflow.pipeline.config import DisplayConfig
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.picture.panels import FOLD_INKS, Panels, fold_image
from trueflow.pipeline.picture.raster import Raster
from trueflow.pipeline.picture.trace import GATE_SIDE_M, Trace, choose_gate
from trueflow.pipeline.sources import Truth

PEAKS_M_S = 0.1, 0.5, 0.2  # v_N is 0.3
PANEL_PX, TRACE_TOP_PX = 524, 600


def truth_of(frame: ColorFrame) -> Truth:
    """The toy vessel's velocities are exact."""
    return Truth(frame.velocity.velocity_m_s, frame.velocity.mask)


@pytest.fixture
def beat(vessel: Any) -> tuple[list[ColorFrame], list[Truth]]:
    frames = [vessel.frame(index, peak_m_s=peak) for index, peak in enumerate(PEAKS_M_S)]
    return frames, [truth_of(frame) for frame in frames]


def panels_of(scene: Any, frames: list[ColorFrame], truths: list[Truth]) -> Panels:
    return Panels(
        scene.acquisition,
        scene.grid,
        DisplayConfig(),
        frames=frames,
        truths=truths,
        duration_s=12e-3,
        title="toy",
        caution="simulated",
        dealiaser="toy",
    )


def n_blue(picture: np.ndarray, panel: int) -> int:
    """Pixels of a panel in the colors of flow away from the probe."""
    colors = picture[:TRACE_TOP_PX, panel * PANEL_PX : (panel + 1) * PANEL_PX].astype(int)
    return int((colors[..., 2] > colors[..., 0] + 60).sum())


def test_raw_panel_shows_reversed_flow_where_it_aliases_and_the_dealiased_one_does_not(vessel: Any, beat: Any) -> None:
    panels = panels_of(vessel, *beat)
    slow, fast = panels(0), panels(1)
    assert slow.shape == fast.shape == (*panels.shape, 3) == (900, 1600, 3)
    assert n_blue(fast, 0) > n_blue(slow, 0) + 10_000
    assert n_blue(fast, 2) == n_blue(slow, 2)  # the color bar's own


def test_middle_panel_has_the_color_of_fold_one_only_while_flow_aliases(vessel: Any, beat: Any) -> None:
    panels = panels_of(vessel, *beat)
    count = [int((panels(index)[:TRACE_TOP_PX] == FOLD_INKS[1]).all(axis=-1).sum()) for index in range(3)]
    assert count[1] > count[0] + 10_000
    assert count[2] == count[0]  # the legend's own


def test_the_peak_is_the_frame_with_the_fastest_true_flow(vessel: Any, beat: Any) -> None:
    assert panels_of(vessel, *beat).peak == 1


def test_the_trace_shows_which_frame_is_drawn(vessel: Any) -> None:
    frames = [replace(vessel.frame(), velocity=vessel.frame(index).velocity) for index in range(2)]
    panels = panels_of(vessel, frames, [truth_of(frame) for frame in frames])
    first, second = panels(0), panels(1)
    assert (first[:TRACE_TOP_PX] == second[:TRACE_TOP_PX]).all()
    assert (first[TRACE_TOP_PX:] != second[TRACE_TOP_PX:]).any()
    assert (panels(0) == first).all()


def test_polar_grids_are_drawn_too(sector: Any) -> None:
    frame = sector.frame()
    picture = panels_of(sector, [frame], [truth_of(frame)])(0)
    assert (picture[:TRACE_TOP_PX] == FOLD_INKS[1]).all(axis=-1).sum() > 1_000


def test_no_frames_are_refused(vessel: Any) -> None:
    with pytest.raises(TrueflowError, match="no frames"):
        panels_of(vessel, [], [])


def test_folds_are_drawn_whole_flow_is_tinted_and_tissue_left_alone(vessel: Any) -> None:
    raster = Raster(vessel.grid, height_px=190, width_px=150)
    gray = np.full((*raster.shape, 3), 100, np.uint8)
    fold = np.zeros(vessel.grid.shape, np.int8)
    fold[:10], fold[10:15], fold[15:20], fold[20:25] = 1, 2, -3, -1
    mask = np.zeros(vessel.grid.shape, np.bool_)
    mask[:30] = True
    image = fold_image(gray, raster, fold, mask)
    assert (gray == 100).all()
    drawn = {tuple(color) for color in image.reshape(-1, 3).tolist()}
    tints = drawn - set(FOLD_INKS.values()) - {(100, 100, 100)}
    assert len(tints) == 1  # nothing is blended between folds
    assert drawn >= set(FOLD_INKS.values())  # -3 has the color of -2
    middles = [image[round(190 * (row + 0.5) / 40), 75] for row in (5, 12, 17, 22, 35)]
    assert [tuple(c) for c in middles] == [*(FOLD_INKS[n] for n in (1, 2, -2, -1)), (100, 100, 100)]


def test_fold_colors_are_apart_from_velocity_and_from_each_other() -> None:
    inks = np.array(list(FOLD_INKS.values()))
    distance = np.linalg.norm(inks[:, None] - inks[None], axis=-1)
    assert distance[~np.eye(len(inks), dtype=bool)].min() > 80


def test_gate_is_where_flow_aliases_and_whole(vessel: Any, beat: Any) -> None:
    gate = choose_gate(*beat, vessel.grid)
    assert gate.z_m == pytest.approx(10e-3, abs=0.5e-3)  # the axis of the vessel
    half = GATE_SIDE_M / 2
    x, z = vessel.grid.x_m, vessel.grid.z_m
    assert x.min() + half < gate.x_m < x.max() - half
    box = gate.rows, gate.columns
    assert np.ptp(z[box]) == pytest.approx(GATE_SIDE_M, abs=0.6e-3)
    assert np.ptp(x[box]) == pytest.approx(GATE_SIDE_M, abs=0.6e-3)


def test_trace_follows_truth_raw_wraps_and_gaps_stay_gaps(vessel: Any, beat: Any) -> None:
    frames, truths = beat
    blind = replace(frames[2].velocity, mask=np.zeros_like(frames[2].velocity.mask))
    frames = [*frames[:2], replace(frames[2], velocity=blind)]
    trace = Trace.at(choose_gate(frames, truths, vessel.grid), frames, truths, duration_s=12e-3)
    assert trace.truth_m_s == pytest.approx(PEAKS_M_S, rel=0.05)
    assert trace.dealiased_m_s[:2] == pytest.approx(PEAKS_M_S[:2], rel=0.05)
    assert trace.raw_m_s[:2] == pytest.approx([0.1, 0.5 - 0.6], rel=0.25)
    assert np.isnan(trace.dealiased_m_s[2])
    assert np.isnan(trace.raw_m_s[2])
    assert trace.time_s.tolist() == [0.0, 4e-3, 8e-3]
    low, high = trace.range_m_s
    assert low < -0.3
    assert high > 0.5
