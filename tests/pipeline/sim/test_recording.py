"""Simulated recordings are ordinary sources; their estimates agree with their truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trueflow.pipeline import ColorFlow, Config, Framing, TrueflowError, open_source, packets
from trueflow.pipeline.sim.recording import SimRecording

CUTOFF = 0.2  # of v_N: the order-1 regression of 16 pulses takes 3 dB at 0.11 and 1 dB at 0.14


def test_bursts_are_12_bit_and_independent_of_the_order_in_which_they_are_read():
    with open_source("sim://straight?frames=3&pulses=4&seed=7") as forward:
        whole = forward.read(0, 12)
    with open_source("sim://straight?frames=3&pulses=4&seed=7") as backward:
        parts = [backward.read(start, start + 2) for start in range(10, -1, -2)][::-1]
    assert whole.shape == (12, 1, 128, 1040)
    assert whole.dtype == np.int16
    assert 500 < np.abs(whole).max() <= 2047
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    with open_source("sim://straight?frames=3&pulses=4&seed=8") as other:
        assert not np.array_equal(whole[:4], other.read(0, 4))


def test_reading_beyond_the_end_is_refused(simulated):
    with pytest.raises(TrueflowError, match="outside the recording"):
        simulated("sim://straight?frames=3").read(40, 49)


def test_packets_carry_the_time_of_their_burst(simulated):
    _, n, stream = packets(simulated("sim://disk?frames=3&fps=20&pulses=4"), Framing())
    stamps = [packet.stamp for packet in stream]
    assert n == 3
    assert [stamp.acquisition_time_s for stamp in stamps] == pytest.approx([0.0, 0.05, 0.1])
    assert not any(stamp.continuous for stamp in stamps)


@pytest.mark.parametrize("snr_db", [0.0, 20.0])
def test_noise_is_as_loud_as_asked_after_beamforming(snr_db):
    """In a disk without tissue: the noise is what is left when its scatterers are taken away."""
    recording = SimRecording.from_url(f"sim://disk?peak=0.2vN&snr={snr_db}&frames=1&pulses=8")
    flow = ColorFlow(recording.acquisition, Config().override(["clutter.name=none", "doppler.average_z=1"]))
    lumen = recording.field.inside_m(flow.grid.x_m, flow.grid.z_m) > 0
    (packet,) = packets(recording, Framing())[2]
    total = np.mean(flow._beamform(packet).iq[lumen].__abs__() ** 2)
    echoes = recording._simulator()
    hiss = np.random.default_rng(0).standard_normal(packet.samples.shape).astype(np.float32)
    hiss *= echoes.levels.noise * echoes.levels.gain * echoes._tgc
    noise_flow = ColorFlow(recording.acquisition, Config())
    noise = np.mean(noise_flow._beamform(replace(packet, samples=hiss)).iq[lumen].__abs__() ** 2)
    # The blood of another draw differs by the speckle of its few hundred cells.
    assert 10 * np.log10(total / noise - 1) == pytest.approx(snr_db, abs=0.7)


def test_still_tissue_gives_the_same_echo_in_every_pulse_and_moving_tissue_does_not():
    still = SimRecording.from_url("sim://straight?frames=1&pulses=2&snr=60&tissue=60")
    moving = SimRecording.from_url("sim://straight?frames=1&pulses=2&snr=60&tissue=60&motion=sinusoidal&prf=200")
    for recording, apart in ((still, False), (moving, True)):
        first, second = recording.read(0, 2)[:, 0].astype(float)
        change = np.sqrt(np.mean((first - second) ** 2) / np.mean(first**2))
        assert (change > 0.3) == apart


def errors(url, n_frames):
    """Wrapped difference between estimate and truth over v_N, and the truth over v_N, wherever there truly is flow."""
    recording = open_source(url)
    acquisition, _, stream = packets(recording, Framing())
    flow, v_n = ColorFlow(acquisition), acquisition.nyquist_velocity_m_s()
    found = []
    for index, packet in zip(range(n_frames), stream, strict=False):
        truth = recording.truth(index * 16, index * 16 + 16, flow.grid)
        estimate = flow(packet).velocity.wrapped_velocity_m_s
        difference = (estimate - truth.velocity_m_s + v_n) % (2 * v_n) - v_n
        found.append((difference[truth.mask] / v_n, truth.velocity_m_s[truth.mask] / v_n))
    error, true = (np.concatenate(part) for part in zip(*found, strict=True))
    return error, true


@pytest.mark.parametrize(
    "scene",
    [
        "straight",
        "narrow",
        "curved",
        "bifurcation",
        "femoral",
        "carotid",
        "bulb",
        "stenosis",
        "opposed",
        "chamber",
        "disk",
        "plug",
        "cropped",
    ],
)
def test_the_estimator_agrees_with_truth_where_nothing_aliases(scene):
    """At 15 dB with 16 pulses, where flow is faster than what the wall filter takes."""
    error, true = errors(f"sim://{scene}?peak=0.8vN&waveform=constant&snr=15&frames=2", 2)
    fast = np.abs(true) > CUTOFF
    assert fast.sum() > 1000
    assert abs((error * np.sign(true))[fast].mean()) < 0.02  # along the flow, so that two directions do not cancel
    assert np.median(np.abs(error[fast])) < 0.06


def test_the_estimator_wraps_where_truth_folds():
    error, true = errors("sim://disk?peak=2.5vN&frames=2", 2)
    assert np.abs(true).max() > 2.4
    assert np.median(np.abs(error)) < 0.1


@pytest.mark.parametrize("probe", ["convex", "phased"])
def test_other_probes(probe):
    error, true = errors(f"sim://straight?probe={probe}&angle=0&peak=0.8vN&frames=1", 1)
    fast = np.abs(true) > CUTOFF
    assert fast.sum() > 500
    assert abs(error[fast].mean()) < 0.04
    assert np.median(np.abs(error[fast])) < 0.08


def test_compounded_transmits():
    error, true = errors("sim://straight?angle=-8,0,8&peak=0.6vN&prf=9000&frames=1", 1)
    fast = np.abs(true) > CUTOFF
    assert abs((error * np.sign(true))[fast].mean()) < 0.02  # along the flow, so that two directions do not cancel
    assert np.median(np.abs(error[fast])) < 0.06
