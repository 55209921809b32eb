"""The frozen cases: what is measured under a name never changes; a change of mind gets another name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trueflow.benchmarks.echoes import Vessel, synthesize
from trueflow.benchmarks.recordings import DISK, NO_DISK, recordings_folder
from trueflow.pipeline.acquisition import Acquisition, PlaneWave
from trueflow.pipeline.config import Config
from trueflow.pipeline.frames import RfPacket, Stamp
from trueflow.pipeline.probe import Probe
from trueflow.pipeline.registry import Registry

__all__ = ["CASES", "FEMORAL_VESSEL", "RECORDING", "Case", "CaseUnavailableError"]

RECORDING = recordings_folder() / DISK
ANGLE_RAD = float(np.deg2rad(10))
SEED = 1
FEMORAL_VESSEL = Vessel(depth_m=20e-3, radius_m=4e-3, angle_rad=np.pi / 6, peak_velocity_m_s=0.92)

# Everything that costs time is said here, so that a case outlives a change of defaults.
PROCESSING = (
    "beamform.f_number=1.4",
    "beamform.window=tukey",
    "beamform.tukey_taper=0.5",
    "clutter.name=polynomial",
    "clutter.order=1",
    "doppler.lag=1",
    "doppler.average_z=3",
    "doppler.average_x=3",
    "persistence.factor=0",
    "mask.power_db=-20",
    "mask.speck_radius=2",
    "dealias.name=none",
)


class CaseUnavailableError(Exception):
    """The case's data are not on this machine; the message says what is missing."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A packet of raw samples and what is to be done with it.

    Parameters
    ----------
    name, summary : str
    acquisition : Acquisition
    config : Config
    samples : (n_ensemble, n_transmits, n_elements, n_samples)
    """

    name: str
    summary: str
    acquisition: Acquisition
    config: Config
    samples: NDArray[np.int16]

    @property
    def ensemble_duration_s(self) -> float:
        """How long the ensemble takes to acquire."""
        return self.acquisition.n_ensemble / self.acquisition.slow_time_rate_hz

    def packets(self, count: int) -> list[RfPacket]:
        """The packet in several places of memory: a live packet is not in the cache either."""
        return [RfPacket(self.samples.copy(), Stamp(index)) for index in range(count)]

    def override(self, *settings: str) -> Case:
        """The same packet, processed in another way."""
        return replace(self, config=self.config.override(settings))


CASES: Registry[Callable[[], Case]] = Registry("benchmark case")


@CASES.register("femoral")
def femoral() -> Case:
    """A linear array over the femoral artery: 40 mm deep, blood at 1.5 v_N."""
    probe = Probe.linear(128, pitch_m=0.3e-3, center_frequency_hz=5e6, bandwidth_fraction=0.6)
    acquisition = Acquisition(
        probe,
        (PlaneWave(ANGLE_RAD),),
        sampling_frequency_hz=20e6,
        center_frequency_hz=5e6,
        prf_hz=4e3,
        n_samples=1040,
        n_ensemble=16,
    )
    return Case(
        "femoral",
        "128 elements, 16 pulses x 1,040 samples, 192 x 256 pixels (x by z)",
        acquisition,
        Config().override(["grid.n_x=192", "grid.n_z=256", "grid.z_min_m=0.002", "grid.z_max_m=0.0385", *PROCESSING]),
        synthesize(acquisition, FEMORAL_VESSEL, full_scale=8191, seed=SEED),
    )


@CASES.register("edge192")
def edge192() -> Case:
    """The channel count and rates of the published edge system: 192 channels, 12 bit, 25 MHz."""
    probe = Probe.linear(192, pitch_m=0.2e-3, center_frequency_hz=6.25e6, bandwidth_fraction=0.6)
    acquisition = Acquisition(
        probe,
        (PlaneWave(ANGLE_RAD),),
        sampling_frequency_hz=25e6,
        center_frequency_hz=6.25e6,
        prf_hz=4e3,
        n_samples=1300,
        n_ensemble=16,
    )
    vessel = Vessel(depth_m=20e-3, radius_m=4e-3, angle_rad=np.pi / 6, peak_velocity_m_s=0.74)
    return Case(
        "edge192",
        "192 elements, 16 pulses x 1,300 samples of 12 bit, 256 x 256 pixels",
        acquisition,
        Config().override(["grid.n_x=256", "grid.n_z=256", "grid.z_min_m=0.002", "grid.z_max_m=0.0385", *PROCESSING]),
        synthesize(acquisition, vessel, full_scale=2047, seed=SEED),
    )


@CASES.register("disk")
def disk() -> Case:
    """The rotating disk on the pixels of MUST's own example: a square of 25 mm in steps of 0.1 mm, 10 mm deep."""
    from trueflow.pipeline.sources import open_source

    if not RECORDING.is_file():
        raise CaseUnavailableError(NO_DISK)
    with open_source(RECORDING) as recording:
        acquisition = recording.acquisition.with_ensemble(32)
        samples = recording.read(0, 32)
    pixels = (
        "grid.n_x=251",
        "grid.n_z=251",
        "grid.x_min_m=-0.0125",
        "grid.x_max_m=0.0125",
        "grid.z_min_m=0.01",
        "grid.z_max_m=0.035",
    )
    return Case(
        "disk",
        "128 elements, 32 pulses x 334 samples, 251 x 251 pixels",
        acquisition,
        Config().override([*pixels, *PROCESSING, "clutter.name=none"]),
        samples,
    )
