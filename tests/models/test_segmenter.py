"""From maps to classes: any size, any second phase, the engine that was asked for and no other."""

from __future__ import annotations

import numpy as np
import pytest
from arrays import complex_noise

from trueflow.kernels.features import Features, features_reference
from trueflow.kernels.fold_agreement import fold_agreement_reference
from trueflow.kernels.fold_classes import BACKGROUND, CLASS_FOLDS, fold_classes_reference
from trueflow.kernels.predictions import ratio_table
from trueflow.models import features as numpy_features
from trueflow.models.openvino_engine import OpenVinoEngine
from trueflow.models.segmenter import ENGINES, Segmenter
from trueflow.models.weights import NetworkError, load_shipped

TABLE = ratio_table(0.2)


def speckle(rng, shape):
    """r0, phase, coherence, envelope, second: as a frame has them, but without flow."""
    r0 = rng.exponential(size=shape).astype(np.float32)
    phase = rng.uniform(-0.5, 0.5, shape).astype(np.float32)
    coherence = rng.random(shape, dtype=np.float32)
    envelope = rng.rayleigh(size=shape).astype(np.float32)
    second = complex_noise(rng, *shape)
    return r0, phase, coherence, envelope, (second / np.maximum(np.abs(second), 1), TABLE)


@pytest.mark.parametrize("shape", [(40, 56), (33, 47), (1, 1), (16, 16)])
def test_the_parts_are_put_together(device, rng, tiny_path, tiny, shape):
    maps = speckle(rng, shape)
    segmenter = Segmenter(device, shape=shape, network=tiny_path)
    fold_class, probability, folds = segmenter(*maps)
    features = Features(device, shape=shape)
    logits = OpenVinoEngine(device, tiny, padded=features.padded)(features(*maps))
    expected = fold_agreement_reference(maps[1], maps[2], *fold_classes_reference(logits, shape=shape))
    np.testing.assert_array_equal(fold_class, expected[0])
    np.testing.assert_allclose(probability, expected[1], atol=1e-6)
    np.testing.assert_allclose(folds, expected[2], atol=1e-6)
    assert segmenter.description == "tiny (own) by openvino"


def test_a_frame_does_not_change_the_answers_to_the_one_before(device, rng, tiny_path):
    segmenter = Segmenter(device, shape=(33, 47), network=tiny_path)
    first = segmenter(*speckle(rng, (33, 47)))
    kept = [array.copy() for array in first]
    second = segmenter(*speckle(rng, (33, 47))[:4])
    for array, before, after in zip(first, kept, second, strict=True):
        np.testing.assert_array_equal(array, before)
        assert (after != before).any()


@pytest.mark.parametrize("precision", ["auto", "int8", "fp32"])
def test_the_shipped_network_answers_in_its_classes(device, rng, precision):
    segmenter = Segmenter(device, shape=(50, 70), precision=precision)
    fold_class, probability, folds = segmenter(*speckle(rng, (50, 70)))
    assert set(np.unique(fold_class)) <= {BACKGROUND, *CLASS_FOLDS}
    assert (probability >= 1 / 2 / 5 - 1e-6).all()  # flow is likelier than background, and a fold than the others
    np.testing.assert_allclose(folds.sum(axis=0), 1, atol=1e-5)
    assert segmenter.network.precision == ("int8" if precision == "auto" else precision)


def test_device_and_training_see_the_same(device, rng):
    """The one takes levels from a histogram, the other by sorting: half a decibel is harmless."""
    maps = speckle(rng, (120, 100))
    seen, learned = features_reference(*maps), numpy_features.features(*maps)
    apart = np.abs(seen - learned).max(axis=(1, 2))
    assert apart[3] * 40 < 0.5
    assert apart[4] * 60 < 0.5
    assert np.delete(apart, [3, 4]).max() < 1e-5
    assert (len(seen), CLASS_FOLDS) == (numpy_features.N_CHANNELS, numpy_features.FOLDS)


def test_an_unknown_engine_is_answered_with_the_choices(device):
    with pytest.raises(NetworkError, match="'onnx' is unknown; choices: auto, openvino, tensorrt"):
        Segmenter(device, shape=(16, 16), engine="onnx")


def test_tensorrt_is_not_replaced_on_the_cpu(device, tiny_path):
    with pytest.raises(NetworkError, match="'tensorrt' runs on device 'cuda', not on 'cpu'"):
        Segmenter(device, shape=(16, 16), engine="tensorrt", network=tiny_path)


def test_every_engine_has_a_precision_that_is_shipped():
    for preferred in ENGINES.values():
        load_shipped(preferred)
