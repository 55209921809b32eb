"""sub_bands.cu and the second phase of maps.cu: against the reference, and on echoes whose motion is known."""

from __future__ import annotations

import numpy as np
import pytest
from arrays import complex_noise
from tolerances import EPS

from trueflow.kernels import get_device
from trueflow.kernels.autocorrelate import box_average_reference
from trueflow.kernels.sub_bands import (
    LEAST_POWER,
    NO_CARRIER,
    OFFSET,
    WIDTH,
    SubBandFilter,
    SubBandPhase,
    design_sub_bands,
    sub_band_phase_reference,
)

WINDOW = {"size_z": 3, "size_x": 5}


def filter_pair(half, carrier_cycles=0.0):
    m = np.arange(-half, half + 1)
    taps = np.exp(-0.5 * (2 * m / (half + 1)) ** 2) * np.exp(2j * np.pi * 0.11 * m)
    return SubBandFilter(taps / np.abs(taps).sum(), carrier_cycles, 0.2)


def second_phase(device, iq, pair, mask=None):
    shape, n_ensemble = iq.shape[:2], iq.shape[2]
    plan = SubBandPhase(device, shape=shape, n_ensemble=n_ensemble, filter_pair=pair, **WINDOW)
    return plan(device.upload(iq), None if mask is None else device.upload(mask))


def tolerance(iq, pair):
    """Per pixel, from the powers that enter: (n_z, n_x).

    A sample y of a band is a sum of n_taps products, with eight roundings more for taps, carrier and bands; their
    magnitudes sum to a = sum |h| |x|, and either part of two complex numbers takes its share: an error below
    4 (n_taps + 8) EPS a. R0 (and R1, which is no larger but for a factor of 1.1) is a sum of 2 n products of such
    samples over a window; by Cauchy and Schwarz its relative error is below that of y times 2 rms(a) / rms(y). Each
    band enters with its R1 and its R0.
    """
    n_taps, n = len(pair.taps), iq.shape[2]
    padded = np.pad(iq.astype(complex), ((n_taps // 2,) * 2, (0, 0), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, n_taps, axis=0)
    turned_back = windows * np.exp(-2j * np.pi * pair.carrier_cycles * (np.arange(n_taps) - n_taps // 2))

    def power(values):
        return box_average_reference((np.abs(values) ** 2).mean(axis=-1), **WINDOW)

    a = power(np.abs(windows) @ np.abs(pair.taps))
    ratios = sum(np.sqrt(a / power(turned_back @ taps)) for taps in (pair.taps, pair.taps.conj()))
    n_sum = 2 * n + WINDOW["size_z"] * WINDOW["size_x"] + 8
    return 1.2 * 2 * EPS * (8 * (n_taps + 8) * ratios + 2 * n_sum)


@pytest.mark.parametrize("n_ensemble", [3, 8, 16, 33])
@pytest.mark.parametrize("shape", [(29, 17), (24, 12), (7, 3)])
@pytest.mark.parametrize("carrier", [0.0, 0.31])
def test_matches_the_reference(device, rng, n_ensemble, shape, carrier):
    # Slow time that hangs together: of noise alone lag one would be near zero, and so would its errors.
    iq = np.cumsum(complex_noise(rng, *shape, n_ensemble), axis=-1).astype(np.complex64)
    pair = filter_pair(5, carrier)
    ours, expected = second_phase(device, iq, pair), sub_band_phase_reference(iq, pair, **WINDOW)
    assert np.abs(expected).max() > 0.3
    apart = np.abs(ours - expected) / tolerance(iq, pair)
    assert apart.max() < 1
    assert tolerance(iq, pair).max() < 1e-3


@pytest.mark.parametrize("n_ensemble", [3, 16])
def test_with_a_mask_its_pixels_keep_their_bits_and_far_ones_are_silent(device, rng, n_ensemble):
    shape = (31, 26)
    iq = complex_noise(rng, *shape, n_ensemble)
    mask = rng.random(shape) < 0.05
    mask[:, 13:] = False
    mask[0, 0] = mask[30, 5] = True
    everywhere = second_phase(device, iq, filter_pair(4))
    masked = second_phase(device, iq, filter_pair(4), mask)
    np.testing.assert_array_equal(masked[mask], everywhere[mask])
    assert not masked[:, 13 + WINDOW["size_x"] :].any()
    assert everywhere[:, 13 + WINDOW["size_x"] :].all()


def test_no_echo_has_no_second_phase(device):
    assert not second_phase(device, np.zeros((20, 6, 8), np.complex64), filter_pair(3)).any()


def test_same_bits_whatever_the_thread_count(rng):
    iq = complex_noise(rng, 61, 50, 8)
    first, *others = (second_phase(get_device("cpu", n_threads=n), iq, filter_pair(6, 0.2)) for n in (1, 2, 3))
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("n_ensemble", [2, 3, 5, 8, 19])
def test_length_is_one_at_most(device, n_ensemble):
    """|R1| / R0 of n samples can be cos(pi / (n + 1)) n / (n - 1), more than one: that of a half sine in slow time."""
    wave = np.sin(np.pi * np.arange(1, n_ensemble + 1) / (n_ensemble + 1))
    iq = (np.ones((12, 6, 1)) * wave).astype(np.complex64)
    most = np.cos(np.pi / (n_ensemble + 1)) * n_ensemble / (n_ensemble - 1)
    assert most >= 1 - 1e-9
    np.testing.assert_allclose(np.abs(second_phase(device, iq, filter_pair(2))), 1, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e3, 1e8, 1e12])
def test_units_of_the_samples_do_not_matter(device, rng, scale):
    iq = complex_noise(rng, 30, 20, 8)
    scaled = second_phase(device, (scale * iq).astype(np.complex64), filter_pair(6))
    np.testing.assert_allclose(scaled, second_phase(device, iq, filter_pair(6)), atol=2e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_what_is_no_number_stays_near_where_it_is(device, rng, value):
    iq = complex_noise(rng, 60, 40, 8)
    expected = second_phase(device, iq, filter_pair(6))
    iq[30, 20, 3] = value
    found = second_phase(device, iq, filter_pair(6))
    assert (np.abs(found) <= 1 + 1e-5).all()
    far = np.hypot(*np.mgrid[-30:30, -20:20]) > 15
    np.testing.assert_array_equal(found[far], expected[far])


def test_a_single_pulse_and_images_beyond_32_bits_are_refused(device):
    options = {"filter_pair": filter_pair(2), **WINDOW}
    with pytest.raises(ValueError, match="n_ensemble: 1"):
        SubBandPhase(device, shape=(20, 20), n_ensemble=1, **options)
    with pytest.raises(ValueError, match="32 bits"):
        SubBandPhase(device, shape=(2**14, 2**14), n_ensemble=8, **options)


def echo(rng, shape, *, deviation, carrier=0.0):
    """Axial spectra (frequencies, components) of speckle whose power spectrum is a Gaussian: cycles per pixel."""
    frequency = np.fft.fftfreq(shape[0])[:, None]
    apart = (frequency - carrier + 0.5) % 1 - 0.5
    return frequency, np.exp(-0.25 * (apart / deviation) ** 2) * complex_noise(rng, *shape)


def image(components):
    return np.fft.ifft(components, axis=0).astype(np.complex64)


# What `design_sub_bands` smooths a spectrum with widens it by 0.02 cycles.
def expected_separation(deviation):
    """Centers of gravity of a Gaussian spectrum times Gaussian bands."""
    return 2 * OFFSET * np.hypot(deviation, 0.02) / (1 + WIDTH**2 / 2)


@pytest.mark.parametrize("deviation", [0.05, 0.08, 0.12])
@pytest.mark.parametrize("carrier", [0.0, 0.2, -0.3, 0.48])
def test_the_design_fits_the_echo(rng, deviation, carrier):
    _, components = echo(rng, (400, 60), deviation=deviation, carrier=carrier)
    pair = design_sub_bands(image(components))
    assert pair is not None
    apart = (pair.carrier_cycles - carrier + 0.5) % 1 - 0.5
    assert abs(apart) < 0.01 if carrier else pair.carrier_cycles == 0
    # A spectrum cut off where it sinks to a hundredth loses 1.5 % of its width; the rest is speckle.
    assert LEAST_POWER <= 0.01
    assert pair.separation_cycles == pytest.approx(expected_separation(deviation), rel=0.06)
    assert np.abs(pair.taps).sum() == pytest.approx(1)
    assert pair.taps.size % 2 == 1
    np.testing.assert_allclose(pair.taps, pair.taps[::-1].conj(), atol=1e-15)


def test_little_turn_is_no_carrier(rng):
    _, components = echo(rng, (400, 60), deviation=0.08, carrier=0.7 * NO_CARRIER)
    pair = design_sub_bands(image(components))
    assert pair is not None
    assert pair.carrier_cycles == 0


@pytest.mark.parametrize(
    ("n_z", "deviation"),
    [
        pytest.param(100, 0.001, id="too narrow for an image this low"),
        pytest.param(400, 0.5, id="too coarse: it fills the sampled band"),
        pytest.param(12, 0.08, id="too few depths"),
        pytest.param(20, 0.04, id="fewer depths than two filters need"),
        pytest.param(1, 0.08, id="one depth"),
    ],
)
def test_no_design_where_there_is_no_room_for_two_bands(rng, n_z, deviation):
    _, components = echo(rng, (n_z, 40), deviation=deviation)
    assert design_sub_bands(image(components)) is None


def test_no_design_for_a_flat_spectrum_or_for_silence(rng):
    assert design_sub_bands(complex_noise(rng, 200, 30)) is None
    assert design_sub_bands(np.zeros((200, 30), np.complex64)) is None


# Wavelengths per two pixels: how the grid sees the center frequency, here 0.7 cycles per pixel; IQ may keep a carrier.
CENTER_CYCLES = 0.7


@pytest.mark.parametrize("carrier", [0.0, 0.25])
@pytest.mark.parametrize("turns", [-2.5, -0.6, 0.2, 0.45, 1.3, 2.5])
def test_the_second_phase_of_moving_echoes_is_the_ratio_times_their_turns(device, rng, carrier, turns):
    """A component f turns by u (1 + f / f0) per pulse: R1 aliases beyond half a turn, the second phase does not."""
    frequency, components = echo(rng, (256, 24), deviation=0.05, carrier=carrier)
    beside_center = (frequency - carrier + 0.5) % 1 - 0.5
    per_pulse = turns * (1 + beside_center / CENTER_CYCLES)
    iq = np.stack([image(components * np.exp(2j * np.pi * per_pulse * k)) for k in range(12)], axis=-1)
    pair = design_sub_bands(iq[..., 0])
    assert pair is not None
    ratio = pair.separation_cycles / CENTER_CYCLES
    assert abs(ratio * turns) < 0.5
    second = second_phase(device, iq, pair).sum()
    apart = np.angle(second * np.exp(-2j * np.pi * ratio * turns)) / (2 * np.pi)
    assert abs(apart) < 0.05 * abs(ratio * turns) + 0.002  # the speckle of some 600 cells
    r1 = (iq[..., 1:] * iq[..., :-1].conj()).sum()
    assert np.angle(r1 * np.exp(-2j * np.pi * turns)) == pytest.approx(0, abs=0.15)  # of a fold it knows nothing
