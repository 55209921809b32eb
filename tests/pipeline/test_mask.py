"""The flow mask of the dealias stage: how large an island must be, and what noise must not reach."""

from __future__ import annotations

import numpy as np
import pytest

from trueflow.kernels import get_device, slow_time
from trueflow.pipeline import Config, ImageGrid, TrueflowError
from trueflow.pipeline.config import DopplerConfig, MaskConfig
from trueflow.pipeline.mask import MOST_COHERENCE, Mask, least_coherence

WAVELENGTH_M = 0.3e-3
OPEN = {"power_db": -30.0, "coherence": 0.0, "speck_radius": 0}


def square(n, step_wavelengths=0.25):
    """A grid of n x n square pixels."""
    axis = np.arange(n) * step_wavelengths * WAVELENGTH_M
    return ImageGrid.cartesian(axis, 5e-3 + axis)


def shown(grid, islands, *, wavelength_m=WAVELENGTH_M, **config):
    """Which of some rectangles of flow, each (rows, columns) of pixels, the mask leaves."""
    r0 = np.full(grid.shape, 1e-9, np.float32)
    corners = [(2 + 16 * i, 2) for i in range(len(islands))]
    for (row, column), (height, width) in zip(corners, islands, strict=True):
        r0[row : row + height, column : column + width] = 1.0
    mask = Mask(
        get_device("cpu", n_threads=2),
        grid,
        wavelength_m=wavelength_m,
        doppler=DopplerConfig(),
        config=MaskConfig(**OPEN | config),
    )
    ones = np.ones(grid.shape, np.float32)
    flow = mask(r0, 0.2 * ones, ones)
    assert not flow[r0 < 1].any()
    sizes = [
        flow[row : row + height, column : column + width].mean()
        for (row, column), (height, width) in zip(corners, islands, strict=True)
    ]
    assert set(sizes) <= {0.0, 1.0}  # an island goes or stays as a whole
    return [bool(size) for size in sizes]


def test_the_least_island_is_counted_in_square_wavelengths():
    """4 square wavelengths are 64 pixels of a quarter of a wavelength."""
    assert shown(square(50), [(8, 8), (9, 7), (1, 40)], least_area_wavelengths2=4) == [True, False, False]


@pytest.mark.parametrize(
    ("scale", "step", "least_pixels"), [(1.0, 0.25, 64), (1.0, 0.5, 16), (0.5, 0.25, 16), (1.5, 0.25, 144)]
)
def test_the_area_scales_with_the_wavelength_and_the_pixel(scale, step, least_pixels):
    side = int(np.sqrt(least_pixels))
    islands = [(side, side), (1, least_pixels - 1) if least_pixels < 40 else (side, side - 1)]
    grid, wavelength_m = square(50, step), scale * WAVELENGTH_M
    assert shown(grid, islands, wavelength_m=wavelength_m, least_area_wavelengths2=4) == [True, False]


def test_pixels_need_not_be_square():
    axis = np.arange(50) * 0.25 * WAVELENGTH_M
    grid = ImageGrid.cartesian(4 * axis, 5e-3 + axis)
    assert shown(grid, [(4, 4), (5, 3)], least_area_wavelengths2=4) == [True, False]


def test_on_a_polar_grid_the_mean_arc_counts():
    radii_m = 10e-3 + np.arange(50) * 0.25 * WAVELENGTH_M
    angles_rad = np.arange(50) * 0.25 * WAVELENGTH_M / radii_m.mean()
    grid = ImageGrid.polar(angles_rad - angles_rad.mean(), radii_m)
    assert shown(grid, [(8, 8), (9, 7)], least_area_wavelengths2=4) == [True, False]


def test_an_area_of_zero_switches_it_off():
    assert shown(square(50), [(1, 1), (1, 2), (6, 6)], least_area_wavelengths2=0) == [True, True, True]


def test_by_default_small_islands_go():
    """75 square wavelengths are 300 pixels of half a wavelength."""
    assert shown(square(60, 0.5), [(14, 22), (14, 21)]) == [True, False]


@pytest.mark.parametrize("shape", [(1, 50), (50, 1)])
def test_a_line_has_no_islands(shape):
    grid = ImageGrid.cartesian(np.arange(shape[1]) * 1e-3, 5e-3 + np.arange(shape[0]) * 1e-3)
    mask = Mask(
        get_device("cpu", n_threads=1),
        grid,
        wavelength_m=WAVELENGTH_M,
        doppler=DopplerConfig(),
        config=MaskConfig(**OPEN),
    )
    ones = np.ones(shape, np.float32)
    assert mask(ones, 0.2 * ones, ones).all()


def test_islands_are_counted_within_the_reach():
    """Of 8 x 8 pixels, 64 of a quarter of a wavelength, a reach leaves half: too few."""
    grid, ones = square(50), np.ones((50, 50), np.float32)
    r0 = np.full(grid.shape, 1e-9, np.float32)
    r0[2:10, 2:10] = r0[2:10, 20:28] = 1.0
    reach = np.ones(grid.shape, bool)
    reach[:, :6] = False
    config = MaskConfig(**OPEN, least_area_wavelengths2=4)
    mask = Mask(
        get_device("cpu", n_threads=1),
        grid,
        wavelength_m=WAVELENGTH_M,
        doppler=DopplerConfig(),
        config=config,
        reach=reach,
    )
    flow = mask(r0, 0.2 * ones, ones)
    assert flow[2:10, 20:28].all()
    assert not flow[:, :20].any()


def test_the_coherence_gate_is_as_given_or_what_noise_hardly_reaches():
    def gate(n, **config):
        matrix = slow_time.polynomial_filter(n, order=1).output
        return least_coherence(MaskConfig(**config), DopplerConfig(), matrix)

    assert gate(8, coherence=0.42) == 0.42
    assert 0.1 < gate(16) < gate(8) < gate(5) <= MOST_COHERENCE
    assert gate(4) == MOST_COHERENCE


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("mask.least_area_wavelengths2=-1", r"\[mask\] least_area_wavelengths2: out of range; found -1"),
        ("mask.least_area_wavelengths2=nan", "least_area_wavelengths2: out of range"),
        ("mask.least_area_wavelengths2=big", "least_area_wavelengths2: wrong type; found 'big'; expected float"),
        ("mask.least_area=75", "did you mean 'least_area_wavelengths2'"),
    ],
)
def test_areas_that_make_no_sense_are_refused_by_name(setting, message):
    with pytest.raises(TrueflowError, match=message):
        Config().override([setting])
