"""das.cu against its float64 reference, and against echoes of known points."""

from __future__ import annotations

import numpy as np
import pytest
from arrays import ENSEMBLES, complex_noise
from tolerances import SINCOS, das_phase_turns, das_position_samples, sum_of_products

from trueflow.kernels import get_device
from trueflow.kernels.das import DelayAndSum, ReceiveWindow, Waves, reference

C = 1540.0
PLANE = Waves(np.array([[np.sin(0.2), np.cos(0.2), 0.0, 1e-3]]))
DIVERGING = Waves(np.array([[1e-3, -12e-3, 1.0, -12e-3]]))
COMPOUND = Waves(np.vstack([PLANE.table, DIVERGING.table, [[np.sin(-0.1), np.cos(-0.1), 0.0, 0.0]]]))


def linear(n_elements=37):
    x = (np.arange(n_elements) - (n_elements - 1) / 2) * 0.3e-3
    return {"element_x_m": x, "element_z_m": np.zeros_like(x), "element_angles_rad": np.zeros_like(x)}


def convex(n_elements=41, radius=30e-3):
    angle = (np.arange(n_elements) - (n_elements - 1) / 2) * 0.4e-3 / radius
    return {
        "element_x_m": radius * np.sin(angle),
        "element_z_m": radius * (np.cos(angle) - 1),
        "element_angles_rad": angle,
    }


def cartesian(n_z=23, n_x=19):
    x, z = np.meshgrid(np.linspace(-7e-3, 6.1e-3, n_x), np.linspace(1e-3, 24e-3, n_z))
    return {"pixel_x_m": x, "pixel_z_m": z}


def polar(n_z=29, n_x=17):
    angle, radius = np.meshgrid(np.linspace(-0.5, 0.55, n_x), np.linspace(2e-3, 25e-3, n_z))
    return {"pixel_x_m": radius * np.sin(angle), "pixel_z_m": radius * np.cos(angle)}


CLOCKS = {"sampling_frequency_hz": 5e6, "demodulation_frequency_hz": 5e6, "rx_start_s": 1.3e-6, "sound_speed_m_s": C}


def both(device, iq, geometry, pixels, waves, window, clocks=CLOCKS):
    """Beamform on the device and by the reference; iq (n_transmits, n_elements, n_samples, n_ensemble)."""
    n_transmits, n_elements, n_samples, n_ensemble = iq.shape
    width = device.packet_width(n_ensemble)
    padded = -(-n_ensemble // width) * width
    padded_iq = device.zeros((n_transmits * n_elements, n_samples, padded), np.complex64)
    padded_iq[..., :n_ensemble] = iq.reshape(-1, n_samples, n_ensemble)
    plan = DelayAndSum(
        device,
        **pixels,
        **geometry,
        waves=waves,
        window=window,
        n_samples=n_samples,
        n_ensemble=n_ensemble,
        n_padded=padded,
        **clocks,
    )
    return plan(padded_iq), reference(iq, **pixels, **geometry, waves=waves, window=window, **clocks)


def tolerance(iq, n_elements, taper):
    """Phase and position errors of float32 delays on every term, and rounding of the sum.

    A pixel's value is at most sqrt(n) max|iq| (weights normalised by their energy), so each relative error per term
    counts sqrt(n) times. Interpolation moves by at most 2 max|iq| per sample of position; the window by 1 / taper
    per unit of its argument.
    """
    peak, path = float(np.abs(iq).max()), 0.06
    phase = 2 * np.pi * das_phase_turns(path_m=path, sound_speed_m_s=C, frequency_hz=5e6) + SINCOS
    position = 2 * das_position_samples(path_m=path, sound_speed_m_s=C, frequency_hz=5e6)
    window = 2e-6 / taper
    per_term = phase + position + window
    return np.sqrt(n_elements) * peak * per_term + sum_of_products(n_elements, np.sqrt(n_elements) * peak)


@pytest.mark.parametrize("n_ensemble", ENSEMBLES)
def test_matches_the_reference_at_every_packet_width(device, rng, n_ensemble):
    iq = complex_noise(rng, 1, 37, 151, n_ensemble)
    ours, expected = both(device, iq, linear(), cartesian(), PLANE, ReceiveWindow(1.4, 0.5))
    np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance(iq, 37, 0.5))


@pytest.mark.parametrize("waves", [PLANE, DIVERGING, COMPOUND], ids=["plane", "diverging", "compound"])
@pytest.mark.parametrize(
    ("geometry", "pixels"),
    [(linear(), cartesian()), (linear(), polar()), (convex(), polar())],
    ids=["linear", "phased", "convex"],
)
def test_matches_the_reference_for_every_geometry(device, rng, waves, geometry, pixels):
    n_elements = geometry["element_x_m"].size
    iq = complex_noise(rng, len(waves.table), n_elements, 151, 5)
    ours, expected = both(device, iq, geometry, pixels, waves, ReceiveWindow(1.1, 1.0))
    np.testing.assert_allclose(ours, expected, rtol=0, atol=np.sqrt(3) * tolerance(iq, n_elements, 1.0))


@pytest.mark.parametrize("taper", [0.0, 0.25, 1.0], ids=["boxcar", "tukey", "hann"])
def test_matches_the_reference_for_every_window(device, rng, taper):
    # Off-center pixels: none lies on the boxcar's edge, where float32 and float64 may disagree on which side.
    pixels = cartesian()
    pixels["pixel_x_m"] = pixels["pixel_x_m"] + 0.0123e-3
    iq = complex_noise(rng, 1, 37, 151, 4)
    ours, expected = both(device, iq, linear(), pixels, PLANE, ReceiveWindow(0.9, taper))
    np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance(iq, 37, taper or 1.0))


def test_pixels_out_of_reach_are_zero(device, rng):
    iq = complex_noise(rng, 1, 37, 20, 4)  # 20 samples: 3 mm
    ours, expected = both(device, iq, linear(), cartesian(), PLANE, ReceiveWindow(1.4, 0.5))
    np.testing.assert_array_equal(ours[-1], 0)
    np.testing.assert_array_equal(expected[-1], 0)


def test_a_point_is_imaged_where_it_is_with_zero_phase(device):
    """Ideal IQ of one point: the brightest pixel is the point's, and its phase that of the point's echo."""
    geometry, x0, z0 = linear(64), 1.2e-3, 14e-3
    x, z = np.meshgrid(np.linspace(-2e-3, 4e-3, 61), np.linspace(12e-3, 16e-3, 81))
    fs, f0 = 20e6, 5e6
    path = PLANE.distance_m(np.array(x0), np.array(z0))[0] + np.hypot(geometry["element_x_m"] - x0, z0)
    times = 1.3e-6 + np.arange(600) / fs
    tau = path / C
    echo = np.exp(-(((times - tau[:, None]) / 0.2e-6) ** 2)) * np.exp(-2j * np.pi * f0 * tau[:, None])
    iq = echo[None, :, :, None].repeat(4, axis=-1).astype(np.complex64)
    clocks = {**CLOCKS, "sampling_frequency_hz": fs}
    ours, _ = both(device, iq, geometry, {"pixel_x_m": x, "pixel_z_m": z}, PLANE, ReceiveWindow(1.0, 0.5), clocks)
    row, column = np.unravel_index(np.abs(ours[..., 0]).argmax(), x.shape)
    assert abs(x[row, column] - x0) <= 0.1e-3
    assert abs(z[row, column] - z0) <= 0.05e-3
    assert abs(np.angle(ours[row, column, 0])) < 0.1


def test_same_bits_whatever_the_thread_count(rng):
    iq = complex_noise(rng, 1, 37, 151, 16)
    results = [
        both(get_device("cpu", n_threads=n), iq, linear(), cartesian(), PLANE, ReceiveWindow(1.4, 0.5))[0]
        for n in (1, 2, 3, 5)
    ]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_white_noise_keeps_its_level_at_every_depth(device, rng):
    """Weights are normalised by their energy: noise is flat however many elements a pixel uses."""
    iq = complex_noise(rng, 1, 64, 300, 32)
    ours, _ = both(device, iq, linear(64), cartesian(40, 11), PLANE, ReceiveWindow(1.0, 1.0))
    power = (np.abs(ours) ** 2).mean(axis=(1, 2))
    # Linear interpolation averages two samples of white noise: a power of 2/3 of the input's 2, within counting error.
    np.testing.assert_allclose(power[5:], 2 * 2 / 3, rtol=0.35)


def test_more_than_32_bits_of_samples_are_refused(device):
    with pytest.raises(ValueError, match="32 bits"):
        DelayAndSum(
            device,
            **cartesian(),
            **linear(),
            waves=PLANE,
            window=ReceiveWindow(1.4, 0.5),
            n_samples=2**22,
            n_ensemble=16,
            n_padded=16,
            **CLOCKS,
        )
