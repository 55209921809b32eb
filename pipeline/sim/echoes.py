"""Channel RF of a scene, burst by burst: echoes, noise, time-gain compensation, 12 bits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import Device
from trueflow.kernels.scatter import ScatterSimulator
from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.config import BeamformConfig, DemodulateConfig, GridConfig
from trueflow.pipeline.frames import RfPacket, Stamp
from trueflow.pipeline.geometry import make_grid, make_waves
from trueflow.pipeline.sim.cloud import DEFAULT_BANDWIDTH_FRACTION, Cloud, blood, density_per_m2, tissue
from trueflow.pipeline.sim.field import SceneField
from trueflow.pipeline.stages import Beamform

__all__ = ["ChannelEchoes", "Levels"]

FULL_SCALE = 2047  # 12 bit
HEADROOM = 1.25  # other bursts may be louder than the one that set the gain
MOST_GAIN_DB = 60.0
STREAMS = {"tissue": 0, "blood": 1, "noise": 2, "calibration": 3}


@dataclass(frozen=True, slots=True)
class Levels:
    """What turns echoes into samples: gain, and the noise's standard deviation before time-gain compensation."""

    gain: float
    noise: float


class ChannelEchoes:
    """RF of bursts of a scene.

    Parameters
    ----------
    device : Device
    acquisition : Acquisition
    field : SceneField
    beamform : BeamformConfig
        For which the signal-to-noise ratio holds, and whose f-number sets the density of scatterers.
    margin_m : float
        How far around the view blood is sown.
    snr_db : float
        Power of the blood's echoes over that of the noise after beamforming, per slow-time sample, both averaged over
        the pixels within lumens. Noise is white in time and across channels before time-gain compensation, which makes
        up for attenuation at the center frequency: deeper pixels have less.
    seed : int
    """

    def __init__(
        self,
        device: Device,
        acquisition: Acquisition,
        field: SceneField,
        beamform: BeamformConfig,
        *,
        margin_m: float,
        snr_db: float,
        seed: int,
    ) -> None:
        self._device, self._acquisition, self._field = device, acquisition, field
        self._beamform, self._margin_m, self._snr_db, self._seed = beamform, margin_m, snr_db, seed
        self._density = density_per_m2(acquisition, beamform.f_number)
        self._tissue = tissue(field, self._density, self._random("tissue", 0))
        self._still: list[NDArray[np.float32] | None] = [None] * acquisition.n_transmits
        attenuation = field.scene.tissue.attenuation_db_cm_mhz
        probe = acquisition.probe
        self._simulate = ScatterSimulator(
            device,
            element_x_m=probe.element_positions_m[:, 0],
            element_z_m=probe.element_positions_m[:, 2],
            element_angles_rad=probe.element_angles_rad,
            waves=make_waves(acquisition),
            element_width_m=probe.element_width_m or acquisition.wavelength_m / 2,
            sampling_frequency_hz=acquisition.sampling_frequency_hz,
            center_frequency_hz=acquisition.center_frequency_hz,
            bandwidth_fraction=probe.bandwidth_fraction or DEFAULT_BANDWIDTH_FRACTION,
            n_samples=acquisition.n_samples,
            rx_start_s=acquisition.rx_start_s,
            sound_speed_m_s=acquisition.sound_speed_m_s,
            attenuation_db_cm_mhz=attenuation,
        )
        path_cm = (
            100
            * acquisition.sound_speed_m_s
            * (acquisition.rx_start_s + np.arange(acquisition.n_samples) / acquisition.sampling_frequency_hz)
        )
        gain_db = attenuation * acquisition.center_frequency_hz / 1e6 * np.maximum(path_cm, 0)
        self._tgc = (10 ** (np.minimum(gain_db, MOST_GAIN_DB) / 20)).astype(np.float32)

    def burst(self, number: int, start_s: float) -> NDArray[np.int16]:
        """All pulses of one burst: (n_ensemble, n_transmits, n_elements, n_samples)."""
        a, random = self._acquisition, self._random("noise", number)
        levels = self.levels
        samples = np.empty((a.n_ensemble * a.n_transmits, a.probe.n_elements, a.n_samples), np.int16)
        times_s = start_s + (a.pulse_times_s[:, None] + np.arange(a.n_transmits) / a.prf_hz).ravel()
        clouds = blood(self._field, self._density, self._margin_m, times_s, self._random("blood", number))
        for i, (time_s, moving) in enumerate(zip(times_s, clouds, strict=True)):
            transmit = i % a.n_transmits
            rf = self._rf(transmit, moving, float(time_s))
            rf += np.float32(levels.noise) * random.standard_normal(rf.shape, np.float32)
            rf *= np.float32(levels.gain) * self._tgc
            samples[i] = np.clip(np.rint(rf), -FULL_SCALE, FULL_SCALE)
        return samples.reshape(a.n_ensemble, a.n_transmits, a.probe.n_elements, a.n_samples)

    @cached_property
    def levels(self) -> Levels:
        """Noise and gain, from one pulse of blood and one of noise through the chain's own beamformer."""
        times_s = np.zeros(1)
        (cloud,) = blood(self._field, self._density, self._margin_m, times_s, self._random("calibration", 0))
        a = self._acquisition
        echo = np.stack([self._echo(i, cloud) for i in range(a.n_transmits)])
        hiss = self._random("calibration", 1).standard_normal(echo.shape, np.float32)
        signal, noise = (self._power_in_lumens(rf * self._tgc) for rf in (echo, hiss))
        level = float(np.sqrt(signal / max(noise, 1e-30)) * 10 ** (-self._snr_db / 20))
        loudest = max(
            float(np.abs((self._rf(i, cloud, 0.0) + level * hiss[i]) * self._tgc).max()) for i in range(a.n_transmits)
        )
        return Levels(FULL_SCALE / (HEADROOM * max(loudest, 1e-30)), level)

    def _power_in_lumens(self, rf: NDArray[np.float32]) -> float:
        """Mean power after beamforming over the pixels within lumens."""
        acquisition = replace(self._acquisition, n_ensemble=1, stagger=None)
        grid = make_grid(acquisition, GridConfig())
        shift_x, shift_z = self._field.shift_m(0.0)
        lumen = self._field.inside_m(grid.x_m - shift_x, grid.z_m - shift_z) > 0
        stage = Beamform(self._device, acquisition, grid, demodulate=DemodulateConfig(), beamform=self._beamform)
        iq = self._device.download(stage(RfPacket(np.ascontiguousarray(rf[None]), Stamp(0))).iq)
        return float(np.mean(np.abs(iq[lumen]) ** 2))

    def _rf(self, transmit: int, moving: Cloud, time_s: float) -> NDArray[np.float32]:
        """Blood and tissue at one firing; the echo of tissue that never moves is kept."""
        if self._field.scene.tissue.motion != "none":
            return self._echo(transmit, moving.joined(self._tissue.moved(self._field.shift_m(time_s))))
        still = self._still[transmit]
        if still is None:
            still = self._still[transmit] = self._echo(transmit, self._tissue)
        return still + self._echo(transmit, moving)

    def _echo(self, transmit: int, cloud: Cloud) -> NDArray[np.float32]:
        """One firing: (n_elements, n_samples)."""
        heard = cloud.within(self._field.view)
        if heard.x_m.size == 0:
            return np.zeros((self._acquisition.probe.n_elements, self._acquisition.n_samples), np.float32)
        x, z, amplitude = (
            self._device.upload(part.astype(np.float32)) for part in (heard.x_m, heard.z_m, heard.amplitude)
        )
        rf = self._simulate(x, z, amplitude, transmit=transmit)
        return np.asarray(self._device.download(rf)[0], np.float32)

    def _random(self, stream: str, number: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, STREAMS[stream], number])
