"""What an estimator sees of a velocity: its projection onto the beams of transmit and receive."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.das import ReceiveWindow
from trueflow.pipeline.acquisition import Acquisition, PlaneWave, Transmit
from trueflow.pipeline.config import BeamformConfig
from trueflow.pipeline.stages import TAPERS

__all__ = ["Beams"]

Array = NDArray[np.float64]


class Beams:
    """Directions of transmit and receive.

    The echo of a scatterer at velocity v gains 2 pi f0 (v . (u_tx + u_rx)) / c of phase per second, u_tx pointing
    against the wave's propagation and u_rx from the pixel to the element that listens. The estimate is
    v . (u_tx + u_rx) / 2: positive towards the probe. u_rx is the mean over the receive aperture. Speckle is a sum over
    scatterers at all places of the resolution cell, so its slow-time spectrum is the power over the elements: each
    counts with the square of its weight in the beamformer, its directivity and its spreading. With several transmits
    their directions are averaged, as lag-one phases of compounded echoes are.

    An estimator that takes every echo for one of the center frequency f0 falls short of this by about (s / f0)^2, s
    being the standard deviation of the power spectrum that reaches it: low frequencies have a wider focus and gather
    more scatterers. That is 2 to 3 % of the velocity at a bandwidth of 60 %.

    Parameters
    ----------
    acquisition : Acquisition
    beamform : BeamformConfig, optional
        Receive aperture.
    """

    def __init__(self, acquisition: Acquisition, beamform: BeamformConfig | None = None) -> None:
        config = beamform or BeamformConfig()
        self._acquisition = acquisition
        self._window = ReceiveWindow(config.f_number, TAPERS.get(config.window, config.tukey_taper))

    def direction(self, x_m: Array, z_m: Array) -> tuple[Array, Array]:
        """(u_tx + u_rx) / 2 at positions, as x and z; NaN where no element listens or no wave passes."""
        out_x, out_z = np.zeros(np.shape(x_m)), np.zeros(np.shape(x_m))
        reached = np.ones(np.shape(x_m), np.bool_)
        for transmit in self._acquisition.transmits:
            along_x, along_z = _propagation(transmit, x_m, z_m)
            out_x -= along_x / self._acquisition.n_transmits
            out_z -= along_z / self._acquisition.n_transmits
            reached &= self._in_beam(transmit, x_m, z_m)
        back_x, back_z = self._receive(x_m, z_m)
        nothing = np.where(reached, 0.0, np.nan)
        return (out_x + back_x) / 2 + nothing, (out_z + back_z) / 2 + nothing

    def _receive(self, x_m: Array, z_m: Array) -> tuple[Array, Array]:
        probe = self._acquisition.probe
        elements = np.column_stack([probe.element_positions_m, probe.element_angles_rad])
        width = (probe.element_width_m or 0.0) / self._acquisition.wavelength_m
        places = np.stack(np.broadcast_arrays(np.asarray(x_m, np.float64), z_m))
        flat = _directions_back(elements.tobytes(), width, self._window, places.tobytes())
        back_x, back_z = flat.reshape(places.shape)
        return back_x.copy(), back_z.copy()

    def _in_beam(self, transmit: Transmit, x_m: Array, z_m: Array) -> NDArray[np.bool_]:
        """Whether a position lies between the rays through the ends of the array."""
        ends = self._acquisition.probe.element_positions_m[[0, -1]]
        if isinstance(transmit, PlaneWave):
            cosine, sine = np.cos(transmit.angle_rad), np.sin(transmit.angle_rad)
            first, last = ends[:, 0] * cosine - ends[:, 2] * sine
            across = x_m * cosine - z_m * sine
            return np.asarray((across >= first) & (across <= last))
        x, z = transmit.source_x_m, transmit.source_z_m
        first, last = np.arctan2(ends[:, 0] - x, ends[:, 2] - z)
        turned = np.arctan2(x_m - x, z_m - z)
        return np.asarray((turned >= first) & (turned <= last))


@lru_cache(maxsize=16)
def _directions_back(elements: bytes, width: float, window: ReceiveWindow, places: bytes) -> Array:
    """Mean directions of receive at places; kept, as simulations of one probe and view ask for the same ones.

    Parameters
    ----------
    elements : bytes
        (n_elements, 4) float64: positions, and angles of the normals.
    width : float
        Of an element, in wavelengths.
    window : ReceiveWindow
    places : bytes
        (2, n) float64: x, z.

    Returns
    -------
    (2, n) float64
        x, z.
    """
    x_m, z_m = np.frombuffer(places).reshape(2, -1)
    total, total_x, total_z = (np.zeros(x_m.shape) for _ in range(3))
    for x_e, _, z_e, angle in np.frombuffer(elements).reshape(-1, 4):
        dx, dz = x_m - x_e, z_m - z_e
        depth = dx * np.sin(angle) + dz * np.cos(angle)
        lateral = dx * np.cos(angle) - dz * np.sin(angle)
        distance = np.maximum(np.hypot(dx, dz), 1e-6)
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = np.where(depth > 0, window.weights(lateral / depth), 0.0)
        weight = weight * depth / distance * np.sinc(width * lateral / distance)
        weight = weight**2 / distance
        total += weight
        total_x -= weight * dx / distance
        total_z -= weight * dz / distance
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([total_x / total, total_z / total])


def _propagation(transmit: Transmit, x_m: Array, z_m: Array) -> tuple[Array, Array]:
    if isinstance(transmit, PlaneWave):
        return np.full(np.shape(x_m), np.sin(transmit.angle_rad)), np.full(np.shape(x_m), np.cos(transmit.angle_rad))
    dx, dz = x_m - transmit.source_x_m, z_m - transmit.source_z_m
    distance = np.hypot(dx, dz)
    return dx / distance, dz / distance
