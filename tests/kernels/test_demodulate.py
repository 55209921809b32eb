"""demodulate.cu against its float64 reference, and against what the equations promise."""

from __future__ import annotations

import numpy as np
import pytest
from arrays import ENSEMBLES, complex_noise
from tolerances import sum_of_products

from trueflow.kernels.demodulate import Demodulator, design_band_filter, reference

FEMORAL = {"sampling_frequency_hz": 20e6, "demodulation_frequency_hz": 5e6}
DISK = {"sampling_frequency_hz": 20e6 / 3, "demodulation_frequency_hz": 5e6}  # undersampled: 4/3 samples per period


def run(device, samples, band_filter, clocks, rx_start_s=7.3e-6):
    n_ensemble, n_channels, n_samples = samples.shape
    plan = Demodulator(
        device,
        n_ensemble=n_ensemble,
        n_channels=n_channels,
        n_samples=n_samples,
        dtype=samples.dtype,
        rx_start_s=rx_start_s,
        band_filter=band_filter,
        **clocks,
    )
    return plan, plan(device.upload(samples))


@pytest.mark.parametrize("n_ensemble", ENSEMBLES)
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("clocks", [FEMORAL, DISK], ids=["oversampled", "undersampled"])
def test_rf_matches_the_reference(device, rng, n_ensemble, dtype, clocks):
    samples = rng.integers(-2047, 2048, (n_ensemble, 5, 131)).astype(dtype)
    band = design_band_filter(bandwidth_hz=3e6, **clocks)
    plan, iq = run(device, samples, band, clocks)
    expected = reference(samples, band_filter=band, rx_start_s=7.3e-6, **clocks)
    assert iq.shape == (5, plan.n_iq_samples, plan.n_padded)
    bound = sum_of_products(2 * band.taps.size, 2 * np.abs(band.taps).sum() * 2047)
    np.testing.assert_allclose(iq[..., :n_ensemble], expected, rtol=0, atol=bound)
    assert not iq[..., n_ensemble:].any()


@pytest.mark.parametrize("n_ensemble", [7, 16])
def test_iq_input_is_only_reordered(device, rng, n_ensemble):
    samples = complex_noise(rng, n_ensemble, 3, 29)
    _, iq = run(device, samples, None, FEMORAL)
    np.testing.assert_array_equal(iq[..., :n_ensemble], np.moveaxis(samples, 0, -1))


@pytest.mark.parametrize("clocks", [FEMORAL, DISK], ids=["oversampled", "undersampled"])
def test_an_echo_comes_out_with_its_own_phase_and_envelope(device, clocks):
    """RF of a pulse with a known complex envelope: the IQ is that envelope, whatever the sampling folds."""
    n_samples, rx_start_s = 400, 2.1e-6
    t = rx_start_s + np.arange(n_samples) / clocks["sampling_frequency_hz"]
    center = t[n_samples // 2]
    envelope = np.exp(-(((t - center) / 0.6e-6) ** 2)) * np.exp(0.7j)
    rf = np.real(envelope * np.exp(2j * np.pi * 5e6 * t)) * 1000
    band = design_band_filter(bandwidth_hz=3e6, **clocks)
    _, iq = run(device, rf[None, None].astype(np.float32), band, clocks, rx_start_s)
    expected = 1000 * envelope[:: band.decimation]
    # The stop band (50 dB) and the filter's droop over a 0.5 MHz pulse bound what is left of the image.
    assert np.abs(iq[0, : expected.size, 0] - expected).max() < 1000 * 10 ** (-45 / 20)


def test_filter_passes_the_band_and_stops_its_image():
    for clocks in (FEMORAL, DISK):
        fs = clocks["sampling_frequency_hz"]
        band = design_band_filter(bandwidth_hz=3e6, **clocks)
        n = np.arange(band.taps.size) - band.taps.size // 2

        def gain(hz, fs=fs, n=n, band=band):
            return abs(np.sum(band.taps * np.exp(-2j * np.pi * hz / fs * n)))

        image = abs(10e6 - round(10e6 / fs) * fs)
        assert gain(0) == pytest.approx(1, abs=1e-9)
        assert gain(1e6) > 10 ** (-1 / 20)
        assert gain(image) < 10 ** (-45 / 20)


def test_sampling_that_folds_the_image_onto_the_band_is_refused():
    with pytest.raises(ValueError, match="image"):
        design_band_filter(sampling_frequency_hz=10e6, demodulation_frequency_hz=5e6, bandwidth_hz=3e6)


def test_decimation_below_the_band_is_refused():
    with pytest.raises(ValueError, match="decimation"):
        design_band_filter(bandwidth_hz=3e6, decimation=8, **FEMORAL)


def test_wrong_dtype_is_refused(device):
    with pytest.raises(TypeError, match="float64"):
        Demodulator(
            device,
            n_ensemble=4,
            n_channels=1,
            n_samples=8,
            dtype=np.float64,
            rx_start_s=0.0,
            band_filter=None,
            **FEMORAL,
        )
