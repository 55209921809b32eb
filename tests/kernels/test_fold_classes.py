"""fold_classes.cu against its reference, ties and extremes."""

from __future__ import annotations

import numpy as np
import pytest
from tolerances import EPS

from trueflow.kernels.fold_classes import BACKGROUND, FoldClasses, fold_classes_reference

# exp2_approximate: 2e-7 relative. Its argument is rounded twice, which moves a share p = 2^-a by at most
# 2 a p EPS ln 2 < EPS; a sum of six, a division and a product follow.
SOFTMAX = 2e-7 + 10 * EPS


@pytest.mark.parametrize(("shape", "padded"), [((41, 37), (48, 48)), ((16, 32), (16, 32)), ((1, 1), (16, 16))])
@pytest.mark.parametrize("spread", [0.1, 5.0, 100.0])
def test_matches_the_reference_and_crops(device, rng, shape, padded, spread):
    logits = rng.normal(0, spread, (1, 6, *padded)).astype(np.float32)
    fold_class, probability, folds = FoldClasses(device, shape=shape, padded=padded)(logits)
    expected = fold_classes_reference(logits, shape=shape)
    assert fold_class.dtype == np.int8
    assert folds.shape == (5, *shape)
    np.testing.assert_array_equal(fold_class, expected[0])
    np.testing.assert_allclose(probability, expected[1], atol=SOFTMAX)
    np.testing.assert_allclose(folds, expected[2], atol=SOFTMAX)
    np.testing.assert_allclose(folds.sum(axis=0), 1, atol=5 * SOFTMAX)


@pytest.mark.parametrize(
    ("logits", "fold", "probability", "folds"),
    [
        ([0, 0, 0, 0, 0, 0], BACKGROUND, 1 / 6, [0.2] * 5),  # the first of equals
        ([-1, 3, 3, 3, 3, 3], -2, 1 / (5 + np.exp(-4)), [0.2] * 5),
        ([-1e30, -1e30, 1e30, 0, 0, 0], -1, 1, [0, 1, 0, 0, 0]),
        ([1e30, -1e30, 1e30, 0, 0, 0], BACKGROUND, 0.5, [0, 1, 0, 0, 0]),
        ([1e4, -1e4, -1e4, -1e4, -1e4, -9990], BACKGROUND, 1, [4.539e-5] * 4 + [0.999818]),
        ([5, 0, 0, 0, 0, 4], BACKGROUND, 1 / (1 + np.exp(-1) + 4 * np.exp(-5)), None),
        ([4, 0, 0, 0, 0, 5], 2, 1 / (1 + np.exp(-1) + 4 * np.exp(-5)), None),
    ],
)
def test_ties_and_extremes(device, logits, fold, probability, folds):
    tensor = np.zeros((1, 6, 16, 16), np.float32)
    tensor[0, :, 0, 0] = logits
    ours = FoldClasses(device, shape=(1, 1), padded=(16, 16))(tensor)
    assert ours[0][0, 0] == fold
    assert ours[1][0, 0] == pytest.approx(probability, abs=SOFTMAX)
    if folds is not None:
        np.testing.assert_allclose(ours[2][:, 0, 0], folds, atol=1e-6)


def test_logits_smaller_than_the_image_are_refused(device):
    with pytest.raises(ValueError, match="at least the image's"):
        FoldClasses(device, shape=(20, 16), padded=(16, 16))
