"""Beamformed IQ of a scene without the detour over channels, for large training sets.

The same scatterers as in the channel simulation, moved by the same flow from pulse to pulse, each imaged by a Gaussian
point response whose power spectrum has the mean and the standard deviations of delay-and-sum's, along the beam and
across. So speckle, transit-time broadening, decorrelation by shear and the estimator's bias come out as they do there.
What the beamformer hears from far aside, over side lobes and grating lobes, is haze: lumens are filled with faint
tissue that moves with the rest. Left out are the lobes themselves and blood's own haze (docs/simulation.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trueflow.kernels.das import ReceiveWindow
from trueflow.kernels.demodulate import design_band_filter
from trueflow.kernels.device import Device
from trueflow.kernels.splat import Splatter
from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.config import BeamformConfig
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.sim.beams import Beams
from trueflow.pipeline.sim.cloud import DEFAULT_BANDWIDTH_FRACTION, EDGE_M, Cloud, blood, density_per_m2, tissue
from trueflow.pipeline.sim.field import SceneField
from trueflow.pipeline.sim.stream import View
from trueflow.pipeline.stages import LEAST_BANDWIDTH_FRACTION, TAPERS

__all__ = ["FastEchoes"]

Array = NDArray[np.float64]

STREAMS = {"tissue": 0, "blood": 1, "noise": 2, "calibration": 3, "haze": 4}
LEAST_U_Z = 0.1  # as the response needs it: elsewhere the wave has not passed
LEAST_SPREAD = 0.02  # of sin(angle): where hardly an element listens the response is not endlessly wide
# What fills lumens in the channel simulation, relative to the tissue around: -16 to -20 dB from 1 mm off the wall to
# the axis in `straight`, `femoral` and `carotid` at 0 and 10 degrees (`trueflow bench simulation`).
HAZE_DB = -18.0


class FastEchoes:
    """Beamformed IQ of bursts of a scene.

    Parameters
    ----------
    device : Device
    acquisition : Acquisition
        Of one transmit: compounded transmits are one averaged direction.
    field : SceneField
    beamform : BeamformConfig
        Its receive aperture sets the width of the response.
    grid : ImageGrid
        Cartesian, of uniform spacing.
    margin_m : float
        How far around the view blood is sown.
    snr_db : float
        Power of the blood's echoes over that of the noise, both averaged over the pixels within lumens.
    seed : int
    haze_db : float, optional
        Power of the haze in lumens, relative to the tissue; None for none.
    """

    def __init__(
        self,
        device: Device,
        acquisition: Acquisition,
        field: SceneField,
        beamform: BeamformConfig,
        *,
        grid: ImageGrid,
        margin_m: float,
        snr_db: float,
        seed: int,
        haze_db: float | None = HAZE_DB,
    ) -> None:
        self._acquisition, self._field, self._grid = acquisition, field, grid
        self._margin_m, self._snr_db, self._seed = margin_m, snr_db, seed
        self._density = density_per_m2(acquisition, beamform.f_number)
        around = tissue(field, self._density, self._random("tissue", 0))
        if haze_db is not None:
            around = around.joined(_haze(field, self._density, haze_db, self._random("haze", 0)))
        near = np.flatnonzero(_near(around, field.view))
        self._tissue = _taken(around, near[np.argsort(around.z_m[near])])
        band, spread = speckle_band(acquisition), receive_spread(acquisition, beamform, grid)
        # A Gaussian response of standard deviation sigma has a power spectrum of 1 / (sqrt(2) sigma): across it is to
        # be 2 pi spread / wavelength, along the beam 4 pi deviation_hz / c.
        wavelength_m = acquisition.sound_speed_m_s / band.mean_hz
        self._sigma_x_m = wavelength_m / (np.sqrt(8) * np.pi * np.maximum(spread, LEAST_SPREAD))
        self._sigma_z_m = acquisition.sound_speed_m_s / (np.sqrt(32) * np.pi * band.deviation_hz)
        u_x, u_z = (-np.nan_to_num(u) for u in Beams(acquisition, beamform).direction(grid.x_m, grid.z_m))
        reached = u_z > LEAST_U_Z
        self._heard = spread > 0
        # Delay-and-sum is scaled to noise of one level; speckle is then as bright where the aperture is cut off.
        self._level = np.where(reached, np.sqrt(self._sigma_x_m.min() / self._sigma_x_m), 0.0).astype(np.float32)
        self._image = Splatter(
            device,
            x_m=grid.axis_1,
            z_m=grid.axis_0,
            u_x=np.where(reached, u_x, 0.0),
            u_z=np.where(reached, u_z, 1.0),
            sigma_x_m=self._sigma_x_m,
            sigma_z_m=self._sigma_z_m,
            wavelength_m=wavelength_m,
        )

    def burst(self, number: int, start_s: float) -> NDArray[np.complex64]:
        """All slow-time samples of one burst: (n_ensemble, n_z, n_x)."""
        a, random = self._acquisition, self._random("noise", number)
        times_s = start_s + a.pulse_times_s
        iq = self._blood(times_s, self._random("blood", number))
        if self._field.scene.tissue.motion == "none":
            iq += self._still
        else:
            iq += self._echo([self._tissue.moved(self._field.shift_m(float(t))) for t in times_s])
        iq += self._noise_level * self._hiss(random, a.n_ensemble)
        return iq

    @cached_property
    def _still(self) -> NDArray[np.complex64]:
        return self._echo([self._tissue])

    @cached_property
    def _noise_level(self) -> float:
        shift_x, shift_z = self._field.shift_m(0.0)
        lumen = (self._field.inside_m(self._grid.x_m - shift_x, self._grid.z_m - shift_z) > 0) & (self._level > 0)
        if not lumen.any():
            return 0.0
        signal = np.mean(np.abs(self._blood(np.zeros(1), self._random("calibration", 0))[0][lumen]) ** 2)
        noise = np.mean(np.abs(self._hiss(self._random("calibration", 1), 1)[0][lumen]) ** 2)
        return float(np.sqrt(signal / noise) * 10 ** (-self._snr_db / 20))

    def _blood(self, times_s: Array, random: np.random.Generator) -> NDArray[np.complex64]:
        clouds = list(blood(self._field, self._density, self._margin_m, times_s, random))
        near = np.any([_near(cloud, self._field.view) for cloud in clouds], axis=0)
        order = np.flatnonzero(near)[np.argsort(clouds[0].z_m[near])]
        return self._echo([_taken(cloud, order) for cloud in clouds])

    def _echo(self, clouds: list[Cloud]) -> NDArray[np.complex64]:
        """Images of the scatterers at each time."""
        x, z, amplitude = (
            np.stack([getattr(c, part) for c in clouds], dtype=np.float32, casting="same_kind")
            for part in ("x_m", "z_m", "amplitude")
        )
        return np.asarray(self._image(x, z, amplitude) * self._level)

    def _hiss(self, random: np.random.Generator, n: int) -> NDArray[np.complex64]:
        """Noise as it is after beamforming: as smooth as the response, louder with depth by the gain that it got."""
        z, x = self._grid.axis_0, self._grid.axis_1
        white = random.standard_normal((2, n, *self._grid.shape), np.float32)
        sigma = (self._sigma_z_m / (z[1] - z[0]), float(np.median(self._sigma_x_m)) / (x[1] - x[0]))
        smooth = ndimage.gaussian_filter(white, sigma, axes=(2, 3), mode="wrap")
        smooth *= self._heard / smooth.std()
        per_cm_mhz = self._field.scene.tissue.attenuation_db_cm_mhz
        attenuation_db_m = 100 * per_cm_mhz * self._acquisition.center_frequency_hz / 1e6
        gain = 10 ** (2 * attenuation_db_m * (z - z.mean()) / 20)
        return np.asarray((smooth[0] + 1j * smooth[1]) * gain[:, None], np.complex64)

    def _random(self, stream: str, number: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, STREAMS[stream], number])


def _near(cloud: Cloud, view: View) -> NDArray[np.bool_]:
    """Whose response reaches into a view."""
    return view.grown(EDGE_M).contains(cloud.x_m, cloud.z_m)


def _haze(field: SceneField, density: float, level_db: float, random: np.random.Generator) -> Cloud:
    """Faint tissue in lumens: what side lobes hear of the tissue around."""
    tissue_db = field.scene.tissue.level_db
    if isinstance(tissue_db, str):
        return Cloud(*np.zeros((3, 0)))
    view = field.view.grown(2 * EDGE_M)
    count = round(density * view.area_m2)
    x, z = random.uniform(view.x_min_m, view.x_max_m, count), random.uniform(view.z_min_m, view.z_max_m, count)
    amplitude = random.normal(scale=10 ** ((tissue_db + level_db) / 20), size=count)
    kept = field.inside_m(x, z) > 0
    return Cloud(x[kept], z[kept], amplitude[kept])


def _taken(cloud: Cloud, which: Any) -> Cloud:
    return Cloud(cloud.x_m[which], cloud.z_m[which], cloud.amplitude[which])


@dataclass(frozen=True, slots=True)
class Band:
    """Mean and standard deviation (Hz) of the power spectrum of speckle along the beam."""

    mean_hz: float
    deviation_hz: float


def speckle_band(acquisition: Acquisition) -> Band:
    """What the chain's receive filter and interpolation leave of the probe's pulse.

    The pulse's amplitude spectrum is a Gaussian, -6 dB at the band's edges. The demodulator passes H of it, and linear
    interpolation between IQ samples at a rate f_iq passes sinc^2((f - f0) / f_iq), which costs a 60 % pulse 18 % of
    its bandwidth. Speckle's power goes with a further 1 / f, as low frequencies have a wider focus (see `Beams`).
    """
    rate_hz, f0_hz = acquisition.sampling_frequency_hz, acquisition.center_frequency_hz
    fraction = acquisition.probe.bandwidth_fraction or DEFAULT_BANDWIDTH_FRACTION
    kept = design_band_filter(
        sampling_frequency_hz=rate_hz,
        demodulation_frequency_hz=acquisition.mixing_frequency_hz,
        bandwidth_hz=max(fraction, LEAST_BANDWIDTH_FRACTION) * f0_hz,
    )
    iq_hz = rate_hz / kept.decimation
    offset_hz = np.linspace(-0.7, 0.7, 257) * min(iq_hz, f0_hz)
    pulse = np.exp2(-((offset_hz / (fraction * f0_hz / 2)) ** 2))
    taps = np.arange(kept.taps.size) - kept.taps.size // 2
    passed = np.exp(-2j * np.pi * offset_hz[:, None] / rate_hz * taps) @ kept.taps
    amplitude = pulse * np.abs(passed) * np.sinc(offset_hz / iq_hz) ** 2
    power = amplitude**2 / (f0_hz + offset_hz)
    power /= power.sum()
    mean_hz = float(power @ offset_hz)
    return Band(f0_hz + mean_hz, float(np.sqrt(power @ (offset_hz - mean_hz) ** 2)))


def receive_spread(acquisition: Acquisition, beamform: BeamformConfig, grid: ImageGrid) -> Array:
    """Standard deviation of the sine of the receive angle over the power that the aperture hears; 0 where none listens.

    (n_z, n_x). As in `Beams`, an element counts with the square of its weight and its directivity.
    """
    window = ReceiveWindow(beamform.f_number, TAPERS.get(beamform.window, beamform.tukey_taper))
    total, first, second = (np.zeros(grid.shape) for _ in range(3))
    probe = acquisition.probe
    width = (probe.element_width_m or 0.0) / acquisition.wavelength_m
    for (x_e, _, z_e), angle in zip(probe.element_positions_m, probe.element_angles_rad, strict=True):
        dx, dz = grid.x_m - x_e, grid.z_m - z_e
        depth, lateral = dx * np.sin(angle) + dz * np.cos(angle), dx * np.cos(angle) - dz * np.sin(angle)
        distance = np.maximum(np.hypot(dx, dz), 1e-9)
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = np.where(depth > 0, window.weights(lateral / depth), 0.0)
        power = (weight * depth / distance * np.sinc(width * lateral / distance)) ** 2 / distance
        sine = dx / distance
        total += power
        first += power * sine
        second += power * sine**2
    total = np.maximum(total, 1e-30)
    return np.sqrt(np.maximum(second / total - (first / total) ** 2, 0))
