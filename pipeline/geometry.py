"""From acquisition facts to the arrays kernels take: default grids, waves, element tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.das import Waves
from trueflow.pipeline.acquisition import Acquisition, DivergingWave, PlaneWave, Transmit
from trueflow.pipeline.config import GridConfig
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.grid import ImageGrid

__all__ = ["insonified", "make_grid", "make_waves"]

MAX_PIXELS = 1 << 21  # what the dealiasing engine's sums can hold
LATERAL_TO_AXIAL = 2.0  # default pixels are this much wider than deep: lateral resolution is coarser


def make_waves(acquisition: Acquisition) -> Waves:
    """Transmit table of das.cu: paths in metres on the clock of `rx_start_s`."""
    rows = []
    for transmit in acquisition.transmits:
        offset = transmit.origin_time_s * acquisition.sound_speed_m_s
        if isinstance(transmit, PlaneWave):
            rows.append((np.sin(transmit.angle_rad), np.cos(transmit.angle_rad), 0.0, offset))
        else:
            assert isinstance(transmit, DivergingWave)
            x, z = transmit.source_x_m, transmit.source_z_m
            rows.append((x, z, 1.0, offset - float(np.hypot(x, z))))
    return Waves(np.array(rows, np.float64))


def insonified(acquisition: Acquisition, grid: ImageGrid) -> NDArray[np.bool_]:
    """The pixels that at least one transmit reaches: those between the rays through the array's ends, and a margin.

    All elements are taken to fire, as the acquisition does not say otherwise: fewer would reach less.

    A wave's edge is soft, as a shadow's is. Beyond it only the wave from the array's end arrives, later than the wave
    that is missing would. The margin ends where that is a quarter of a period, at -14 dB (Born & Wolf 1999, section
    8.7.3): of a plane wave sqrt(wavelength * range / 2) outside the ray. Of simulated echoes of waves summed over their
    elements, 1,380 pixels of flow in the margin were right (within v_N / 4) and 724 were not; beyond it 254 and 2,846.

    Parameters
    ----------
    acquisition : Acquisition
    grid : ImageGrid

    Returns
    -------
    (n_z, n_x) bool
    """
    reached = np.zeros(grid.shape, np.bool_)
    for transmit, row in zip(acquisition.transmits, make_waves(acquisition).table, strict=True):
        reached |= _passes(transmit, Waves(row[None]), acquisition, grid)
    return reached


def _passes(transmit: Transmit, wave: Waves, acquisition: Acquisition, grid: ImageGrid) -> NDArray[np.bool_]:
    """Where one wave passes; what lies behind the array is not told from what lies before it."""
    elements, x, z = acquisition.probe.element_positions_m, grid.x_m, grid.z_m
    across, pixel_across = _across(transmit, elements[:, 0], elements[:, 2]), _across(transmit, x, z)
    ends = elements[[across.argmin(), across.argmax()]]
    by_the_ends_m = [wave.distance_m(x_e, z_e)[0] + np.hypot(x - x_e, z - z_e) for x_e, _, z_e in ends]
    late_m = np.minimum(*by_the_ends_m) - wave.distance_m(x, z)[0]
    lit = (pixel_across >= across.min()) & (pixel_across <= across.max())
    return np.asarray(lit | (late_m <= acquisition.wavelength_m / 4))


def _across(transmit: Transmit, x_m: NDArray[np.float64], z_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Which ray a point is on, ascending towards +x: metres along a plane wavefront, else the angle at the source."""
    if isinstance(transmit, PlaneWave):
        return np.asarray(x_m * np.cos(transmit.angle_rad) - z_m * np.sin(transmit.angle_rad))
    return np.asarray(np.arctan2(x_m - transmit.source_x_m, z_m - transmit.source_z_m))


def make_grid(acquisition: Acquisition, config: GridConfig) -> ImageGrid:
    """The image grid: what `config` says, the rest from the probe and the recorded depth.

    Raises
    ------
    TrueflowError
        Where the limits leave no pixels, or too many.
    """
    diverging = any(isinstance(t, DivergingWave) for t in acquisition.transmits)
    sector = acquisition.probe.kind == "convex" or (acquisition.probe.kind == "phased" and diverging)
    kind = config.kind if config.kind != "auto" else ("polar" if sector else "cartesian")
    grid = _polar(acquisition, config) if kind == "polar" else _cartesian(acquisition, config)
    if grid.shape[0] * grid.shape[1] > MAX_PIXELS:
        raise TrueflowError(
            "too many pixels",
            where="config [grid]",
            found=f"{grid.shape[0]} x {grid.shape[1]}",
            expected=f"at most {MAX_PIXELS}",
            advice="set n_x and n_z, or a wider spacing_wavelengths",
        )
    return grid


def _axis(
    name: str, low: float, high: float, count: int | None, spacing: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if not low < high:
        raise TrueflowError(
            f"empty {name} range", where="config [grid]", found=f"{low:g} to {high:g}", expected="min < max"
        )
    size = count if count is not None else int(np.clip(round((high - low) / spacing) + 1, 2, 4096))
    if size < 1:
        raise TrueflowError("not positive", where=f"config [grid] n_{name}", found=size, expected=">= 1")
    return np.linspace(low, high, size)


def _given(value: float | None, default: float) -> float:
    return default if value is None else value


def _depths(acquisition: Acquisition, config: GridConfig) -> tuple[float, float]:
    # The first samples are within the transmit pulse; the last are missing for off-axis elements, whose path is longer.
    first_s = acquisition.rx_start_s - min(transmit.origin_time_s for transmit in acquisition.transmits)
    start_m = max(first_s * acquisition.sound_speed_m_s / 2, 4 * acquisition.wavelength_m)
    return _given(config.z_min_m, start_m), _given(config.z_max_m, 0.98 * acquisition.max_depth_m)


def _cartesian(acquisition: Acquisition, config: GridConfig) -> ImageGrid:
    x = acquisition.probe.element_positions_m[:, 0]
    low, high = _depths(acquisition, config)
    reach = max(float(x.max() - x.min()), 0.5 * high) / 2 if acquisition.probe.kind == "phased" else 0.0
    step = config.spacing_wavelengths * acquisition.wavelength_m
    return ImageGrid.cartesian(
        _axis(
            "x",
            _given(config.x_min_m, min(float(x.min()), -reach)),
            _given(config.x_max_m, max(float(x.max()), reach)),
            config.n_x,
            LATERAL_TO_AXIAL * step,
        ),
        _axis("z", low, high, config.n_z, step),
    )


def _polar(acquisition: Acquisition, config: GridConfig) -> ImageGrid:
    probe = acquisition.probe
    low, high = _depths(acquisition, config)
    step = config.spacing_wavelengths * acquisition.wavelength_m
    if probe.kind == "convex":
        half = float(np.abs(probe.element_angles_rad).max())
        radius = float(np.ptp(probe.element_positions_m[:, 0]) / np.ptp(np.sin(probe.element_angles_rad)))
    else:
        half, radius = np.pi / 4, 0.0
    angles = _axis(
        "x",
        _given(config.angle_min_rad, -half),
        _given(config.angle_max_rad, half),
        config.n_x,
        LATERAL_TO_AXIAL * step / (radius + high / 2),
    )
    # The elements stand on a circle around the apex.
    top = float(np.mean(probe.element_positions_m[:, 2] + radius * (1 - np.cos(probe.element_angles_rad))))
    return ImageGrid.polar(angles, _axis("z", radius + low, radius + high, config.n_z, step), apex_z_m=top - radius)
