"""Counting pixels: what adds up, and what a rate is of."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trueflow.benchmarks.dealias_peers import PEERS, folded, installed, oracle_anchored
from trueflow.benchmarks.dealias_tally import CONFIDENCE_EDGES, Tally, tally
from trueflow.pipeline.frames import DopplerFrame, Stamp, VelocityFrame
from trueflow.pipeline.score import fold_score
from trueflow.pipeline.sources.base import Truth

V_N = 0.3


def frame_of(wrapped_v_n, fold, mask=None, confidence=0.0) -> VelocityFrame:
    wrapped = np.float32(V_N) * np.asarray(wrapped_v_n, np.float32)
    fold = np.asarray(fold, np.int8)
    mask = np.ones(fold.shape, np.bool_) if mask is None else np.asarray(mask, np.bool_)
    velocity = wrapped + np.float32(2 * V_N) * fold
    confidence = np.broadcast_to(np.asarray(confidence, np.float32), fold.shape)
    return VelocityFrame(velocity, wrapped, fold, confidence, mask, V_N, Stamp(0))


def truth_of(velocity_v_n, mask=None) -> Truth:
    velocity = np.float32(V_N) * np.asarray(velocity_v_n, np.float32)
    return Truth(velocity, np.ones(velocity.shape, np.bool_) if mask is None else np.asarray(mask, np.bool_))


def random_pair(shape=(23, 17)) -> tuple[VelocityFrame, Truth]:
    rng = np.random.default_rng(3)
    true = rng.uniform(-3, 3, shape)
    wrapped = (true + 1) % 2 - 1
    fold = np.rint((true - wrapped) / 2) + (rng.random(shape) < 0.2)
    frame = frame_of(wrapped, fold, rng.random(shape) < 0.8, rng.random(shape))
    return frame, truth_of(true + rng.normal(0, 0.05, shape), rng.random(shape) < 0.7)


def test_one_frame_is_scored_as_everywhere_else():
    frame, truth = random_pair()
    counts, score = tally(frame, truth), fold_score(frame, truth)
    assert counts.n_flow == score.n_flow_pixels
    assert 0 < counts.wrong_fold_rate == pytest.approx(score.wrong_fold_rate)
    assert 0 < counts.false_fold_rate_on_unaliased == pytest.approx(score.false_fold_rate_on_unaliased)
    assert counts.rmse_v_n == pytest.approx(score.rmse_m_s / V_N, rel=1e-5)
    assert counts.aliased_iou == pytest.approx(score.aliased_iou)


def test_frames_weigh_by_their_pixels():
    few = tally(frame_of([[0.5]], [[1]]), truth_of([[0.5]]))
    many = tally(frame_of(np.full((3, 33), 0.5), np.zeros((3, 33))), truth_of(np.full((3, 33), 0.5)))
    assert few.wrong_fold_rate == 1
    assert many.wrong_fold_rate == 0
    assert (few + many).wrong_fold_rate == pytest.approx(0.01)


def test_pixels_that_are_not_flow_are_not_judged():
    counts = tally(frame_of([[0.5, 0.5, 0.5]], [[1, 1, 0]], mask=[[0, 1, 1]]), truth_of([[0.5] * 3], mask=[[1, 0, 1]]))
    assert (counts.n_truth, counts.n_flow, counts.n_wrong) == (2, 1, 0)
    assert counts.coverage == 0.5


def test_confidence_of_nine_tenths_is_sure():
    confidence = [[0.0, 0.8999, 0.9, 0.97, 1.0]]
    counts = tally(frame_of([[0.1] * 5], [[0, 0, 0, 1, 0]], confidence=confidence), truth_of([[0.1] * 5]))
    assert counts.n_sure == 3
    assert counts.sure == pytest.approx(0.6)
    assert counts.sure_and_right == pytest.approx(2 / 3)
    assert counts.by_confidence.sum() == 5
    assert len(counts.by_confidence) == len(CONFIDENCE_EDGES)


def test_where_there_is_nothing_to_count_a_rate_is_nan():
    counts: Tally = tally(frame_of([[0.1]], [[0]], mask=[[0]]), truth_of([[0.1]]))
    assert counts.coverage == 0
    rates = counts.rates()
    assert all(math.isnan(value) for name, value in rates.items() if name != "coverage")


# Peers.


@pytest.mark.parametrize("off", [0, 3])
def test_a_peer_gets_the_better_of_its_own_fold_and_the_near_wall_rule(off):
    """Its own is better where the rim is aliased, the rule where the whole island is off."""
    true = np.full((9, 9), 2.2) if off == 0 else np.pad(np.full((5, 5), 2.2), 2, constant_values=0.2)
    mask = np.pad(np.ones((7, 7), np.bool_), 1)
    frame, truth = frame_of(np.full((9, 9), 0.2), np.zeros((9, 9)), mask), truth_of(true)
    right = np.rint((true - 0.2) / 2)
    got = oracle_anchored(right + off, frame, truth)
    assert tally(got, truth).n_wrong == 0
    np.testing.assert_allclose(got.velocity_m_s[mask], V_N * true[mask], atol=1e-6)


def test_folds_outside_the_mask_are_not_a_peer_s_business():
    mask = np.pad(np.ones((7, 7), np.bool_), 1)
    frame = frame_of(np.full((9, 9), 0.2), np.zeros((9, 9)), mask)
    doppler = DopplerFrame(np.ones((9, 9), np.complex64), np.ones((9, 9), np.float32), V_N, Stamp(0))
    fold = folded(lambda turns, coherence, mask: np.full(mask.shape, 2), frame, doppler)
    assert (fold[mask] == 2).all()
    assert (fold[~mask] == 0).all()


def test_a_peer_that_is_not_installed_is_skipped_with_the_command_that_installs_it(monkeypatch):
    def missing():
        raise ModuleNotFoundError("No module named 'kamui'")

    monkeypatch.setitem(PEERS, "kamui", missing)
    found, (skipped,) = installed(["kamui"])
    assert not found
    assert skipped.name == "kamui"
    assert "pip install kamui" in skipped.reason
