"""The maps that the segmentation network sees (features.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import Device, source
from trueflow.kernels.launch import blocks, pixel_launch
from trueflow.kernels.predictions import N_COHERENCES, N_PHASES

__all__ = [
    "MULTIPLE", "N_FEATURES", "SCORED_FOLDS", "Features", "columns_per_thread", "features_reference",
    "level_reference", "row_launch",
]  # fmt: skip

N_FEATURES = 10
SCORED_FOLDS = (-2, -1, 0, 1, 2)
MULTIPLE = 16  # of which the tensor's sides are one: the network halves them four times
N_MAPS = 5  # before the scores
STRONG_FRACTION = 0.01  # a level is what the strongest per cent of pixels exceed
LEVEL_PIXELS = 1 << 14  # that are looked at, at most some two times as many: neighbours say the same
LEVEL_BINS, LEVEL_SHIFT = 2048, 20
POWER_RANGE_DB, ENVELOPE_RANGE_DB = 40.0, 60.0
GPU_COLUMNS = 128  # per block
LEAST_NORMAL = float(np.finfo(np.float32).tiny)
SecondPhase = tuple[Any, NDArray[np.complex64]]


def columns_per_thread(device: Device, n_x: int) -> int:
    """A CPU's threads take whole rows (192 pixels take half a microsecond), a GPU's one pixel each."""
    return n_x if device.name == "cpu" else 1


def row_launch(device: Device, shape: tuple[int, int]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Grid and block of a kernel whose threads take `columns_per_thread`: x along the rows, y down."""
    if device.name == "cpu":
        return (1, shape[0], 1), (1, 1, 1)
    return (blocks(shape[1], GPU_COLUMNS), shape[0], 1), (GPU_COLUMNS, 1, 1)


class Features:
    """Features of (n_z, n_x) maps as one padded tensor.

    Parameters
    ----------
    device : Device
    shape : (n_z, n_x)

    Attributes
    ----------
    padded : (int, int)
        The tensor's last two sides: `shape`, up to the next multiple of `MULTIPLE`. Padding is zero.
    """

    def __init__(self, device: Device, *, shape: tuple[int, int]) -> None:
        n_z, n_x = shape
        self._device, self._shape = device, shape
        self.padded = padded_z, padded_x = -(-n_z // MULTIPLE) * MULTIPLE, -(-n_x // MULTIPLE) * MULTIPLE
        if N_FEATURES * padded_z * padded_x >= 2**31:
            raise ValueError("features.cu indexes with 32 bits: fewer pixels")
        step, sampled_z, sampled_x = _sampling(shape)
        make = source("features").struct
        self._level = make(
            "LevelParams", n_x=n_x, step=step, n_sampled_x=sampled_x, n_sampled=sampled_z * sampled_x
        )
        self._n_above = _n_above(sampled_z * sampled_x)
        self._params = make(
            "FeatureParams", n_x=n_x, padded_x=padded_x, padded_z=padded_z, run=columns_per_thread(device, n_x)
        )
        self._histogram = device.zeros((2, LEVEL_BINS), np.int32)
        self._level_log2 = device.zeros(2, np.float32)
        self._tensor = device.zeros((1, N_FEATURES, padded_z, padded_x), np.float32)
        self._table: tuple[NDArray[np.complex64], Any] | None = None
        self._has_scores = False
        self._kernels = {name: device.kernel("features", name) for name in source("features").kernels}

    def __call__(
        self, r0: Any, phase_turns: Any, coherence: Any, envelope: Any, second: SecondPhase | None = None
    ) -> Any:
        """Returns the tensor, float32 (1, 10, padded_z, padded_x): the same array on every call.

        Parameters
        ----------
        r0, phase_turns, coherence, envelope : float32 (n_z, n_x)
        second : (phasor, table), optional
            As for `RegionUnwrapper`.
        """
        device, kernel = self._device, self._kernels
        self._histogram[...] = 0
        n_sampled = int(self._level["n_sampled"])
        kernel["level_histogram"](*pixel_launch(device, n_sampled), self._level, r0, envelope, self._histogram)
        kernel["level_quantile"]((1, 1, 1), (2, 1, 1), self._n_above, self._histogram, self._level_log2)
        launch = row_launch(device, self._shape)
        kernel["features"](
            *launch, self._params, r0, phase_turns, coherence, envelope, self._level_log2, self._tensor
        )
        if second is not None:
            kernel["second_features"](
                *launch, self._params, phase_turns, coherence, *self._uploaded(second), self._tensor
            )
        elif self._has_scores:
            self._tensor[:, N_MAPS:] = 0
        self._has_scores = second is not None
        return self._tensor

    def _uploaded(self, second: SecondPhase) -> tuple[Any, Any]:
        """The phasor, and the table on the device: it is the same object from frame to frame."""
        phasor, table = second
        if self._table is None or self._table[0] is not table:
            self._table = table, self._device.upload(_planes(table))
        return phasor, self._table[1]


def _sampling(shape: tuple[int, int]) -> tuple[int, int, int]:
    """Distance of the rows and columns that levels are taken from, and how many of each there are."""
    step = max(1, round((shape[0] * shape[1] / LEVEL_PIXELS) ** 0.5))
    return step, -(-shape[0] // step), -(-shape[1] // step)


def _n_above(n_sampled: int) -> int:
    return max(1, round(STRONG_FRACTION * n_sampled))


def _scored(table: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """The table's middle folds."""
    n_folds, n_scored = table.shape[-1], len(SCORED_FOLDS)
    if table.shape[:-1] != (N_COHERENCES, N_PHASES) or n_folds < n_scored or n_folds % 2 == 0:
        raise ValueError(
            f"table of the second phase: {table.shape}, expected ({N_COHERENCES}, {N_PHASES}, an odd number of folds)"
        )
    first = (n_folds - n_scored) // 2
    return table[:, :, first : first + n_scored]


def _planes(table: NDArray[np.complex64]) -> NDArray[np.float32]:
    """The table as the kernel wants it: the scored folds' real parts, then their imaginary parts."""
    scored = _scored(table)
    return np.ascontiguousarray(np.concatenate([scored.real, scored.imag], axis=-1), np.float32)


def level_reference(values: NDArray[np.float32]) -> float:
    """The specification of a level: about the 99 % quantile of (n_z, n_x) float32, in float64."""
    step = _sampling(values.shape)[0]
    sampled = np.ascontiguousarray(values[::step, ::step])
    bins = np.sort(np.where(sampled > 0, sampled.view(np.int32) >> LEVEL_SHIFT, 0).ravel())[::-1]
    wanted = bins[_n_above(bins.size) - 1]
    in_bin, at_least = np.count_nonzero(bins == wanted), np.count_nonzero(bins >= wanted)
    part = ((2 * (at_least - _n_above(bins.size)) + 1) << LEVEL_SHIFT) // (2 * in_bin)
    return float(np.array((int(wanted) << LEVEL_SHIFT) + part, np.int32).view(np.float32))


def features_reference(
    r0: NDArray[np.float32],
    phase_turns: NDArray[Any],
    coherence: NDArray[Any],
    envelope: NDArray[np.float32],
    second: SecondPhase | None = None,
) -> NDArray[np.float64]:
    """The specification of `Features`, without padding: float64 (10, n_z, n_x)."""
    turns = 2 * np.pi * phase_turns.astype(np.float64)
    c = coherence.astype(np.float64)
    maps = [c * np.cos(turns), c * np.sin(turns), c]
    for values, per_decade, range_db in ((r0, 10, POWER_RANGE_DB), (envelope, 20, ENVELOPE_RANGE_DB)):
        level = max(level_reference(values), LEAST_NORMAL)
        ratio = np.maximum(values.astype(np.float64), LEAST_NORMAL) / level
        maps.append(np.where(values > 0, np.clip(per_decade * np.log10(ratio) / range_db, -1, 0), -1.0))
    if second is None:
        return np.stack([*maps, *np.zeros((len(SCORED_FOLDS), *r0.shape))])
    phasor, table = second
    # The bins as the kernel finds them, in float32: a pixel on a bin's edge may fall on either side.
    at_c = np.clip((coherence * np.float32(N_COHERENCES)).astype(int), 0, N_COHERENCES - 1)
    at_t = np.clip(((phase_turns + np.float32(0.5)) * np.float32(N_PHASES)).astype(int), 0, N_PHASES - 1)
    predicted = _scored(table).astype(np.complex128)[at_c, at_t]
    scores = (phasor.astype(np.complex128)[..., None] * predicted.conj()).real
    return np.stack([*maps, *np.moveaxis(scores, -1, 0)])
