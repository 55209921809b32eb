"""Channel RF for benchmarks: a vessel with moving blood in tissue at rest, from point scatterers and plane waves.

Speed does not depend on what is in the samples, but the flow mask does, and so does any comparison of phases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import Acquisition, PlaneWave

__all__ = ["Vessel", "synthesize"]

TISSUE_SCATTERERS, BLOOD_SCATTERERS = 1500, 600
BLOOD_AMPLITUDE = 0.05  # -26 dB relative to tissue
NOISE_AMPLITUDE = 0.002  # of full scale
MARGIN_M = 2e-3  # scatterers lie this much beyond the aperture


@dataclass(frozen=True, slots=True)
class Vessel:
    """A tube across the image with parabolic flow.

    Parameters
    ----------
    depth_m, radius_m : float
        Of its axis at x = 0.
    angle_rad : float
        Of the flow, from +x towards the probe.
    peak_velocity_m_s : float
    """

    depth_m: float
    radius_m: float
    angle_rad: float
    peak_velocity_m_s: float


def synthesize(acquisition: Acquisition, vessel: Vessel, *, full_scale: int, seed: int) -> NDArray[np.int16]:
    """Channel RF of one packet.

    Parameters
    ----------
    acquisition : Acquisition
        With one plane wave.
    vessel : Vessel
    full_scale : int
        The largest sample: 2047 for a 12-bit converter.
    seed : int

    Returns
    -------
    (n_ensemble, 1, n_elements, n_samples) int16
    """
    random = np.random.default_rng(seed)
    half_width_m = float(np.abs(acquisition.probe.element_positions_m[:, 0]).max()) + MARGIN_M
    x = random.uniform(-half_width_m, half_width_m, TISSUE_SCATTERERS)
    z = random.uniform(1e-3, acquisition.max_depth_m, TISSUE_SCATTERERS)
    in_tissue = np.abs(_across(vessel, x, z)) > vessel.radius_m
    tissue = _echoes(acquisition, x[in_tissue], z[in_tissue], random.normal(size=int(in_tissue.sum())))
    across = random.uniform(-vessel.radius_m, vessel.radius_m, BLOOD_SCATTERERS)
    along = random.uniform(-half_width_m, half_width_m, BLOOD_SCATTERERS)
    amplitude = BLOOD_AMPLITUDE * random.normal(size=BLOOD_SCATTERERS)
    speed = vessel.peak_velocity_m_s * (1 - (across / vessel.radius_m) ** 2)
    cosine, sine = np.cos(vessel.angle_rad), np.sin(vessel.angle_rad)
    pulses = []
    for pulse in range(acquisition.n_ensemble):
        path = along + speed * pulse / acquisition.slow_time_rate_hz
        x, z = path * cosine + across * sine, vessel.depth_m - path * sine + across * cosine
        pulses.append(tissue + _echoes(acquisition, x, z, amplitude))
    rf = _modulated(acquisition, np.stack(pulses))
    rf *= full_scale / np.abs(rf).max()
    rf += NOISE_AMPLITUDE * full_scale * random.normal(size=rf.shape)
    return np.clip(np.rint(rf), -full_scale, full_scale).astype(np.int16)[:, None]


def _across(vessel: Vessel, x: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from the vessel's axis (m)."""
    return np.asarray(x * np.sin(vessel.angle_rad) + (z - vessel.depth_m) * np.cos(vessel.angle_rad))


def _echoes(
    acquisition: Acquisition, x: NDArray[np.float64], z: NDArray[np.float64], amplitude: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """Impulses where echoes arrive, with their carrier's phase: (n_elements, n_samples), split between two samples."""
    (wave,) = acquisition.transmits
    assert isinstance(wave, PlaneWave)
    element_x = acquisition.probe.element_positions_m[:, :1]
    element_z = acquisition.probe.element_positions_m[:, 2:]
    path = x * np.sin(wave.angle_rad) + z * np.cos(wave.angle_rad) + np.hypot(x - element_x, z - element_z)
    tau = path / acquisition.sound_speed_m_s + wave.origin_time_s
    position = (tau - acquisition.rx_start_s) * acquisition.sampling_frequency_hz
    shape = (len(element_x), acquisition.n_samples)
    inside = (position >= 0) & (position < acquisition.n_samples - 1)
    below = np.where(inside, np.floor(position), 0).astype(np.int64)
    weight = np.where(inside, amplitude, 0) * np.exp(-2j * np.pi * acquisition.center_frequency_hz * tau)
    fraction = position - below
    row = np.arange(shape[0])[:, None] * shape[1]
    total = np.zeros(shape[0] * shape[1], np.complex128)
    for index, part in ((below, weight * (1 - fraction)), (below + 1, weight * fraction)):
        flat = (row + index).ravel()
        total += np.bincount(flat, part.real.ravel(), total.size) + 1j * np.bincount(
            flat, part.imag.ravel(), total.size
        )
    return total.reshape(shape)


def _modulated(acquisition: Acquisition, impulses: NDArray[np.complex128]) -> NDArray[np.float64]:
    """The probe's pulse (Gaussian, -6 dB at the edges of its band) on its carrier, for impulses (..., n_samples)."""
    bandwidth_hz = (acquisition.probe.bandwidth_fraction or 0.6) * acquisition.center_frequency_hz
    rate_hz = acquisition.sampling_frequency_hz
    frequency_hz = np.fft.fftfreq(acquisition.n_samples, 1 / rate_hz)
    response = np.exp(-np.log(2) * (2 * frequency_hz / bandwidth_hz) ** 2)
    envelope = np.fft.ifft(np.fft.fft(impulses) * response)
    times_s = acquisition.rx_start_s + np.arange(acquisition.n_samples) / rate_hz
    carrier = np.exp(2j * np.pi * acquisition.center_frequency_hz * times_s)
    return np.asarray((envelope * carrier).real)
