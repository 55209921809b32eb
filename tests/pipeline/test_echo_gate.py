"""What is told from noise, and by what margin."""

from __future__ import annotations

import numpy as np
import pytest

from trueflow.kernels import get_device
from trueflow.pipeline.echo_gate import LEAST_SHARE, EchoGate

SHAPE = (61, 47)


def noise(n, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((*SHAPE, n)) + 1j * rng.standard_normal((*SHAPE, n))).astype(np.complex64)


def gate(n, step=1):
    return EchoGate(get_device("cpu", n_threads=1), shape=SHAPE, n_ensemble=n, step=step)


def rising(n, turns):
    """Speckle that turns alike everywhere, without noise."""
    return (noise(1, seed=1) * np.exp(2j * np.pi * turns * np.arange(n))).astype(np.complex64)


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("n", [2, 3, 4, 8, 16, 64])
def test_noise_has_no_share(n, step):
    """With few pairs even less than none: lengths of few products are shorter than those of normal numbers."""
    share = gate(n, step).share(noise(n))
    assert -1.0 < share < 0.02
    if n >= 8 * step:
        assert share == pytest.approx(0, abs=0.03)
    assert not gate(n, step)(noise(n))


@pytest.mark.parametrize("n", [2, 3, 8, 16])
@pytest.mark.parametrize("turns", [0.0, 0.45, 1.3])
def test_echoes_have_all_of_it_however_fast(n, turns):
    assert gate(n).share(rising(n, turns)) == pytest.approx(1, abs=1e-5)
    assert gate(n)(rising(n, turns))


def test_the_share_grows_with_the_echo():
    shares = [gate(16).share(noise(16) + amplitude * rising(16, 0.3)) for amplitude in (0, 0.3, 0.6, 1, 2, 10)]
    assert shares == sorted(shares)
    assert shares[1] < LEAST_SHARE < shares[3]
    assert shares[-1] > 0.95


def test_of_staggered_pulses_the_shorter_interval_counts():
    """Over both, an echo that turns by half a turn more in the longer one cancels itself."""
    times = np.repeat(np.arange(4), 2) * 3.0 + np.tile([0, 1], 4)
    iq = (noise(1, seed=1) * np.exp(2j * np.pi * 0.5 * times)).astype(np.complex64)
    assert gate(8, step=2).share(iq) == pytest.approx(1, abs=1e-5)
    assert not gate(8)(iq)


def test_a_bright_echo_in_a_noisy_image_is_enough():
    iq = noise(8)
    iq[20:30, 10:20] += 30 * rising(8, 0.2)[20:30, 10:20]
    assert gate(8)(iq)


@pytest.mark.parametrize("amplitude", [1e-9, 1e-3, 1e6, 1e12])
def test_loudness_does_not_matter(amplitude):
    assert gate(8)(rising(8, 0.3) * np.float32(amplitude))
    assert not gate(8)(noise(8) * np.float32(amplitude))


def test_silence_holds_no_echo():
    assert gate(8).share(np.zeros((*SHAPE, 8), np.complex64)) == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_do_not_count(value):
    iq = rising(8, 0.3)
    iq[3:20, 4, 5] = value
    assert gate(8).share(iq) == pytest.approx(1, abs=1e-5)
    iq[...] = value
    assert np.isnan(gate(8).share(iq))
    assert not gate(8)(iq)
