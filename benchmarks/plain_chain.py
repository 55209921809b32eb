"""The chain once more with NumPy, SciPy and scikit-image alone, written for speed: what whoever has these would run.

Everything that depends on the geometry is made beforehand. Each step is the fastest of the ways that were tried:

========================  ==============================================================================================
demodulation, decimation  FFT, the band's bins times the filter, short inverse FFT
delay-and-sum             a sparse matrix with interpolation, rotation and aperture in it, times all pulses at once
clutter filter            all pixels times one matrix of pulses by pulses, in one product
R0, R1                    `einsum` and `vecdot`, without arrays in between
averages                  `uniform_filter`
unwrapping                scikit-image's `unwrap_phase` on the flow mask; islands are anchored at their rims
========================  ==============================================================================================

Transforms and matrix products run on as many threads as they are given; the rest is serial in these libraries. For the
dense product of the clutter filter that takes threadpoolctl; without it the linear algebra library uses as many as it
likes, and `blas_is_limited` says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, sparse

from trueflow.benchmarks.das_peers import import_peer
from trueflow.kernels.das import ReceiveWindow
from trueflow.kernels.demodulate import design_band_filter
from trueflow.kernels.slow_time import polynomial_filter
from trueflow.kernels.velocity import STRONG_FRACTION
from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.config import Config
from trueflow.pipeline.dealias import anchored_at_rim
from trueflow.pipeline.geometry import insonified, make_waves
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.mask import least_coherence, pixel_area_m2

__all__ = ["PlainChain", "PlainFrame", "count_weights", "das_matrix"]


@dataclass(frozen=True, slots=True, eq=False)
class PlainFrame:
    """What comes out: the envelope, the mask, the wrapped and the dealiased velocity (m/s), all (n_z, n_x)."""

    envelope: NDArray[np.float32]
    mask: NDArray[np.bool_]
    wrapped_velocity_m_s: NDArray[np.float32]
    velocity_m_s: NDArray[np.float32]


class PlainChain:
    """RF to dealiased velocity, planned for one acquisition of plane waves with one transmit.

    Parameters
    ----------
    acquisition : Acquisition
    config : Config
        With the clutter filter "polynomial" and lag 1; the dealiaser it names is not asked.
    grid : ImageGrid
    n_threads : int
        Of transforms and products.

    Attributes
    ----------
    blas_is_limited : bool
        Whether dense products keep to these threads.
    """

    def __init__(self, acquisition: Acquisition, config: Config, grid: ImageGrid, *, n_threads: int = 1) -> None:
        self._shape, self._n_threads = grid.shape, n_threads
        self._nyquist_m_s = acquisition.nyquist_velocity_m_s()
        self._unwrap = import_peer("skimage.restoration").unwrap_phase
        self._pool = ThreadPoolExecutor(n_threads)
        self._blas = _blas_limit(n_threads)
        self.blas_is_limited = self._blas is not nullcontext
        self._plan_demodulation(acquisition, config)
        matrix = das_matrix(
            acquisition, config, grid, n_samples=self._n_iq, rate_hz=self._rate_hz, demodulation_hz=self._mixing_hz
        )
        cuts = np.linspace(0, matrix.shape[0], n_threads + 1).astype(int)
        self._matrices = [matrix[a:b] for a, b in pairwise(cuts)]
        self._plan_flow(acquisition, config, grid)
        self.laps_s: dict[str, float] = {}

    def _plan_demodulation(self, a: Acquisition, config: Config) -> None:
        """Bins of the band and what the filter does to them; the mixing frequency is that of the nearest bin."""
        fraction = max(a.probe.bandwidth_fraction or 0.0, 0.6)
        band = design_band_filter(
            sampling_frequency_hz=a.sampling_frequency_hz,
            demodulation_frequency_hz=a.mixing_frequency_hz,
            bandwidth_hz=fraction * a.center_frequency_hz,
            decimation=config.demodulate.decimation,
        )
        self._n_iq = -(-a.n_samples // band.decimation)
        self._n_fft = self._n_iq * band.decimation
        self._rate_hz = a.sampling_frequency_hz / band.decimation
        center = round(a.mixing_frequency_hz / a.sampling_frequency_hz * self._n_fft)
        self._mixing_hz = center * a.sampling_frequency_hz / self._n_fft
        offsets = np.arange(self._n_iq) - self._n_iq // 2
        half = len(band.taps) // 2
        gain = np.exp(-2j * np.pi * offsets[:, None] * (np.arange(len(band.taps)) - half) / self._n_fft) @ band.taps
        inside = (center + offsets >= 0) & (center + offsets <= self._n_fft // 2)
        phase = np.exp(-2j * np.pi * self._mixing_hz * a.rx_start_s)
        gain = np.where(inside, 2 * gain * phase / band.decimation, 0)
        # The inverse transform takes the band from its middle on.
        order = np.roll(np.arange(self._n_iq), -(self._n_iq // 2))
        self._bins = np.clip(center + offsets, 0, self._n_fft // 2)[order]
        self._gain = gain[order].astype(np.complex64)

    def _plan_flow(self, a: Acquisition, config: Config, grid: ImageGrid) -> None:
        order = 1 if config.clutter.order is None else config.clutter.order
        at = np.linspace(-1, 1, a.n_ensemble)
        basis = np.linalg.qr(np.vander(at, order + 1))[0]
        self._filter = (np.eye(a.n_ensemble) - basis @ basis.T).astype(np.complex64)
        self._average = (config.doppler.average_z, config.doppler.average_x)
        mask = config.mask
        noise_filter = polynomial_filter(a.n_ensemble, order=order).output
        self._least_coherence = least_coherence(mask, config.doppler, noise_filter)
        self._power_fraction = 10 ** (mask.power_db / 10)
        self._vote = (2 * mask.speck_radius + 1, mask.speck_fraction)
        self._least_area = round(mask.least_area_wavelengths2 * a.wavelength_m**2 / pixel_area_m2(grid))
        self._reach = insonified(a, grid) if mask.beam else np.ones(grid.shape, np.bool_)
        self._n_weaker = grid.x_m.size - max(1, round(STRONG_FRACTION * grid.x_m.size))

    def __call__(self, samples: NDArray[np.int16]) -> PlainFrame:
        """Process one packet (n_ensemble, 1, n_elements, n_samples); `laps_s` then says what each step took."""
        last, laps = time.perf_counter(), {}

        def lap(step: str) -> None:
            nonlocal last
            now = time.perf_counter()
            laps[step], last = now - last, now

        channel_iq = self.demodulate(samples[:, 0])
        lap("demodulate")
        iq = self.das(channel_iq)
        lap("das")
        envelope = np.sqrt(_power(iq))
        lap("bmode")
        with self._blas():
            filtered = (iq.reshape(-1, iq.shape[-1]) @ self._filter).reshape(iq.shape)
        lap("clutter")
        r0, r1 = self._autocorrelate(filtered)
        lap("doppler")
        turns = np.angle(r1) / (2 * np.pi)
        mask = self._mask(r0, r1)
        lap("flow")
        fold = self._folds(turns, mask)
        wrapped = (2 * self._nyquist_m_s * turns).astype(np.float32)
        velocity = (2 * self._nyquist_m_s * (turns + fold)).astype(np.float32)
        lap("dealias")
        self.laps_s = laps
        return PlainFrame(envelope, mask, wrapped, velocity)

    def demodulate(self, rf: NDArray[np.int16]) -> NDArray[np.complex64]:
        """Channel RF (n_ensemble, n_elements, n_samples) to IQ (n_elements, n_iq_samples, n_ensemble)."""
        spectrum = fft.rfft(rf.astype(np.float32), self._n_fft, workers=self._n_threads)
        iq = fft.ifft(spectrum[..., self._bins] * self._gain, overwrite_x=True, workers=self._n_threads)
        return np.ascontiguousarray(np.moveaxis(iq, 0, -1))

    def das(self, channel_iq: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Beamformed IQ (n_z, n_x, n_ensemble)."""
        columns = channel_iq.reshape(-1, channel_iq.shape[-1])
        parts = list(self._pool.map(lambda matrix: matrix @ columns, self._matrices))
        flat = parts[0] if len(parts) == 1 else np.concatenate(parts)
        image: NDArray[np.complex64] = flat.reshape(*self._shape, -1)
        return image

    def _autocorrelate(self, iq: NDArray[np.complex64]) -> tuple[NDArray[np.float32], NDArray[np.complex64]]:
        r1 = _dot(iq[..., :-1], iq[..., 1:]) / np.float32(iq.shape[-1] - 1)
        return ndimage.uniform_filter(_power(iq), self._average), ndimage.uniform_filter(r1, self._average)

    def _mask(self, r0: NDArray[np.float32], r1: NDArray[np.complex64]) -> NDArray[np.bool_]:
        reference = np.partition(r0.ravel(), self._n_weaker)[self._n_weaker]
        gate = (r0 >= self._power_fraction * reference) & (np.abs(r1) >= self._least_coherence * r0) & self._reach
        size, fraction = self._vote
        voted = (ndimage.uniform_filter(gate.astype(np.float32), size) > fraction) & self._reach  # none is let in
        islands, _ = ndimage.label(voted)
        large = np.bincount(islands.ravel()) >= self._least_area
        large[0] = False
        kept: NDArray[np.bool_] = large[islands]
        return kept

    def _folds(self, turns: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[Any]:
        if not mask.any():
            return np.zeros(mask.shape, np.int8)
        unwrapped = np.ma.getdata(self._unwrap(np.ma.masked_array(2 * np.pi * turns, ~mask), rng=0))
        return anchored_at_rim(np.rint(unwrapped / (2 * np.pi) - turns), mask)


def _blas_limit(n_threads: int) -> Callable[[], AbstractContextManager[Any]]:
    """Makes contexts in which dense products keep to so many threads; `nullcontext` where nothing can limit them."""
    try:
        controller = import_peer("threadpoolctl").ThreadpoolController()
    except ImportError:
        return nullcontext
    limit: Callable[[], AbstractContextManager[Any]] = partial(controller.limit, limits=n_threads, user_api="blas")
    return limit


def _dot(a: NDArray[np.complex64], b: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Sum over slow time of conj(a) b: with NumPy 2 in one pass."""
    one_pass = getattr(np, "vecdot", None)
    total: NDArray[np.complex64] = one_pass(a, b) if one_pass else np.einsum("zxk,zxk->zx", a.conj(), b)
    return total


def _power(iq: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Mean over slow time of |x|^2."""
    parts = iq.view(np.float32)
    power: NDArray[np.float32] = np.einsum("zxk,zxk->zx", parts, parts) / np.float32(iq.shape[-1])
    return power


def das_matrix(
    a: Acquisition, config: Config, grid: ImageGrid, *, n_samples: int, rate_hz: float, demodulation_hz: float
) -> Any:
    """Delay-and-sum of one wave as CSR complex64, (n_pixels, n_elements * n_samples), with linear interpolation.

    Made row by row of the image in the order that CSR keeps: nothing is sorted, and the memory is that of the matrix
    twice over.
    """
    taper = {"boxcar": 0.0, "hann": 1.0}.get(config.beamform.window, config.beamform.tukey_taper)
    window = ReceiveWindow(config.beamform.f_number, taper)
    outward_m = make_waves(a).distance_m(grid.x_m, grid.z_m)[0]
    columns, values, counts = [], [], []
    for x, z, outward in zip(grid.x_m, grid.z_m, outward_m, strict=True):
        lateral = x[:, None] - a.probe.element_positions_m[:, 0]
        pixel, element = np.nonzero(2 * config.beamform.f_number * np.abs(lateral) < z[:, None])
        lateral, depth = lateral[pixel, element], z[pixel]
        weight = window.weights(lateral / depth)
        energy = np.bincount(pixel, weight**2, minlength=x.size)
        tau = (outward[pixel] + np.hypot(lateral, depth)) / a.sound_speed_m_s
        position = (tau - a.rx_start_s) * rate_hz
        inside = (position >= 0) & (position < n_samples - 1)
        below = np.where(inside, position, 0).astype(np.int32)
        above = position - below
        turned = inside * weight / np.sqrt(energy[pixel]) * np.exp(2j * np.pi * demodulation_hz * tau)
        values.append((turned[:, None] * np.stack([1 - above, above], axis=-1)).astype(np.complex64).ravel())
        first = element.astype(np.int32) * n_samples + below
        columns.append(np.stack([first, first + 1], axis=-1).ravel())
        counts.append(2 * np.bincount(pixel, minlength=x.size))
    starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int32)
    shape = (grid.x_m.size, a.probe.n_elements * n_samples)
    return sparse.csr_matrix((np.concatenate(values), np.concatenate(columns).astype(np.int32), starts), shape=shape)


def count_weights(a: Acquisition, config: Config, grid: ImageGrid) -> int:
    """How many numbers a matrix of delay-and-sum holds that interpolates linearly: two a pixel and element in reach."""
    z = grid.axis_0[:, None]
    count = 0
    for x in grid.axis_1:
        lateral = np.abs(x - a.probe.element_positions_m[:, 0])
        count += int(np.count_nonzero(2 * config.beamform.f_number * lateral < z))
    return 2 * count
