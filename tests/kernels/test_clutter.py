"""Slow-time filters: the kernels against their float64 reference, and each design against what it promises."""

from __future__ import annotations

import numpy as np
import pytest
from arrays import ENSEMBLES, complex_noise
from scipy import signal
from tolerances import EPS, sum_of_products

from trueflow.kernels.clutter import MatrixFilter, SvdFilter, matrix_reference, svd_reference
from trueflow.kernels.slow_time import SlowTimeFilter, fir_filter, identity, iir_filter, polynomial_filter

SHAPE = (17, 19)


def designs(n):
    yield "identity", identity(n)
    yield "polynomial", polynomial_filter(n, order=min(2, n - 3))
    if n > 4:
        yield "fir", fir_filter(n, cutoff_fraction=0.3, order=2)
    for start in ("zero", "step", "projection"):
        yield f"iir-{start}", iir_filter(n, cutoff_fraction=0.2, order=min(2, n - 2), initialization=start)


@pytest.mark.parametrize("n_ensemble", ENSEMBLES)
def test_matrix_filters_match_the_reference(device, rng, n_ensemble):
    iq = device.upload(complex_noise(rng, *SHAPE, n_ensemble))
    for name, design in designs(n_ensemble):
        ours = MatrixFilter(device, design, shape=SHAPE)(iq)
        expected, _ = matrix_reference(iq, design)
        gain = np.abs(design.output).sum(axis=1).max()
        bound = sum_of_products(n_ensemble, gain * float(np.abs(iq).max()))
        np.testing.assert_allclose(ours, expected, rtol=0, atol=bound, err_msg=name)


@pytest.mark.parametrize("make", [fir_filter, iir_filter])
def test_kept_state_joins_packets_without_a_seam(device, rng, make):
    """Three packets filtered with state equal one long recording filtered at once, from rest at its first sample."""
    n, order = 11, 4
    design = make(n, cutoff_fraction=0.25, order=order, keep_state=True)
    stream = complex_noise(rng, *SHAPE, 3 * n)
    plan = MatrixFilter(device, design, shape=SHAPE)
    packets = [
        plan(device.upload(np.ascontiguousarray(stream[..., i * n : (i + 1) * n])), continuous=i > 0) for i in range(3)
    ]
    if make is fir_filter:
        taps = signal.firwin(order + 1, 0.25, pass_zero=False)
        b, a = taps - taps.sum() / taps.size, np.ones(1)
    else:
        b, a = signal.butter(order, 0.25, "highpass")
    x = stream.astype(complex)
    rest = signal.lfilter_zi(b, a) if make is iir_filter else np.cumsum(b[:0:-1])[::-1]
    expected, _ = signal.lfilter(b, a, x, axis=-1, zi=rest * x[..., :1])
    np.testing.assert_allclose(
        np.concatenate(packets, axis=-1), expected, rtol=0, atol=400 * EPS * np.abs(stream).max()
    )


@pytest.mark.parametrize("make", [fir_filter, iir_filter])
def test_kept_state_starts_without_a_transient_of_tissue_at_rest(device, make):
    plan = MatrixFilter(device, make(8, cutoff_fraction=0.2, order=2, keep_state=True), shape=SHAPE)
    rest = plan(device.upload(np.full((*SHAPE, 8), 1000 + 500j, np.complex64)))
    assert np.abs(rest).max() < 1000 * 50 * EPS


def test_a_gap_resets_the_state(device, rng):
    design = iir_filter(8, cutoff_fraction=0.3, order=2, keep_state=True)
    plan = MatrixFilter(device, design, shape=SHAPE)
    iq = device.upload(complex_noise(rng, *SHAPE, 8))
    first = plan(iq).copy()
    plan(iq, continuous=True)
    np.testing.assert_array_equal(plan(iq, continuous=False), first)


def test_polynomial_filter_knows_when_pulses_were_fired():
    """Tissue that drifts evenly leaves nothing of staggered pulses; a filter that takes them as even leaves some."""
    times = np.cumsum([0.0, 3, 4, 3, 4, 3, 4, 3])
    drift = 2.0 + 0.7 * times
    assert np.abs(polynomial_filter(8, order=1, times=times).output @ drift).max() < 1e-12 * drift.max()
    assert np.abs(polynomial_filter(8, order=1).output @ drift).max() > 0.1


def test_polynomial_filter_removes_polynomials_and_keeps_what_is_orthogonal():
    design = polynomial_filter(12, order=2)
    k = np.arange(12)
    for power in range(3):
        assert np.abs(design.output @ k**power).max() < 1e-9
    rest = design.output @ np.cos(np.pi * k)
    np.testing.assert_allclose(design.output @ rest, rest, atol=1e-12)  # a projection


@pytest.mark.parametrize("start", ["step", "projection"])
def test_iir_start_up_leaves_nothing_of_tissue_at_rest(start):
    design = iir_filter(16, cutoff_fraction=0.1, order=3, initialization=start)
    assert np.abs(design.output @ np.ones(16)).max() < 1e-9
    from_zero = iir_filter(16, cutoff_fraction=0.1, order=3, initialization="zero")
    assert np.abs(from_zero.output @ np.ones(16)).max() > 0.5


def test_fir_leaves_nothing_of_tissue_at_rest_and_passes_flow():
    design = fir_filter(16, cutoff_fraction=0.3, order=6)
    assert design.n_out == 10
    assert np.abs(design.output @ np.ones(16)).max() < 1e-12
    passed = np.abs(design.output @ np.exp(1j * np.pi * 0.7 * np.arange(16)))
    np.testing.assert_allclose(passed, 1, atol=0.1)


@pytest.mark.parametrize("n_ensemble", [5, 16, 19])
@pytest.mark.parametrize(("low", "high"), [(1, None), (2, 4), (0, 3)])
def test_svd_filter_matches_the_decomposition(device, rng, n_ensemble, low, high):
    # Well separated singular values: eigenvectors of nearly equal ones are not determined.
    strength = 3.0 ** -np.arange(n_ensemble)
    basis = np.linalg.qr(complex_noise(rng, n_ensemble, n_ensemble))[0]
    iq = (complex_noise(rng, *SHAPE, n_ensemble) * strength) @ basis
    iq = device.upload(iq.astype(np.complex64))
    ours = SvdFilter(device, shape=SHAPE, n_ensemble=n_ensemble, rank_low=low, rank_high=high)(iq)
    expected = svd_reference(iq, rank_low=low, rank_high=high)
    # The Gram matrix squares the spread of singular values: the error of a subspace is EPS * (s1 / gap)^2.
    np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-4 * np.abs(iq).max())


def test_svd_takes_out_rank_one_tissue(device, rng):
    tissue = 100 * complex_noise(rng, *SHAPE, 1) * np.exp(0.3j * np.arange(12))
    blood = complex_noise(rng, *SHAPE, 12)
    iq = device.upload((tissue + blood).astype(np.complex64))
    rest = SvdFilter(device, shape=SHAPE, n_ensemble=12, rank_low=1)(iq)
    assert np.mean(np.abs(rest) ** 2) < 1.1 * np.mean(np.abs(blood) ** 2)


def test_settings_that_leave_nothing_are_refused(device):
    for make in (
        lambda: polynomial_filter(4, order=3),
        lambda: fir_filter(5, cutoff_fraction=0.2, order=4),
        lambda: fir_filter(9, cutoff_fraction=0.2, order=3),
        lambda: iir_filter(8, cutoff_fraction=1.2, order=2),
        lambda: SvdFilter(device, shape=SHAPE, n_ensemble=4, rank_low=4),
    ):
        with pytest.raises(ValueError, match=r"expected|leaves less"):
            make()


def test_identity_changes_nothing(device, rng):
    iq = device.upload(complex_noise(rng, *SHAPE, 7))
    np.testing.assert_array_equal(MatrixFilter(device, SlowTimeFilter(np.eye(7)), shape=SHAPE)(iq), iq)
