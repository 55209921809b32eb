"""Two axial sub-bands of beamformed IQ and the second phase between their Doppler shifts (sub_bands.cu, maps.cu).

The difference of two sub-bands' Doppler phases aliases f0 / df times later than either: it tells folds apart that R1
alone cannot (as the two-dimensional autocorrelators do: Loupas et al. 1995; Lai and Torp 1997).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.autocorrelate import BoxAverage, box_average_reference
from trueflow.kernels.device import Device, source
from trueflow.kernels.launch import pixel_launch

__all__ = ["SubBandFilter", "SubBandPhase", "design_sub_bands", "sub_band_phase_reference"]

# In standard deviations of the echo's power spectrum: bands this far out, of this (amplitude) width, told folds apart
# best on the training scenes; further out there is little echo left, wider bands overlap.
OFFSET, WIDTH = 1.43, 0.6
TAIL = 2.5  # standard deviations of the impulse response that are kept
NO_CARRIER = 0.03  # cycles per pixel: so little a turn is the echo's spectrum, and the filters bear it
LEAST_POWER = 0.01  # of the spectrum's maximum: what lies below is noise


@dataclass(frozen=True, slots=True, eq=False)
class SubBandFilter:
    """An axial filter pair.

    Parameters
    ----------
    taps : (2 half + 1) complex128
        h[m] exp(j w m), m = -half ... half.
    carrier_cycles : float
        How often the echo turns per pixel of depth, as sampled: in [-1/2, 1/2).
    separation_cycles : float
        Distance of the bands' centres of gravity, in cycles per pixel of depth.
    """

    taps: NDArray[np.complex128]
    carrier_cycles: float
    separation_cycles: float


def design_sub_bands(iq: NDArray[np.complex64]) -> SubBandFilter | None:
    """Fit the pair to the axial spectrum of an echo; None where the spectrum leaves no room for two bands.

    Parameters
    ----------
    iq : (n_z, n_x) complex64
        Beamformed, before any clutter filter, at evenly spaced depths.
    """
    n_z = iq.shape[0]
    power = (np.abs(np.fft.fft(iq * np.hanning(n_z)[:, None], axis=0)) ** 2).sum(axis=1, dtype=np.float64)
    frequency = np.fft.fftfreq(n_z)
    smooth = np.fft.ifft(np.fft.fft(power) * np.fft.fft(_kernel(n_z))).real
    if n_z < 16 or not smooth.max() > 0:
        return None
    spectrum = np.where(smooth > LEAST_POWER * smooth.max(), smooth, 0.0)
    carrier = float(np.angle((spectrum * np.exp(2j * np.pi * frequency)).sum()) / (2 * np.pi))
    carrier = carrier if abs(carrier) > NO_CARRIER else 0.0
    frequency = (frequency - carrier + 0.5) % 1 - 0.5
    deviation = float(np.sqrt(np.average((frequency - np.average(frequency, weights=spectrum)) ** 2, weights=spectrum)))
    offset, width = OFFSET * deviation, WIDTH * deviation
    half = int(np.ceil(TAIL / (2 * np.pi * width)))
    if offset + width > 0.5 or 2 * half + 1 > n_z // 2:
        return None
    m = np.arange(-half, half + 1)
    taps = np.exp(-0.5 * (2 * np.pi * width * m) ** 2) * np.exp(2j * np.pi * offset * m)
    heard = np.where(spectrum > 0, power, 0.0)  # not smoothed: that would widen it, and the bands' distance with it
    upper, lower = (
        np.average(frequency, weights=heard * np.exp(-(((frequency - sign * offset) / width) ** 2)))
        for sign in (1, -1)
    )
    return SubBandFilter(taps / np.abs(taps).sum(), carrier, float(upper - lower))


def _kernel(n: int) -> NDArray[np.float64]:
    """Smooths a spectrum of n bins over some 2 % of it."""
    bins = np.minimum(np.arange(n), n - np.arange(n))
    kernel = np.exp(-0.5 * (bins / max(1.0, 0.02 * n)) ** 2)
    return np.asarray(kernel / kernel.sum())


class SubBandPhase:
    """The second phase of (n_z, n_x, n_ensemble) complex64.

    Parameters
    ----------
    device : Device
    shape : (n_z, n_x)
    n_ensemble : int
        At least 2.
    filter_pair : SubBandFilter
    size_z, size_x : int
        Window, odd, over which R0 and R1 of the bands are averaged.
    """

    def __init__(
        self,
        device: Device,
        *,
        shape: tuple[int, int],
        n_ensemble: int,
        filter_pair: SubBandFilter,
        size_z: int,
        size_x: int,
    ) -> None:
        if n_ensemble < 2:
            raise ValueError(f"n_ensemble: {n_ensemble}, expected at least 2")
        if shape[0] * shape[1] * n_ensemble >= 2**31:
            raise ValueError("sub_bands.cu indexes with 32 bits: fewer pixels or pulses per packet")
        self._device, self._shape = device, shape
        self._params = [
            source("sub_bands").struct(
                "SubBandParams",
                n_x=shape[1],
                n_z=shape[0],
                n_ensemble=n_ensemble,
                half=len(filter_pair.taps) // 2,
                has_carrier=int(filter_pair.carrier_cycles != 0),
                has_mask=has_mask,
                reach_x=size_x // 2,
                reach_z=size_z // 2,
            )
            for has_mask in (0, 1)
        ]
        self._no_mask = device.zeros(1, np.bool_)
        self._carrier = device.upload(_turns_back(filter_pair).astype(np.complex64))
        self._taps = device.upload(filter_pair.taps.astype(np.complex64))
        self._split = device.kernel("sub_bands", "sub_bands", packet_width=device.packet_width(n_ensemble))
        self._second = device.kernel("maps", "second_phase")
        self._average = BoxAverage(device, shape=shape, size_z=size_z, size_x=size_x)

    def __call__(self, iq: Any, mask: Any = None) -> Any:
        """Returns complex64 (n_z, n_x): R1_upper conj(R1_lower) / (R0_upper R0_lower).

        With a mask, bool (n_z, n_x), only its pixels are of use.
        """
        device, shape = self._device, self._shape
        upper, lower = (
            (device.empty(shape, np.float32), device.empty(shape, np.complex64)) for _ in range(2)
        )  # fmt: skip
        launch = pixel_launch(device, shape[0] * shape[1])
        params, of_use = (self._params[0], self._no_mask) if mask is None else (self._params[1], mask)
        second = device.empty(shape, np.complex64)
        with device.together():
            self._split(*launch, params, self._taps, self._carrier, of_use, iq, *upper, *lower)
            upper, lower = self._average(*upper), self._average(*lower)
            self._second(*launch, second.size, *upper, *lower, second)
        return second


def _turns_back(filter_pair: SubBandFilter) -> NDArray[np.complex128]:
    half = len(filter_pair.taps) // 2
    return np.asarray(np.exp(-2j * np.pi * filter_pair.carrier_cycles * np.arange(-half, half + 1)))


def sub_band_phase_reference(
    iq: NDArray[Any], filter_pair: SubBandFilter, *, size_z: int, size_x: int
) -> NDArray[np.complex128]:
    """The specification of `SubBandPhase`, in float64."""
    half = len(filter_pair.taps) // 2
    padded = np.pad(iq.astype(np.complex128), ((half, half), (0, 0), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)
    turned_back = windows * _turns_back(filter_pair)
    upper, lower = turned_back @ filter_pair.taps.conj(), turned_back @ filter_pair.taps
    r0s, r1s = [], []
    for band in (upper, lower):
        r1 = (band[..., 1:] * band[..., :-1].conj()).mean(axis=-1)
        r0s.append(box_average_reference((np.abs(band) ** 2).mean(axis=-1), size_z=size_z, size_x=size_x))
        r1s.append(box_average_reference(r1, size_z=size_z, size_x=size_x))
    upper, lower = (r1 / np.maximum(np.maximum(r0, np.abs(r1)), 1e-37) for r0, r1 in zip(r0s, r1s, strict=True))
    return np.asarray(upper * lower.conj())
