"""scatter.cu against its float64 reference, and against what physics says of single points."""

from __future__ import annotations

import numpy as np
import pytest
from tolerances import ATAN2_TURNS, EPS, SINCOS, das_position_samples, sum_of_products

from trueflow.kernels import get_device
from trueflow.kernels.das import DelayAndSum, ReceiveWindow, Waves
from trueflow.kernels.demodulate import Demodulator, design_band_filter
from trueflow.kernels.pulse import (
    PULSE_ERROR,
    SPREAD_PHASES,
    burst_pulse,
    fit_spreading,
    gaussian_pulse,
    tabulated_pulse,
)
from trueflow.kernels.scatter import DIRECTIVITY_ERROR, EDGE_WAVELENGTHS, ScatterSimulator, reference

C, F0, FS = 1540.0, 5e6, 20e6
WAVELENGTH_M = C / F0
STRAIGHT = Waves(np.array([[0.0, 1.0, 0.0, 0.0]]))
PLANE = Waves(np.array([[np.sin(0.2), np.cos(0.2), 0.0, 1e-3]]))
DIVERGING = Waves(np.array([[1e-3, -12e-3, 1.0, -12e-3]]))
FOCUSED = Waves(np.array([[1e-3, 40e-3, -1.0, 40e-3]]))
COMPOUND = Waves(np.vstack([PLANE.table, DIVERGING.table, [[np.sin(-0.1), np.cos(-0.1), 0.0, 0.0]]]))
RECORD = {
    "element_width_m": 0.27e-3,
    "sampling_frequency_hz": FS,
    "center_frequency_hz": F0,
    "bandwidth_fraction": 0.6,
    "n_samples": 701,
    "rx_start_s": 1.3e-6,
    "sound_speed_m_s": C,
}
FAR_M = 0.06  # longest path in these tests, out and back


def linear(n_elements=37):
    x = (np.arange(n_elements) - (n_elements - 1) / 2) * 0.3e-3
    return {"element_x_m": x, "element_z_m": np.zeros_like(x), "element_angles_rad": np.zeros_like(x)}


def convex(n_elements=41, radius=20e-3):
    angle = (np.arange(n_elements) - (n_elements - 1) / 2) * 0.4e-3 / radius
    return {
        "element_x_m": radius * np.sin(angle),
        "element_z_m": radius * (np.cos(angle) - 1),
        "element_angles_rad": angle,
    }


def points(rng, n):
    """Positions and amplitudes as float32, which is what both sides are given."""
    x, z = rng.uniform(-6e-3, 6e-3, n), rng.uniform(1e-3, 24e-3, n)
    return tuple(v.astype(np.float32) for v in (x, z, rng.uniform(0.5, 1, n) * rng.choice([-1, 1], n)))


def point(x_m, z_m, amplitude=1.0):
    return tuple(np.array([v], np.float32) for v in (x_m, z_m, amplitude))


def both(device, cloud, options):
    simulate = ScatterSimulator(device, **options)
    return simulate(*cloud), reference(*(v.astype(np.float64) for v in cloud), **options)


def tolerance(cloud, options):
    """Errors relative to each echo without its directivity, all of which may fall on one sample.

    The pulse is fitted to PULSE_ERROR, and its spreading kernel read by linear interpolation between SPREAD_PHASES: as
    nothing in the pulse is above the cells' Nyquist frequency, its slope is at most pi and its curvature pi^2 of the
    peak per cell (Bernstein's inequality), so that h^2 / 8 of the curvature and pi times the position's error are lost.
    The beam's edge turns an error across it into one of level, by pi / 2 per edge width.
    """
    x, z, amplitude = (v.astype(np.float64) for v in cloud)
    fit = fit_spreading(options.get("pulse") or gaussian_pulse(F0, options["bandwidth_fraction"]), FS, 0.0)
    cell_hz = options["sampling_frequency_hz"] * fit.oversampling
    table = np.pi**2 / 8 / SPREAD_PHASES**2
    position = np.pi * das_position_samples(path_m=FAR_M, sound_speed_m_s=C, frequency_hz=cell_hz)
    edge_m = EDGE_WAVELENGTHS * WAVELENGTH_M
    beam = SINCOS + np.pi / 2 * (6 * EPS * FAR_M + 2 * np.pi * FAR_M * ATAN2_TURNS) / edge_m
    r = np.hypot(x - options["element_x_m"][:, None], z - options["element_z_m"][:, None])
    largest = np.abs(amplitude) / np.sqrt(np.maximum(r, WAVELENGTH_M / 2))
    total = float(largest.sum(axis=1).max())
    relative = PULSE_ERROR + table + position + beam + DIRECTIVITY_ERROR + 10 * EPS
    return total * relative + sum_of_products(len(x) + fit.taps.size, float(np.abs(fit.taps).sum()) * total)


def assert_matches(device, cloud, options):
    ours, expected = both(device, cloud, options)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance(cloud, options))
    return ours, expected


@pytest.mark.parametrize(
    "waves", [PLANE, DIVERGING, FOCUSED, COMPOUND], ids=["plane", "diverging", "focused", "compound"]
)
@pytest.mark.parametrize("geometry", [linear(), convex()], ids=["linear", "convex"])
def test_matches_the_reference_for_every_geometry(device, rng, geometry, waves):
    _, expected = assert_matches(device, points(rng, 7), {**RECORD, **geometry, "waves": waves})
    assert (np.abs(expected).max(axis=(1, 2)) > 1).all()  # every wave met scatterers


@pytest.mark.parametrize("n_points", [1, 15, 16, 17, 45])
def test_matches_the_reference_for_any_number_of_scatterers(device, rng, n_points):
    assert_matches(device, points(rng, n_points), {**RECORD, **linear(), "waves": PLANE})


@pytest.mark.parametrize("n_samples", [1, 7, 16, 333])
@pytest.mark.parametrize("fs_hz", [6.67e6, 20e6, 62.5e6], ids=["undersampled", "four times", "finely"])
def test_matches_the_reference_for_any_record(device, rng, n_samples, fs_hz):
    options = {**RECORD, **linear(3), "waves": PLANE, "sampling_frequency_hz": fs_hz, "n_samples": n_samples}
    assert_matches(device, points(rng, 12), {**options, "rx_start_s": 15e-6})


@pytest.mark.parametrize("bandwidth", [0.15, 0.8])
@pytest.mark.parametrize("attenuation", [0.0, 1.5])
def test_matches_the_reference_for_narrow_and_wide_bands_with_attenuation(device, rng, bandwidth, attenuation):
    options = {**RECORD, **linear(5), "waves": PLANE, "bandwidth_fraction": bandwidth}
    assert_matches(device, points(rng, 5), {**options, "attenuation_db_cm_mhz": attenuation})


@pytest.mark.parametrize("pulse", [gaussian_pulse(F0, 0.6), burst_pulse(F0, 0.6, 4)], ids=["impulse", "four cycles"])
def test_echoes_between_samples_are_right_to_60_db(device, pulse):
    options = {**RECORD, **linear(1), "waves": STRAIGHT, "pulse": pulse, "attenuation_db_cm_mhz": 0.0}
    shifts_m = np.linspace(0, C / FS / 2, 37)
    for z_m in 12e-3 + shifts_m:
        ours, expected = both(device, point(0, z_m), options)
        assert np.abs(ours - expected).max() < 1e-3 * np.abs(expected).max()


def test_echoes_cut_by_the_records_ends_match_the_reference(device):
    options = {**RECORD, **linear(1), "waves": STRAIGHT, "n_samples": 101, "rx_start_s": 10e-6}
    start_m, end_m = 10e-6 * C / 2, (10e-6 + 100 / FS) * C / 2
    for z_m in (start_m, end_m):
        for offset_m in np.linspace(-0.5e-3, 0.5e-3, 21):
            assert_matches(device, point(0, z_m + offset_m), options)


def test_scatterers_out_of_the_record_are_not_heard(device):
    options = {**RECORD, **linear(5), "waves": STRAIGHT, "n_samples": 101, "rx_start_s": 10e-6}
    for z_m in (1e-3, 6e-3, 14e-3, 500.0, -1e-3):
        ours, expected = both(device, point(0, z_m), options)
        np.testing.assert_array_equal(ours, 0)
        np.testing.assert_array_equal(expected, 0)


def test_scatterers_that_are_no_numbers_are_not_heard(device):
    options = {**RECORD, **linear(5), "waves": COMPOUND}
    for bad in (np.nan, np.inf, -np.inf):
        for cloud in (point(bad, 10e-3), point(0, bad), point(bad, bad)):
            np.testing.assert_array_equal(ScatterSimulator(device, **options)(*cloud), 0)


def test_no_scatterers_make_silence(device):
    nothing = np.empty(0, np.float32)
    rf = ScatterSimulator(device, **RECORD, **linear(5), waves=COMPOUND)(nothing, nothing, nothing)
    np.testing.assert_array_equal(rf, np.zeros((3, 5, RECORD["n_samples"]), np.float32))


def test_elements_do_not_hear_what_is_behind_them(device):
    geometry = convex()
    ours, expected = assert_matches(device, point(-7e-3, 1e-3), {**RECORD, **geometry, "waves": STRAIGHT})
    sine, cosine = np.sin(geometry["element_angles_rad"]), np.cos(geometry["element_angles_rad"])
    depth = (-7e-3 - geometry["element_x_m"]) * sine + (1e-3 - geometry["element_z_m"]) * cosine
    assert 0 < (depth < -1e-5).sum() < depth.size
    np.testing.assert_array_equal(ours[0, depth < -1e-5], 0)
    assert (np.abs(expected[0, depth > 1e-4]).max(axis=1) > 0).all()


def level(rf):
    """Peak of the envelope along the record."""
    spectrum = np.fft.fft(rf, 8 * rf.shape[-1])
    spectrum[..., spectrum.shape[-1] // 2 :] = 0
    return 2 * 8 * np.abs(np.fft.ifft(spectrum, 8 * 8 * rf.shape[-1])).max(axis=-1)


@pytest.mark.parametrize("width", [0.3, 0.9, 2.5])
def test_level_falls_with_the_angle_as_a_soft_baffle_says(device, width):
    alone = Waves(np.array([[0.0, 0.0, 1.0, 0.0]]))  # from the element itself: lights the half-space
    options = {**RECORD, **linear(1), "waves": alone, "attenuation_db_cm_mhz": 0.0}
    simulate = ScatterSimulator(device, **{**options, "element_width_m": width * WAVELENGTH_M})
    angles = np.radians([0, 10, 25, 40, 60, 80])
    measured = np.array([level(simulate(*point(15e-3 * np.sin(a), 15e-3 * np.cos(a))))[0, 0] for a in angles])
    expected = np.abs(np.sinc(width * np.sin(angles))) * np.cos(angles)
    np.testing.assert_allclose(measured / measured[0], expected, atol=2e-3)


def test_level_falls_with_range_by_spreading_and_attenuation(device):
    options = {**RECORD, **linear(1), "waves": STRAIGHT, "attenuation_db_cm_mhz": 0.7}
    simulate = ScatterSimulator(device, **options)
    near, far = (float(level(simulate(*point(0, z)))[0, 0]) for z in (5e-3, 20e-3))
    loss_db = 20 * np.log10(near / far)
    assert loss_db == pytest.approx(0.7 * 5 * 2 * 1.5 + 10 * np.log10(4), abs=0.02)


def test_a_wave_lights_what_lies_between_the_rays_through_the_arrays_ends(device):
    """At 15 mm a beam steered by 0.2 rad has moved by 3 mm."""
    options = {**RECORD, **linear(101), "waves": PLANE, "attenuation_db_cm_mhz": 0.0}
    simulate, moved = ScatterSimulator(device, **options), 15e-3 * np.tan(0.2)
    elements = linear(101)["element_x_m"]

    def lit(x_m):
        return level(simulate(*point(x_m, 15e-3))[0, np.abs(elements - x_m).argmin()])

    assert lit(moved + 15e-3 - 2e-3) == pytest.approx(lit(moved), rel=0.1)
    assert lit(moved - 15e-3 + 2e-3) == pytest.approx(lit(moved), rel=0.01)
    assert lit(moved + 15e-3 + 2e-3) == 0
    assert lit(moved - 15e-3 - 2e-3) == 0


@pytest.mark.parametrize("waves", [PLANE, DIVERGING], ids=["plane", "diverging"])
def test_das_images_a_point_where_it_is_with_zero_phase(device, waves):
    geometry, x0, z0 = linear(64), 1.2e-3, 14e-3
    options = {**RECORD, **geometry, "waves": waves}
    rf = ScatterSimulator(device, **options)(*point(x0, z0))
    band = design_band_filter(sampling_frequency_hz=FS, demodulation_frequency_hz=F0, bandwidth_hz=4e6)
    clock = {"demodulation_frequency_hz": F0, "rx_start_s": RECORD["rx_start_s"]}
    demodulate = Demodulator(
        device, n_ensemble=1, n_channels=64, n_samples=RECORD["n_samples"], dtype=np.float32, band_filter=band,
        sampling_frequency_hz=FS, **clock,
    )
    x, z = np.meshgrid(np.linspace(-2e-3, 4e-3, 61), np.linspace(12e-3, 16e-3, 81))
    beamform = DelayAndSum(
        device, pixel_x_m=x, pixel_z_m=z, **geometry, waves=waves, window=ReceiveWindow(1.0, 0.5),
        n_samples=demodulate.n_iq_samples, n_ensemble=1, n_padded=demodulate.n_padded, sound_speed_m_s=C,
        sampling_frequency_hz=demodulate.iq_frequency_hz, **clock,
    )
    image = beamform(demodulate(rf))[..., 0]
    row, column = np.unravel_index(np.abs(image).argmax(), x.shape)
    assert abs(x[row, column] - x0) <= 0.1e-3
    assert abs(z[row, column] - z0) <= 0.05e-3
    assert abs(np.angle(image[row, column])) < 0.1


def test_same_bits_whatever_the_thread_count(rng):
    cloud, options = points(rng, 333), {**RECORD, **linear(), "waves": COMPOUND}
    results = [ScatterSimulator(get_device("cpu", n_threads=n), **options)(*cloud) for n in (1, 2, 3, 5)]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_one_transmit_alone_is_its_row_of_all(device, rng):
    cloud = points(rng, 21)
    simulate = ScatterSimulator(device, **RECORD, **linear(5), waves=COMPOUND)
    together = simulate(*cloud)
    for t in range(3):
        np.testing.assert_array_equal(simulate(*cloud, transmit=t), together[t : t + 1])


def test_echoes_are_added_to_what_is_there(device, rng):
    cloud = points(rng, 21)
    simulate = ScatterSimulator(device, **RECORD, **linear(5), waves=COMPOUND)
    rf = simulate(*cloud)
    before = rng.standard_normal(rf.shape, np.float32)
    total = before.copy()
    assert simulate(*cloud, add_to=total) is total
    np.testing.assert_allclose(total, before + rf, rtol=0, atol=4 * EPS * np.abs(before + rf).max())


def bandwidth_hz(pulse):
    """Width between the spectrum's -6 dB points (half the peak's amplitude)."""
    times = np.arange(-4096, 4096) / (16 * F0)
    spectrum = np.abs(np.fft.rfft(pulse(times), 16 * times.size))
    above = np.flatnonzero(spectrum >= spectrum.max() / 2)
    return (above[-1] - above[0]) * 16 * F0 / (16 * times.size)


@pytest.mark.parametrize("fraction", [0.3, 0.6])
def test_a_gaussian_pulse_has_the_bandwidth_asked_for(fraction):
    assert bandwidth_hz(gaussian_pulse(F0, fraction)) == pytest.approx(fraction * F0, rel=0.01)


def test_a_burst_lasts_its_cycles_longer_and_is_narrower():
    impulse, burst = gaussian_pulse(F0, 0.6), burst_pulse(F0, 0.6, 6)
    assert burst.half_duration_s - impulse.half_duration_s == pytest.approx(3 / F0, rel=0.02)
    assert bandwidth_hz(burst) == pytest.approx(1.21 * F0 / 6, rel=0.1)  # -6 dB width of a burst's sinc
    assert np.abs(burst(np.linspace(-1e-6, 1e-6, 2001))).max() == pytest.approx(1, abs=1e-3)


def test_a_tabulated_pulse_is_the_waveform_it_was_sampled_from():
    pulse, rate_hz = gaussian_pulse(F0, 0.6), 16 * F0
    n = int(pulse.half_duration_s * rate_hz)
    table = tabulated_pulse(pulse(np.arange(-n, n + 1) / rate_hz), sampling_frequency_hz=rate_hz)
    times = np.linspace(-table.half_duration_s, table.half_duration_s, 1999)
    np.testing.assert_allclose(table(times), pulse(times), atol=1e-4)
    assert table(np.array([2 * table.half_duration_s])) == 0


def test_what_cannot_be_simulated_is_refused(device):
    options = {**RECORD, **linear(5), "waves": PLANE}
    with pytest.raises(ValueError, match="32 bits"):
        ScatterSimulator(device, **{**options, "n_samples": 2**29})
    with pytest.raises(ValueError, match="3 wavelengths"):
        ScatterSimulator(device, **{**options, "element_width_m": 3 * WAVELENGTH_M})
    cut_off = tabulated_pulse(np.cos(np.linspace(0, 9, 200)), sampling_frequency_hz=64 * F0)
    with pytest.raises(ValueError, match="cut off"):
        ScatterSimulator(device, **options, pulse=cut_off)
    simulate, (x, z, amplitude) = ScatterSimulator(device, **options), point(0, 10e-3)
    with pytest.raises(ValueError, match="one length"):
        simulate(x, np.repeat(z, 2), amplitude)
    with pytest.raises(ValueError, match="add_to"):
        simulate(x, z, amplitude, add_to=np.zeros((1, 5, 3), np.float32))
