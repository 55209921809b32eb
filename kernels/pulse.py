"""Two-way waveforms, and how scatter.cu makes them by gridding: a spreading kernel and a filter fitted to the pulse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from scipy.linalg import solveh_banded

__all__ = [
    "FILTER_CHUNK",
    "PULSE_ERROR",
    "SPREAD_WIDTH",
    "Pulse",
    "SpreadingFit",
    "burst_pulse",
    "fit_spreading",
    "gaussian_pulse",
    "tabulated_pulse",
]

SPREAD_WIDTH, SPREAD_PHASES, FILTER_CHUNK = 8, 64, 16  # as in scatter.cu

PULSE_ERROR = 5e-4  # largest error of a gridded echo, relative to its peak: -66 dB
MAX_OVERSAMPLING = 16
SHARPNESS = np.array([1.4, 1.7, 2.0, 2.3]) * SPREAD_WIDTH  # tried for the spreading kernel: the best follows the band
FIT_PHASES = 16
PULSE_FLOOR = 1e-4  # of the peak: where a Gaussian pulse is cut off

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pulse:
    """Two-way waveform: what a single point on an element's axis returns, its center at time 0.

    Parameters
    ----------
    waveform : callable
        Times (s) -> values; defined everywhere.
    half_duration_s : float
        Beyond it on either side, the waveform counts as zero.
    """

    waveform: Callable[[FloatArray], FloatArray]
    half_duration_s: float

    def __call__(self, time_s: FloatArray) -> FloatArray:
        """Values at times (s)."""
        return np.where(np.abs(time_s) <= self.half_duration_s, self.waveform(time_s), 0.0)


def gaussian_pulse(center_frequency_hz: float, bandwidth_fraction: float) -> Pulse:
    """A cosine under a Gaussian: the echo of an impulse, of that -6 dB bandwidth over center frequency."""
    deviation_hz = center_frequency_hz * bandwidth_fraction / (2 * np.sqrt(2 * np.log(2)))
    deviation_s = 1 / (2 * np.pi * deviation_hz)

    def waveform(time_s: FloatArray) -> FloatArray:
        envelope = np.exp(-0.5 * (time_s / deviation_s) ** 2)
        return np.asarray(envelope * np.cos(2 * np.pi * center_frequency_hz * time_s))

    return Pulse(waveform, deviation_s * float(np.sqrt(-2 * np.log(PULSE_FLOOR))))


def burst_pulse(center_frequency_hz: float, bandwidth_fraction: float, n_cycles: float) -> Pulse:
    """The echo of a burst of cycles: that burst through the probe's two-way response (`gaussian_pulse`), peak 1."""
    response = gaussian_pulse(center_frequency_hz, bandwidth_fraction)
    rate_hz = 64 * center_frequency_hz
    n_response, n_burst = int(response.half_duration_s * rate_hz), int(n_cycles * rate_hz / center_frequency_hz / 2)
    burst = np.cos(2 * np.pi * center_frequency_hz * np.arange(-n_burst, n_burst + 1) / rate_hz)
    samples = np.convolve(response(np.arange(-n_response, n_response + 1) / rate_hz), burst)
    return tabulated_pulse(samples / np.abs(samples).max(), sampling_frequency_hz=rate_hz)


def tabulated_pulse(samples: FloatArray, *, sampling_frequency_hz: float) -> Pulse:
    """A measured waveform (n,), its center the middle sample; a quintic spline between samples.

    Sample it at 8 or more times its highest frequency: the spline is then right to 1e-4.
    """
    half_s = (samples.size - 1) / 2 / sampling_frequency_hz
    spline = make_interp_spline(np.linspace(-half_s, half_s, samples.size), samples, k=5)
    return Pulse(lambda time_s: np.asarray(spline(np.clip(time_s, -half_s, half_s))), half_s)


@dataclass(frozen=True, slots=True, eq=False)
class SpreadingFit:
    """Spreading kernel and the filter that makes the pulse of it.

    Parameters
    ----------
    oversampling : int
        Cells per sample.
    table : (SPREAD_PHASES, 2, SPREAD_WIDTH)
        Value of the spreading kernel at the cells around an echo, and its slope to the next phase.
    taps : (n_taps,)
        Padded with zeros to a multiple of FILTER_CHUNK.
    center : int
        Tap at the pulse's center.
    error : float
        Largest error of the pulse, relative to its peak.
    """

    oversampling: int
    table: FloatArray
    taps: FloatArray
    center: int
    error: float


def fit_spreading(pulse: Pulse, sampling_frequency_hz: float, decay_per_s: float) -> SpreadingFit:
    """The coarsest cells, with the best kernel's sharpness, that make the pulse to PULSE_ERROR.

    The taps are a least-squares fit to the pulse times exp(+decay t), at FIT_PHASES delays between cells:
    `scatter_filter` takes the exponential off again.

    Raises
    ------
    ValueError
        Where no sampling is fine enough.
    """
    for oversampling in range(1, MAX_OVERSAMPLING + 1):
        fits = [_fit_taps(pulse, sampling_frequency_hz, decay_per_s, oversampling, beta) for beta in SHARPNESS]
        best = min(fits, key=lambda fit: fit.error)
        if best.error <= PULSE_ERROR:
            return best
    raise ValueError(f"pulse: no sampling up to {MAX_OVERSAMPLING} times the record's holds it: cut off, or too short")


def _fit_taps(
    pulse: Pulse, sampling_frequency_hz: float, decay_per_s: float, oversampling: int, beta: float
) -> SpreadingFit:
    cell_s = 1 / (sampling_frequency_hz * oversampling)
    half = SPREAD_WIDTH // 2
    center = int(np.ceil(pulse.half_duration_s / cell_s)) + half
    reach = FIT_PHASES * (center + half)
    delay_s = np.arange(-reach, reach + 1) / FIT_PHASES * cell_s
    wanted = pulse(delay_s) * np.exp(decay_per_s * delay_s)
    kernel = _spreading_kernel(np.arange(-half * FIT_PHASES, half * FIT_PHASES + 1) / FIT_PHASES, beta)
    # Whole shifts of one kernel: the normal equations are a band of its autocorrelation.
    lags = np.convolve(kernel, kernel)[kernel.size - 1 :: FIT_PHASES][:SPREAD_WIDTH]
    band = np.repeat(lags[:, None], 2 * center + 1, axis=1)
    shifts = solveh_banded(band, np.convolve(wanted, kernel, "valid")[::FIT_PHASES], lower=True)
    comb = np.zeros(FIT_PHASES * 2 * center + 1)
    comb[::FIT_PHASES] = shifts
    phase = np.arange(SPREAD_PHASES + 1)[:, None] / SPREAD_PHASES
    values = _spreading_kernel(np.arange(SPREAD_WIDTH) - (half - 1) - phase, beta)
    return SpreadingFit(
        oversampling=oversampling,
        table=np.stack([values[:-1], np.diff(values, axis=0)], axis=1),
        taps=np.pad(shifts[::-1], (0, -shifts.size % FILTER_CHUNK)),  # later cells hold later echoes
        center=center,
        error=float(np.abs(np.convolve(comb, kernel) - wanted).max() / np.abs(wanted).max()),
    )


def _spreading_kernel(cells: FloatArray, beta: float) -> FloatArray:
    """Barnett, Magland & af Klinteberg 2019, eq. 1.8: the exponential of a semicircle."""
    square = 1 - (2 * cells / SPREAD_WIDTH) ** 2
    return np.where(square >= 0, np.exp(beta * (np.sqrt(np.maximum(square, 0)) - 1)), 0.0)
