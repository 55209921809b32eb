"""The second phase of staggered pulses, and that it settles every fold within its range."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from arrays import complex_noise
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import EPS

from trueflow.kernels import get_device
from trueflow.kernels.predictions import FOLDS, N_COHERENCES, N_PHASES, ratio_table
from trueflow.kernels.regions import RegionUnwrapper
from trueflow.kernels.slow_time import polynomial_filter
from trueflow.kernels.stagger import LagPhasor, lag_phasor_reference, stagger_table

SHAPE = (36, 64)
GAP = 24  # columns without flow: further than borders are bridged
FURTHEST = float(FOLDS.max()) + 0.5  # turns that the engine's votes reach
RATIOS = [(m, n) for m in range(2, 8) for n in range(m + 1, 2 * m + 1) if math.gcd(m, n) == 1]


def pulse_times(n_pulses, stagger):
    """In T1."""
    pairs, odd = np.divmod(np.arange(n_pulses), 2)
    return pairs * sum(stagger) / stagger[0] + odd


def test_the_phasor_matches_the_reference_and_is_never_longer_than_1(device, rng):
    r1 = complex_noise(rng, *SHAPE)
    r0 = (np.abs(r1) * rng.uniform(0.8, 3, SHAPE)).astype(np.float32)
    r0[0, :3] = r1[0, :3] = 0
    phasor = LagPhasor(device, shape=SHAPE)(device.upload(r0), device.upload(r1))
    np.testing.assert_allclose(phasor, lag_phasor_reference(r0, r1), rtol=8 * EPS)
    assert np.abs(phasor).max() <= 1 + 4 * EPS
    assert not phasor[0, :3].any()


@pytest.mark.parametrize("stagger", [(2, 3), (3, 4), (5, 7), (7, 8)])
def test_without_a_filter_the_long_interval_turns_by_the_ratio(stagger):
    table, straight = stagger_table(np.eye(12), stagger=stagger), ratio_table(stagger[1] / stagger[0])
    assert table.shape == straight.shape
    np.testing.assert_allclose(table / np.abs(table), straight, atol=1e-5)
    turns = (np.arange(N_PHASES) + 0.5)[:, None] / N_PHASES - 0.5 + FOLDS
    inside = np.abs(turns) <= stagger[0] / 2
    lengths = np.abs(table[0])
    assert lengths[inside].min() > lengths[~inside].max(initial=0)


@pytest.mark.parametrize("turns", [-1.25, -0.45, -0.1, 0.35, 0.6, 0.85, 1.25])
@pytest.mark.parametrize("width", [0.1, 0.15])
def test_the_pull_of_a_filter_is_that_of_its_covariance(turns, width):
    """Written out as a covariance matrix of the pulses at the times they were fired.

    Multiples of 3/7 turns look alike every other pulse: the filter pulls there, too.
    """
    stagger, n = (3, 4), 16
    times = pulse_times(n, stagger)
    f = polynomial_filter(n, order=1, times=times).output
    apart = times[:, None] - times
    blood = np.exp(-2 * np.pi**2 * width**2 * apart**2 + 2j * np.pi * turns * apart)
    seen = f @ blood @ f.T
    short, long = (np.diagonal(seen, -1)[first::2].mean() for first in (0, 1))
    phase = np.angle(short) / (2 * np.pi)
    coherence = abs(short) / np.trace(seen).real * n
    table = stagger_table(f, stagger=stagger)
    fold = int(np.rint(turns - phase)) - int(FOLDS[0])
    said = table[int(coherence * N_COHERENCES), int((phase + 0.5) * N_PHASES), fold]
    missed = np.angle(said * np.conj(long)) / (2 * np.pi)
    # Half a bin of phase turns by 4 / 3 of that over T2; within a bin of coherence the pull changes by up to 0.03.
    assert abs(missed) < 0.5 / N_PHASES * 4 / 3 + 0.03
    straight = np.exp(2j * np.pi * 4 / 3 * (phase + np.rint(turns - phase)))
    naive = abs(np.angle(straight * np.conj(long))) / (2 * np.pi)
    assert naive < 0.05 or abs(missed) < naive / 2


@cache
def planned():
    device = get_device("cpu", n_threads=1)
    return RegionUnwrapper(device, shape=SHAPE, wall_run=max(SHAPE))  # no walls


@cache
def table_of(stagger):
    return stagger_table(np.eye(8), stagger=stagger)


@given(
    stagger=st.sampled_from(RATIOS),
    middle=st.floats(-1, 1),
    slope_z=st.floats(-0.02, 0.02),
    slope_x=st.floats(-0.02, 0.02),
    bend=st.floats(-0.2, 0.2),
    gap=st.integers(4, SHAPE[1] - GAP - 4),
    opposed=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_every_fold_within_the_range_is_found(stagger, middle, slope_z, slope_x, bend, gap, opposed):
    """Smooth flow that fills the image, without a slow border anywhere, and an island of its own across a gap."""
    m, n = stagger
    z, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    turns = slope_z * (z - 18) + slope_x * (x - 32) + bend * np.cos(z / 8) * np.cos(x / 9)
    reach = min(m / 2, FURTHEST) - 0.02  # of phases in 64 bins
    turns *= min(1.0, reach / max(np.abs(turns).max(), 1e-9))
    turns += middle * (reach - np.abs(turns).max())
    if opposed:
        turns[:, gap + GAP :] *= -1
    mask = np.ones(SHAPE, bool)
    mask[:, gap : gap + GAP] = False
    phase = (turns - np.rint(turns)).astype(np.float32)
    second = (0.8 * np.exp(2j * np.pi * n / m * turns)).astype(np.complex64)
    coherence = np.full(SHAPE, 0.9, np.float32)
    fold, _ = planned()(phase, coherence, mask, second=(second, table_of(stagger)))
    expected = np.where(mask, np.rint(turns - phase), 0)
    np.testing.assert_array_equal(fold, expected)
