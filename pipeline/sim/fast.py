"""Beamformed IQ of a scene without the detour over channels, for large training sets.

The same scatterers as in the channel simulation, moved by the same flow from pulse to pulse, each imaged by a Gaussian point
response: as deep as the pulse is long, as wide as the receive aperture makes it, turning with the two-way path. So
speckle, transit-time broadening and decorrelation by shear come out as they do after delay-and-sum; side lobes, grating
lobes and the echo's frequency dependence do not.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trueflow.kernels.das import ReceiveWindow
from trueflow.kernels.device import Device
from trueflow.kernels.splat import Splatter
from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.config import BeamformConfig
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.sim.beams import Beams
from trueflow.pipeline.sim.cloud import DEFAULT_BANDWIDTH_FRACTION, Cloud, blood, density_per_m2, tissue
from trueflow.pipeline.sim.field import SceneField
from trueflow.pipeline.stages import TAPERS

__all__ = ["FastEchoes"]

Array = NDArray[np.float64]

STREAMS = {"tissue": 0, "blood": 1, "noise": 2, "calibration": 3}
LEAST_SPREAD = (
    0.02  # of sin(angle) over the aperture: where hardly an element listens the response is not endlessly wide
)


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
    ) -> None:
        self._acquisition, self._field, self._grid = acquisition, field, grid
        self._margin_m, self._snr_db, self._seed = margin_m, snr_db, seed
        self._density = density_per_m2(acquisition, beamform.f_number)
        self._tissue = tissue(field, self._density, self._random("tissue", 0))
        beams = Beams(acquisition, beamform)
        u_x, u_z = (-np.nan_to_num(u) for u in beams.direction(grid.x_m, grid.z_m))
        self._reached = u_z > 0.1
        spread = np.maximum(receive_spread(acquisition, beamform, grid), LEAST_SPREAD)
        self._sigma_x_m = acquisition.wavelength_m / (2 * np.pi * spread)
        self._sigma_z_m = pulse_depth_m(acquisition)
        self._image = Splatter(
            device,
            x_m=grid.axis_1,
            z_m=grid.axis_0,
            u_x=np.where(self._reached, u_x, 0.0),
            u_z=np.where(self._reached, u_z, 1.0),
            sigma_x_m=self._sigma_x_m,
            sigma_z_m=self._sigma_z_m,
            wavelength_m=acquisition.wavelength_m,
        )

    def burst(self, number: int, start_s: float) -> NDArray[np.complex64]:
        """All slow-time samples of one burst: (n_ensemble, n_z, n_x)."""
        a, random = self._acquisition, self._random("noise", number)
        times_s = start_s + np.arange(a.n_ensemble) / a.slow_time_rate_hz
        clouds = list(blood(self._field, self._density, self._margin_m, times_s, self._random("blood", number)))
        iq = self._echo(clouds)
        if self._field.scene.tissue.motion == "none":
            iq += self._still
        else:
            iq += self._echo([self._tissue.moved(self._field.shift_m(float(t))) for t in times_s])
        iq += self._noise_level * self._hiss(random, a.n_ensemble)
        return iq * self._reached

    @cached_property
    def _still(self) -> NDArray[np.complex64]:
        return self._echo([self._tissue])

    @cached_property
    def _noise_level(self) -> np.float32:
        clouds = blood(self._field, self._density, self._margin_m, np.zeros(1), self._random("calibration", 0))
        shift_x, shift_z = self._field.shift_m(0.0)
        lumen = (self._field.inside_m(self._grid.x_m - shift_x, self._grid.z_m - shift_z) > 0) & self._reached
        if not lumen.any():
            return np.float32(0)
        signal = np.mean(np.abs(self._echo(list(clouds))[0][lumen]) ** 2)
        noise = np.mean(np.abs(self._hiss(self._random("calibration", 1), 1)[0][lumen]) ** 2)
        return np.float32(np.sqrt(signal / noise) * 10 ** (-self._snr_db / 20))

    def _echo(self, clouds: list[Cloud]) -> NDArray[np.complex64]:
        """Images of the scatterers at each time."""
        if clouds[0].x_m.size == 0:
            return np.zeros((len(clouds), *self._grid.shape), np.complex64)
        x, z, amplitude = (np.stack([getattr(c, part) for c in clouds]) for part in ("x_m", "z_m", "amplitude"))
        return self._image(x, z, amplitude)

    def _hiss(self, random: np.random.Generator, n: int) -> NDArray[np.complex64]:
        """Noise as it is after beamforming: as smooth as the response, louder with depth by the gain that it got."""
        z, x = self._grid.axis_0, self._grid.axis_1
        white = random.standard_normal((2, n, *self._grid.shape), np.float32)
        sigma = (self._sigma_z_m / (z[1] - z[0]), float(np.median(self._sigma_x_m)) / (x[1] - x[0]))
        smooth = ndimage.gaussian_filter(white, sigma, axes=(2, 3), mode="wrap")
        smooth /= smooth.std()
        per_cm_mhz = self._field.scene.tissue.attenuation_db_cm_mhz
        attenuation_db_m = 100 * per_cm_mhz * self._acquisition.center_frequency_hz / 1e6
        gain = 10 ** (2 * attenuation_db_m * (z - z.mean()) / 20)
        return np.asarray((smooth[0] + 1j * smooth[1]) * gain[:, None], np.complex64)

    def _random(self, stream: str, number: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, STREAMS[stream], number])


def pulse_depth_m(acquisition: Acquisition) -> float:
    """Standard deviation in depth of a Gaussian pulse whose amplitude spectrum is -6 dB at the band's edges."""
    fraction = acquisition.probe.bandwidth_fraction or DEFAULT_BANDWIDTH_FRACTION
    sigma_hz = fraction * acquisition.center_frequency_hz / 2 / np.sqrt(2 * np.log(2))
    return float(acquisition.sound_speed_m_s / 2 / (2 * np.pi * sigma_hz))


def receive_spread(acquisition: Acquisition, beamform: BeamformConfig, grid: ImageGrid) -> Array:
    """Standard deviation over the receive aperture of the sine of the receive angle, (n_z, n_x); 0 where none listens.

    The response's amplitude is the aperture's Fourier transform; a Gaussian of this width in spatial frequency has its
    curvature at the peak.
    """
    window = ReceiveWindow(beamform.f_number, TAPERS.get(beamform.window, beamform.tukey_taper))
    total, first, second = (np.zeros(grid.shape) for _ in range(3))
    probe = acquisition.probe
    for (x_e, _, z_e), angle in zip(probe.element_positions_m, probe.element_angles_rad, strict=True):
        dx, dz = grid.x_m - x_e, grid.z_m - z_e
        depth, lateral = dx * np.sin(angle) + dz * np.cos(angle), dx * np.cos(angle) - dz * np.sin(angle)
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = np.where(depth > 0, window.weights(lateral / depth), 0.0)
        sine = dx / np.maximum(np.hypot(dx, dz), 1e-9)
        total += weight
        first += weight * sine
        second += weight * sine**2
    total = np.maximum(total, 1e-9)
    return np.sqrt(np.maximum(second / total - (first / total) ** 2, 0))
