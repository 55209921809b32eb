"""features.cu against its reference, and what the network counts on."""

from __future__ import annotations

import numpy as np
import pytest
from arrays import complex_noise
from tolerances import EPS, SINCOS, sum_of_products

from trueflow.kernels import get_device
from trueflow.kernels.features import MULTIPLE, N_FEATURES, Features, features_reference, level_reference
from trueflow.kernels.predictions import ratio_table

SHAPES = [(41, 37), (1, 1), (16, 32), (170, 129)]
POWER, ENVELOPE, SCORES = 3, 4, slice(5, 10)
TABLE = ratio_table(0.2)
# log2_approximate: what its series drops.
LOG2_SERIES = 1e-7


def frame(rng, shape):
    """Maps with nothing smooth about them: r0, phase, coherence, envelope, and a second phase in half of the rows."""
    r0, envelope = (rng.lognormal(0, 2, shape).astype(np.float32) for _ in range(2))
    phase = rng.uniform(-0.5, 0.5, shape).astype(np.float32)
    coherence = rng.random(shape, dtype=np.float32)
    second = complex_noise(rng, *shape)
    second /= np.maximum(np.abs(second), 1)
    second[1::2] = 0
    return (r0, phase, coherence, envelope), second


def decibel_bound(values, range_db, per_octave):
    """Two logarithms (series, and one rounding of their sum with the exponent), their difference and two products."""
    largest = float(np.abs(np.log2(values.astype(float))).max())
    return (2 * LOG2_SERIES + 4 * EPS * 2 * largest) * per_octave / range_db + 4 * EPS


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("has_second", [False, True])
def test_matches_the_reference_and_pads_with_zeros(device, rng, shape, has_second):
    maps, second = frame(rng, shape)
    given = (second, TABLE) if has_second else None
    tensor = Features(device, shape=shape)(*maps, given)[0]
    assert tensor.shape[0] == N_FEATURES
    for side, n in zip(tensor.shape[1:], shape, strict=True):
        assert side % MULTIPLE == 0 <= side - n < MULTIPLE
    ours, expected = tensor[:, : shape[0], : shape[1]], features_reference(*maps, given)
    bounds = [SINCOS + 2 * EPS] * 2 + [0.0]
    bounds += [decibel_bound(maps[0], 40, 3.02), decibel_bound(maps[3], 60, 6.03)]
    bounds += [sum_of_products(2, 2.0)] * 5
    for channel, bound in enumerate(bounds):
        assert np.abs(ours[channel] - expected[channel]).max() <= bound, channel
    assert has_second == bool(ours[SCORES].any())
    assert not tensor[:, shape[0] :].any()
    assert not tensor[:, :, shape[1] :].any()


def test_scores_do_not_stay_from_a_frame_that_had_a_second_phase(device, rng):
    maps, second = frame(rng, (33, 20))
    plan = Features(device, shape=(33, 20))
    assert plan(*maps, (second, TABLE))[0, SCORES].any()
    assert not plan(*maps)[0, SCORES].any()


def test_another_table_is_taken_up(device, rng):
    maps, second = frame(rng, (33, 20))
    plan, other = Features(device, shape=(33, 20)), ratio_table(0.1)
    plan(*maps, (second, TABLE))
    ours = plan(*maps, (second, other))[0, SCORES, :33, :20]
    np.testing.assert_allclose(ours, features_reference(*maps, (second, other))[SCORES], atol=sum_of_products(2, 2.0))


def test_of_a_table_the_middle_five_folds_count(device, rng):
    maps, second = frame(rng, (33, 20))
    plan = Features(device, shape=(33, 20))
    scores = plan(*maps, (second, TABLE))[0, SCORES].copy()
    wider = np.pad(TABLE, ((0, 0), (0, 0), (2, 2)), constant_values=7)
    np.testing.assert_array_equal(plan(*maps, (second, wider))[0, SCORES], scores)


@pytest.mark.parametrize("table", [TABLE[:, :, :3], np.repeat(TABLE, 2, axis=-1), TABLE[:, :32]])
def test_a_table_of_another_shape_is_refused(device, rng, table):
    maps, second = frame(rng, (9, 9))
    with pytest.raises(ValueError, match=r"expected \(8, 64, an odd number of folds\)"):
        Features(device, shape=(9, 9))(*maps, (second, table))


@pytest.mark.parametrize("shape", [(100, 90), (256, 192), (300, 301)])
def test_levels_are_the_99_percent_quantile_of_speckle(rng, shape):
    """Of 12,000 pixels 120 lie above it: the quantile of exponential power scatters by 0.09 dB."""
    power = rng.exponential(size=shape).astype(np.float32)
    assert 10 * abs(np.log10(level_reference(power) / np.quantile(power, 0.99))) < 0.4
    envelope = np.sqrt(power)
    assert 20 * abs(np.log10(level_reference(envelope) / np.quantile(envelope, 0.99))) < 0.4


def test_a_level_does_not_depend_on_gain(device, rng):
    """An octave is eight bins exactly."""
    maps, _ = frame(rng, (50, 60))
    plan = Features(device, shape=(50, 60))
    first = plan(*maps).copy()
    louder = plan(maps[0] * np.float32(2**20), *maps[1:3], maps[3] * np.float32(2**-20))
    np.testing.assert_allclose(louder, first, atol=decibel_bound(maps[0], 40, 3.02) + 40 * EPS)


def test_one_bright_pixel_moves_nothing_else(device):
    ones = np.ones((50, 50), np.float32)
    bright = ones.copy()
    bright[24, 24] = 1e6
    tensor = Features(device, shape=(50, 50))(bright, 0 * ones, ones, bright)[0, :, :50, :50]
    # All others lie in one bin of an eighth of an octave.
    assert np.abs(tensor[POWER] * 40).max() < 0.6
    assert np.abs(tensor[ENVELOPE] * 60).max() < 1.1


def test_silence_is_as_low_as_can_be(device):
    zeros = np.zeros((20, 30), np.float32)
    tensor = Features(device, shape=(20, 30))(zeros, zeros, zeros, zeros)[0, :, :20, :30]
    assert (tensor[[POWER, ENVELOPE]] == -1).all()
    assert not tensor[:POWER].any()


def test_nothing_jumps_at_the_nyquist_velocity(device, rng):
    """Both sides of the wrap are one phase. Scores are by fold, and folds count from the wrap: those may."""
    (r0, phase, coherence, envelope), _ = frame(rng, (40, 40))
    plan = Features(device, shape=(40, 40))
    below = plan(r0, np.full_like(phase, 0.5), coherence, envelope)[0, :5].copy()
    above = plan(r0, np.full_like(phase, -0.5), coherence, envelope)[0, :5]
    np.testing.assert_allclose(above, below, atol=2 * SINCOS + 2 * EPS)


def test_flow_the_other_way_mirrors_the_features(device, rng):
    (r0, phase, coherence, envelope), second = frame(rng, (40, 40))
    phase[np.abs(phase * 64 - np.round(phase * 64)) < 1e-3] = 0.3  # not on the edge of a table's bin
    plan = Features(device, shape=(40, 40))
    towards = plan(r0, phase, coherence, envelope, (second, TABLE))[0, :, :40, :40].copy()
    away = plan(r0, -phase, coherence, envelope, (second.conj(), TABLE))[0, :, :40, :40]
    bound = 2 * sum_of_products(2, 2.0) + 2 * float(np.abs(TABLE - TABLE[:, ::-1, ::-1].conj()).max())
    np.testing.assert_allclose(away[SCORES], towards[SCORES][::-1], atol=bound)
    np.testing.assert_array_equal(away[1], -towards[1])
    np.testing.assert_array_equal(away[[0, 2, 3, 4]], towards[[0, 2, 3, 4]])


def test_threads_make_no_difference(rng):
    maps, second = frame(rng, (90, 71))
    tensors = [
        Features(get_device("cpu", n_threads=n), shape=(90, 71))(*maps, (second, TABLE)) for n in (1, 2, 5)
    ]  # fmt: skip
    for tensor in tensors[1:]:
        np.testing.assert_array_equal(tensor, tensors[0])
