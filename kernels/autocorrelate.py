"""Slow-time autocorrelation and envelope (autocorrelate.cu), averaging in space and time (maps.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trueflow.kernels.device import Device, source
from trueflow.kernels.launch import pixel_launch

__all__ = [
    "Autocorrelator",
    "Blend",
    "BoxAverage",
    "Envelope",
    "autocorrelate_reference",
    "box_average_reference",
    "envelope_reference",
]


class Autocorrelator:
    """R0 and R1 of (n_z, n_x, n_ensemble) complex64 at a lag.

    Parameters
    ----------
    device : Device
    shape : (n_z, n_x)
    n_ensemble, lag : int
    first, step : int
        R1 is the mean over the pairs (k, k + lag) for k = first, first + step, ...; R0 is over all pulses.
    """

    def __init__(
        self, device: Device, *, shape: tuple[int, int], n_ensemble: int, lag: int = 1, first: int = 0, step: int = 1
    ) -> None:
        if not 1 <= lag < n_ensemble:
            raise ValueError(f"lag: {lag}, expected 1 to {n_ensemble - 1} for {n_ensemble} pulses")
        if not 0 <= first < n_ensemble - lag or step < 1:
            raise ValueError(f"first: {first}, step: {step}: no pair with lag {lag} among {n_ensemble} pulses")
        self._device, self._shape = device, shape
        self._params = source("autocorrelate").struct(
            "AutocorrelateParams", n_pixels=shape[0] * shape[1], n_ensemble=n_ensemble, lag=lag
        )
        self._weight: tuple[Any, ...] = ()
        if (first, step) != (0, 1):
            weight = np.zeros(n_ensemble, np.complex64)
            weight[first : n_ensemble - lag : step] = (1 + 1j) / len(range(first, n_ensemble - lag, step))
            self._weight = (device.upload(weight),)
        name = "autocorrelate_some" if self._weight else "autocorrelate"
        self._kernel = device.kernel("autocorrelate", name, packet_width=device.packet_width(n_ensemble))

    def __call__(self, iq: Any) -> tuple[Any, Any]:
        """Returns r0 float32 and r1 complex64, both (n_z, n_x)."""
        r0 = self._device.empty(self._shape, np.float32)
        r1 = self._device.empty(self._shape, np.complex64)
        self._kernel(*pixel_launch(self._device, r0.size), self._params, *self._weight, iq, r0, r1)
        return r0, r1


class Envelope:
    """Root mean square over slow time of (n_z, n_x, n_ensemble) complex64: the linear B-mode envelope."""

    def __init__(self, device: Device, *, shape: tuple[int, int], n_ensemble: int) -> None:
        self._device, self._shape = device, shape
        self._params = source("autocorrelate").struct(
            "AutocorrelateParams", n_pixels=shape[0] * shape[1], n_ensemble=n_ensemble, lag=0
        )
        self._kernel = device.kernel("autocorrelate", "envelope", packet_width=device.packet_width(n_ensemble))

    def __call__(self, iq: Any) -> Any:
        """Returns the envelope, float32 (n_z, n_x)."""
        out = self._device.empty(self._shape, np.float32)
        self._kernel(*pixel_launch(self._device, out.size), self._params, iq, out)
        return out


class BoxAverage:
    """Mean of R0 and R1 over a window of (size_z, size_x) pixels, odd; the window shrinks at the border."""

    def __init__(self, device: Device, *, shape: tuple[int, int], size_z: int, size_x: int) -> None:
        for name, size in (("size_z", size_z), ("size_x", size_x)):
            if size < 1 or size % 2 == 0:
                raise ValueError(f"{name}: {size}, expected odd and positive")
        self._device, self._shape = device, shape
        self._passes = [
            source("maps").struct("BoxParams", n_x=shape[1], n_z=shape[0], radius=size // 2, along_z=along_z)
            for size, along_z in ((size_z, 1), (size_x, 0))
            if size > 1
        ]
        self._kernel = device.kernel("maps", "box_average")

    def __call__(self, r0: Any, r1: Any) -> tuple[Any, Any]:
        """Returns averaged r0 and r1."""
        for params in self._passes:
            r0_out = self._device.empty(self._shape, np.float32)
            r1_out = self._device.empty(self._shape, np.complex64)
            self._kernel(*pixel_launch(self._device, r0.size), params, r0, r1, r0_out, r1_out)
            r0, r1 = r0_out, r1_out
        return r0, r1


class Blend:
    """Recursive average over frames of R0 and R1: out = factor * before + (1 - factor) * now."""

    def __init__(self, device: Device, *, shape: tuple[int, int], factor: float) -> None:
        if not 0 <= factor < 1:
            raise ValueError(f"persistence factor: {factor}, expected 0 <= factor < 1")
        self._device, self._shape = device, shape
        self._params = source("maps").struct("BlendParams", n_pixels=shape[0] * shape[1], factor=factor)
        self._kernel = device.kernel("maps", "blend")

    def __call__(self, r0: Any, r1: Any, r0_before: Any, r1_before: Any) -> tuple[Any, Any]:
        """Returns the blended r0 and r1."""
        r0_out = self._device.empty(self._shape, np.float32)
        r1_out = self._device.empty(self._shape, np.complex64)
        self._kernel(*pixel_launch(self._device, r0.size), self._params, r0, r1, r0_before, r1_before, r0_out, r1_out)
        return r0_out, r1_out


def autocorrelate_reference(
    iq: NDArray[Any], *, lag: int = 1, first: int = 0, step: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    """The specification of `Autocorrelator`, in float64."""
    x = iq.astype(np.complex128)
    r1 = (x[..., first + lag :: step] * x[..., first:-lag:step].conj()).mean(axis=-1)
    return (np.abs(x) ** 2).mean(axis=-1), r1


def envelope_reference(iq: NDArray[Any]) -> NDArray[np.float64]:
    """The specification of `Envelope`, in float64."""
    return np.asarray(np.sqrt((np.abs(iq.astype(np.complex128)) ** 2).mean(axis=-1)))


def box_average_reference(values: NDArray[Any], *, size_z: int, size_x: int) -> NDArray[Any]:
    """The specification of `BoxAverage` for one map, in float64."""

    def window_sum(a: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(ndimage.convolve(a, np.ones((size_z, size_x)), mode="constant"))

    count = window_sum(np.ones(values.shape))
    if np.iscomplexobj(values):
        return (window_sum(values.real.astype(float)) + 1j * window_sum(values.imag.astype(float))) / count
    return np.asarray(window_sum(values.astype(float)) / count)
