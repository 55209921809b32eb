"""The pictures of the evidence show what the engine has heard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from trueflow.benchmarks.evidence import Evidence, border_steps, gather, second_agreement, wall_weights
from trueflow.benchmarks.evidence_page import as_document, as_part, numbers
from trueflow.benchmarks.evidence_pictures import FIGURES, INDEX, URL, draw_figures
from trueflow.benchmarks.generated import load_results
from trueflow.pipeline.cli.demo import SETTINGS
from trueflow.pipeline.config import Config

LARGEST_BYTES = 200_000
PHASE_CLASSES = 8


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return gather(URL, index=INDEX, config=Config().override(SETTINGS))


def phase_and_coherence(evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    doppler = evidence.frame.doppler
    return np.angle(doppler.r1) / (2 * np.pi), np.abs(doppler.r1) / np.maximum(doppler.r0, 1e-30)


def test_the_scene_aliases_strongly_and_most_of_it_is_put_right(evidence: Evidence) -> None:
    velocity = evidence.frame.velocity
    assert np.abs(evidence.truth.velocity_m_s[evidence.judged]).max() > 2.5 * velocity.nyquist_velocity_m_s
    assert evidence.share_right(np.zeros_like(velocity.fold)) < 0.6
    assert evidence.share_right(velocity.fold) > 0.95


def test_regions_are_connected_pixels_of_one_phase_class(evidence: Evidence) -> None:
    turns, _ = phase_and_coherence(evidence)
    mask = evidence.frame.velocity.mask
    classes = np.clip(((turns + 0.5) * PHASE_CLASSES).astype(int), 0, PHASE_CLASSES - 1)
    expected = sum(ndimage.label(mask & (classes == c))[1] for c in range(PHASE_CLASSES))
    assert evidence.regions.max() + 1 == pytest.approx(expected, abs=5)  # a phase on an edge of classes may be rounded
    assert np.array_equal(evidence.regions >= 0, mask)


def test_the_votes_of_walls_add_up_to_the_engines(evidence: Evidence) -> None:
    flow = evidence.regions >= 0
    summed = np.bincount(evidence.regions[flow], evidence.wall[flow])
    np.testing.assert_allclose(summed, evidence.engine.wall_votes()[: summed.size], atol=0.25)  # each is rounded
    assert summed.sum() > 10


def test_the_votes_of_the_second_phase_add_up_to_the_engines(evidence: Evidence) -> None:
    second = evidence.frame.doppler.second
    assert second is not None
    heard = evidence.regions >= 0
    heard[1::2] = False  # the engine hears every other row, and counts it twice
    agreement = 2 * second_agreement(second, *phase_and_coherence(evidence))[heard]
    ours = np.stack([np.bincount(evidence.regions[heard], votes) for votes in agreement.T], axis=1)
    theirs = evidence.engine.second_votes()[: len(ours)]
    assert np.abs(ours - theirs).max() < 0.02 * np.abs(theirs).max()


def test_borders_vote_for_a_step_where_a_ramp_wraps_and_nowhere_else() -> None:
    unwrapped = np.broadcast_to(np.linspace(-0.4, 1.9, 93), (40, 93))
    fold = np.rint(unwrapped)
    turns = unwrapped - fold
    classes = np.floor((unwrapped + 0.5) * PHASE_CLASSES).astype(int)
    steps = border_steps(turns, np.ones_like(turns), classes - classes.min())
    wraps, borders = np.diff(fold, axis=1) != 0, np.diff(classes, axis=1) != 0
    assert wraps.any()
    np.testing.assert_array_equal(steps[:, :-1] == 1, wraps)
    np.testing.assert_array_equal(steps[:, :-1] == 0, borders & ~wraps)


def test_walls_are_long_runs_without_flow_and_not_the_images_border() -> None:
    regions = np.full((64, 64), -1)
    regions[30:40] = 0  # a vessel across the image
    regions[34:36, 20:22] = -1  # a pinhole in it
    weights = wall_weights(np.zeros((64, 64)), np.ones((64, 64)), regions)
    assert {int(row) for row in np.nonzero(weights)[0]} == {30, 39}


def test_the_figures_are_small_and_alike(evidence: Evidence, tmp_path: Path) -> None:
    draw_figures(evidence, tmp_path)
    sizes = set()
    for name in FIGURES:
        assert (tmp_path / name).stat().st_size < LARGEST_BYTES
        with Image.open(tmp_path / name) as figure:
            sizes.add(figure.size)
    assert len(sizes) == 1


def test_the_figures_are_in_the_docs() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs"
    page = (docs / "dealiasing.md").read_text(encoding="utf-8")
    for name in FIGURES:
        assert f"(pictures/{name})" in page
        assert (docs / "pictures" / name).stat().st_size < LARGEST_BYTES


def test_the_numbers_kept_are_of_the_frame_in_the_pictures(evidence: Evidence) -> None:
    kept = load_results()["evidence"]
    assert (kept["source"], kept["index"]) == (URL, INDEX)
    found = numbers(evidence)
    assert found == pytest.approx(kept["numbers"], rel=0.02, abs=0.01), "make pictures"


def test_the_vein_is_the_slow_vessel_and_what_is_wrong_less_coherent(evidence: Evidence) -> None:
    found = numbers(evidence)
    slow = np.abs(evidence.truth.velocity_m_s) < 0.3 * evidence.frame.velocity.nyquist_velocity_m_s
    below = np.arange(evidence.regions.shape[0])[:, None] > 0.6 * evidence.regions.shape[0]
    vein = evidence.judged & slow & below
    assert found["confidence_vein"] == pytest.approx(np.median(evidence.frame.velocity.confidence[vein]), abs=0.02)
    assert found["coherence_wrong"] < found["coherence_right"]
    assert found["wrong_as_shown"] == pytest.approx(1 - evidence.share_right(evidence.frame.velocity.fold))


def test_the_table_tells_what_is_kept() -> None:
    found = dict.fromkeys(load_results()["evidence"]["numbers"], 0.5) | {"wrong_as_shown": 0.123}
    made = {"processor": "X", "cores": "2", "date": "2026-01-01", "commit": "abc"}
    text = as_part(as_document(found, source="sim://x", index=3, made=made))
    assert all(told in text for told in ("12 %", "Frame 3 of `sim://x`", "commit abc"))
