"""The chain from RF to velocity on motion that is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from echoes import moving_points

from trueflow.pipeline import ColorFlow, Config, ImageGrid, PlaneWave, RfPacket, Stamp, TrueflowError
from trueflow.pipeline.clutter import CLUTTER_FILTERS
from trueflow.pipeline.dealias import DEALIASERS
from trueflow.pipeline.geometry import insonified
from trueflow.pipeline.sim.recording import SimRecording

PLAIN = Config().override(["clutter.name=none"])


@pytest.mark.parametrize("fraction", [-0.8, -0.3, 0.05, 0.5, 0.9])
def test_velocity_of_rising_points_is_positive_and_right(acquisition, fraction):
    truth = fraction * acquisition.nyquist_velocity_m_s()
    flow = ColorFlow(acquisition, PLAIN)
    frame = flow(RfPacket(moving_points(acquisition, truth), Stamp(0)))
    v = frame.velocity
    assert v.mask.mean() > 0.05
    # Oblique receive paths see up to (1 - cos(20 deg)) / 2 = 3 % less, and the points' interference adds its own.
    assert abs(np.median(v.velocity_m_s[v.mask]) - truth) < 0.05 * acquisition.nyquist_velocity_m_s()


def test_faster_than_nyquist_wraps_without_a_dealiaser(acquisition):
    v_n = acquisition.nyquist_velocity_m_s()
    flow = ColorFlow(acquisition, PLAIN.override(["dealias.name=none"]))
    v = flow(RfPacket(moving_points(acquisition, 1.4 * v_n), Stamp(0))).velocity
    assert np.median(v.velocity_m_s[v.mask]) == pytest.approx(-0.6 * v_n, abs=0.05 * v_n)


@pytest.mark.parametrize("fraction", [1.4, -1.4, 2.2, -3.1])
def test_faster_than_nyquist_is_told_from_the_echo_s_two_sub_bands(acquisition, fraction):
    """All points rise alike: no slow rim says which fold it is, and no neighbour."""
    v_n = acquisition.nyquist_velocity_m_s()
    packet = RfPacket(moving_points(acquisition, fraction * v_n), Stamp(0))
    v = ColorFlow(acquisition, PLAIN)(packet).velocity
    assert np.median(v.velocity_m_s[v.mask]) == pytest.approx(fraction * v_n, rel=0.05)
    deaf = ColorFlow(acquisition, PLAIN.override(["dealias.second_phase=false"]))(packet)
    assert deaf.doppler.second is None
    assert abs(np.median(deaf.velocity.velocity_m_s[v.mask])) < v_n


def test_compounded_transmits_share_the_slow_time_rate(acquisition):
    waves = (PlaneWave(-0.1), PlaneWave(0.1))
    compound = replace(acquisition, transmits=waves)
    assert compound.slow_time_rate_hz == acquisition.slow_time_rate_hz / 2
    truth = 0.3 * compound.nyquist_velocity_m_s()
    frame = ColorFlow(compound, PLAIN)(RfPacket(moving_points(compound, truth), Stamp(0)))
    got = np.median(frame.velocity.velocity_m_s[frame.velocity.mask])
    assert got == pytest.approx(truth, abs=0.05 * compound.nyquist_velocity_m_s())


def both_masks(acquisition, packet, base=PLAIN):
    """The flow mask without and with the beam's reach."""
    frames = [ColorFlow(acquisition, base.override([f"mask.beam={beam}"]))(packet) for beam in ("false", "true")]
    return [frame.velocity.mask for frame in frames]


def test_there_is_no_color_where_no_wave_passes():
    """A vessel larger than the image, by a wave at 20 degrees: without the reach side lobes are colored."""
    recording = SimRecording.from_url("sim://cropped?peak=0.8vN&pulses=8&frames=1&angle=20")
    acquisition = recording.acquisition
    faint = Config().override(["mask.power_db=-20"])  # the side lobes are
    flow = ColorFlow(acquisition, faint)
    packet = RfPacket(recording.read(0, 8), Stamp(0))
    reached = insonified(acquisition, flow.grid)
    everywhere, within = both_masks(acquisition, packet, faint)
    np.testing.assert_array_equal(flow(packet).velocity.mask, within)
    assert everywhere[~reached].mean() > 0.2
    assert not within[~reached].any()
    # Only the vote's window beside the edge sees a difference.
    assert not within[~everywhere].any()
    assert within[reached].sum() > 0.99 * everywhere[reached].sum()
    inner = reached & (np.cumsum(reached, axis=1) > 3) & (np.cumsum(reached[:, ::-1], axis=1)[:, ::-1] > 3)
    inner[2:-2] &= reached[4:] & reached[:-4]
    np.testing.assert_array_equal(within[inner], everywhere[inner])


@pytest.mark.parametrize("sample_kind", ["rf", "beamformed"])
def test_the_reach_changes_nothing_straight_ahead_or_where_the_waves_are_not_known(acquisition, sample_kind):
    steered = acquisition if sample_kind == "rf" else replace(acquisition, transmits=(PlaneWave(0.6),))
    samples, grid = moving_points(acquisition, 0.1), None
    if sample_kind == "beamformed":
        grid = ImageGrid.cartesian(np.linspace(-5e-3, 5e-3, 40), np.linspace(5e-3, 15e-3, 50))
        samples = np.exp(0.8j * np.arange(8))[:, None, None] * np.ones((8, *grid.shape)).astype(np.complex64)
    base = replace(steered, sample_kind=sample_kind)
    masks = [
        ColorFlow(base, PLAIN.override([f"mask.beam={beam}"]), grid=grid)(RfPacket(samples, Stamp(0))).velocity.mask
        for beam in ("false", "true")
    ]
    np.testing.assert_array_equal(*masks)
    assert masks[0].any()


def test_two_angles_together_color_what_either_reaches(acquisition):
    waves = PlaneWave(-0.3), PlaneWave(0.3)
    compound = replace(acquisition, transmits=waves)
    packet = RfPacket(moving_points(compound, 0.3 * compound.nyquist_velocity_m_s()), Stamp(0))
    everywhere, within = both_masks(compound, packet)
    reached = [insonified(replace(acquisition, transmits=(wave,)), ColorFlow(compound).grid) for wave in waves]
    assert not (reached[0] & reached[1]).all()
    assert within[reached[0] & ~reached[1]].any()
    assert within[reached[1] & ~reached[0]].any()
    np.testing.assert_array_equal(within, everywhere)


@pytest.mark.parametrize("name", list(DEALIASERS))
def test_every_dealiaser_keeps_the_identity_and_leaves_unaliased_flow_alone(acquisition, name):
    v_n = acquisition.nyquist_velocity_m_s()
    flow = ColorFlow(acquisition, PLAIN.override([f"dealias.name={name}"]))
    v = flow(RfPacket(moving_points(acquisition, 0.4 * v_n), Stamp(0))).velocity
    step = (2.0 * v.fold.astype(np.float64) * v_n).astype(np.float32)
    np.testing.assert_array_equal(v.velocity_m_s, v.wrapped_velocity_m_s + step)
    assert not v.fold[~v.mask].any()
    # Points alone leave dark gaps of noise-free but undefined phase: nearly all, not all, of the mask is flow.
    assert (v.fold == 0).mean() > 0.98


@pytest.mark.parametrize("name", list(CLUTTER_FILTERS))
def test_every_clutter_filter_runs_in_the_chain(acquisition, name):
    longer = replace(acquisition, n_ensemble=12)
    order = 4 if name == "fir" else 1
    flow = ColorFlow(longer, Config().override([f"clutter.name={name}", f"clutter.order={order}"]))
    frame = flow(RfPacket(moving_points(longer, 0.6 * longer.nyquist_velocity_m_s()), Stamp(0)))
    assert np.isfinite(frame.velocity.velocity_m_s).all()


def test_auto_clutter_filters_tissue_and_leaves_a_phantom_alone(acquisition):
    longer = replace(acquisition, n_ensemble=16)
    blood = moving_points(longer, 0.5 * longer.nyquist_velocity_m_s())
    tissue = 20 * moving_points(longer, 0.0, seed=1, n_points=30)
    for samples, chosen in ((blood, "none"), ((blood + tissue).astype(np.int16), "polynomial")):
        flow = ColorFlow(longer)
        assert flow.config.clutter.name == "auto"
        flow(RfPacket(samples, Stamp(0)))
        assert flow.config.clutter.name == chosen


def test_same_bits_whatever_the_thread_count(acquisition):
    packet = RfPacket(moving_points(acquisition, 0.1), Stamp(0))
    frames = [ColorFlow(acquisition, n_threads=n)(packet) for n in (1, 2, 4)]
    for other in frames[1:]:
        np.testing.assert_array_equal(frames[0].velocity.velocity_m_s, other.velocity.velocity_m_s)
        np.testing.assert_array_equal(frames[0].bmode.envelope, other.bmode.envelope)
        np.testing.assert_array_equal(frames[0].velocity.mask, other.velocity.mask)


def test_frames_own_their_arrays(acquisition):
    """A frame kept for later is not overwritten by the next one."""
    flow = ColorFlow(acquisition, PLAIN)
    first = flow(RfPacket(moving_points(acquisition, 0.05), Stamp(0)))
    kept = first.velocity.velocity_m_s.copy()
    for i in range(3):
        flow(RfPacket(moving_points(acquisition, -0.1), Stamp(1 + i)))
    np.testing.assert_array_equal(first.velocity.velocity_m_s, kept)


def test_persistence_averages_power_and_correlation(acquisition):
    flow = ColorFlow(acquisition, PLAIN.override(["persistence.factor=0.5"]))
    packets = [RfPacket(moving_points(acquisition, v), Stamp(i)) for i, v in enumerate((0.02, 0.08))]
    plain = [ColorFlow(acquisition, PLAIN)(p) for p in packets]
    flow(packets[0])
    blended = flow(packets[1])
    np.testing.assert_allclose(
        blended.doppler.r1,
        (plain[0].doppler.r1 + plain[1].doppler.r1) / 2,
        atol=1e-5 * float(np.abs(plain[1].doppler.r1).max()),
    )


def test_channel_iq_gives_the_field_of_its_rf(acquisition):
    """IQ mixed outside (by the demodulator's reference) enters without the demodulator."""
    from trueflow.kernels.demodulate import design_band_filter, reference

    rf = moving_points(acquisition, 0.05)
    clocks = {"sampling_frequency_hz": 20e6, "demodulation_frequency_hz": 5e6}
    band = design_band_filter(bandwidth_hz=3e6, **clocks)
    iq = reference(rf.reshape(8, 32, 400), band_filter=band, rx_start_s=0.0, **clocks)
    samples = np.moveaxis(iq, -1, 0)[:, None].astype(np.complex64)
    as_iq = replace(
        acquisition, sample_kind="iq", sampling_frequency_hz=20e6 / band.decimation, n_samples=samples.shape[-1]
    )
    flow = ColorFlow(acquisition, PLAIN)
    ours = ColorFlow(as_iq, PLAIN, grid=flow.grid)(RfPacket(np.ascontiguousarray(samples), Stamp(0)))
    direct = flow(RfPacket(rf, Stamp(0)))
    mask = direct.velocity.mask
    apart = np.abs(ours.velocity.velocity_m_s - direct.velocity.velocity_m_s)[mask]
    assert np.median(apart) < 1e-4 * acquisition.nyquist_velocity_m_s()


def test_beamformed_iq_enters_at_the_clutter_filter(acquisition):
    grid = ImageGrid.cartesian(np.linspace(-1e-3, 1e-3, 7), np.linspace(5e-3, 9e-3, 11))
    beamformed = replace(acquisition, sample_kind="beamformed")
    phase = 0.8
    iq = np.exp(1j * phase * np.arange(8))[:, None, None] * np.ones((8, 11, 7))
    frame = ColorFlow(beamformed, PLAIN, grid=grid)(RfPacket(iq.astype(np.complex64), Stamp(0)))
    expected = acquisition.nyquist_velocity_m_s() * phase / np.pi
    np.testing.assert_allclose(frame.velocity.velocity_m_s, expected, rtol=1e-5)
    with pytest.raises(TrueflowError, match="grid"):
        ColorFlow(beamformed)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1)])
def test_images_of_one_row_or_column_run(acquisition, shape):
    grid = ImageGrid.cartesian(np.arange(shape[1]) * 1e-4, 5e-3 + np.arange(shape[0]) * 1e-4)
    flow = ColorFlow(replace(acquisition, sample_kind="beamformed"), PLAIN, grid=grid)
    iq = np.exp(0.8j * np.arange(8))[:, None, None] * np.ones((8, *shape))
    velocity = flow(RfPacket(iq.astype(np.complex64), Stamp(0))).velocity
    np.testing.assert_allclose(velocity.velocity_m_s, acquisition.nyquist_velocity_m_s() * 0.8 / np.pi, rtol=1e-5)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("clutter.order=9", "leaves less than two"),
        ("doppler.lag=8", "lag"),
        ("doppler.average_z=2", "odd"),
        ("beamform.f_number=0", "f_number"),
        ("persistence.factor=1.5", "factor"),
        ("clutter.name=wall", "clutter filter"),
        ("dealias.name=skimge", "did you mean 'skimage'"),
        ("grid.n_x=100000", "n_x: out of range"),
        ("grid.x_min_m=1.0", "empty x range"),
        ("mask.speck_fraction=2.0", "fraction"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_their_name(acquisition, setting, message):
    base = Config().override(["clutter.name=polynomial", "grid.n_z=64"])
    with pytest.raises(TrueflowError, match=message):
        ColorFlow(acquisition, base.override([setting]))


def test_a_packet_of_another_shape_is_refused(acquisition):
    flow = ColorFlow(acquisition, PLAIN)
    with pytest.raises(TrueflowError, match=r"found \(8, 1, 31, 400\); expected \(8, 1, 32, 400\)"):
        flow(RfPacket(np.zeros((8, 1, 31, 400), np.int16), Stamp(0)))


@pytest.mark.parametrize(
    ("kind", "dtype"), [("rf", ">i2"), ("rf", "uint16"), ("rf", "complex64"), ("iq", "float32"), ("iq", "complex128")]
)
def test_a_packet_of_another_type_is_refused(acquisition, kind, dtype):
    flow = ColorFlow(replace(acquisition, sample_kind=kind), PLAIN)
    with pytest.raises(TrueflowError, match=r"samples of another type; found dtype.*; expected .*; samples.astype"):
        flow(RfPacket(np.zeros((8, 1, 32, 400), dtype), Stamp(0)))


def test_an_unknown_device_is_refused(acquisition):
    with pytest.raises(TrueflowError, match="cpu, cuda"):
        ColorFlow(acquisition, device="tpu")


def test_timings_name_every_stage(acquisition):
    frame = ColorFlow(acquisition, PLAIN)(RfPacket(moving_points(acquisition, 0.05), Stamp(0)))
    assert list(frame.timings_s) == [
        "beamform", "bmode", "clutter", "doppler", "flow", "second_phase", "segment", "dealias",
    ]  # fmt: skip


def test_the_user_may_know_the_recording_better_than_its_file(acquisition):
    flow = ColorFlow(acquisition, PLAIN.override(["acquisition.prf_hz=2000", "acquisition.n_receive_firings=2"]))
    assert flow.acquisition.slow_time_rate_hz == acquisition.slow_time_rate_hz / 4
    with pytest.raises(TrueflowError, match="prf_hz"):
        ColorFlow(acquisition, PLAIN.override(["acquisition.prf_hz=-1"]))


@pytest.mark.parametrize("n_ensemble", [2, 3, 4, 5])
def test_short_ensembles_keep_their_velocity(acquisition, n_ensemble):
    """A filter that leaves one degree of freedom would show its own phase, pi, everywhere."""
    short = replace(acquisition, n_ensemble=n_ensemble)
    truth = 0.3 * short.nyquist_velocity_m_s()
    v = ColorFlow(short)(RfPacket(moving_points(short, truth), Stamp(0))).velocity
    assert np.median(v.velocity_m_s[v.mask]) == pytest.approx(truth, abs=0.1 * short.nyquist_velocity_m_s())


@pytest.mark.parametrize("name", ["svd", "auto"])
def test_iq_that_is_not_finite_is_refused_by_its_packet(acquisition, name):
    grid = ImageGrid.cartesian(np.linspace(-1e-3, 1e-3, 7), np.linspace(5e-3, 9e-3, 11))
    flow = ColorFlow(
        replace(acquisition, sample_kind="beamformed"), Config().override([f"clutter.name={name}"]), grid=grid
    )
    iq = np.full((8, 11, 7), np.nan, np.complex64)
    with pytest.raises(TrueflowError, match="packet 5: IQ holds NaN"):
        flow(RfPacket(iq, Stamp(5)))


def test_a_corrected_center_frequency_is_what_rf_is_mixed_with(acquisition):
    corrected = ColorFlow(acquisition, PLAIN.override(["acquisition.center_frequency_hz=4.5e6"])).acquisition
    assert corrected.mixing_frequency_hz == 4.5e6


def test_samples_of_an_unsupported_type_are_refused(acquisition):
    samples = moving_points(acquisition, 0.1).astype(np.float64)
    with pytest.raises(TrueflowError, match="float64"):
        ColorFlow(acquisition, PLAIN)(RfPacket(samples, Stamp(0)))
