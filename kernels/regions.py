"""Folds from regions of continuous phase: the dealiasing engine's kernels in their order (region_*.cu).

Labels, votes and merging are integers; the result is the same to the bit whatever the thread count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import Device, source
from trueflow.kernels.evidence import EvidenceWeights
from trueflow.kernels.launch import blocks, pixel_launch
from trueflow.kernels.predictions import FOLDS, N_COHERENCES, N_PHASES

__all__ = ["EvidenceWeights", "RegionUnwrapper"]

FOLD_BINS, STEP_BINS, SECOND_BINS, SUMS, COUNTERS = 16, 16, 8, 2, 8  # as in regions.cuh
CLASS_BINS, CLASS_FOLDS = 8, 5
COUNT_PAIRS, COUNT_SPARE = 6, 7
ROUNDS = 6
# Three quarters of the slots take pairs, three for each region: more have no borders between them, only bridges do.
PIXELS_PER_REGION, PIXELS_PER_SLOT = 8, 2
MOST_PIXELS = 1 << 21  # all of them in one group: sums of 512 a pixel and kind of evidence fit 32 bits
VOTE_RUN, VOTE_ROWS = 64, 8  # CPU: whole rows, which it reads ahead
# Threads that share regions or pairs, of which there are hundreds to tens of thousands.
SHARED_LAUNCH = {"cpu": ((16, 1, 1), (1, 1, 1)), "cuda": ((64, 1, 1), (256, 1, 1))}

SecondPhase = tuple[Any, NDArray[np.complex64]]


class RegionUnwrapper:
    """Plan for one image size.

    Parameters
    ----------
    device : Device
    shape : (n_z, n_x)
    weights : EvidenceWeights
    continuity : bool
        Whether borders between regions vote; without, every region is on its own.
    wall_run : int
        Pixels without flow that make a wall.
    """

    def __init__(
        self,
        device: Device,
        *,
        shape: tuple[int, int],
        weights: EvidenceWeights | None = None,
        continuity: bool = True,
        wall_run: int | None = None,
    ) -> None:
        n_z, n_x = shape
        n_pixels = n_z * n_x
        if not 1 <= n_pixels <= MOST_PIXELS:
            raise ValueError(f"shape: {n_z} x {n_x}, expected 1 to {MOST_PIXELS} pixels")
        self._device, self._shape = device, shape
        self._n_regions = max(64, n_pixels // PIXELS_PER_REGION)
        self._n_slots = max(256, 1 << (n_pixels // PIXELS_PER_SLOT - 1).bit_length())
        make = source("region_merge").struct
        self._label = source("region_label").struct("LabelParams", n_x=n_x, n_z=n_z, max_regions=self._n_regions)
        evidence = weights or EvidenceWeights()
        self._evidence = {
            given: make("EvidenceParams", **evidence.values(beside_second=given)) for given in (False, True)
        }
        self._votes = source("region_votes").struct(
            "VoteParams",
            n_x=n_x,
            n_z=n_z,
            n_slots=self._n_slots,
            run=VOTE_RUN if device.name == "cuda" else VOTE_RUN * blocks(n_x, VOTE_RUN),
            wall_run=wall_run or max(4, round(min(shape) / 16)),
            has_borders=int(continuity),
            has_second=0,
            has_before=0,
            has_classes=0,
        )
        self._given: dict[tuple[bool, bool, bool], Any] = {}
        self._second: tuple[NDArray[np.complex64], Any] | None = None
        self._rounds = [
            make("RoundParams", n_slots=self._n_slots, pairs=pairs, spare=spare)
            for pairs, spare in ((COUNT_PAIRS, COUNT_SPARE), (COUNT_SPARE, COUNT_PAIRS))
        ]
        self._pixels, self._shared = pixel_launch(device, n_pixels), SHARED_LAUNCH[device.name]
        self._paint = source("region_paint").struct("PaintParams", n_x=n_x, n_z=n_z, has_borders=int(continuity))
        self._kernels = {
            name: device.kernel(stem, name)
            for stem in ("region_label", "region_votes", "region_merge", "region_paint")
            for name in source(stem).kernels
        }
        self._allocate(n_z, n_pixels)
        self._merging = {given: self._merge_launches(beside_second=given) for given in (False, True)}

    def _allocate(self, n_z: int, n_pixels: int) -> None:
        empty, zeros, n, slots = self._device.empty, self._device.zeros, self._n_regions, self._n_slots
        self._phase_class = empty(n_pixels, np.uint8)
        self._phasor = empty(n_pixels, np.complex64)
        self._parent, self._region = (empty(n_pixels, np.int32) for _ in range(2))
        self._row_count, self._counters = empty(n_z, np.int32), zeros(COUNTERS, np.int32)
        self._sums, self._history = zeros((n, SUMS), np.int32), zeros((n, FOLD_BINS), np.int32)
        self._merge_score, self._anchor_score = (empty((n, FOLD_BINS), np.int32) for _ in range(2))
        self._group_score, self._group_area = zeros((n, FOLD_BINS), np.int32), zeros(n, np.int32)
        self._link, self._link_offset = (empty(n, np.int32) for _ in range(2))
        self._linked, self._best = zeros(n, np.int32), empty(n, np.uint64)
        self._link_margin, self._fold = empty(n, np.int32), empty(n, np.int32)
        self._confidence = empty(n, np.float32)
        self._tables = [
            (
                zeros(slots, np.uint64), empty(slots, np.uint64), zeros((slots, STEP_BINS), np.int32),
                empty(slots, np.int32),
            )
            for _ in range(2)
        ]  # fmt: skip
        self._rank, self._step = empty(slots, np.uint64), empty(slots, np.int32)
        self._second_votes = zeros((n, SECOND_BINS), np.int32)
        self._no_second, self._no_table = zeros(1, np.complex64), zeros(1, np.float32)
        self._class_votes = zeros((n, CLASS_BINS), np.int32)
        self._no_before, self._no_classes = zeros(1, np.float32), zeros(1, np.float32)

    def __call__(
        self,
        phase_turns: Any,
        coherence: Any,
        mask: Any,
        *,
        second: SecondPhase | None = None,
        before_turns: Any = None,
        classes: Any = None,
    ) -> tuple[Any, Any]:
        """Fold int8 and confidence float32, both (n_z, n_x); 0 outside the mask.

        Parameters
        ----------
        phase_turns, coherence : float32 (n_z, n_x)
        mask : bool (n_z, n_x)
        second : (phasor, table), optional
            The second phase: complex64 (n_z, n_x), its length, at most 1, being its weight; and what it should be,
            (8, 64, 7) complex64 on the host, from `predictions`.
        before_turns : float32 (n_z, n_x), optional
            The previous frame's unwrapped phase in turns, NaN where there was no flow.
        classes : float32 (5, n_z, n_x), optional
            A classifier's probabilities of folds -2 to 2.

        Notes
        -----
        Pixels whose phase or coherence is not a number are no flow; other evidence that is none says nothing.

        Raises
        ------
        ValueError
            Of another shape.
        """
        self._check(phase_turns, coherence, mask, second, before_turns, classes)
        with self._device.together():
            self._label_regions(phase_turns, coherence, mask)
            self._vote(phase_turns, coherence, second, before_turns, classes)
            for launch in self._merging[second is not None]:
                launch()
            return self._paint_pixels(phase_turns, coherence)

    def _check(
        self, phase_turns: Any, coherence: Any, mask: Any, second: SecondPhase | None, before_turns: Any, classes: Any
    ) -> None:
        given = {
            "phase_turns": phase_turns, "coherence": coherence, "mask": mask, "before_turns": before_turns,
            "second": second and second[0],
        }  # fmt: skip
        expected = dict.fromkeys(given, self._shape) | {"classes": (CLASS_FOLDS, *self._shape)}
        for name, array in (given | {"classes": classes}).items():
            if array is not None and tuple(array.shape) != expected[name]:
                raise ValueError(f"{name}: shape {tuple(array.shape)}, expected {expected[name]}")

    def _label_regions(self, phase_turns: Any, coherence: Any, mask: Any) -> None:
        label, pixels, kernel = self._label, self._pixels, self._kernels
        rows = (blocks(self._shape[0], 16), 1, 1), (16, 1, 1)
        one = ((1, 1, 1), (1, 1, 1))
        kernel["region_prepare"](
            *pixels, label, phase_turns, coherence, mask, self._phase_class, self._phasor, self._parent
        )
        kernel["region_unite"](*pixels, label, self._phase_class, self._parent)
        kernel["region_flatten"](*rows, label, self._phase_class, self._parent, self._row_count)
        kernel["region_count"](*one, label, self._row_count, self._counters)
        kernel["region_number"](
            *rows, label, self._phase_class, self._parent, self._row_count, self._counters, self._region
        )
        kernel["region_spread"](*pixels, label, self._phase_class, self._parent, self._region)

    def _vote(
        self, phase_turns: Any, coherence: Any, second: SecondPhase | None, before_turns: Any, classes: Any
    ) -> None:
        n_z, n_x = self._shape
        phasor, table = (self._no_second, self._no_table) if second is None else self._uploaded(second)
        sums = (self._sums, self._second_votes, self._history, self._class_votes)
        self._kernels["region_clear"](*self._shared, self._counters, *sums, self._group_score, self._group_area)
        params = self._params_with(second is not None, before_turns is not None, classes is not None)
        self._kernels["region_votes"](
            (blocks(n_x, int(params["run"])), blocks(n_z, VOTE_ROWS), 1),
            (1, VOTE_ROWS, 1),
            params,
            phase_turns,
            self._phasor,
            coherence,
            self._region,
            phasor,
            table,
            self._no_before if before_turns is None else before_turns,
            self._no_classes if classes is None else classes,
            *self._tables[0],
            *sums,
            self._counters,
        )

    def _params_with(self, second: bool, before: bool, classes: bool) -> Any:
        """The parameters of the votes for what is given."""
        key = (second, before, classes)
        if key not in self._given:
            params = self._votes.copy()
            params["has_second"], params["has_before"], params["has_classes"] = (int(given) for given in key)
            self._given[key] = params
        return self._given[key]

    def _uploaded(self, second: SecondPhase) -> tuple[Any, Any]:
        """The phasor, and the table on the device: it is the same object from frame to frame."""
        phasor, table = second
        if self._second is None or self._second[0] is not table:
            self._second = table, self._device.upload(_predictions(table))
        return phasor, self._second[1]

    def _merge_launches(self, *, beside_second: bool) -> list[Callable[[], None]]:
        """From the votes to each region's fold: always the same arrays."""
        shared, counters = self._shared, self._counters
        links, merged = (self._link, self._link_offset), (self._linked, self._best, self._merge_score)
        group, offers = (self._group_score, self._group_area), (self._best, self._rank, self._step)
        launches: list[Callable[[], None]] = []

        def add(name: str, *arguments: Any) -> None:
            launches.append(self._kernels[name].bind(*shared, *arguments))

        add(
            "region_evidence", self._evidence[beside_second], counters, self._sums, self._second_votes, self._history,
            self._class_votes, self._merge_score, self._anchor_score, *links, self._best,
        )  # fmt: skip
        (table, spare), (params, next_params) = self._tables, self._rounds
        for _ in range(ROUNDS):
            _keys, listed, votes, used = table
            add("region_best", params, listed, votes, used, self._merge_score, counters, *offers)
            add("region_link", params, listed, counters, *offers, *links, self._link_margin, self._linked)
            add("region_merge", counters, *links, *merged)
            add("region_move", params, *links, *table, *spare, counters)
            (table, spare), (params, next_params) = (spare, table), (next_params, params)
        keys, _listed, votes, used = table
        add("region_forget", params, counters, keys, votes, used)
        add("region_anchor", counters, *links, self._sums, self._anchor_score, *group)
        add("region_decide", counters, *links, self._link_margin, *group, self._fold, self._confidence)
        return launches

    def _paint_pixels(self, phase_turns: Any, coherence: Any) -> tuple[Any, Any]:
        fold, confidence = (self._device.empty(self._shape, dtype) for dtype in (np.int8, np.float32))
        self._kernels["region_paint"](
            *self._pixels, self._paint, self._region, self._fold, self._confidence, phase_turns, coherence,
            self._counters, fold, confidence,
        )  # fmt: skip
        return fold, confidence


def _predictions(table: NDArray[np.complex64]) -> NDArray[np.float32]:
    """The table as the kernel wants it: the folds' real parts, then their imaginary parts, padded."""
    shape = (N_COHERENCES, N_PHASES, len(FOLDS))
    if table.shape != shape:
        raise ValueError(f"table of the second phase: {table.shape}, expected {shape}")
    planes = np.zeros((*shape[:2], 2, SECOND_BINS), np.float32)
    planes[:, :, 0, : shape[2]], planes[:, :, 1, : shape[2]] = table.real, table.imag
    return planes

