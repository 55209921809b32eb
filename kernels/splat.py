"""Point scatterers to beamformed IQ by the system's point response; the equation is at the head of splat.cu."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import Device, source
from trueflow.kernels.launch import blocks

__all__ = ["Splatter", "reference"]

MARGIN, GROUP = 16, 64  # SPLAT_MARGIN, SPLAT_GROUP of splat.cu
REACH = 4.0  # sigma
# Rows per thread. CPU: enough that few responses (8 rows here) cross from one thread's to the next; GPU: many threads.
ROWS = {"cpu": 32, "cuda": 8}


class Splatter:
    """Plan for one Cartesian grid of uniform spacing.

    Parameters
    ----------
    device : Device
    x_m, z_m : (n_x,), (n_z,)
        Pixel positions.
    u_x, u_z : (n_z, n_x)
        Half the sum of the unit vectors of transmit and mean receive direction, pointing away from the probe.
    sigma_x_m : (n_z, n_x)
        Lateral standard deviation of the response's amplitude.
    sigma_z_m : float
        Standard deviation along u.
    wavelength_m : float
    """

    def __init__(
        self,
        device: Device,
        *,
        x_m: NDArray[np.float64],
        z_m: NDArray[np.float64],
        u_x: NDArray[np.float64],
        u_z: NDArray[np.float64],
        sigma_x_m: NDArray[np.float64],
        sigma_z_m: float,
        wavelength_m: float,
    ) -> None:
        steps = [_uniform_step(axis, name) for axis, name in ((x_m, "x_m"), (z_m, "z_m"))]
        if (u_z <= 0.1).any():
            raise ValueError("u_z: waves run along the array's face somewhere; expected above 0.1")
        self._device, self._shape = device, u_z.shape
        self._fixed = {
            "n_z": z_m.size,
            "n_x": x_m.size,
            "x0": x_m[0],
            "z0": z_m[0],
            "dx": steps[0],
            "dz": steps[1],
            "inverse_dx": 1 / steps[0],
            "inverse_dz": 1 / steps[1],
            "inverse_sigma_z": 1 / sigma_z_m,
            "turns_per_m": 2 / wavelength_m,
            "rows_per_thread": ROWS[device.name],
            # One pixel more: the response is taken at a pixel near the scatterer.
            "reach_m": REACH * float(((sigma_z_m + np.abs(u_x) * sigma_x_m) / u_z).max()) + steps[1],
        }
        self._maps = [device.upload(m.astype(np.float32)) for m in (u_x, u_z, 1 / sigma_x_m)]
        self._kernel = device.kernel("splat", "splat")

    def __call__(self, x_m: NDArray[Any], z_m: NDArray[Any], amplitude: NDArray[Any]) -> NDArray[np.complex64]:
        """Image scatterers.

        Parameters
        ----------
        x_m, z_m, amplitude : (n_pulses, n_scatterers)
            In order of depth, or nearly so, it is faster: groups of neighbours that are out of reach are passed over.

        Returns
        -------
        (n_pulses, n_z, n_x) complex64, on the host
        """
        n_pulses, n_scatterers = x_m.shape
        n_z, n_x = self._shape
        padded = n_x + 2 * MARGIN
        if max(n_pulses * n_scatterers, 2 * n_pulses * n_z * padded) >= 2**31:
            raise ValueError("splat.cu indexes with 32 bits: fewer scatterers, pulses or pixels")
        if n_scatterers == 0:
            return np.zeros((n_pulses, n_z, n_x), np.complex64)
        starts = np.arange(0, n_scatterers, GROUP)
        params = source("splat").struct(
            "SplatParams", n_scatterers=n_scatterers, n_groups=starts.size, n_pulses=n_pulses, **self._fixed
        )
        points = [np.ascontiguousarray(a, np.float32) for a in (x_m, z_m, amplitude)]
        bounds = np.stack(
            [extreme.reduceat(points[1], starts, axis=1) for extreme in (np.minimum, np.maximum)], axis=-1
        )
        groups = bounds.view(np.complex64)[..., 0]  # pairs, as CUDA's float2
        iq = self._device.zeros((n_pulses, n_z, 2, padded), np.float32)
        uploaded = [self._device.upload(a) for a in (*points, groups)]
        rows = ROWS[self._device.name]
        self._kernel((blocks(n_z, rows), n_pulses, 1), (1, 1, 1), params, *uploaded, *self._maps, iq)
        real, imaginary = np.moveaxis(self._device.download(iq)[..., MARGIN : MARGIN + n_x], 2, 0)
        image = np.empty((n_pulses, n_z, n_x), np.complex64)
        image.real, image.imag = real, imaginary
        return image


def _uniform_step(axis: NDArray[np.float64], name: str) -> float:
    steps = np.diff(axis)
    if axis.size < 2 or not np.allclose(steps, steps[0], rtol=1e-6, atol=0):
        raise ValueError(f"{name}: not uniform; expected at least two equally spaced positions")
    return float(steps[0])


def reference(
    x_m: NDArray[np.float64],
    z_m: NDArray[np.float64],
    amplitude: NDArray[np.float64],
    *,
    grid_x_m: NDArray[np.float64],
    grid_z_m: NDArray[np.float64],
    u_x: NDArray[np.float64],
    u_z: NDArray[np.float64],
    sigma_x_m: NDArray[np.float64],
    sigma_z_m: float,
    wavelength_m: float,
) -> NDArray[np.complex128]:
    """The specification for one pulse, in float64 and without an end to the Gaussian.

    Parameters
    ----------
    x_m, z_m, amplitude : (n_scatterers,)

    Returns
    -------
    (n_z, n_x) complex128
    """
    image = np.zeros(u_x.shape, np.complex128)
    for x, z, a in zip(x_m, z_m, amplitude, strict=True):
        at = np.abs(grid_z_m - z).argmin(), np.abs(grid_x_m - x).argmin()
        dx, dz = x - grid_x_m[None, :], z - grid_z_m[:, None]
        rho = u_x[at] * dx + u_z[at] * dz
        decay = np.exp(-((rho / sigma_z_m) ** 2 + (dx / sigma_x_m[at]) ** 2) / 2)
        image += a * decay * np.exp(-2j * np.pi * 2 / wavelength_m * rho)
    return image
