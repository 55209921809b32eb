"""What is known about a recording before its first sample: probe, transmits, clocks. Travels with the data."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.probe import Probe

__all__ = ["BOUNDS", "Acquisition", "DivergingWave", "PlaneWave", "SampleKind", "Transmit", "parse_stagger"]

SampleKind = Literal["rf", "iq", "beamformed"]

LARGEST_STAGGER = 16
# Wide enough for anything that images with ultrasound, narrow enough to catch a wrong unit.
BOUNDS: dict[str, tuple[float, float]] = {
    "sampling_frequency_hz": (1e4, 1e9),
    "center_frequency_hz": (1e4, 2e8),
    "prf_hz": (1.0, 1e6),
    "sound_speed_m_s": (300.0, 5000.0),
    "rx_start_s": (-1e-2, 1e-2),
    "demodulation_frequency_hz": (0.0, 2e8),
    "n_samples": (1, 1 << 24),
    "n_ensemble": (1, 1 << 16),
    "n_receive_firings": (1, 64),
    "slow_time_decimation": (1, 1 << 16),
}


@dataclass(frozen=True, slots=True)
class PlaneWave:
    """A steered plane wave.

    Parameters
    ----------
    angle_rad : float
        Direction of propagation from +z, positive towards +x.
    origin_time_s : float
        When the wavefront crosses the origin (the array's center), on the clock of `Acquisition.rx_start_s`.
    """

    angle_rad: float = 0.0
    origin_time_s: float = 0.0


@dataclass(frozen=True, slots=True)
class DivergingWave:
    """A wave that seems to come from a virtual source behind the array.

    Parameters
    ----------
    source_x_m, source_z_m : float
        The virtual source; z < 0.
    origin_time_s : float
        When the wavefront crosses the origin, on the clock of `Acquisition.rx_start_s`.
    """

    source_x_m: float
    source_z_m: float
    origin_time_s: float = 0.0

    def __post_init__(self) -> None:
        if not self.source_z_m < 0:
            raise TrueflowError(
                "the virtual source must lie behind the array",
                where="transmit.source_z_m",
                found=self.source_z_m,
                expected="< 0",
                advice="focused transmits (source in front) are not supported",
            )


Transmit = PlaneWave | DivergingWave


@dataclass(frozen=True, slots=True)
class Acquisition:
    """The frozen facts of a recording or a live stream.

    Parameters
    ----------
    probe : Probe
    transmits : tuple of PlaneWave or DivergingWave
        Firings that are compounded into one slow-time sample, in firing order.
    sampling_frequency_hz : float
        Of the samples as delivered (RF: real samples; IQ: complex samples).
    center_frequency_hz : float
        Of the transmitted pulse: it sets the Nyquist velocity.
    prf_hz : float
        Pulse repetition frequency, per transmit.
    n_samples : int
        Samples per echo in fast time.
    n_ensemble : int
        Slow-time samples per packet.
    rx_start_s : float
        Time of sample 0 on the clock of the transmits' `origin_time_s`.
    sound_speed_m_s : float
    demodulation_frequency_hz : float, optional
        What IQ was mixed down with; for RF, what it will be mixed with (default: the center frequency).
    sample_kind : {"rf", "iq", "beamformed"}
        Channel RF, channel IQ, or IQ already beamformed onto a grid.
    n_receive_firings : int
        Firings per transmit where a front end splits a wide receive aperture; divides the slow-time rate.
    slow_time_decimation : int
        Every how manieth slow-time sample is kept; divides the slow-time rate.
    stagger : (int, int), optional
        (m, n): slow-time intervals alternate, T1 : T2 = m : n, two whole numbers without a common factor, m < n <= 16.
        Packets begin with T1, and the slow-time rate is 1 / T1.
    """

    probe: Probe
    transmits: tuple[Transmit, ...]
    sampling_frequency_hz: float
    center_frequency_hz: float
    prf_hz: float
    n_samples: int
    n_ensemble: int
    rx_start_s: float = 0.0
    sound_speed_m_s: float = 1540.0
    demodulation_frequency_hz: float | None = None
    sample_kind: SampleKind = "rf"
    n_receive_firings: int = 1
    slow_time_decimation: int = 1
    stagger: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.demodulation_frequency_hz is None:
            object.__setattr__(self, "demodulation_frequency_hz", self.center_frequency_hz)
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name)
            if not low <= value <= high:  # nor is NaN, or a whole number too large for a float
                raise TrueflowError(
                    "out of range", where=f"acquisition.{name}", found=value, expected=f"{low} to {high}"
                )
        if not self.transmits:
            raise TrueflowError("no transmits", where="acquisition.transmits", expected="at least one firing")
        if self.stagger is not None:
            self._check_stagger(*self.stagger)

    def _check_stagger(self, m: int, n: int) -> None:
        if not 1 <= m < n <= LARGEST_STAGGER or math.gcd(m, n) != 1:
            raise TrueflowError(
                "no stagger",
                where="acquisition.stagger",
                found=f"{m}:{n}",
                expected=f"m:n without a common factor, 1 <= m < n <= {LARGEST_STAGGER}",
            )
        if self.n_ensemble < 4 or self.n_ensemble % 2:
            raise TrueflowError(
                "does not fit staggered pulses",
                where="acquisition.n_ensemble",
                found=self.n_ensemble,
                expected="an even number, at least 4: packets begin with the short interval and need both",
            )
        if self.slow_time_decimation != 1:
            raise TrueflowError(
                "does not fit staggered pulses",
                where="acquisition.slow_time_decimation",
                found=self.slow_time_decimation,
                expected="1: every k-th of staggered pulses are not staggered alike",
            )

    @property
    def mixing_frequency_hz(self) -> float:
        """What IQ was, or RF will be, mixed down with (Hz)."""
        assert self.demodulation_frequency_hz is not None  # set in __post_init__
        return self.demodulation_frequency_hz

    @property
    def n_transmits(self) -> int:
        """Firings per slow-time sample."""
        return len(self.transmits)

    @property
    def slow_time_rate_hz(self) -> float:
        """Rate of slow-time samples (Hz); of staggered ones 1 / T1."""
        return self.prf_hz / (self.n_transmits * self.n_receive_firings * self.slow_time_decimation)

    def slow_time_s(self, sample: int) -> float:
        """When a slow-time sample is taken in an unbroken run of them that begins with sample 0 (s)."""
        if self.stagger is None:
            return sample / self.slow_time_rate_hz
        m, n = self.stagger
        pairs, odd = divmod(sample, 2)
        return (pairs * (m + n) / m + odd) / self.slow_time_rate_hz

    @property
    def pulse_times_s(self) -> NDArray[np.float64]:
        """When the slow-time samples of a packet are taken, from its first (s): (n_ensemble,) float64."""
        return np.array([self.slow_time_s(sample) for sample in range(self.n_ensemble)])

    @property
    def packet_s(self) -> float:
        """From a packet's first slow-time sample to that of the next one, if it follows without a gap (s)."""
        return self.slow_time_s(self.n_ensemble)

    @property
    def wavelength_m(self) -> float:
        """Wavelength at the center frequency (m)."""
        return self.sound_speed_m_s / self.center_frequency_hz

    def nyquist_velocity_m_s(self, lag: int = 1) -> float:
        """v_N = c * slow_time_rate / (4 f0 lag), in m/s (Kasai et al. 1985, eq. 8 at a phase of pi)."""
        return self.sound_speed_m_s * self.slow_time_rate_hz / (4.0 * self.center_frequency_hz * lag)

    @property
    def max_depth_m(self) -> float:
        """Depth from which the last sample comes (m)."""
        end_s = self.rx_start_s + self.n_samples / self.sampling_frequency_hz
        first_s = min(t.origin_time_s for t in self.transmits)
        return max(0.0, (end_s - first_s) * self.sound_speed_m_s / 2.0)

    def with_ensemble(self, n_ensemble: int, *, slow_time_decimation: int = 1) -> Acquisition:
        """The same acquisition with another packet length, keeping every k-th slow-time sample."""
        return replace(
            self, n_ensemble=n_ensemble, slow_time_decimation=self.slow_time_decimation * slow_time_decimation
        )


def parse_stagger(text: str, *, where: str) -> tuple[int, int]:
    """(m, n) of "m:n".

    Raises
    ------
    TrueflowError
        Where the text is anything else.
    """
    match = re.fullmatch(r"\s*(\d{1,3})\s*:\s*(\d{1,3})\s*", text)
    if match is None:
        raise TrueflowError("no stagger", where=where, found=repr(text), expected="m:n, as in 3:4")
    return int(match[1]), int(match[2])
