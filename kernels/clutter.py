"""Clutter filters on the device: a matrix per ensemble, or projections on singular subspaces (clutter.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import Device, source
from trueflow.kernels.launch import blocks, fitted_tile
from trueflow.kernels.slow_time import SlowTimeFilter

__all__ = ["MatrixFilter", "SvdFilter", "matrix_reference", "svd_reference"]

TILE = {"cpu": 512, "cuda": 64}  # pixels per block; on a GPU fewer where that makes more than 256 threads
GRAM_RUN = {"cpu": 2048, "cuda": 128}  # pixels per partial sum


class _Matrix:
    """One launch of slow_time_matrix with a matrix (n_out, n_in + n_state), complex if `is_complex`."""

    def __init__(self, device: Device, *, n_pixels: int, n_in: int, n_state: int, n_out: int, is_complex: bool) -> None:
        if n_pixels * max(n_in, n_out) >= 2**31:
            raise ValueError("clutter.cu indexes with 32 bits: fewer pixels or pulses per packet")
        self._device = device
        width = device.packet_width(n_out)
        self.n_padded = blocks(n_out, width) * width
        self._params = source("clutter").struct(
            "SlowTimeMatrixParams",
            n_pixels=n_pixels,
            n_in=n_in,
            n_state=n_state,
            n_out=n_out,
            n_out_padded=self.n_padded,
            is_complex=int(is_complex),
        )
        lanes = self.n_padded // width
        (tile,) = fitted_tile(device, (TILE[device.name],), lanes)
        self._grid, self._block = (blocks(n_pixels, tile), 1, 1), (lanes, tile, 1)
        self._kernel = device.kernel("clutter", "slow_time_matrix", packet_width=width)

    def upload(self, matrix: NDArray[np.float64]) -> Any:
        """Columns of a real matrix as the kernel wants them: every element beside both parts of the samples."""
        columns = np.zeros((matrix.shape[1], self.n_padded), np.complex64)
        columns[:, : matrix.shape[0]] = matrix.T * (1 + 1j)
        return self._device.upload(columns)

    def __call__(self, columns: Any, x: Any, state: Any, y: Any) -> None:
        self._kernel(self._grid, self._block, self._params, columns, x, state, y)


class MatrixFilter:
    """Applies a `SlowTimeFilter` to (n_z, n_x, n_in) complex64; keeps its state between calls if it has one.

    Attributes
    ----------
    only_launches : bool
        Calls start work on the device, always on the same memory, and never wait for it.
    """

    only_launches = True

    def __init__(self, device: Device, design: SlowTimeFilter, *, shape: tuple[int, int]) -> None:
        self._device, self._shape, self.n_out = device, shape, design.n_out
        n_pixels = shape[0] * shape[1]
        n_in, n_state = design.n_in, design.n_state
        self._output = _Matrix(
            device, n_out=design.n_out, is_complex=False, n_pixels=n_pixels, n_in=n_in, n_state=n_state
        )
        self._output_columns = self._output.upload(design.output)
        self._state = device.zeros((n_pixels, max(design.n_state, 1)), np.complex64)
        self._next: _Matrix | None = None
        if design.next_state is not None:
            assert design.rest_state is not None
            self._rest_state = device.upload(design.rest_state.astype(np.float32))
            self._next = _Matrix(device, n_out=n_state, is_complex=False, n_pixels=n_pixels, n_in=n_in, n_state=n_state)
            self._next_columns = self._next.upload(design.next_state)
            self._next_state = device.zeros(self._state.shape, np.complex64)

    def __call__(self, iq: Any, *, continuous: bool = False) -> Any:
        """Filter; `continuous` says that slow time runs on from the last call, else the state is that of rest."""
        out = self._device.empty((*self._shape, self.n_out), np.complex64)
        if self._next is not None and not continuous:
            self._state[...] = iq.reshape(-1, iq.shape[-1])[:, :1] * self._rest_state
        self._output(self._output_columns, iq, self._state, out)
        if self._next is not None:
            self._next(self._next_columns, iq, self._state, self._next_state)
            self._device.copy(self._next_state, self._state)  # where a recorded frame looks for it
        return out


class SvdFilter:
    """Removes the strongest and, if asked, the weakest singular components of the Casorati matrix.

    Demene et al. 2015, eq. 4, through the eigenvectors of the slow-time Gram matrix: n_ensemble squared numbers, which
    are worked on on the host.

    Parameters
    ----------
    rank_low : int
        Strongest components that are taken out (tissue).
    rank_high : int or None
        Components from this rank on are taken out too (noise); None keeps them.

    Attributes
    ----------
    only_launches : bool
        False: each packet's Gram matrix is waited for.
    """

    only_launches = False

    def __init__(
        self, device: Device, *, shape: tuple[int, int], n_ensemble: int, rank_low: int, rank_high: int | None = None
    ) -> None:
        last = n_ensemble if rank_high is None else rank_high
        if not 0 <= rank_low <= last - 2 <= n_ensemble - 2:
            raise ValueError(
                f"SVD ranks {rank_low} to {last}: expected 0 <= low, at least two ranks, high <= {n_ensemble} pulses"
            )
        self._device, self._shape, self.n_out = device, shape, n_ensemble
        self._ranks = slice(rank_low, last)
        n_pixels = shape[0] * shape[1]
        width = device.packet_width(n_ensemble)
        padded = blocks(n_ensemble, width) * width
        run = GRAM_RUN[device.name]
        self._params = source("clutter").struct(
            "GramParams", n_pixels=n_pixels, n_ensemble=n_ensemble, n_padded=padded, run=run
        )
        self._partial = device.empty((blocks(n_pixels, run), n_ensemble, padded), np.complex64)
        lanes = padded // width
        (rows,) = fitted_tile(device, (n_ensemble,), lanes)
        self._grid, self._block = (1, blocks(n_ensemble, rows), len(self._partial)), (lanes, rows, 1)
        self._gram = device.kernel("clutter", "gram", packet_width=width)
        self._matrix = _Matrix(device, n_pixels=n_pixels, n_in=n_ensemble, n_state=0, n_out=n_ensemble, is_complex=True)
        self._columns = np.zeros((2, n_ensemble, self._matrix.n_padded), np.complex64)
        self._no_state = device.zeros(1, np.complex64)

    def __call__(self, iq: Any, *, continuous: bool = False) -> Any:
        """Filter (n_z, n_x, n_ensemble) complex64; every packet has its own subspaces."""
        device, n = self._device, self.n_out
        self._gram(self._grid, self._block, self._params, iq, self._partial)
        # Partial [j][i] holds sum of x_i conj(x_j): its transpose is the Gram matrix.
        gram = device.download(self._partial[:, :, :n].sum(axis=0, dtype=np.complex128)).T
        if not np.isfinite(gram).all():
            raise ValueError("IQ holds NaN or infinity: its singular components are not defined")
        vectors = np.linalg.eigh(gram)[1][:, ::-1][:, self._ranks]
        projection = (vectors @ vectors.conj().T).T
        self._columns[0, :, :n] = projection.real * (1 + 1j)
        self._columns[1, :, :n] = projection.imag * (1 + 1j)
        out = device.empty((*self._shape, n), np.complex64)
        self._matrix(device.upload(self._columns), iq, self._no_state, out)
        return out


def matrix_reference(
    iq: NDArray[Any], design: SlowTimeFilter, state: NDArray[Any] | None = None
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """The specification of `MatrixFilter`, in float64: filtered ensemble and next state."""
    x = iq.astype(np.complex128)
    rest = np.zeros(0) if design.rest_state is None else design.rest_state
    s = x[..., :1] * rest if state is None else state
    joined = np.concatenate([x, s], axis=-1)
    following = s if design.next_state is None else joined @ design.next_state.T
    return joined @ design.output.T, np.asarray(following, np.complex128)


def svd_reference(iq: NDArray[Any], *, rank_low: int, rank_high: int | None = None) -> NDArray[np.complex128]:
    """The specification of `SvdFilter`, in float64, by the singular value decomposition itself."""
    casorati = iq.astype(np.complex128).reshape(-1, iq.shape[-1])
    u, s, vh = np.linalg.svd(casorati, full_matrices=False)
    kept = np.zeros_like(s)
    kept[rank_low:rank_high] = s[rank_low:rank_high]
    return np.asarray(((u * kept) @ vh).reshape(iq.shape))
