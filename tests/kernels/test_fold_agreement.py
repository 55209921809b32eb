"""fold_agreement.cu against its reference, and what it is for: borders of folds as sharp as the phase's own."""

from __future__ import annotations

import numpy as np
import pytest
from flows import tube, wrapped
from tolerances import EPS

from trueflow.kernels import get_device
from trueflow.kernels.fold_agreement import FoldAgreement, fold_agreement_reference
from trueflow.kernels.fold_classes import BACKGROUND, CLASS_FOLDS

# A sum of 25 products, a sum of five such, a quotient.
AGREED = 40 * EPS


def random_inputs(rng, shape):
    phase = rng.uniform(-0.5, 0.5, shape).astype(np.float32)
    coherence = rng.uniform(0, 1, shape).astype(np.float32)
    folds = np.ascontiguousarray(rng.dirichlet(np.full(5, 0.3), shape).transpose(2, 0, 1), np.float32)
    fold_class = np.array(CLASS_FOLDS, np.int8)[folds.argmax(axis=0)]
    background = rng.random(shape) < 0.2
    probability = (folds.max(axis=0) * rng.uniform(0.5, 1, shape)).astype(np.float32)
    return phase, coherence, np.where(background, np.int8(BACKGROUND), fold_class), probability, folds


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (3, 2), (7, 64), (21, 131)])
def test_matches_the_reference(device, rng, shape):
    phase, coherence, fold_class, probability, folds = random_inputs(rng, shape)
    expected = fold_agreement_reference(phase, coherence, fold_class, probability, folds)
    agreed = FoldAgreement(device, shape=shape)(phase, coherence, fold_class, probability, folds)
    np.testing.assert_allclose(agreed, expected[2], atol=AGREED)
    np.testing.assert_allclose(agreed.sum(axis=0), 1, atol=10 * EPS)
    np.testing.assert_allclose(probability, expected[1], atol=2 * AGREED)
    ordered = np.sort(expected[2], axis=0)
    clear = ordered[-1] - ordered[-2] > 2 * AGREED
    assert clear.mean() > 0.95 or clear.size < 10
    np.testing.assert_array_equal(fold_class[clear], expected[0][clear])


def test_the_border_moves_to_where_the_phase_wraps(device):
    """A classifier that is right but for blocks of 2 x 2 along the border."""
    turns, mask = tube((64, 64), center=32, radius=24, peak_v_n=1.7)
    phase, truth = wrapped(turns)
    blocks = truth[::2, ::2].repeat(2, axis=0).repeat(2, axis=1)
    folds = np.full((5, 64, 64), 0.05, np.float32)
    np.put_along_axis(folds, blocks[None].astype(int) + 2, 0.8, axis=0)
    fold_class, probability = blocks.astype(np.int8), np.full((64, 64), 0.8, np.float32)
    assert np.mean((fold_class != truth)[mask]) > 0.02
    coherence = np.where(mask, 0.9, 0.1).astype(np.float32)
    FoldAgreement(device, shape=(64, 64))(phase, coherence, fold_class, probability, folds)
    assert np.mean((fold_class != truth)[mask]) < 0.002


def test_opposite_flow_gives_opposite_folds(device, rng):
    phase, coherence, fold_class, probability, folds = random_inputs(rng, (20, 30))
    plan = FoldAgreement(device, shape=(20, 30))
    agreed = plan(phase, coherence, fold_class.copy(), probability.copy(), folds)
    opposite = plan(-phase, coherence, fold_class.copy(), probability.copy(), folds[::-1].copy())
    np.testing.assert_allclose(opposite[::-1], agreed, atol=AGREED)


def test_where_nothing_is_coherent_everybody_keeps_to_himself(device, rng):
    phase, _, fold_class, probability, folds = random_inputs(rng, (9, 12))
    kept = fold_class.copy()
    agreed = FoldAgreement(device, shape=(9, 12))(phase, np.zeros_like(phase), fold_class, probability, folds)
    np.testing.assert_array_equal(agreed, folds)
    np.testing.assert_array_equal(fold_class, kept)


def test_same_bits_whatever_the_thread_count(rng):
    phase, coherence, fold_class, probability, folds = random_inputs(rng, (61, 150))
    first, *others = (
        FoldAgreement(get_device("cpu", n_threads=n), shape=(61, 150))(
            phase, coherence, fold_class.copy(), probability.copy(), folds
        )
        for n in (1, 2, 3)
    )
    for other in others:
        np.testing.assert_array_equal(other, first)
