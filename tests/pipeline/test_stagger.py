"""Staggered pulses from the acquisition to folds: times, refusals, and scenes that only the second interval settles."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
from echoes import moving_points

from trueflow.kernels import get_device
from trueflow.kernels.autocorrelate import autocorrelate_reference, box_average_reference
from trueflow.kernels.slow_time import polynomial_filter
from trueflow.pipeline import ColorFlow, Config, Framing, ImageGrid, RfPacket, Stamp, TrueflowError, packets
from trueflow.pipeline.config import DopplerConfig, MaskConfig
from trueflow.pipeline.score import fold_score
from trueflow.pipeline.sim.recording import SimRecording
from trueflow.pipeline.stagger import staggered_mask

PLAIN = Config().override(["clutter.name=none"])
SCENE = "&pulses=16&snr=15&frames=1&bandwidth=0.3&mode=fast&waveform=constant"


@pytest.fixture
def staggered(acquisition):
    return replace(acquisition, stagger=(3, 4))


def test_pulses_come_in_pairs(staggered):
    interval_s = 1 / staggered.slow_time_rate_hz
    expected = np.cumsum([0, 1, 4 / 3, 1, 4 / 3, 1, 4 / 3, 1]) * interval_s
    np.testing.assert_allclose(staggered.pulse_times_s, expected, rtol=1e-12)
    assert staggered.packet_s == pytest.approx(4 * (1 + 4 / 3) * interval_s)
    assert staggered.nyquist_velocity_m_s() == replace(staggered, stagger=None).nyquist_velocity_m_s()


def test_without_stagger_pulses_are_even(acquisition):
    np.testing.assert_array_equal(acquisition.pulse_times_s, np.arange(8) / 4e3)
    assert acquisition.packet_s == 8 / 4e3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stagger": (4, 3)}, "no stagger; found 4:3"),
        ({"stagger": (2, 4)}, "without a common factor"),
        ({"stagger": (0, 1)}, "found 0:1"),
        ({"stagger": (16, 17)}, "<= 16"),
        ({"n_ensemble": 7}, "n_ensemble: does not fit staggered pulses; found 7"),
        ({"n_ensemble": 2}, "at least 4"),
        ({"slow_time_decimation": 2}, "slow_time_decimation: does not fit staggered pulses"),
    ],
)
def test_what_is_no_stagger_is_refused(staggered, change, message):
    with pytest.raises(TrueflowError, match=message):
        replace(staggered, **change)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("clutter.name=fir", "fir takes evenly spaced pulses"),
        ("clutter.name=iir", "iir takes evenly spaced pulses"),
        ("doppler.lag=2", r"\[doppler\] lag: does not fit staggered pulses; found 2"),
        ("acquisition.stagger=3-4", r"\[acquisition\] stagger: no stagger; found '3-4'; expected m:n"),
        ("acquisition.stagger=6:8", "without a common factor"),
    ],
)
def test_settings_that_do_not_fit_are_refused(staggered, setting, message):
    with pytest.raises(TrueflowError, match=message):
        ColorFlow(staggered, Config().override([setting]))


def test_the_config_may_say_that_pulses_were_staggered(acquisition, tmp_path):
    config = Config().override(["acquisition.stagger=3:4"])
    path = tmp_path / "c.toml"
    path.write_text(config.to_toml())
    assert Config.load(path) == config
    assert ColorFlow(acquisition, config).acquisition.stagger == (3, 4)


@pytest.mark.parametrize("name", ["none", "polynomial", "svd", "auto"])
def test_the_short_interval_alone_makes_the_velocity(staggered, name):
    """Both intervals taken together would show a phase in between."""
    longer = replace(staggered, n_ensemble=16)
    v_n = longer.nyquist_velocity_m_s()
    samples = moving_points(longer, 0.6 * v_n)
    flow = ColorFlow(longer, Config().override([f"clutter.name={name}"]))
    v = flow(RfPacket(samples, Stamp(0))).velocity
    assert np.median(v.velocity_m_s[v.mask]) == pytest.approx(0.6 * v_n, abs=0.06 * v_n)


def test_the_second_phase_is_that_of_the_long_interval(staggered):
    grid = ImageGrid.cartesian(np.linspace(-1e-3, 1e-3, 7), np.linspace(5e-3, 9e-3, 11))
    rng = np.random.default_rng(3)
    iq = (rng.standard_normal((11, 7, 8)) + 1j * rng.standard_normal((11, 7, 8))).astype(np.complex64)
    beamformed = replace(staggered, sample_kind="beamformed")
    frame = ColorFlow(beamformed, PLAIN, grid=grid)(RfPacket(np.moveaxis(iq, -1, 0), Stamp(0)))
    r0, short = autocorrelate_reference(iq, step=2)
    _, long = autocorrelate_reference(iq, first=1, step=2)
    r0, short, long = (box_average_reference(a, size_z=3, size_x=3) for a in (r0, short, long))
    np.testing.assert_allclose(frame.doppler.r1, short, atol=1e-5)
    np.testing.assert_allclose(frame.doppler.second.phasor, long / np.maximum(r0, np.abs(long)), atol=1e-5)


def test_persistence_averages_both_intervals(staggered):
    grid = ImageGrid.cartesian(np.linspace(-1e-3, 1e-3, 7), np.linspace(5e-3, 9e-3, 11))
    beamformed = replace(staggered, sample_kind="beamformed")
    flow = ColorFlow(beamformed, PLAIN.override(["persistence.factor=0.75"]), grid=grid)
    times = beamformed.pulse_times_s * beamformed.slow_time_rate_hz
    phases = []
    for turns in (0.1, 0.2):
        iq = np.exp(2j * np.pi * turns * times)[:, None, None] * np.ones((8, 11, 7))
        second = flow(RfPacket(iq.astype(np.complex64), Stamp(0))).doppler.second
        phases.append(np.angle(second.phasor[5, 3]))
    blend = 0.75 * np.exp(2j * np.pi * 0.1 * 4 / 3) + 0.25 * np.exp(2j * np.pi * 0.2 * 4 / 3)
    assert phases[0] == pytest.approx(2 * np.pi * 0.1 * 4 / 3, abs=1e-5)
    assert phases[1] == pytest.approx(np.angle(blend), abs=1e-5)


def test_the_masks_gate_is_what_noise_reaches_over_the_short_interval():
    """Counted with other noise than the stage's own."""
    design = polynomial_filter(16, order=1).output
    doppler = DopplerConfig(average_z=4, average_x=2)  # two looks
    gate = staggered_mask(MaskConfig(), doppler, design).coherence
    rng = np.random.default_rng(11)
    noise = (rng.standard_normal((20000, 2, 16)) + 1j * rng.standard_normal((20000, 2, 16))) @ design.T
    short = (noise[..., 1::2] * noise[..., ::2].conj()).mean(axis=(1, 2))
    passed = np.mean(np.abs(short) > gate * (np.abs(noise) ** 2).mean(axis=(1, 2)))
    assert passed == pytest.approx(0.1, abs=0.015)
    assert staggered_mask(MaskConfig(coherence=0.2), doppler, design).coherence == 0.2


def test_packets_begin_with_the_short_interval(staggered):
    recording = SimRecording.from_url("sim://disk?frames=1&pulses=16&stagger=3:4&mode=fast")
    acquisition, n, stream = packets(recording, Framing(ensemble=8, hop=4))
    assert (acquisition.n_ensemble, acquisition.stagger, n) == (8, (3, 4), 3)
    starts = [packet.stamp.acquisition_time_s for packet in stream]
    assert starts == pytest.approx([0, 2 * 7 / 3 / 4e3, 4 * 7 / 3 / 4e3])
    for framing, message in (
        (Framing(ensemble=8, hop=3), "hop: does not fit staggered pulses"),
        (Framing(ensemble=7, hop=8), "n_ensemble: does not fit"),
        (Framing(ensemble=4, decimate=2), "slow_time_decimation: does not fit"),
    ):
        with pytest.raises(TrueflowError, match=message):
            packets(recording, framing)


@pytest.mark.parametrize("mode", ["fast", "rf"])
def test_scatterers_are_where_they_are_when_pulses_come(mode):
    """In the long interval they go a third further."""
    url = f"sim://straight?peak=0.6vN&pulses=8&frames=1&snr=30&tissue=-20&waveform=constant&stagger=3:4&mode={mode}"
    recording = SimRecording.from_url(url)
    (packet,) = packets(recording, Framing())[2]
    frame = ColorFlow(recording.acquisition, PLAIN, grid=recording.grid)(packet)
    flow = frame.velocity.mask & (np.abs(frame.velocity.velocity_m_s) > 0.35 * frame.velocity.nyquist_velocity_m_s)
    assert flow.sum() > 500
    ratio = np.angle(frame.doppler.second.phasor[flow]) / np.angle(frame.doppler.r1[flow])
    assert np.median(ratio) == pytest.approx(4 / 3, abs=0.04)


@functools.cache
def scored(url, *settings):
    recording = SimRecording.from_url(url)
    (packet,) = packets(recording, Framing())[2]
    frame = ColorFlow(recording.acquisition, Config().override(settings), grid=recording.grid)(packet)
    truth = recording.truth(0, 16, recording.grid)
    return fold_score(frame.velocity, truth), frame


@pytest.mark.parametrize(
    ("family", "peak", "fails_without"),
    [("cropped", 1.7, True), ("cropped", 2.5, True), ("plug", 1.7, False), ("plug", 2.4, True)],
)
def test_flow_without_a_slow_border_gets_its_folds_from_the_second_interval(family, peak, fails_without):
    """Where all blood in the image is aliased nothing in one map of phases says by how much."""
    url = f"sim://{family}?peak={peak}vN&seed=1{SCENE}"
    with_stagger, frame = scored(url + "&stagger=3:4")
    assert with_stagger.n_flow_pixels > 1000
    assert with_stagger.wrong_fold_rate < 0.005
    velocity, v_n = frame.velocity, frame.velocity.nyquist_velocity_m_s
    step = (2.0 * velocity.fold.astype(np.float64) * v_n).astype(np.float32)
    np.testing.assert_array_equal(velocity.velocity_m_s, velocity.wrapped_velocity_m_s + step)
    if fails_without:
        without, _ = scored(url, "dealias.second_phase=false")
        assert without.wrong_fold_rate > 0.5
        deaf, _ = scored(url + "&stagger=3:4", "dealias.second_phase=false")
        assert deaf.wrong_fold_rate > 0.5


def test_unaliased_flow_is_left_alone():
    score, _ = scored(f"sim://straight?peak=0.8vN&seed=1{SCENE}&stagger=3:4")
    assert score.n_flow_pixels > 1000
    assert score.wrong_fold_rate == 0


def test_same_bits_whatever_the_thread_count():
    recording = SimRecording.from_url(f"sim://cropped?peak=1.7vN&seed=2{SCENE}&stagger=3:4")
    (packet,) = packets(recording, Framing())[2]
    frames = [ColorFlow(recording.acquisition, grid=recording.grid, device=get_device("cpu", n_threads=n))(packet)
              for n in (1, 2)]  # fmt: skip
    np.testing.assert_array_equal(frames[0].velocity.velocity_m_s, frames[1].velocity.velocity_m_s)
    np.testing.assert_array_equal(frames[0].velocity.confidence, frames[1].velocity.confidence)
