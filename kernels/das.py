"""Delay-and-sum of a whole ensemble; the equation is at the head of das.cu."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import Device, source
from trueflow.kernels.launch import blocks, fitted_tile, pixel_launch

__all__ = ["DelayAndSum", "ReceiveWindow", "Waves", "reference"]

# Tile of a block (columns, depths). CPU: a tile's part of one channel is 4 kB, of all channels within the second-level
# cache. GPU: what makes blocks of 256 threads with the pulses; neighbours share the lines they read.
TILE = {"cpu": (8, 32), "cuda": (8, 16)}
CHUNK = 16  # DAS_CHUNK of das.cu on the CPU: element tables are padded by it


@dataclass(frozen=True, slots=True, eq=False)
class Waves:
    """Transmitted waves, one row each: what das.cu calls Transmit.

    Parameters
    ----------
    table : (n_transmits, 4) float64
        a, b, kind, offset: kind 0 is a plane wave travelling along (a, b); kind 1 a wave from the point (a, b) (m).
        offset (m) is what is added to the distance so that it counts from the transmit reference.
    """

    table: NDArray[np.float64]

    def distance_m(self, x_m: NDArray[np.float64], z_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Path from the transmit reference to pixels, (n_transmits, *x_m.shape)."""
        rows = []
        for a, b, kind, offset in self.table:
            rows.append((x_m * a + z_m * b if kind == 0 else kind * np.hypot(x_m - a, z_m - b)) + offset)
        return np.stack(rows)


@dataclass(frozen=True, slots=True)
class ReceiveWindow:
    """Dynamic receive aperture: f-number, and the Tukey taper across it (0 boxcar, 1 Hann)."""

    f_number: float
    taper: float

    def weights(self, tangent: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weight by the tangent of the receive angle from the element's normal."""
        u = np.abs(tangent) * 2 * self.f_number
        taper = max(self.taper, 1e-6)
        t = np.clip((u - (1 - taper)) / taper, 0, 1)
        return np.asarray(np.where(u <= 1, np.cos(np.pi / 2 * t) ** 2, 0.0))


class DelayAndSum:
    """Plan for one geometry and one ensemble length.

    Parameters
    ----------
    device : Device
    pixel_x_m, pixel_z_m : (n_z, n_x)
    element_x_m, element_z_m, element_angles_rad : (n_elements,)
        Centers, and angles of the normals from +z.
    waves : Waves
    window : ReceiveWindow
    n_samples, n_ensemble, n_padded : int
        Of the channel IQ (n_transmits * n_elements, n_samples, n_padded).
    sampling_frequency_hz, demodulation_frequency_hz, rx_start_s, sound_speed_m_s : float
        Of the channel IQ.
    """

    def __init__(
        self,
        device: Device,
        *,
        pixel_x_m: NDArray[np.float64],
        pixel_z_m: NDArray[np.float64],
        element_x_m: NDArray[np.float64],
        element_z_m: NDArray[np.float64],
        element_angles_rad: NDArray[np.float64],
        waves: Waves,
        window: ReceiveWindow,
        n_samples: int,
        n_ensemble: int,
        n_padded: int,
        sampling_frequency_hz: float,
        demodulation_frequency_hz: float,
        rx_start_s: float,
        sound_speed_m_s: float,
    ) -> None:
        n_z, n_x = pixel_x_m.shape
        n_elements, n_transmits = element_x_m.size, len(waves.table)
        _check_sizes(n_samples, n_transmits * n_elements * n_samples * n_padded, n_x * n_z * n_ensemble)
        self.device = device
        self._shape = (n_z, n_x, n_ensemble)
        sizes = {"n_x": n_x, "n_z": n_z, "n_elements": n_elements, "n_elements_padded": n_elements + CHUNK}
        self._params = source("das").struct(
            "DasParams",
            **sizes,
            n_transmits=n_transmits,
            n_samples=n_samples,
            n_ensemble=n_ensemble,
            n_padded=n_padded,
            inverse_sound_speed=1 / sound_speed_m_s,
            sampling_frequency_hz=sampling_frequency_hz,
            demodulation_frequency_hz=demodulation_frequency_hz,
            rx_start_s=rx_start_s,
            inverse_half_aperture=2 * window.f_number,
            taper=max(window.taper, 1e-6),
        )
        elements = _element_table(element_x_m, element_z_m, element_angles_rad)
        self._waves, self._x, self._z, self._elements = (
            device.upload(table.astype(np.float32)) for table in (waves.table, pixel_x_m, pixel_z_m, elements)
        )
        self._plan_launches(device.packet_width(n_ensemble), n_padded)

    def _plan_launches(self, width: int, n_padded: int) -> None:
        """Each pixel's elements and scale, once; and the shape of every later launch."""
        device, (n_z, n_x, _) = self.device, self._shape
        self._range = device.empty((n_z, n_x, 2), np.int32)
        self._scale = device.empty((n_z, n_x), np.float32)
        aperture = device.kernel("das", "das_aperture", packet_width=width)
        aperture(
            *pixel_launch(device, n_x * n_z), self._params, self._x, self._z, self._elements, self._range, self._scale
        )
        columns, depths = fitted_tile(device, TILE[device.name], n_padded // width)
        self._grid = (blocks(n_x, columns), blocks(n_z, depths), 1)
        self._block = (n_padded // width, columns, depths)
        self._das = device.kernel("das", "das", packet_width=width)

    def __call__(self, iq: Any) -> Any:
        """Beamform channel IQ; returns (n_z, n_x, n_ensemble) complex64 on the device."""
        out = self.device.empty(self._shape, np.complex64)
        self._das(
            self._grid,
            self._block,
            self._params,
            self._waves,
            self._x,
            self._z,
            self._elements,
            self._range,
            self._scale,
            iq,
            out,
        )
        return out


def _check_sizes(n_samples: int, n_inputs: int, n_outputs: int) -> None:
    if n_samples < 2:
        raise ValueError(f"n_samples: {n_samples}, expected at least 2 to interpolate between")
    if max(n_inputs, n_outputs) >= 2**31:
        raise ValueError("das.cu indexes with 32 bits: fewer transmits, samples or pixels per packet")


def _element_table(
    x_m: NDArray[np.float64], z_m: NDArray[np.float64], angles_rad: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Rows x, z, sine, cosine, padded so that a chunk that starts at the last element stays inside."""
    table = np.zeros((4, x_m.size + CHUNK), np.float32)
    table[:, : x_m.size] = (x_m, z_m, np.sin(angles_rad), np.cos(angles_rad))
    return table


def reference(
    iq: NDArray[Any],
    *,
    pixel_x_m: NDArray[np.float64],
    pixel_z_m: NDArray[np.float64],
    element_x_m: NDArray[np.float64],
    element_z_m: NDArray[np.float64],
    element_angles_rad: NDArray[np.float64],
    waves: Waves,
    window: ReceiveWindow,
    sampling_frequency_hz: float,
    demodulation_frequency_hz: float,
    rx_start_s: float,
    sound_speed_m_s: float,
) -> NDArray[np.complex128]:
    """The specification, in float64.

    Parameters
    ----------
    iq : (n_transmits, n_elements, n_samples, n_ensemble)

    Returns
    -------
    (n_z, n_x, n_ensemble) complex128
    """
    n_transmits, n_elements, n_samples, n_ensemble = iq.shape
    outward = waves.distance_m(pixel_x_m, pixel_z_m)
    total = np.zeros((*pixel_x_m.shape, n_ensemble), np.complex128)
    energy = np.zeros(pixel_x_m.shape)
    for e in range(n_elements):
        dx, dz = pixel_x_m - element_x_m[e], pixel_z_m - element_z_m[e]
        sine, cosine = np.sin(element_angles_rad[e]), np.cos(element_angles_rad[e])
        depth, lateral = dx * sine + dz * cosine, dx * cosine - dz * sine
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = np.where(depth > 0, window.weights(lateral / depth), 0.0)
        energy += weight**2
        for t in range(n_transmits):
            tau = (outward[t] + np.hypot(dx, dz)) / sound_speed_m_s
            position = (tau - rx_start_s) * sampling_frequency_hz
            inside = (position >= 0) & (position < n_samples - 1)
            below = np.where(inside, np.floor(position), 0).astype(int)
            fraction = np.where(inside, position - below, 0)[..., None]
            value = (1 - fraction) * iq[t, e, below] + fraction * iq[t, e, below + 1]
            turn = np.exp(2j * np.pi * demodulation_frequency_hz * tau)
            total += (np.where(inside, weight, 0) * turn)[..., None] * value
    with np.errstate(divide="ignore"):
        scale = np.where(energy > 0, 1 / np.sqrt(energy * n_transmits), 0)
    return np.asarray(total * scale[..., None])
