"""The wave behind a set of firing delays, against delays computed from the wave."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trueflow.pipeline.acquisition import DivergingWave, PlaneWave, Transmit
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.probe import Probe
from trueflow.pipeline.sources.transmits import (
    fired_from_zero,
    firing_delays_s,
    same_wave,
    transmit_from_delays,
    wave_from_source,
)

SPEED, CENTER = 1540.0, 5e6
PROBES = {
    "linear": Probe.linear(128, pitch_m=0.3e-3), "phased": Probe.linear(64, pitch_m=0.15e-3),
    "convex": Probe.convex(96, pitch_m=0.5e-3, radius_m=0.05),
}
WAVES = [
    PlaneWave(0.0), PlaneWave(0.3, 2e-6), PlaneWave(-0.5, -1e-6), DivergingWave(0.0, -0.005, 1e-6),
    DivergingWave(0.012, -0.02), DivergingWave(-0.03, -0.08, 3e-6), DivergingWave(0.0, -0.4),
]


def fitted(delays: np.ndarray, probe: Probe) -> Transmit:
    return transmit_from_delays(delays, probe, SPEED, center_frequency_hz=CENTER)


@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.parametrize("wave", WAVES, ids=str)
def test_wave_is_recovered_from_its_delays(kind: str, wave: Transmit) -> None:
    found = fitted(firing_delays_s(wave, PROBES[kind], SPEED), PROBES[kind])
    assert type(found) is type(wave)
    assert found.origin_time_s == pytest.approx(wave.origin_time_s, abs=1e-10)
    if isinstance(wave, PlaneWave):
        assert found.angle_rad == pytest.approx(wave.angle_rad, abs=1e-7)
    else:
        assert (found.source_x_m, found.source_z_m) == pytest.approx((wave.source_x_m, wave.source_z_m), abs=1e-6)


@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.parametrize("wave", WAVES, ids=str)
def test_delays_on_a_65_mhz_clock_give_the_same_front(kind: str, wave: Transmit) -> None:
    probe = PROBES[kind]
    exact = firing_delays_s(wave, probe, SPEED)
    found = fitted(np.round(exact * 65e6) / 65e6, probe)
    # rounding to 15.4 ns is 4.4 ns RMS; the fit over all elements may not do worse at any of them
    np.testing.assert_allclose(firing_delays_s(found, probe, SPEED), exact, atol=5e-9)


@pytest.mark.parametrize("wave", WAVES, ids=str)
def test_only_firing_elements_count(wave: Transmit) -> None:
    probe = PROBES["linear"]
    delays = firing_delays_s(wave, probe, SPEED)
    delays[:40] = np.nan
    delays[100:] = np.nan
    refound = firing_delays_s(fitted(delays, probe), probe, SPEED)
    np.testing.assert_allclose(refound[40:100], delays[40:100], atol=1e-10)


def test_focused_delays_are_refused_with_the_misfit() -> None:
    probe = PROBES["linear"]
    x = probe.element_positions_m[:, 0]
    delays = -np.hypot(x, 0.02) / SPEED
    with pytest.raises(TrueflowError, match=r"neither a plane nor a diverging wave; found best fit off by .* periods"):
        fitted(delays - delays.min(), probe)


@pytest.mark.parametrize(
    ("delays", "message"),
    [
        (np.zeros(12), r"wrong shape; found \(12,\); expected \(128,\)"),
        (np.full(128, np.inf), "implausible delay; found inf s"),
        (np.full(128, 3.0), "implausible delay; found 3 s; expected <= 0.001 s"),
        (np.r_[np.zeros(3), np.full(125, np.nan)], "too few elements fire; found 3"),
        (np.random.default_rng(0).random(128) * 1e-5, "neither a plane nor a diverging wave"),
    ],
)
def test_impossible_delays_are_refused(delays: np.ndarray, message: str) -> None:
    with pytest.raises(TrueflowError, match=message):
        fitted(delays, PROBES["linear"])


@pytest.mark.parametrize("wave", WAVES, ids=str)
def test_clock_of_the_first_firing_element(wave: Transmit) -> None:
    probe = PROBES["convex"]
    assert firing_delays_s(fired_from_zero(wave, probe, SPEED), probe, SPEED).min() == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize(
    ("x", "z", "angle"), [(0.0, 1e9, 0.0), (1e9, 1e9, np.pi / 4), (-1e6, -1e6, np.pi / 4), (0.0, -np.inf, 0.0)]
)
def test_a_source_far_off_makes_a_plane_wave(x: float, z: float, angle: float) -> None:
    wave = wave_from_source(x, z)
    assert isinstance(wave, PlaneWave)
    assert wave.angle_rad == pytest.approx(angle)


@pytest.mark.parametrize("z", [0.0, 0.03])
def test_a_source_in_front_is_refused(z: float) -> None:
    with pytest.raises(TrueflowError, match="must lie behind the array"):
        wave_from_source(0.001, z)


def test_same_wave_sees_time_kind_and_place() -> None:
    assert same_wave(PlaneWave(0.1), PlaneWave(0.1 + 1e-7, 1e-11))
    assert not same_wave(PlaneWave(0.1), PlaneWave(0.11))
    assert not same_wave(PlaneWave(0.1), replace(PlaneWave(0.1), origin_time_s=1e-7))
    assert not same_wave(DivergingWave(0.0, -0.01), PlaneWave())
    assert not same_wave(DivergingWave(0.0, -0.01), DivergingWave(0.0, -0.02))
    assert same_wave(DivergingWave(0.0, -0.01), DivergingWave(0.0, -0.01))
