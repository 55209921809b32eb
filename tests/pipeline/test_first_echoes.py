"""What a chain settles with the first echoes of a stream: noise and silence before them change nothing."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
from echoes import moving_points

from trueflow.pipeline import ColorFlow, Config, Framing, RfPacket, Stamp, chain, packets
from trueflow.pipeline.score import fold_score
from trueflow.pipeline.sim.recording import SimRecording

SETTINGS = [(), ("clutter.name=none",), ("clutter.name=polynomial",), ("clutter.name=svd",)]


@pytest.fixture
def longer(acquisition):
    return replace(acquisition, n_ensemble=16)


def thermal_noise(acquisition, amplitude=30.0, seed=0):
    """Channel samples (n_ensemble, n_transmits, n_elements, n_samples) of a probe in air."""
    a = acquisition
    shape = (a.n_ensemble, a.n_transmits, a.probe.n_elements, a.n_samples)
    return np.rint(np.random.default_rng(seed).normal(size=shape) * amplitude).astype(np.int16)


def blood_only(acquisition, fraction=1.4):
    return moving_points(acquisition, fraction * acquisition.nyquist_velocity_m_s())


def in_tissue(acquisition):
    tissue = 20 * moving_points(acquisition, 0.0, seed=1, n_points=30)
    return (blood_only(acquisition, 0.5) + tissue).astype(np.int16)


def check_same(got, want):
    np.testing.assert_array_equal(got.velocity.velocity_m_s, want.velocity.velocity_m_s)
    np.testing.assert_array_equal(got.velocity.confidence, want.velocity.confidence)
    np.testing.assert_array_equal(got.doppler.r1, want.doppler.r1)
    for name in ("phasor", "table"):
        np.testing.assert_array_equal(getattr(got.doppler.second, name), getattr(want.doppler.second, name))


@pytest.mark.parametrize("stagger", [None, (3, 4)])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("amplitude", [0.0, 0.6, 30.0, 3000.0])
def test_after_noise_echoes_give_what_they_give_without_it(longer, settings, stagger, amplitude):
    acquisition, config = replace(longer, stagger=stagger), Config().override(settings)
    echo = RfPacket(blood_only(acquisition), Stamp(1))
    want = ColorFlow(acquisition, config)(echo)
    assert want.doppler.second is not None
    flow = ColorFlow(acquisition, config)
    flow(RfPacket(thermal_noise(acquisition, amplitude), Stamp(0)))
    check_same(flow(echo), want)
    assert flow.config.clutter.name == (settings[0].split("=")[1] if settings else "none")


def test_noise_shows_no_second_phase_and_lets_auto_wait(longer):
    flow = ColorFlow(longer)
    for seed in range(3):
        frame = flow(RfPacket(thermal_noise(longer, seed=seed), Stamp(seed)))
        assert frame.doppler.second is None
        assert flow.config.clutter.name == "auto"
    flow(RfPacket(in_tissue(longer), Stamp(3)))
    assert flow.config.clutter.name == "polynomial"


@functools.cache
def scene(family):
    recording = SimRecording.from_url(
        f"sim://{family}?peak=1.7vN&seed=1&pulses=16&snr=15&frames=2&bandwidth=0.3&mode=fast&waveform=constant"
    )
    return recording, list(packets(recording, Framing())[2])


@pytest.mark.parametrize("family", ["cropped", "straight"])
def test_the_folds_of_a_scene_are_right_after_noise(family):
    recording, (before, packet) = scene(family)
    rng, shape = np.random.default_rng(0), before.samples.shape
    noise = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(before.samples.dtype)
    flow = ColorFlow(recording.acquisition, grid=recording.grid)
    flow(replace(before, samples=noise))
    score = fold_score(flow(packet).velocity, recording.truth(16, 32, flow.grid))
    assert score.n_flow_pixels > 1000
    assert score.wrong_fold_rate < 0.005


@pytest.mark.parametrize("stagger", [None, (3, 4)])
def test_a_reset_chain_treats_the_next_packet_as_the_first(longer, stagger):
    """Bands and filter are those of the new scene; whatever was in the image before."""
    longer = replace(longer, stagger=stagger)
    flow, fresh = ColorFlow(longer), ColorFlow(longer)
    flow(RfPacket(in_tissue(longer), Stamp(0)))
    assert flow.config.clutter.name == "polynomial"
    flow.reset()
    assert flow.config.clutter.name == "auto"
    flow(RfPacket(thermal_noise(longer), Stamp(0)))
    assert flow.config.clutter.name == "auto"
    packet = RfPacket(blood_only(longer), Stamp(1))
    check_same(flow(packet), fresh(packet))
    assert flow.config.clutter.name == "none"


def test_a_reset_that_keeps_the_plan_forgets_frames_only(longer):
    flow = ColorFlow(longer, Config().override(["persistence.factor=0.9"]))
    tissue, blood = (RfPacket(make(longer), Stamp(i)) for i, make in enumerate((in_tissue, blood_only)))
    table = flow(tissue).doppler.second.table
    flow.reset(keep_plan=True)
    kept = flow(blood)
    assert flow.config.clutter.name == "polynomial"
    assert kept.doppler.second.table is table
    alone = ColorFlow(longer, Config().override(["clutter.name=polynomial"]))(blood)
    np.testing.assert_array_equal(kept.doppler.r1, alone.doppler.r1)


@pytest.mark.parametrize("stagger", [None, (3, 4)])
def test_the_network_is_not_asked_about_noise(longer, stagger, monkeypatch):
    """Where the second phase only waits for echoes it would be planned for nothing, and stay."""
    acquisition, asked = replace(longer, stagger=stagger), []
    monkeypatch.setattr(chain, "make_segment", lambda *_, **__: asked.append(1))
    flow = ColorFlow(acquisition, Config().override(["segment.enabled=auto"]))
    flow(RfPacket(thermal_noise(acquisition), Stamp(0)))
    flow(RfPacket(blood_only(acquisition), Stamp(1)))
    assert not asked
    deaf = ColorFlow(acquisition, Config().override(["segment.enabled=auto", "dealias.second_phase=false"]))
    deaf(RfPacket(thermal_noise(acquisition), Stamp(0)))
    assert asked
