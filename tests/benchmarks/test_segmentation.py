"""Scores of the segmentation network: counts by hand, goals, the page, and one simulated case through it all."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

from trueflow.benchmarks.command import bench
from trueflow.benchmarks.dealias_tally import tally
from trueflow.benchmarks.dealias_timing import TimedRow
from trueflow.benchmarks.segmentation import (
    FrameScore,
    SegmentationTally,
    Stages,
    as_in_the_chain,
    pooled,
    run_scenes,
    segmentation_tally,
)
from trueflow.benchmarks.segmentation_page import as_document, as_page, goals
from trueflow.benchmarks.segmentation_timing import BOTH_ROW, CHAIN_ROW
from trueflow.benchmarks.timing import Timing
from trueflow.benchmarks.validation import cases_of, load_scene
from trueflow.kernels import get_device
from trueflow.pipeline import Stamp
from trueflow.pipeline.frames import Segmentation, VelocityFrame
from trueflow.pipeline.sources.base import Truth

MADE = {"date": "2026-01-01", "commit": "abc", "processor": "x", "cores": "2", "load_average": [0.0, 0.0, 0.0]}
NYQUIST = 0.5  # so that a fold is 1 m/s


def one_row(true_folds, said_folds, *, noise=0.0, mask=None, drawn_folds=None):
    """Segmentation, engine's frame and truth of a row of pixels; the engine folds as `drawn_folds`, else rightly."""
    true = np.array([true_folds], np.float32)
    wrapped = np.full(true.shape, 0.1, np.float32)
    folds = np.zeros((5, *true.shape), np.float32)
    for column, fold in enumerate(said_folds):
        folds[fold + 2, 0, column] = 1
    fold = np.array([true_folds if drawn_folds is None else drawn_folds], np.int8)
    shown = np.ones(true.shape, bool) if mask is None else np.array([mask])
    velocity = wrapped + fold
    frame = VelocityFrame(velocity, wrapped, fold, np.ones_like(wrapped), shown, NYQUIST, Stamp(0))
    truth = Truth((wrapped + true - noise).astype(np.float32), true > -99)
    return Segmentation(fold, np.ones_like(wrapped), folds, Stamp(0)), frame, truth


def test_pixels_are_counted():
    rates = segmentation_tally(*one_row([0, 0, 1, 1, 2, -1], [0, 1, 1, 0, 1, -1]), 2.0).rates()
    assert rates["right_folds"] == pytest.approx(3 / 6)
    assert rates["aliased_iou"] == pytest.approx(3 / 5)


def test_folds_beyond_the_classes_count_as_the_last_of_them():
    found = segmentation_tally(*one_row([3, -4, 3], [2, -2, 1]), 2.0)
    assert (found.n_right, found.n_both) == (2, 3)


def test_what_the_mask_hides_does_not_count():
    found = segmentation_tally(*one_row([1, 1, 0], [0, 1, 0], mask=[False, True, True]), 2.0)
    assert found.rates()["aliased_iou"] == 1
    assert found.n_flow == 2


def test_rmse_is_of_aliased_pixels_over_the_peak_and_has_its_floor_beside_it():
    data = one_row([0, 1, 1], [0, 1, 1], noise=0.1, drawn_folds=[2, 1, 0])  # one aliased pixel left as it was
    rates = segmentation_tally(*data, 2.0).rates()
    assert rates["rmse_floor"] == pytest.approx(0.1 / 2)
    assert rates["rmse"] == pytest.approx(math.sqrt((0.1**2 + 0.9**2) / 2) / 2)


def test_a_frame_without_aliasing_has_no_iou():
    rates = segmentation_tally(*one_row([0, 0], [0, 0]), 2.0).rates()
    assert math.isnan(rates["aliased_iou"])
    assert math.isnan(rates["rmse"])
    assert rates["right_folds"] == 1


def score(name, family, said, drawn=None, alone=None):
    """A frame whose six pixels are truly folded once; `alone` is the engine's answer without the network."""
    data = one_row([1] * 6, said, drawn_folds=drawn)
    before = one_row([1] * 6, said, drawn_folds=alone)
    counts = segmentation_tally(*data, 2.0)
    return FrameScore(name, family, 1.7, {"int8": counts, "fp32": counts}, tally(*before[1:]), tally(*data[1:]))


def test_counts_add_up_over_frames():
    scores = [score("a", "bulb", [1] * 6), score("b", "bulb", [0] * 6)]
    precisions, _, together = pooled(scores)
    assert precisions["int8"].rates()["aliased_iou"] == pytest.approx(0.5)
    assert together.n_flow == 12
    assert (SegmentationTally() + SegmentationTally(n_flow=3)).n_flow == 3


def timing(seconds):
    return Timing.of([seconds] * 3)


@pytest.fixture
def document():
    scenes = [
        score("bulb-1", "bulb", [1] * 6),
        score("femoral-1", "femoral", [1] * 5 + [0], alone=[0] * 6, drawn=[1] * 4 + [0] * 2),
        score("plug-1", "plug", [1] * 6, alone=[0] * 6, drawn=[1] + [0] * 5),
    ]
    rows = [TimedRow((192, 256), BOTH_ROW, timing(8e-3)), TimedRow((192, 256), CHAIN_ROW, timing(50e-3))]
    disk = [score("1 in 2", "disk", [1] * 6)]
    network = {"name": "test", "version": "1"}
    return as_document(network=network, provenance=MADE, scenes=scenes, disk=disk, timing=rows)


def test_goals_are_judged(document):
    met = {goal.what: (goal.met, goal.found) for goal in goals(document)}
    assert met["aliased IoU, families held out"] == (False, "bulb 1.000, femoral 0.833")
    assert met["aliased IoU, real disk"] == (True, "1 in 2 1.000")
    (folds,) = (value for what, value in met.items() if "halve" in what)
    assert folds == (False, "plug (100.00 %, 83.33 % with it)")
    assert met["median of network and engine, 192 x 256"] == (True, "8.0 ms")
    assert met["whole chain, femoral"] == (False, "20.0 frames/s")
    assert met["RMSE of dealiased pixels over the scene's peak velocity, real disk"][0]
    assert not met["RMSE of dealiased pixels over the scene's peak velocity, families held out"][0]


def test_the_document_is_json_and_the_page_says_what_was_held_out(document):
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    page = as_page(document)
    assert "| bulb* |" in page
    assert "| plug |" in page
    assert "| held out* |" in page
    assert "| 1 in 2 |" in page
    assert "nan" not in page
    assert "None" not in page


def test_parts_that_were_not_run_are_not_there():
    document = as_document(network={}, provenance=MADE)
    assert not goals(document)
    assert "##" not in as_page(document)


def test_one_case_from_the_simulation_to_the_score(tmp_path):
    device = get_device("cpu", n_threads=2)
    case = next(c for c in cases_of(("straight",)) if c.peak == 1.7)
    (result,) = run_scenes([case], ["int8"], folder=tmp_path, device=device)
    rates = result.by_precision["int8"].rates()
    assert rates["right_folds"] > 0.8  # one vessel, once aliased, of a family that it was trained on
    assert rates["aliased_iou"] > 0.6
    assert result.together.wrong_fold_rate < 0.02
    scene = load_scene(case, tmp_path, device)
    near = as_in_the_chain(scene, device).doppler.second
    assert near is not None
    assert scene.doppler.second is not None
    kept = near.phasor != 0
    assert 0.02 < kept.mean() < 0.9
    np.testing.assert_array_equal(near.phasor[kept], scene.doppler.second.phasor[kept])
    assert Stages(device, ["int8"])("int8", (16, 16)).description == "unet_int8 (int8) by openvino"


def test_the_command_has_its_options():
    shown = CliRunner().invoke(bench, ["segmentation", "--help"])
    assert shown.exit_code == 0
    for option in ("--update", "--part", "--family", "--precision", "--rounds"):
        assert option in shown.output


def test_what_the_project_keeps_is_a_whole_run():
    refused = CliRunner().invoke(bench, ["segmentation", "--update", "--part", "disk"])
    assert refused.exit_code == 2
    assert "a whole run" in refused.output
