"""What recordings of beamformed IQ have in common: their grid, and an acquisition without channels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import Acquisition, PlaneWave
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.probe import Probe

__all__ = ["beamformed_acquisition", "grid_from_coordinates"]

SAME_PLACE_M = 2e-6  # float32 coordinates at 0.2 m are good to 0.015 um; a wavelength is > 70 um


def grid_from_coordinates(coordinates_m: NDArray[np.float64], where: str) -> ImageGrid:
    """The Cartesian or polar grid that these pixels lie on.

    Parameters
    ----------
    coordinates_m : (n_z, n_x, 3)
        Pixel positions x, y, z; depth along the first axis.

    Raises
    ------
    TrueflowError
        Pixels that lie on neither, or run backwards.
    """
    x, y, z = np.moveaxis(coordinates_m, -1, 0)
    if np.ptp(y) > SAME_PLACE_M:
        raise TrueflowError("pixels off the imaging plane", where=where, found=f"y spans {np.ptp(y):g} m", expected="0")
    grid = ImageGrid.cartesian(x[0], z[:, 0]) if _rising(x[0]) and _rising(z[:, 0]) else None
    if grid is None or not _fits(grid, x, z):
        grid = _polar(x, z)
    if grid is None or not _fits(grid, x, z):
        raise TrueflowError(
            "not a pixel grid",
            where=where,
            found=f"{x.shape[0]} x {x.shape[1]} pixels of another arrangement",
            expected="(z, x) along rising x and z, or (radius, angle) around one apex on the axis",
        )
    return grid


def beamformed_acquisition(
    grid: ImageGrid,
    *,
    probe: Probe | None,
    center_frequency_hz: float,
    slow_time_rate_hz: float,
    sound_speed_m_s: float,
    sampling_frequency_hz: float | None,
    n_ensemble: int,
    stagger: tuple[int, int] | None = None,
) -> Acquisition:
    """An acquisition for IQ that is already beamformed and compounded: one transmit, its PRF the slow-time rate.

    Where the file does not tell, fast time is sampled as the pixels are in depth, and the probe is unknown.
    """
    if sampling_frequency_hz is None:
        if grid.axis_0.size > 1:
            spacing_m = float(np.mean(np.diff(grid.axis_0)))
            sampling_frequency_hz = sound_speed_m_s / (2.0 * spacing_m)
        else:
            sampling_frequency_hz = center_frequency_hz
    return Acquisition(
        probe=probe or Probe.linear(1, pitch_m=1e-3, name="unknown"),
        transmits=(PlaneWave(),),
        sampling_frequency_hz=sampling_frequency_hz,
        center_frequency_hz=center_frequency_hz,
        prf_hz=slow_time_rate_hz,
        n_samples=grid.shape[0],
        n_ensemble=n_ensemble,
        sound_speed_m_s=sound_speed_m_s,
        sample_kind="beamformed",
        stagger=stagger,
    )


def _rising(axis: NDArray[np.float64]) -> bool:
    return bool((np.diff(axis) > 0).all())


def _fits(grid: ImageGrid, x: NDArray[np.float64], z: NDArray[np.float64]) -> bool:
    return bool(max(np.abs(grid.x_m - x).max(), np.abs(grid.z_m - z).max()) <= SAME_PLACE_M)


def _polar(x: NDArray[np.float64], z: NDArray[np.float64]) -> ImageGrid | None:
    """The polar grid through the pixels, or None; the apex follows from the outermost line."""
    if min(x.shape) < 2:
        return None
    run_x, run_z = x[-1] - x[0], z[-1] - z[0]
    angles_rad = np.arctan2(run_x, run_z)
    outer = int(np.argmax(np.abs(angles_rad)))
    if abs(np.sin(angles_rad[outer])) < 1e-6:
        return None
    first_m = x[0, outer] / np.sin(angles_rad[outer])
    radii_m = first_m + np.hypot(x[:, outer] - x[0, outer], z[:, outer] - z[0, outer])
    apex_z_m = float(z[0, outer] - first_m * np.cos(angles_rad[outer]))
    if not (_rising(angles_rad) and _rising(radii_m)):
        return None
    return ImageGrid.polar(angles_rad, radii_m, apex_z_m=apex_z_m)
