"""The spinning disk recording: where it is, how fast it turns, and what a velocity map of it is worth.

The disk (diameter 20 mm) turns at 61.3 rad/s: the axial velocity is -61.3 (x - x_c), towards the probe on the left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline import ColorFlow, ColorFrame, Framing, Recording, packets
from trueflow.pipeline.config import Config

RATE_RAD_S = 61.3
RADIUS_M = 9.5e-3  # inside the rim
CENTER_Z_M = 22.4e-3

UNSMOOTHED = Config().override(["doppler.average_z=1", "doppler.average_x=1"])


def first_frame(recording: Recording, config: Config, framing: Framing | None = None) -> tuple[ColorFlow, ColorFrame]:
    recording.acquisition = config.acquisition.applied_to(recording.acquisition)
    acquisition, _, stream = packets(recording, framing or Framing())
    flow = ColorFlow(acquisition, config)
    return flow, flow(next(stream))


@dataclass(frozen=True)
class Rotation:
    """A fit of v = -rate (x - center) inside the disk, and what is left of the map after the nominal rotation."""

    rate_rad_s: float
    center_x_m: float
    bias_m_s: float
    rms_m_s: float


def rotation(x_m: NDArray[np.float64], z_m: NDArray[np.float64], velocity_m_s: NDArray[np.float32]) -> Rotation:
    center_x_m = 0.0
    for _ in range(4):  # the region is centered on the fit, the fit is made in the region
        inside = np.hypot(x_m - center_x_m, z_m - CENTER_Z_M) < RADIUS_M
        slope, intercept = np.polyfit(x_m[inside], velocity_m_s[inside].astype(np.float64), 1)
        center_x_m = -intercept / slope
    error = velocity_m_s[inside] + RATE_RAD_S * (x_m[inside] - center_x_m)
    return Rotation(-float(slope), float(center_x_m), float(np.median(error)), float(np.sqrt(np.mean(error**2))))
