"""The stage that takes a second phase from two axial sub-bands: when it speaks, and when it had better not."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from trueflow.kernels import get_device
from trueflow.kernels.predictions import FOLDS
from trueflow.pipeline import Acquisition, Config, ImageGrid, Stamp, TrueflowError
from trueflow.pipeline.clutter import Clutter
from trueflow.pipeline.frames import IqEnsemble
from trueflow.pipeline.sub_bands import LEAST_RATIO, SubBands

N_Z, N_X = 200, 24
HALF_WAVE_M = 1540.0 / 5e6 / 2  # one cycle of the center frequency per pixel
EVEN = 5e-3 + np.arange(N_Z) * HALF_WAVE_M


@dataclass(frozen=True)
class Echo:
    """Speckle with a Gaussian axial spectrum, whose scatterers all rise by the same part of a wave per pulse."""

    deviation: float = 0.07  # cycles per pixel

    def iq(self, turns: float, *, n_ensemble: int = 8, seed: int = 0) -> NDArray[np.complex64]:
        rng, frequency = np.random.default_rng(seed), np.fft.fftfreq(N_Z)[:, None]
        white = rng.standard_normal((N_Z, N_X)) + 1j * rng.standard_normal((N_Z, N_X))
        spectrum = np.exp(-0.25 * (frequency / self.deviation) ** 2) * white
        pulses = [spectrum * np.exp(2j * np.pi * turns * (1 + frequency) * k) for k in range(n_ensemble)]
        return np.stack([np.fft.ifft(pulse, axis=0) for pulse in pulses], axis=-1).astype(np.complex64)


class Bench:
    """A stage and the clutter filter before it."""

    def __init__(self, acquisition: Acquisition, *settings: str, depths_m: NDArray[np.float64] = EVEN) -> None:
        device, config = get_device("cpu", n_threads=2), Config().override(["clutter.name=none", *settings])
        grid = ImageGrid.cartesian(np.arange(N_X) * 0.2e-3, depths_m)
        self.clutter = Clutter(device, shape=grid.shape, n_ensemble=acquisition.n_ensemble, config=config.clutter)
        self.stage = SubBands(device, acquisition, grid, self.clutter, config.doppler)

    def __call__(self, iq, mask=None):
        echo = IqEnsemble(iq, Stamp(0))
        return self.stage(echo, self.clutter(echo), mask)


def bin_of(phase_turns):
    return int((phase_turns + 0.5) * 64)


def best_fold(second, turns, coherence=0.95):
    """The fold whose prediction the whole image's second phase comes nearest to."""
    phase = turns - np.rint(turns)
    agreement = (second.phasor.sum() * second.table[int(coherence * 8), bin_of(phase)].conj()).real
    return int(FOLDS[agreement.argmax()])


@pytest.mark.parametrize("turns", [-2.4, -1.3, -0.3, 0.2, 0.9, 1.7, 2.3])
def test_the_second_phase_points_at_the_true_fold(acquisition, turns):
    second = Bench(acquisition)(Echo().iq(turns))
    assert second is not None
    assert second.phasor.shape == (N_Z, N_X)
    assert best_fold(second, turns) == np.rint(turns)


@pytest.mark.parametrize("turns", [-1.7, 0.35, 1.35, 2.3])
def test_also_behind_a_clutter_filter(acquisition, turns):
    acquisition = replace(acquisition, n_ensemble=12)
    second = Bench(acquisition, "clutter.name=polynomial", "clutter.order=1")(Echo().iq(turns, n_ensemble=12))
    assert second is not None
    assert best_fold(second, turns) == np.rint(turns)


def test_the_first_packet_places_the_bands_and_the_table_stays_the_same_object(acquisition):
    bench = Bench(acquisition)
    first, second = bench(Echo().iq(0.2)), bench(Echo(0.1).iq(0.2, seed=1))
    assert first.table is second.table
    fresh = Bench(acquisition)(Echo(0.1).iq(0.2, seed=1))
    assert not np.array_equal(fresh.table, second.table)
    assert not np.array_equal(fresh.phasor, second.phasor)


def test_in_the_mask_it_is_the_same_to_the_bit(acquisition):
    iq = Echo().iq(0.7)
    mask = np.zeros((N_Z, N_X), bool)
    mask[50:90, 5:15] = True
    everywhere, masked = Bench(acquisition)(iq), Bench(acquisition)(iq, mask)
    np.testing.assert_array_equal(masked.phasor[mask], everywhere.phasor[mask])
    assert not masked.phasor[120:].any()


def quadratic_depths():
    return 5e-3 + HALF_WAVE_M * (np.arange(N_Z) + 1e-4 * np.arange(N_Z) ** 2)


def test_depths_that_are_not_even_are_left_alone(acquisition):
    assert Bench(acquisition, depths_m=quadratic_depths())(Echo().iq(0.2)) is None
    in_single_precision = EVEN.astype(np.float32).astype(float)
    assert Bench(acquisition, depths_m=in_single_precision)(Echo().iq(0.2)) is not None


def test_another_lag_has_no_second_phase(acquisition):
    assert Bench(acquisition, "doppler.lag=2")(Echo().iq(0.2)) is None


def test_two_pulses_have_no_second_phase(acquisition):
    assert Bench(replace(acquisition, n_ensemble=2))(Echo().iq(0.2, n_ensemble=2)) is None
    assert Bench(replace(acquisition, n_ensemble=3))(Echo().iq(0.2, n_ensemble=3)) is not None


def test_a_band_too_narrow_for_the_center_frequency_says_nothing(acquisition):
    """The same speckle, but every cycle per pixel is a smaller part of the center frequency."""
    assert Bench(acquisition)(Echo().iq(0.2)) is not None
    faster = replace(acquisition, center_frequency_hz=5e6 * 0.17 / LEAST_RATIO)
    assert Bench(faster)(Echo().iq(0.2)) is not None
    assert Bench(replace(faster, center_frequency_hz=5e6 * 0.2 / LEAST_RATIO))(Echo().iq(0.2)) is None


def white_noise(n_ensemble=8, seed=5):
    rng, shape = np.random.default_rng(seed), (N_Z, N_X, n_ensemble)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def band_limited_noise(n_ensemble=8):
    """As a receive filter leaves it: with the very spectrum of an echo."""
    pulses = [Echo(0.1).iq(0.0, n_ensemble=1, seed=seed) for seed in range(n_ensemble)]
    return np.concatenate(pulses, axis=-1)


WITHOUT_ECHO = {
    "silence": np.zeros((N_Z, N_X, 8), np.complex64),
    "white noise": white_noise(),
    "weak noise": 1e-6 * white_noise(),
    "band-limited noise": band_limited_noise(),
    "NaN": np.full((N_Z, N_X, 8), np.nan, np.complex64),
}


@pytest.mark.parametrize("name", WITHOUT_ECHO)
@pytest.mark.parametrize("clutter", ["none", "auto"])
def test_without_an_echo_nothing_is_said_and_nothing_planned(acquisition, name, clutter):
    fresh, bench = (Bench(acquisition, f"clutter.name={clutter}") for _ in range(2))
    if (name, clutter) == ("NaN", "auto"):
        with pytest.raises(TrueflowError, match="IQ holds NaN"):
            bench(WITHOUT_ECHO[name])
        return
    for _ in range(2):
        assert bench(WITHOUT_ECHO[name]) is None
        assert bench.stage.awaits_echoes
        assert not bench.stage.only_launches
    want, got = fresh(Echo().iq(1.35)), bench(Echo().iq(1.35))
    np.testing.assert_array_equal(got.phasor, want.phasor)
    np.testing.assert_array_equal(got.table, want.table)
    assert bench.stage.only_launches
    assert not bench.stage.awaits_echoes


@pytest.mark.parametrize("n_ensemble", [3, 4, 16])
def test_noise_is_told_from_echoes_however_few_the_pulses(acquisition, n_ensemble):
    bench = Bench(replace(acquisition, n_ensemble=n_ensemble))
    assert bench(white_noise(n_ensemble)) is None
    noisy = Echo().iq(1.35, n_ensemble=n_ensemble)
    noisy += white_noise(n_ensemble) * np.float32(0.3 * np.sqrt(np.mean(np.abs(noisy) ** 2) / 2))  # 10 dB
    assert bench(noisy) is not None


def test_a_pixel_that_is_no_number_does_not_keep_the_bands_from_their_places(acquisition):
    iq = Echo().iq(1.35)
    iq[100, 12] = np.nan
    assert Bench(acquisition)(iq) is not None


def test_planned_anew_the_bands_are_those_of_the_next_echo(acquisition):
    bench, fresh = Bench(acquisition), Bench(acquisition)
    bench(Echo().iq(0.2))
    bench.stage.replan()
    assert bench(white_noise()) is None
    want, got = fresh(Echo(0.1).iq(0.2, seed=1)), bench(Echo(0.1).iq(0.2, seed=1))
    np.testing.assert_array_equal(got.table, want.table)
    np.testing.assert_array_equal(got.phasor, want.phasor)


def test_where_no_echo_could_tell_anything_none_is_waited_for(acquisition):
    for bench in (Bench(acquisition, "doppler.lag=2"), Bench(acquisition, depths_m=quadratic_depths())):
        assert bench.stage.only_launches
        bench.stage.replan()
        assert bench.stage.only_launches
