"""The fast mode against channel RF through the chain's beamformer: the same scatterers, the same statistics."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from trueflow.benchmarks.simulation import MODES, RAYLEIGH, agreement, flow, leak_db, make_both, speckle
from trueflow.kernels import get_device
from trueflow.pipeline import TrueflowError
from trueflow.pipeline.config import BeamformConfig, GridConfig
from trueflow.pipeline.geometry import make_grid
from trueflow.pipeline.sim.fast import FastEchoes, speckle_band
from trueflow.pipeline.sim.options import Options
from trueflow.pipeline.sim.recording import SimRecording

VESSEL = "sim://straight?waveform=constant"
NEAR_WALL_M = 1.2e-3


@lru_cache(maxsize=1)
def tissue():
    """Tissue so far above blood and noise that nothing else is seen, in the lumen neither."""
    return make_both(f"{VESSEL}&tissue=60&snr=60&pulses=2&seed=3")


@lru_cache(maxsize=2)
def flows(peak):
    blood = make_both(f"{VESSEL}&snr=70&pulses=16&peak={peak}vN&seed=4", tissue=False)
    return {mode: flow(blood, mode) for mode in MODES}


def test_tissue_looks_the_same_in_both_modes():
    # Pixel by pixel, phases included. What is missing to 1 are the side lobes.
    assert agreement(tissue()) > 0.9


def test_speckle_is_as_rough_as_in_channel_rf():
    rf, fast = (speckle(tissue(), mode).contrast for mode in MODES)
    assert fast == pytest.approx(rf, rel=0.03)
    # Some 13 scatterers of normal amplitudes share a cell's area: mean square intensity 2 + 3 / 13 rather than 2, which
    # takes 6 % off; a thousand cells are in view, which leaves 2 %.
    assert fast == pytest.approx(RAYLEIGH, rel=0.1)
    levels = [np.abs(tissue().iq[mode][0, ..., 0][tissue().tissue]) for mode in MODES]
    quantiles = [np.quantile(level / np.sqrt(np.mean(level**2)), np.arange(0.1, 0.95, 0.1)) for level in levels]
    np.testing.assert_allclose(quantiles[1], quantiles[0], rtol=0.06)


def test_speckle_is_as_fine_as_in_channel_rf():
    rf, fast = (speckle(tissue(), mode) for mode in MODES)
    assert fast.half_width_z_m == pytest.approx(rf.half_width_z_m, rel=0.08)
    assert fast.half_width_x_m == pytest.approx(rf.half_width_x_m, rel=0.15)


def test_the_lumen_is_as_hazy_as_in_channel_rf():
    rf, fast = (leak_db(tissue(), mode)[2:] for mode in MODES)
    assert fast.mean() == pytest.approx(rf.mean(), abs=2.5)


@pytest.mark.parametrize("peak", [0.4, 0.9])
def test_velocity_and_spectral_width_follow_channel_rf_across_a_vessel(peak):
    rf, fast = (flows(peak)[mode] for mode in MODES)
    inner = rf.depth_m > NEAR_WALL_M
    assert rf.true.max() > 0.8 * peak
    for found in (rf, fast):
        # 4 % of it by the spectrum's asymmetry (`Beams`), the rest speckle: one burst, some 60 cells a bin.
        np.testing.assert_allclose(found.bias, 0, atol=0.05 * peak + 0.02)
    np.testing.assert_allclose(fast.bias, rf.bias, atol=0.02 + 0.02 * peak)
    # Channel RF hears faster blood over side lobes: within 20 % of it, but near the wall, where blood is slow.
    np.testing.assert_allclose(fast.width[inner], rf.width[inner], rtol=0.2)
    np.testing.assert_allclose(fast.width, rf.width, atol=0.045 * peak + 0.01)


def test_faster_blood_has_wider_spectra():
    slow, quick = (flows(peak)["fast"] for peak in (0.4, 0.9))
    np.testing.assert_allclose(quick.width[2:] / slow.width[2:], 0.9 / 0.4, rtol=0.15)


def test_moving_tissue_turns_as_in_channel_rf():
    both = make_both(f"{VESSEL}&tissue=60&snr=60&pulses=8&prf=1000&motion=sinusoidal&seed=3")
    v_n = both.acquisition.nyquist_velocity_m_s()
    true = both.truth_m_s[both.tissue].mean()
    assert abs(true) > 1e-3
    for mode in MODES:
        iq = both.iq[mode][0, both.tissue]
        r1 = np.sum(iq[:, 1:] * iq[:, :-1].conj())
        assert np.angle(r1) / np.pi * v_n == pytest.approx(true, rel=0.04)


def test_what_the_receive_filter_passes_is_narrower_than_the_pulse_and_lower():
    a = Options().acquisition()
    band = speckle_band(a)
    pulse_hz = a.probe.bandwidth_fraction * a.center_frequency_hz / 4 / np.sqrt(np.log(2))  # of the power spectrum
    assert 0.7 * pulse_hz < band.deviation_hz < 0.9 * pulse_hz
    assert band.mean_hz / a.center_frequency_hz == pytest.approx(1 - (band.deviation_hz / a.center_frequency_hz) ** 2,
                                                                 abs=2e-3)  # fmt: skip


def made(url, **changes):
    recording = SimRecording.from_url(url)
    options = {"margin_m": recording.margin_m, "snr_db": recording.options.snr, "seed": recording.options.seed}
    grid = make_grid(recording.acquisition, GridConfig())
    return FastEchoes(
        get_device("cpu"), recording.acquisition, recording.field, BeamformConfig(), grid=grid, **(options | changes)
    ), recording.field.inside_m(grid.x_m, grid.z_m)


def test_bursts_depend_on_seed_and_number_only():
    echoes, _ = made(f"{VESSEL}&pulses=2&seed=5")
    first, second = echoes.burst(0, 0.0), echoes.burst(1, 0.0)
    again, _ = made(f"{VESSEL}&pulses=2&seed=5")
    np.testing.assert_array_equal(again.burst(1, 0.0), second)
    np.testing.assert_array_equal(again.burst(0, 0.0), first)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("snr_db", [0.0, 20.0])
def test_noise_is_as_loud_as_asked(snr_db):
    echoes, inside = made(f"{VESSEL}&pulses=8&tissue=-20", snr_db=snr_db, haze_db=None)
    quiet, _ = made(f"{VESSEL}&pulses=8&tissue=-20", snr_db=300.0, haze_db=None)
    blood = quiet.burst(0, 0.0)
    noise = echoes.burst(0, 0.0) - blood
    lumen = (inside > 0) & (np.abs(blood[0]) > 1e-9)
    ratio = np.mean(np.abs(blood[:, lumen]) ** 2) / np.mean(np.abs(noise[:, lumen]) ** 2)
    # The blood of another draw differs by the speckle of its few hundred cells.
    assert 10 * np.log10(ratio) == pytest.approx(snr_db, abs=0.7)


def test_haze_can_be_left_out():
    hazy, inside = made(f"{VESSEL}&pulses=2&tissue=60&snr=60")
    clear, _ = made(f"{VESSEL}&pulses=2&tissue=60&snr=60", haze_db=None)
    axis = inside > 2e-3
    powers = [np.mean(np.abs(echoes.burst(0, 0.0)[:, axis]) ** 2) for echoes in (hazy, clear)]
    assert powers[0] > 1000 * powers[1]


def test_noise_is_there_where_no_wave_passes_and_echoes_are_not():
    echoes, _ = made(f"{VESSEL}&pulses=2&angle=30&snr=10")
    burst = echoes.burst(0, 0.0)
    shadow = burst[:, -40:, :10]  # deep below the left end, from where the wave leads to the right
    lit = burst[:, -40:, -10:]
    assert (shadow != 0).all()
    assert np.mean(np.abs(shadow) ** 2) < 0.03 * np.mean(np.abs(lit) ** 2)


def test_what_the_fast_mode_cannot_image_is_refused():
    with pytest.raises(TrueflowError, match="one plane wave of a linear array"):
        Options(mode="fast", angle=(-5.0, 5.0))
