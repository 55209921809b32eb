"""Channel RF to decimated complex IQ with slow time last; the equations are at the head of demodulate.cu."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from trueflow.kernels.device import Device, source
from trueflow.kernels.launch import blocks, fitted_tile

__all__ = ["BandFilter", "Demodulator", "design_band_filter", "reference"]

STOPBAND_DB = 50.0  # quantisation noise of 12-bit data, and enough that the image does not bias phases by 0.01 rad
SAMPLES_PER_BAND = 1.6  # IQ rate over bandwidth: linear interpolation in delay-and-sum wants some oversampling
MAX_TAPS = 255

# IQ samples per block; 64 of a channel stay in the first-level cache on the CPU. GPU: at most 256 threads.
TILE = {"cpu": 64, "cuda": 64}
# Interleaved samples per block. GPU: one a thread, neighbours read neighbouring samples.
INTERLEAVE_TILE = {"cpu": 64, "cuda": 128}
RUN = {"cpu": 32, "cuda": 1}  # INTERLEAVE_RUN of demodulate.cu


@dataclass(frozen=True, slots=True, eq=False)
class BandFilter:
    """A low-pass for the mixed signal.

    Parameters
    ----------
    taps : (n_taps,) float64
        Odd length, symmetric, unit gain at 0 Hz.
    decimation : int
    """

    taps: NDArray[np.float64]
    decimation: int


def design_band_filter(
    *,
    sampling_frequency_hz: float,
    demodulation_frequency_hz: float,
    bandwidth_hz: float,
    decimation: int | None = None,
) -> BandFilter:
    """Kaiser-window low-pass (Oppenheim & Schafer, sec. 7.5.3) that keeps the band and rejects its mirror image.

    Mixing real samples with f_d leaves the image of the echo's band around -2 f_d, which sampling folds to a distance
    `d = |2 f_d - nearest multiple of f_s|` from 0 Hz: 3.3 MHz for 5 MHz echoes sampled at 6.7 MHz. The stop band
    begins where the image, or what decimation folds in, does.

    Parameters
    ----------
    sampling_frequency_hz, demodulation_frequency_hz : float
    bandwidth_hz : float
        Full width of the band to keep; narrowed to what the image leaves room for.
    decimation : int, optional
        Default: the largest that keeps the IQ rate at 1.6 times the band.

    Raises
    ------
    ValueError
        Where the sampling leaves no band at all, or the decimation does not fit the band.
    """
    image_hz = 2 * demodulation_frequency_hz
    image_hz = abs(image_hz - round(image_hz / sampling_frequency_hz) * sampling_frequency_hz)
    room_hz = min(image_hz, sampling_frequency_hz)
    if room_hz < 0.02 * sampling_frequency_hz:
        raise ValueError(
            f"sampling at {sampling_frequency_hz:g} Hz folds the image of {demodulation_frequency_hz:g} Hz onto the "
            "band: such RF carries no phase"
        )
    half_hz = min(bandwidth_hz / 2, 0.45 * room_hz)
    if decimation is None:
        decimation = max(1, int(sampling_frequency_hz / (2 * half_hz * SAMPLES_PER_BAND)))
    if decimation < 1 or sampling_frequency_hz / decimation < 2 * half_hz:
        raise ValueError(f"decimation: {decimation} leaves less than the band of {2 * half_hz:g} Hz")
    stop_hz = min(room_hz, sampling_frequency_hz / decimation) - half_hz
    width = max(stop_hz - half_hz, 0.02 * sampling_frequency_hz) / (sampling_frequency_hz / 2)
    n_taps, beta = signal.kaiserord(STOPBAND_DB, width)
    n_taps = min(n_taps | 1, MAX_TAPS)
    taps = signal.firwin(n_taps, (half_hz + stop_hz) / 2, window=("kaiser", beta), fs=sampling_frequency_hz)
    return BandFilter(taps, decimation)


class Demodulator:
    """Plan for packets of one shape.

    Parameters
    ----------
    device : Device
    n_ensemble, n_channels, n_samples : int
        Channels are transmits times elements.
    dtype : int16, float32 or complex64
        Of the samples; complex64 is IQ already and is only reordered.
    band_filter : BandFilter, optional
        For RF.
    sampling_frequency_hz, demodulation_frequency_hz, rx_start_s : float
        Of the samples.

    Attributes
    ----------
    n_iq_samples, n_padded : int
        Shape of the output (n_channels, n_iq_samples, n_padded) complex64; zero beyond n_ensemble.
    iq_frequency_hz : float
        Sampling frequency of the output.
    """

    def __init__(
        self,
        device: Device,
        *,
        n_ensemble: int,
        n_channels: int,
        n_samples: int,
        dtype: Any,
        sampling_frequency_hz: float,
        demodulation_frequency_hz: float,
        rx_start_s: float,
        band_filter: BandFilter | None = None,
    ) -> None:
        kind = _kernel_suffix(dtype)
        if (band_filter is None) != (kind == "c64"):
            raise ValueError("band_filter: RF needs one, IQ takes none")
        self.device = device
        self._shape = (n_ensemble, n_channels, n_samples)
        width = device.packet_width(n_ensemble)
        self.n_padded = blocks(n_ensemble, width) * width
        if n_channels * n_samples * self.n_padded >= 2**31:
            raise ValueError("demodulate.cu indexes with 32 bits: fewer pulses, channels or samples per packet")
        decimation = band_filter.decimation if band_filter else 1
        self.n_iq_samples = blocks(n_samples, decimation)
        self.iq_frequency_hz = sampling_frequency_hz / decimation
        self._width = width
        self._params = source("demodulate").struct(
            "DemodulateParams",
            n_ensemble=n_ensemble,
            n_padded=self.n_padded,
            n_channels=n_channels,
            n_samples=n_samples,
            n_iq_samples=self.n_iq_samples,
            decimation=decimation,
            n_taps=band_filter.taps.size if band_filter else 0,
        )
        self._interleave = device.kernel("demodulate", f"interleave_{kind}", packet_width=width)
        self._scratch = device.empty((n_channels, n_samples, self.n_padded), dtype)
        self._demodulate = None
        if band_filter is not None:
            self._demodulate = device.kernel("demodulate", f"demodulate_{kind}", packet_width=width)
            self._iq = device.empty((n_channels, self.n_iq_samples, self.n_padded), np.complex64)
            self._taps, self._turns = (
                device.upload(table.astype(np.complex64))
                for table in mixing_tables(
                    band_filter, self.n_iq_samples, sampling_frequency_hz, demodulation_frequency_hz, rx_start_s
                )
            )

    def __call__(self, samples: Any) -> Any:
        """Demodulate a packet on the device.

        Parameters
        ----------
        samples : (n_ensemble, n_channels, n_samples), or any split of the channel axis

        Returns
        -------
        (n_channels, n_iq_samples, n_padded) complex64
            A buffer of the plan: valid until the next call.
        """
        _, n_channels, n_samples = self._shape
        samples = samples.reshape(self._shape)
        tile = INTERLEAVE_TILE[self.device.name]
        self._interleave(
            (1, blocks(n_samples, tile), n_channels),
            (1, tile // RUN[self.device.name], 1),
            self._params,
            samples,
            self._scratch,
        )
        if self._demodulate is None:
            return self._scratch
        lanes = self.n_padded // self._width
        (tile,) = fitted_tile(self.device, (TILE[self.device.name],), lanes)
        self._demodulate(
            (1, blocks(self.n_iq_samples, tile), n_channels),
            (lanes, tile, 1),
            self._params,
            self._taps,
            self._turns,
            self._scratch,
            self._iq,
        )
        return self._iq


def _kernel_suffix(dtype: Any) -> str:
    suffixes = {"int16": "i16", "float32": "f32", "complex64": "c64"}
    name = np.dtype(dtype).name
    if name not in suffixes:
        raise TypeError(f"samples: dtype {name}, expected int16, float32 or complex64")
    return suffixes[name]


def mixing_tables(
    band_filter: BandFilter,
    n_iq_samples: int,
    sampling_frequency_hz: float,
    demodulation_frequency_hz: float,
    rx_start_s: float,
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """The complex taps g and the turns of demodulate.cu's equation."""
    n_taps = band_filter.taps.size
    offsets = (np.arange(n_taps) - n_taps // 2) / sampling_frequency_hz
    times = rx_start_s + np.arange(n_iq_samples) * band_filter.decimation / sampling_frequency_hz
    taps = 2 * band_filter.taps * np.exp(-2j * np.pi * demodulation_frequency_hz * offsets)
    return taps, np.exp(-2j * np.pi * demodulation_frequency_hz * times)


def reference(
    samples: NDArray[Any],
    *,
    band_filter: BandFilter | None,
    sampling_frequency_hz: float,
    demodulation_frequency_hz: float,
    rx_start_s: float,
) -> NDArray[np.complex128]:
    """The specification, in float64: mix, filter, decimate, one step after another.

    Parameters
    ----------
    samples : (n_ensemble, n_channels, n_samples)

    Returns
    -------
    (n_channels, n_iq_samples, n_ensemble) complex128
    """
    if band_filter is None:
        return np.moveaxis(np.asarray(samples, np.complex128), 0, -1)
    times = rx_start_s + np.arange(samples.shape[-1]) / sampling_frequency_hz
    mixed = samples.astype(np.float64) * np.exp(-2j * np.pi * demodulation_frequency_hz * times)
    center = band_filter.taps.size // 2
    padded = np.pad(mixed, [(0, 0), (0, 0), (center, center)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, band_filter.taps.size, axis=-1)
    filtered = windows[:, :, :: band_filter.decimation] @ (2 * band_filter.taps)
    return np.asarray(np.moveaxis(filtered, 0, -1))
