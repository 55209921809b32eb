"""splat.cu against its float64 reference."""

from __future__ import annotations

import numpy as np
import pytest
from tolerances import EPS

from trueflow.kernels import get_device
from trueflow.kernels.splat import Splatter, reference

GRID_X, GRID_Z = np.linspace(-3e-3, 3.1e-3, 37), np.linspace(2e-3, 9e-3, 53)


def system(rng):
    shape = (GRID_Z.size, GRID_X.size)
    return {
        "u_x": rng.uniform(-0.15, 0.2, shape), "u_z": rng.uniform(0.9, 0.99, shape),
        "sigma_x_m": rng.uniform(0.2e-3, 0.4e-3, shape), "sigma_z_m": 0.1e-3, "wavelength_m": 0.3e-3,
    }  # fmt: skip


def points(rng, n):
    return rng.uniform(-4e-3, 4e-3, n), rng.uniform(1e-3, 10e-3, n), rng.standard_normal(n)


@pytest.mark.parametrize("n_scatterers", [1, 3, 61])
def test_matches_the_reference(device, rng, n_scatterers):
    maps = system(rng)
    pulses = [points(rng, n_scatterers) for _ in range(3)]
    ours = Splatter(device, x_m=GRID_X, z_m=GRID_Z, **maps)(*(np.stack(a) for a in zip(*pulses, strict=True)))
    for image, (x, z, a) in zip(ours, pulses, strict=True):
        expected = reference(x, z, a, grid_x_m=GRID_X, grid_z_m=GRID_Z, **maps)
        # The end at 4 sigma leaves exp(-8) = 3.4e-4 of each point; positions of 1 cm in float32 turn the phase by
        # 1e-2 * EPS * 2 pi * 2 / wavelength.
        phase = 4 * 1e-2 * EPS * 2 * np.pi * 2 / maps["wavelength_m"]
        assert np.abs(image - expected).max() < np.abs(a).sum() * (3.4e-4 + phase + 1e-6)


def test_points_far_outside_or_not_finite_leave_nothing(device, rng):
    x = np.array([[1.0, -1.0, np.nan, 0.0, 0.0]])
    z = np.array([[5e-3, 5e-3, 5e-3, 10.0, np.inf]])
    image = Splatter(device, x_m=GRID_X, z_m=GRID_Z, **system(rng))(x, z, np.ones((1, 5)))
    assert not image.any()


def test_a_point_that_comes_nearer_turns_forward(device, rng):
    maps = system(rng)
    maps["u_x"][:], maps["u_z"][:] = 0.0, 1.0
    z = 5e-3 - np.arange(4)[:, None] * 10e-6
    images = Splatter(device, x_m=GRID_X, z_m=GRID_Z, **maps)(np.zeros((4, 1)), z, np.ones((4, 1)))
    row, column = np.unravel_index(np.abs(images[0]).argmax(), images[0].shape)
    turns = np.angle(images[1:, row, column] * images[:-1, row, column].conj()) / (2 * np.pi)
    np.testing.assert_allclose(turns, 2 * 10e-6 / 0.3e-3, rtol=1e-3)


def test_same_bits_whatever_the_thread_count(rng):
    maps, (x, z, a) = system(rng), points(rng, 40)
    images = [
        Splatter(get_device("cpu", n_threads=n), x_m=GRID_X, z_m=GRID_Z, **maps)(x[None], z[None], a[None])
        for n in (1, 2, 3)
    ]
    np.testing.assert_array_equal(images[0], images[1])
    np.testing.assert_array_equal(images[0], images[2])


def test_grids_it_cannot_use_are_refused(device, rng):
    with pytest.raises(ValueError, match="not uniform"):
        Splatter(device, x_m=GRID_X**3, z_m=GRID_Z, **system(rng))
    maps = system(rng)
    maps["u_z"][3, 3] = 0.0
    with pytest.raises(ValueError, match="u_z"):
        Splatter(device, x_m=GRID_X, z_m=GRID_Z, **maps)
