"""Staggered PRF: two pulse intervals tell folds apart where nothing else does."""

from __future__ import annotations

import numpy as np
import pytest

from trueflow.kernels import get_device, slow_time
from trueflow.kernels.autocorrelate import Autocorrelator, autocorrelate_reference
from trueflow.kernels.predictions import FOLDS, N_PHASES, ratio_table, stagger_table
from trueflow.kernels.regions import RegionUnwrapper
from trueflow.pipeline import ColorFlow, Config, Framing, TrueflowError, open_source, packets
from trueflow.pipeline.acquisition import parse_stagger
from trueflow.pipeline.score import fold_score

SCENE = "sim://cropped?peak=2.4vN&pulses=12&snr=15&frames=1&bandwidth=0.3&mode=fast&stagger=3:4"


def scored(url, *settings):
    recording = open_source(url)
    acquisition, _, stream = packets(recording, Framing())
    flow = ColorFlow(acquisition, Config().override(settings), grid=recording.grid)
    frame = flow(next(stream))
    return fold_score(frame.velocity, recording.truth(0, acquisition.n_ensemble, flow.grid))


def test_flow_without_a_slow_border_gets_its_folds_from_the_second_interval():
    assert scored(SCENE).wrong_fold_rate < 0.002
    assert scored(SCENE, "dealias.second_phase=false").wrong_fold_rate > 0.9


def test_pulses_alternate_between_two_intervals():
    recording = open_source(SCENE)
    a = recording.acquisition
    steps = np.diff(a.pulse_times_s) * a.slow_time_rate_hz
    assert steps == pytest.approx(np.tile([1, 4 / 3], 6)[:11])
    assert recording.slow_time_s(3) == pytest.approx(a.pulse_times_s[3])
    assert a.nyquist_velocity_m_s() == pytest.approx(a.sound_speed_m_s * a.prf_hz / (4 * a.center_frequency_hz))


@pytest.mark.parametrize("pairs", [np.arange(8) % 2 == 0, np.arange(8) % 2 == 1, np.arange(8) == 3])
def test_r1_is_made_of_the_pairs_asked_for(pairs):
    device = get_device("cpu", n_threads=1)
    random = np.random.default_rng(4)
    iq = (random.standard_normal((5, 7, 9)) + 1j * random.standard_normal((5, 7, 9))).astype(np.complex64)
    r0, r1 = Autocorrelator(device, shape=(5, 7), n_ensemble=9, pairs=pairs)(device.upload(iq))
    expected_r0, expected_r1 = autocorrelate_reference(iq, pairs=pairs)
    bound = 20 * np.finfo(np.float32).eps * expected_r0.max() * 9  # nine products, each rounded, then added
    assert np.abs(r0 - expected_r0).max() < bound
    assert np.abs(r1 - expected_r1).max() < bound


def test_without_a_filter_the_table_is_the_ratio_of_the_intervals():
    times = np.concatenate([[0], np.cumsum(np.where(np.arange(11) % 2, 4 / 3, 1))])
    table = stagger_table(np.eye(12), times=times, pairs=np.arange(11) % 2 == 0)
    apart = np.angle(table * ratio_table(4 / 3).conj()) / (2 * np.pi)
    assert np.abs(apart).max() < 1 / 256


def test_a_filter_pulls_both_phases_as_simulated_blood_shows():
    """Gaussian-spectrum blood through the filter itself: the table holds what its mean R1 over T2 is."""
    times = np.concatenate([[0], np.cumsum(np.where(np.arange(11) % 2, 4 / 3, 1))])
    short = np.arange(11) % 2 == 0
    matrix = slow_time.polynomial_filter(12, order=1, times=times).output
    turns, width = 1.2, 0.08
    apart = np.subtract.outer(times, times)
    covariance = np.exp(-2 * np.pi**2 * width**2 * apart**2) * np.exp(2j * np.pi * turns * apart)
    filtered = matrix @ covariance @ matrix.T
    neighbours = np.diagonal(filtered, -1)
    r1, second = neighbours[short].mean(), neighbours[~short].mean()
    coherence = abs(r1) / np.diagonal(filtered).real.mean()
    table = stagger_table(matrix, times=times, pairs=short)
    phase_bin = int((np.angle(r1) / (2 * np.pi) + 0.5) * N_PHASES)
    predicted = table[min(7, int((coherence - 0.12) / 0.5 * 8)), phase_bin, list(FOLDS).index(1)]
    assert abs(np.angle(second * predicted.conj())) < 2 * np.pi * (4 / 3) / N_PHASES


@pytest.mark.parametrize(("m", "n"), [(3, 4), (4, 5), (5, 7)])
def test_every_fold_of_the_unique_range_is_recovered_without_noise(m, n):
    device = get_device("cpu", n_threads=1)
    for turns in np.linspace(-(m // 2) + 0.05, m - 1 - m // 2 + 0.45, 9).clip(-3, 3):
        u = np.full((20, 24), turns, np.float32)
        phase = (u - np.rint(u)).astype(np.float32)
        phasor = np.exp(2j * np.pi * n / m * u).astype(np.complex64)
        fold, _ = RegionUnwrapper(device, shape=u.shape)(
            phase, np.ones_like(u), np.ones(u.shape, bool), second=(phasor, ratio_table(n / m))
        )
        assert (fold == np.rint(u - phase)).all(), turns


@pytest.mark.parametrize(
    ("url", "settings", "what"),
    [
        (SCENE.replace("3:4", "4:2"), (), "ratio of two pulse intervals"),
        (SCENE.replace("3:4", "three"), (), "not a ratio"),
        (SCENE, ("clutter.name=fir",), "evenly spaced"),
        (SCENE, ("clutter.name=iir",), "evenly spaced"),
        (SCENE, ("doppler.lag=2",), "neighbours"),
    ],
)
def test_what_does_not_go_together_is_refused(url, settings, what):
    with pytest.raises(TrueflowError, match=what):
        scored(url, *settings)


def test_odd_hops_are_refused():
    with pytest.raises(TrueflowError, match="short interval"):
        packets(open_source(SCENE), Framing(ensemble=8, hop=3))


def test_a_ratio_is_read():
    assert parse_stagger("3:4") == (3, 4)
