"""How flow changes through a cardiac cycle: periodic functions of time with a largest magnitude of 1."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator

__all__ = ["Waveform", "WaveformName", "waveform"]

WaveformName = Literal["constant", "femoral", "carotid", "venous", "sinusoidal"]

N_HARMONICS = 10  # femoral and carotid waveforms have less than 1 % of their power beyond (Nichols & O'Rourke, ch. 5)

# (phase of the cycle, value) of typical Doppler traces: triphasic in a resting leg, always forward in the common
# carotid, with S and D waves and a short a-wave reversal in a large vein.
_POINTS: dict[str, tuple[tuple[float, float], ...]] = {
    "femoral": (
        (0.00, 0.00),
        (0.06, 0.12),
        (0.15, 1.00),
        (0.24, 0.45),
        (0.31, -0.12),
        (0.37, -0.32),
        (0.45, -0.10),
        (0.53, 0.13),
        (0.63, 0.06),
        (0.75, 0.0),
        (0.90, 0.0),
    ),
    "carotid": (
        (0.00, 0.22),
        (0.05, 0.30),
        (0.13, 1.00),
        (0.20, 0.80),
        (0.30, 0.48),
        (0.37, 0.30),
        (0.42, 0.46),
        (0.55, 0.36),
        (0.75, 0.27),
        (0.90, 0.23),
    ),
    "venous": (
        (0.00, 0.35),
        (0.08, -0.15),
        (0.16, 0.30),
        (0.30, 1.00),
        (0.44, 0.50),
        (0.52, 0.38),
        (0.64, 0.75),
        (0.80, 0.45),
        (0.92, 0.38),
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class Waveform:
    """A Fourier series q(t) = Re sum_k c_k exp(2 pi j k t / T).

    Parameters
    ----------
    harmonics : (n,) complex128
        c_0 to c_(n-1).
    cycle_s : float
        T.
    delay : float
        Part of a cycle by which it comes later.
    """

    harmonics: NDArray[np.complex128]
    cycle_s: float
    delay: float = 0.0

    def parts(self, time_s: ArrayLike) -> NDArray[np.complex128]:
        """c_k exp(2 pi j k t / T): (n, *time_s.shape); their sum's real part is the waveform."""
        phase = np.asarray(time_s, np.float64) / self.cycle_s - self.delay
        k = np.arange(self.harmonics.size).reshape(-1, *([1] * phase.ndim))
        return np.asarray(self.harmonics.reshape(k.shape) * np.exp(2j * np.pi * k * phase))

    def __call__(self, time_s: ArrayLike) -> NDArray[np.float64]:
        """The waveform at some times, within -1 to 1."""
        return np.asarray(self.parts(time_s).real.sum(axis=0))

    def rate(self, time_s: ArrayLike) -> NDArray[np.float64]:
        """Its derivative (1/s)."""
        parts = self.parts(time_s)
        k = np.arange(self.harmonics.size).reshape(-1, *([1] * (parts.ndim - 1)))
        return np.asarray((2j * np.pi * k / self.cycle_s * parts).real.sum(axis=0))

    @property
    def peak_time_s(self) -> float:
        """When the magnitude is largest, within the first cycle."""
        times_s = np.arange(1024) / 1024 * self.cycle_s
        return float(times_s[np.argmax(np.abs(self(times_s)))])


def waveform(name: WaveformName, *, cycle_s: float, delay: float = 0.0) -> Waveform:
    """A named waveform."""
    return Waveform(_harmonics(name), cycle_s, delay)


@cache
def _harmonics(name: str) -> NDArray[np.complex128]:
    if name == "constant":
        return np.array([1.0 + 0j])
    if name == "sinusoidal":
        return np.array([0.0, -1j])
    phase, value = np.array(_POINTS[name]).T
    around = PchipInterpolator(
        np.concatenate([phase - 1, phase, phase + 1]), np.concatenate([value, value, value]), extrapolate=False
    )
    samples = around(np.arange(2048) / 2048)
    c = np.fft.rfft(samples)[: N_HARMONICS + 1] / samples.size
    c[1:] *= 2
    fine = Waveform(c, 1.0)(np.arange(8192) / 8192)
    return np.asarray(c / np.abs(fine).max())
